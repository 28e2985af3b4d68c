//! Buffers that are borrowed when bytes arrive and given back when they are gone.

/// Buffers larger than this are kept apart: see [`KEEP_LONG_BYTES`].
const KEEP_BYTES: usize = 16 << 10;
/// Buffers of more memory than this are not kept together: after a burst it is given back. Replies
/// of pipelined requests to several shards wait for each other, a buffer each, so they may be many.
const KEEP_TOTAL: usize = 2 << 20;
/// The same of buffers for what is longer: memory that is given back and taken anew costs more than its bytes do.
const KEEP_LONG_BYTES: usize = 2 << 20;
const KEEP_LONG_TOTAL: usize = 8 << 20;
/// A buffer has room for at least this much from the start, so that few grow later.
const LEAST: usize = 128;
/// The same of an output.
const OUTPUT_LEAST: usize = 512;
/// Buffers are told apart by the power of two that they have room for, from [`LEAST`] to [`KEEP_BYTES`].
const CLASSES: usize = (KEEP_BYTES / LEAST).ilog2() as usize + 1;

/// Empty buffers with their memory.
#[derive(Debug, Default)]
pub(crate) struct Pool {
    /// By what they have room for, so that what is short does not take a buffer from what is longer, which would
    /// have another grow.
    free: [Stack; CLASSES],
    /// Those that take one reply after another, apart: only their use shows how much room they need.
    outputs: Stack,
    /// Memory of the free buffers of both kinds.
    kept: usize,
    /// Buffers of more than [`KEEP_BYTES`], and their memory.
    long: Vec<Vec<u8>>,
    long_kept: usize,
    /// One of these was wanted since they were last looked at.
    long_used: bool,
}

/// Free buffers; the last one that came goes first.
#[derive(Debug, Default)]
struct Stack {
    buffers: Vec<Vec<u8>>,
    /// How many of them, from the first, nobody has wanted since they were last looked at.
    idle: usize,
}

impl Stack {
    fn pop(&mut self) -> Option<Vec<u8>> {
        let buffer = self.buffers.pop();
        self.idle = self.idle.min(self.buffers.len());
        buffer
    }

    /// Gives those back to the allocator that nobody has wanted; how much memory that is.
    fn age(&mut self) -> usize {
        let given = self.buffers.drain(..self.idle).map(|buffer| buffer.capacity()).sum();
        self.idle = self.buffers.len();
        given
    }
}

/// The class of which every buffer has room for `len` bytes, at most [`KEEP_BYTES`].
fn class_for(len: usize) -> usize {
    (len.max(LEAST).next_power_of_two() / LEAST).ilog2() as usize
}

impl Pool {
    /// An empty buffer with room for `len` bytes, and for little more.
    pub(crate) fn take(&mut self, len: usize) -> Vec<u8> {
        if len > KEEP_BYTES {
            return self.take_long(len).unwrap_or_else(|| Vec::with_capacity(len));
        }
        let class = class_for(len);
        let buffer = self.free[class..].iter_mut().find_map(Stack::pop);
        buffer.map_or_else(|| Vec::with_capacity(LEAST << class), |buffer| self.counted(buffer))
    }

    /// A buffer is not free any more.
    fn counted(&mut self, buffer: Vec<u8>) -> Vec<u8> {
        self.kept -= buffer.capacity();
        buffer
    }

    /// Gives an output memory if it has none: for `len` bytes, and for as much more as the last one needed.
    pub(crate) fn provide_output(&mut self, output: &mut Vec<u8>, len: usize) {
        if output.capacity() > 0 {
            return;
        }
        let used = if len > KEEP_BYTES { None } else { self.outputs.pop() };
        *output = match used {
            Some(used) => self.counted(used),
            None => self.take(len.max(OUTPUT_LEAST)),
        };
    }

    /// A free buffer that holds at least `len` bytes.
    fn take_long(&mut self, len: usize) -> Option<Vec<u8>> {
        self.long_used = true;
        let at = self.long.iter().rposition(|buffer| buffer.capacity() >= len)?;
        let buffer = self.long.swap_remove(at);
        self.long_kept -= buffer.capacity();
        Some(buffer)
    }

    /// Gives buffers back to the allocator that nobody has wanted since the last time.
    pub(crate) fn age(&mut self) {
        self.kept -= self.free.iter_mut().chain([&mut self.outputs]).map(Stack::age).sum::<usize>();
        if !std::mem::take(&mut self.long_used) {
            self.long.clear();
            self.long_kept = 0;
        }
    }

