//! Buffers that are borrowed when bytes arrive and given back when they are gone.

/// Buffers larger than this go back to the allocator.
const KEEP_BYTES: usize = 16 << 10;
/// Buffers of more memory than this are not kept together: after a burst it is given back. Replies
/// of pipelined requests to several shards wait for each other, a buffer each, so they may be many.
const KEEP_TOTAL: usize = 2 << 20;
/// A buffer has room for at least this much from the start, so that few grow later.
const LEAST: usize = 128;

/// Empty buffers with their memory.
#[derive(Debug, Default)]
pub(crate) struct Pool {
    free: Vec<Vec<u8>>,
    /// Memory of the free buffers.
    kept: usize,
}

impl Pool {
    /// An empty buffer.
    pub(crate) fn take(&mut self) -> Vec<u8> {
        let Some(buffer) = self.free.pop() else { return Vec::with_capacity(LEAST) };
        self.kept -= buffer.capacity();
        buffer
    }

    /// Gives `buffer` memory if it has none.
    pub(crate) fn provide(&mut self, buffer: &mut Vec<u8>) {
        if buffer.capacity() == 0 {
            *buffer = self.take();
        }
    }

    /// Takes a buffer back, whatever is in it.
    pub(crate) fn give_back(&mut self, mut buffer: Vec<u8>) {
        let bytes = buffer.capacity();
        if bytes > 0 && bytes <= KEEP_BYTES && self.kept + bytes <= KEEP_TOTAL {
            buffer.clear();
            self.kept += bytes;
            self.free.push(buffer);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_of_buffers_is_not_kept() {
        let mut pool = Pool::default();
        (0..1000).for_each(|_| pool.give_back(Vec::with_capacity(KEEP_BYTES)));
        assert_eq!(pool.free.len(), KEEP_TOTAL / KEEP_BYTES);
        pool.give_back(Vec::with_capacity(KEEP_BYTES + 1));
        while pool.take().capacity() > LEAST {}
        assert_eq!((pool.kept, pool.free.len()), (0, 0));
    }
}
