//! Bytes that have come for a session and wait.

/// Bytes that are taken off at the front. Those behind are moved there only when they are fewer than were taken, so
/// that to take all of them bit by bit costs what it costs to take them at once.
#[derive(Debug, Default)]
pub(crate) struct Backlog {
    bytes: Vec<u8>,
    /// So many of them are taken.
    taken: usize,
    /// How many were moved to the front, in all.
    #[cfg(test)]
    pub(crate) moved: usize,
}

impl Backlog {
    pub(crate) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// What waits.
    pub(crate) fn rest(&self) -> &[u8] {
        &self.bytes[self.taken..]
    }

    /// The buffer, to which more may be appended.
    pub(crate) fn buffer(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }

    /// The buffer, when what was in it is of no use any more.
    pub(crate) fn into_buffer(self) -> Vec<u8> {
        self.bytes
    }

    /// Memory that it has.
    pub(crate) fn memory(&self) -> usize {
        self.bytes.capacity()
    }

    /// Takes bytes off at the front.
    pub(crate) fn take(&mut self, bytes: usize) {
        self.taken += bytes;
        let rest = self.bytes.len() - self.taken;
        if rest <= self.taken {
            self.bytes.drain(..std::mem::take(&mut self.taken));
            #[cfg(test)]
            (self.moved += rest);
        }
    }

    /// Gives memory back that is much more than what waits needs.
    pub(crate) fn shrink(&mut self) {
        if self.bytes.capacity() / 4 >= self.bytes.len() {
            self.bytes.shrink_to(self.bytes.len() * 2);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_taken_bit_by_bit_is_moved_about_once() {
        let mut backlog = Backlog::default();
        let all: Vec<u8> = (0..1_000_000u32).map(|at| at as u8).collect();
        backlog.buffer().extend_from_slice(&all);
        let mut seen = Vec::new();
        while !backlog.is_empty() {
            seen.extend_from_slice(&backlog.rest()[..10]);
            backlog.take(10);
            backlog.shrink();
            assert!(backlog.memory() <= 8 * backlog.rest().len(), "{} bytes of memory", backlog.memory());
        }
        assert!(seen == all && backlog.moved <= all.len(), "{} bytes were moved", backlog.moved);
        assert_eq!(backlog.memory(), 0);
    }
}