    /// Has `buffer` take `more` bytes, in a longer buffer if it has to grow.
    pub(crate) fn extend(&mut self, buffer: &mut Vec<u8>, more: &[u8]) {
        let len = buffer.len() + more.len();
        if len > buffer.capacity() {
            // What is long grows by itself where there is no longer one.
            let longer = if len > KEEP_BYTES { self.take_long(len) } else { Some(self.take(len)) };
            if let Some(mut longer) = longer {
                longer.extend_from_slice(buffer);
                self.give_back(std::mem::replace(buffer, longer));
            }
        }
        buffer.extend_from_slice(more);
    }

    /// Takes a buffer back, whatever is in it.
    pub(crate) fn give_back(&mut self, mut buffer: Vec<u8>) {
        let bytes = buffer.capacity();
        if bytes > KEEP_BYTES && bytes <= KEEP_LONG_BYTES && self.long_kept + bytes <= KEEP_LONG_TOTAL {
            buffer.clear();
            self.long_kept += bytes;
            self.long.push(buffer);
        } else if bytes >= LEAST && self.may_keep(bytes) {
            buffer.clear();
            self.kept += bytes;
            self.free[(bytes / LEAST).ilog2() as usize].buffers.push(buffer);
        }
    }

    /// Takes an output back, whatever is in it.
    pub(crate) fn give_back_output(&mut self, mut output: Vec<u8>) {
        if output.capacity() < OUTPUT_LEAST || !self.may_keep(output.capacity()) {
            return self.give_back(output);
        }
        output.clear();
        self.kept += output.capacity();
        self.outputs.buffers.push(output);
    }

    fn may_keep(&self, bytes: usize) -> bool {
        bytes <= KEEP_BYTES && self.kept + bytes <= KEEP_TOTAL
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_of_buffers_is_not_kept() {
        let mut pool = Pool::default();
        (0..1000).for_each(|_| pool.give_back(Vec::with_capacity(KEEP_BYTES)));
        assert_eq!(pool.free[CLASSES - 1].buffers.len(), KEEP_TOTAL / KEEP_BYTES);
        while pool.take(1).capacity() > LEAST {}
        assert_eq!((pool.kept, pool.free.iter().map(|stack| stack.buffers.len()).sum()), (0, 0));
        (0..1000).for_each(|_| pool.give_back(Vec::with_capacity(KEEP_BYTES + 1)));
        assert!(pool.long_kept <= KEEP_LONG_TOTAL && pool.long_kept > KEEP_LONG_TOTAL / 2);
        pool.give_back(Vec::with_capacity(KEEP_LONG_BYTES + 1));
        assert_eq!(pool.kept, 0);
    }

    #[test]
    fn what_nobody_has_wanted_for_a_while_is_given_back() {
        let mut pool = Pool::default();
        (0..10).for_each(|_| pool.give_back(Vec::with_capacity(1024)));
        pool.give_back_output(Vec::with_capacity(1024));
        pool.age();
        // Three of them are in use at a time.
        let used: Vec<_> = (0..3).map(|_| pool.take(1024)).collect();
        used.into_iter().for_each(|buffer| pool.give_back(buffer));
        pool.age();
        assert_eq!(pool.kept, 3 * 1024);
        pool.age();
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

    #[test]
    fn every_buffer_has_the_room_that_was_asked_for() {
        let mut pool = Pool::default();
        for len in (0..KEEP_BYTES + 2).step_by(61) {
            let buffer = pool.take(len);
            assert!(buffer.capacity() >= len);
            pool.give_back(buffer);
        }
        for len in [LEAST - 1, LEAST, LEAST + 1, 1000, 1024, 1025, KEEP_BYTES] {
            assert!(pool.take(len).capacity() >= len);
        }
    }

    #[test]
    fn what_is_short_leaves_roomy_buffers_to_what_is_longer() {
        let mut pool = Pool::default();
        [LEAST, 1024, LEAST].into_iter().for_each(|bytes| pool.give_back(Vec::with_capacity(bytes)));
        assert_eq!(pool.take(5).capacity(), LEAST);
        let mut partial = vec![b'x'; 100];
        pool.extend(&mut partial, &[b'x'; 500]);
        assert_eq!((partial.len(), partial.capacity()), (600, 1024));
    }

    #[test]
    fn an_output_has_the_room_that_the_last_one_came_to_need() {
        let mut pool = Pool::default();
        let mut output = Vec::new();
        pool.provide_output(&mut output, 5);
        assert_eq!(output.capacity(), OUTPUT_LEAST);
        output.resize(3000, b'x');
        let room = output.capacity();
        pool.give_back_output(output);
        assert!(pool.take(5).capacity() < room, "a waiting reply took it");
        let mut next = Vec::new();
        pool.provide_output(&mut next, 5);
        assert_eq!((next.len(), next.capacity()), (0, room));
        assert_eq!(pool.kept, 0);
    }
}
