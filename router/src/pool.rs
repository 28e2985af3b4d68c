//! Buffers that are borrowed when bytes arrive and given back when they are gone.

/// Buffers larger than this go back to the allocator.
const KEEP_BYTES: usize = 16 << 10;
/// Buffers of more memory than this are not kept together: after a burst it is given back. Replies
/// of pipelined requests to several shards wait for each other, a buffer each, so they may be many.
const KEEP_TOTAL: usize = 2 << 20;
/// The same of buffers for what is longer: memory that is given back and taken anew costs more than its bytes do.
const KEEP_LONG_BYTES: usize = 2 << 20;
const KEEP_LONG_TOTAL: usize = 8 << 20;
/// A buffer has room for at least this much from the start, so that few grow later.
const LEAST: usize = 128;

/// Empty buffers with their memory.
#[derive(Debug, Default)]
pub(crate) struct Pool {
    free: Vec<Vec<u8>>,
    /// Memory of the free buffers.
    kept: usize,
    /// Buffers of more than [`KEEP_BYTES`], and their memory.
    long: Vec<Vec<u8>>,
    long_kept: usize,
    /// One of these was wanted since they were last looked at.
    long_used: bool,
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

    /// Gives `buffer` more memory than an ordinary one has, if it has none and is to hold `len` bytes.
    pub(crate) fn provide_long(&mut self, buffer: &mut Vec<u8>, len: usize) {
        if len > KEEP_BYTES && buffer.capacity() == 0 {
            *buffer = self.take_long(len).unwrap_or_default();
        }
    }

    /// A free buffer that holds at least `len` bytes.
    fn take_long(&mut self, len: usize) -> Option<Vec<u8>> {
        self.long_used = true;
        let at = self.long.iter().rposition(|buffer| buffer.capacity() >= len)?;
        let buffer = self.long.swap_remove(at);
        self.long_kept -= buffer.capacity();
        Some(buffer)
    }

    /// Gives long buffers back to the allocator that nobody has wanted since the last time.
    pub(crate) fn age(&mut self) {
        if !std::mem::take(&mut self.long_used) {
            self.long.clear();
            self.long_kept = 0;
        }
    }

    /// Has `buffer` take `more` bytes, in a longer buffer if it has to grow to more than an ordinary one.
    pub(crate) fn extend(&mut self, buffer: &mut Vec<u8>, more: &[u8]) {
        let len = buffer.len() + more.len();
        if len > KEEP_BYTES
            && len > buffer.capacity()
            && let Some(mut longer) = self.take_long(len)
        {
            longer.extend_from_slice(buffer);
            self.give_back(std::mem::replace(buffer, longer));
        }
        self.provide(buffer);
        buffer.extend_from_slice(more);
    }

    /// Takes a buffer back, whatever is in it.
    pub(crate) fn give_back(&mut self, mut buffer: Vec<u8>) {
        let bytes = buffer.capacity();
        if bytes > KEEP_BYTES && bytes <= KEEP_LONG_BYTES && self.long_kept + bytes <= KEEP_LONG_TOTAL {
            buffer.clear();
            self.long_kept += bytes;
            self.long.push(buffer);
        } else if bytes > 0 && bytes <= KEEP_BYTES && self.kept + bytes <= KEEP_TOTAL {
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
        while pool.take().capacity() > LEAST {}
        assert_eq!((pool.kept, pool.free.len()), (0, 0));
        (0..1000).for_each(|_| pool.give_back(Vec::with_capacity(KEEP_BYTES + 1)));
        assert!(pool.long_kept <= KEEP_LONG_TOTAL && pool.long_kept > KEEP_LONG_TOTAL / 2);
        pool.give_back(Vec::with_capacity(KEEP_LONG_BYTES + 1));
        assert_eq!(pool.kept, 0);
    }

    #[test]
    fn what_outgrows_its_buffer_goes_on_in_a_longer_one() {
        let mut pool = Pool::default();
        pool.give_back(Vec::with_capacity(KEEP_LONG_BYTES));
        let mut buffer = b"head".to_vec();
        pool.extend(&mut buffer, &[b'x'; KEEP_BYTES]);
        assert_eq!((buffer.len(), buffer.capacity()), (KEEP_BYTES + 4, KEEP_LONG_BYTES));
        assert!(buffer.starts_with(b"headx") && pool.long.is_empty());
    }
}
