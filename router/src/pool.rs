//! Buffers that are borrowed when bytes arrive and given back when they are gone.

/// Buffers larger than this go back to the allocator.
const KEEP_BYTES: usize = 16 << 10;
/// More buffers than this are not kept: after a burst the memory is given back.
const KEEP_COUNT: usize = 256;

/// Empty buffers with their memory.
#[derive(Debug, Default)]
pub(crate) struct Pool {
    free: Vec<Vec<u8>>,
}

impl Pool {
    /// An empty buffer.
    pub(crate) fn take(&mut self) -> Vec<u8> {
        self.free.pop().unwrap_or_default()
    }

    /// Gives `buffer` memory if it has none.
    pub(crate) fn provide(&mut self, buffer: &mut Vec<u8>) {
        if buffer.capacity() == 0 {
            *buffer = self.take();
        }
    }

    /// Takes a buffer back, whatever is in it.
    pub(crate) fn give_back(&mut self, mut buffer: Vec<u8>) {
        if buffer.capacity() > 0 && buffer.capacity() <= KEEP_BYTES && self.free.len() < KEEP_COUNT {
            buffer.clear();
            self.free.push(buffer);
        }
    }
}
