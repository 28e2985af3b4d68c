//! What has gone over a framed link, so that it can be resumed on another connection: each end keeps what it has sent
//! until the other one says that it has come.
//!
//! ```text
//!   sent on the lost connection        not written
//!   ├ said to have come ┼ kept ────────┼ waits ────┤
//!                      base      ▲ so far it came: the new connection begins here
//! ```
//!
//! Nothing of a frame says where in this order it is: both ends count.

use std::collections::VecDeque;

/// An end tells the other one what has come whenever that is so many bytes more, ...
const TELL: u64 = 32 << 10;
/// ... or this part of what it keeps itself, if that is less, but not for what says only that.
const TELL_PART: usize = 4;
const TELL_MIN: u64 = 64;
/// Memory for what is kept that is not given back.
const KEEP: usize = 256 << 10;

/// One end's account of a framed link.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    /// Bytes of frames that have come.
    received: u64,
    /// The other end was told of so many.
    told: u64,
    /// Where `kept` begins in all bytes of frames that were sent.
    base: u64,
    kept: VecDeque<u8>,
    /// At most so many bytes are kept. Without the older ones the link cannot be resumed, until it is said that they
    /// have come.
    max: usize,
}

impl Ledger {
    /// Nothing has gone either way.
    pub(crate) fn new(max: usize) -> Self {
        Self { max, ..Self::default() }
    }

    /// These bytes were written.
    pub(crate) fn sent(&mut self, bytes: &[u8]) {
        let fitting = &bytes[bytes.len().saturating_sub(self.max)..];
        let excess = (self.kept.len() + fitting.len()).saturating_sub(self.max);
        self.base += (excess + bytes.len() - fitting.len()) as u64;
        self.kept.drain(..excess);
        self.kept.extend(fitting);
    }

    /// So many bytes have come; how many in all, if the other end is to be told now.
    pub(crate) fn note_received(&mut self, bytes: usize) -> Option<u64> {
        self.received += bytes as u64;
        let due = self.received - self.told >= TELL.min((self.max / TELL_PART) as u64).max(TELL_MIN);
        self.told = if due { self.received } else { self.told };
        due.then_some(self.received)
    }

    /// The other end says that so many bytes have come.
    pub(crate) fn acknowledged(&mut self, total: u64) {
        let come = total.saturating_sub(self.base).min(self.kept.len() as u64);
        self.base += come;
        self.kept.drain(..come as usize);
        if self.kept.is_empty() && self.kept.capacity() > KEEP {
            self.kept = VecDeque::new();
        }
    }

    /// Bytes of frames that have come.
    pub(crate) fn received(&self) -> u64 {
        self.received
    }

    /// So many have come, as if what came since had not.
    pub(crate) fn forget_since(&mut self, received: u64) {
        self.received = received;
    }

    /// The first byte that is kept.
    pub(crate) fn base(&self) -> u64 {
        self.base
    }

    /// Whether everything from this byte on is there, `waiting` being so many that were not written.
    pub(crate) fn reaches(&self, from: u64, waiting: usize) -> bool {
        (self.base..=self.base + (self.kept.len() + waiting) as u64).contains(&from)
    }

    /// Everything from a byte on that it [reaches](Self::reaches), for another connection; it counts as not written.
    pub(crate) fn resume(&mut self, from: u64, waiting: &[u8]) -> Vec<u8> {
        let at = from.saturating_sub(self.base) as usize;
        let all = self.kept.iter().chain(waiting).copied().skip(at).collect();
        (self.base, self.kept) = (from, VecDeque::new());
        self.told = self.received;
        all
    }

    /// Bytes that are kept.
    pub(crate) fn kept(&self) -> usize {
        self.kept.len()
    }

    /// Memory for them.
    pub(crate) fn memory(&self) -> usize {
        self.kept.capacity()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_goes_on_where_it_stopped() {
        let mut ledger = Ledger::new(100);
        ledger.sent(b"abcdef");
        ledger.acknowledged(2);
        assert_eq!((ledger.base(), ledger.kept()), (2, 4));
        assert!(ledger.reaches(2, 0) && ledger.reaches(9, 3) && !ledger.reaches(1, 3) && !ledger.reaches(10, 3));
        assert_eq!(ledger.resume(4, b"ghi"), b"efghi");
        assert_eq!((ledger.base(), ledger.kept()), (4, 0), "nothing of it is written yet");
        ledger.sent(b"efg");
        assert_eq!(ledger.resume(8, b"hi"), b"i", "more has come than was said to be written");
    }

    #[test]
    fn no_more_is_kept_than_may_be_and_the_rest_cannot_be_resumed() {
        let mut ledger = Ledger::new(4);
        ledger.sent(b"abc");
        ledger.sent(b"def");
        assert_eq!((ledger.base(), ledger.kept()), (2, 4));
        ledger.sent(b"ghijklmno");
        assert_eq!((ledger.base(), ledger.kept()), (11, 4));
        assert!(!ledger.reaches(10, 0) && ledger.reaches(11, 0));
        ledger.acknowledged(3);
        assert_eq!(ledger.base(), 11);
        ledger.acknowledged(99);
        assert_eq!((ledger.base(), ledger.kept()), (15, 0));
    }

    #[test]
    fn the_other_end_is_told_now_and_then() {
        let mut ledger = Ledger::new(400);
        assert_eq!(ledger.note_received(90), None);
        assert_eq!(ledger.note_received(50), Some(140));
        assert_eq!(ledger.note_received(90), None);
        let mut large = Ledger::new(1 << 20);
        assert_eq!(large.note_received(TELL as usize - 1), None);
        assert_eq!(large.note_received(1), Some(TELL));
    }
}
