//! The outside of a link: what was written to it, and what its instance will say.

use pdw_router::LinkKey;

use super::carried::Carried;
use super::instance::{Connection, Mood, canonical_request};

/// What every link asks before anything else.
const PROOF: [&[u8]; 4] = [b"CLIENT", b"MULTI", b"EXEC", b"PING"];

/// A link's connection, seen from outside.
#[derive(Debug)]
pub(super) struct Wire {
    pub(super) key: LinkKey,
    pub(super) upstream: usize,
    /// The router has ordered a write that is not done.
    pub(super) writable: bool,
    /// Its reply bytes have been read in this turn.
    pub(super) read: bool,
    written: Vec<u8>,
    replies: Vec<u8>,
    skip: u64,
    requests: usize,
    connection: Connection,
    /// The instance has said something on it that it was not asked.
    pub(super) babbled: bool,
}

impl Wire {
    pub(super) fn new(key: LinkKey, upstream: usize, mood: &Mood) -> Self {
        let (written, replies) = (Vec::new(), Vec::new());
        let connection = mood.connection();
        Self {
            key,
            upstream,
            writable: false,
            read: false,
            written,
            replies,
            skip: 0,
            requests: 0,
            connection,
            babbled: false,
        }
    }

    /// Takes written bytes to the instance, which answers at once; whether an answer was an odd one.
    pub(super) fn write(&mut self, mood: &mut Mood, carried: &mut Carried, bytes: &[u8]) -> bool {
        self.written.extend_from_slice(bytes);
        let mut odd = false;
        while let Some((args, len)) = canonical_request(&self.written) {
            self.written.drain(..len);
            if let Some(expected) = PROOF.get(self.requests) {
                assert_eq!(&args[0], expected, "a link is used before it is proven");
                self.connection.answer(&mut Mood::default(), &args, &mut self.replies);
            } else {
                self.connection.proven = true;
                carried.note(&args);
                odd |= self.connection.answer(mood, &args, &mut self.replies);
            }
            self.requests += 1;
        }
        odd
    }

    /// Whether a request has been written in part.
    pub(super) fn is_amid_request(&self) -> bool {
        !self.written.is_empty()
    }

    /// Whether the instance has something to say.
    pub(super) fn has_replies(&self) -> bool {
        !self.replies.is_empty()
    }

    /// What is left of at most `amount` bytes of the instance's replies without those to be skipped.
    pub(super) fn take_replies(&mut self, amount: usize) -> Vec<u8> {
        let mut taken = self.take_relayed(amount);
        let skipped = self.skip.min(taken.len() as u64);
        self.skip -= skipped;
        taken.drain(..skipped as usize);
        taken
    }

    /// At most `amount` bytes of the instance's replies.
    pub(super) fn take_relayed(&mut self, amount: usize) -> Vec<u8> {
        self.replies.drain(..amount.min(self.replies.len())).collect()
    }

    /// Has a driver forget the next bytes of the replies.
    pub(super) fn skip(&mut self, bytes: u64) {
        self.skip += bytes;
    }

    /// The instance says something that it was not asked.
    pub(super) fn babble(&mut self, bytes: &[u8]) {
        self.babbled = true;
        self.replies.extend_from_slice(bytes);
    }
}
