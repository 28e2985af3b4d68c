//! The outside of a session: what a client sends, and what it has read.

use pdw_router::SessionKey;
use pdw_router::limits::Limits;
use pdw_router::resp::{self, ReplyScan};

use super::oracle::{Asked, Oracle, asked};

/// How a client's connection has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// Not yet.
    Open,
    /// The router has closed it.
    Closed,
    /// The client's side broke.
    Lost,
}

/// A client's connection, seen from outside.
#[derive(Debug)]
pub(super) struct Client {
    pub(super) key: SessionKey,
    pub(super) ending: Ending,
    /// The router has ordered a write that is not done.
    pub(super) writable: bool,
    /// Its bytes have been read in this turn.
    pub(super) read: bool,
    /// There were too many sessions when it came.
    pub(super) crowded: bool,
    /// It will send nothing more.
    pub(super) finished: bool,
    /// The router knows that it will send nothing more.
    pub(super) told: bool,
    stream: Vec<u8>,
    at: usize,
    skip: u64,
    received: Vec<u8>,
}

impl Client {
    pub(super) fn new(key: SessionKey, crowded: bool) -> Self {
        Self {
            key,
            ending: Ending::Open,
            writable: false,
            read: false,
            crowded,
            finished: false,
            told: false,
            stream: Vec::new(),
            at: 0,
            skip: 0,
            received: Vec::new(),
        }
    }

    pub(super) fn send(&mut self, bytes: &[u8]) {
        if !self.finished && self.ending == Ending::Open {
            self.stream.extend_from_slice(bytes);
        }
    }

    /// Whether a read of its socket would give anything, its end included.
    pub(super) fn is_readable(&self) -> bool {
        self.ending == Ending::Open && (self.at < self.stream.len() || self.finished && !self.told)
    }

    /// At most `amount` of its bytes, as a driver hands them on: without those to be skipped.
    /// `None`: its end.
    pub(super) fn take_bytes(&mut self, amount: usize) -> Option<Vec<u8>> {
        let chunk = &self.stream[self.at..self.stream.len().min(self.at.saturating_add(amount))];
        if chunk.is_empty() {
            self.told = true;
            return None;
        }
        self.at += chunk.len();
        let skipped = self.skip.min(chunk.len() as u64);
        self.skip -= skipped;
        Some(chunk[skipped as usize..].to_vec())
    }

    /// At most `amount` of its bytes, for a relay.
    pub(super) fn take_relayed(&mut self, amount: usize) -> Vec<u8> {
        let chunk = &self.stream[self.at..self.stream.len().min(self.at.saturating_add(amount))];
        self.at += chunk.len();
        chunk.to_vec()
    }

    /// Whether nothing will ever come of it again.
    pub(super) fn has_ended(&self) -> bool {
        self.finished && self.at == self.stream.len()
    }

    /// Whether it may keep a lane that others want: in the middle of a large value, or of a transaction.
    pub(super) fn may_hold_up_others(&self, limits: &Limits) -> bool {
        let asked = asked(limits, &self.stream[..self.at]);
        asked.is_amid_value() || asked.is_amid_transaction()
    }

    /// Has a driver forget the next bytes.
    pub(super) fn skip(&mut self, bytes: u64) {
        self.skip += bytes;
    }

    /// Takes bytes that were written to it.
    pub(super) fn receive(&mut self, bytes: &[u8]) {
        self.received.extend_from_slice(bytes);
    }

    /// Checks all replies so far. `settled`: nothing is on its way any more. `trusted`: the
    /// instances have answered what they were asked. `sound`: no link was ever lost.
    pub(super) fn check(&self, limits: &Limits, settled: bool, trusted: bool, sound: bool) {
        let (asked, replies) = (asked(limits, &self.stream[..self.at]), self.replies());
        let (most, count) = (asked.requests.len(), replies.len());
        if self.crowded {
            assert!(count <= 1);
            return;
        }
        assert!(count <= most, "{count} replies to {most} requests: {}", self.story());
        if trusted {
            let mut oracle = Oracle::default();
            asked.requests.iter().zip(&replies).for_each(|(asked, reply)| oracle.check(asked, reply));
        }
        match self.ending {
            Ending::Open if settled => {
                let missing = asked.required().saturating_sub(count);
                assert!(missing == 0, "{missing} replies are missing: {}", self.story());
                assert!(!asked.is_broken(), "open after what is no request: {}", self.story());
            }
            // A session is closed after everything was answered, or after what ends a session.
            Ending::Closed if sound && !asked.is_amid_value() => {
                let ended = asked.may_close_after(count) || self.told && count == most;
                assert!(ended, "closed without a reason: {}", self.story());
            }
            Ending::Closed if sound && asked.is_broken() => {
                let told = replies.last().is_some_and(|reply| resp::is_error(reply));
                assert!(told, "not told that it sent what is no request: {}", self.story());
            }
            _ => {}
        }
    }

    /// Its requests, without those that it was told were not sent on.
    pub(super) fn may_have_been_sent_on(&self, limits: &Limits) -> Vec<Vec<Vec<u8>>> {
        let (asked, replies) = (asked(limits, &self.stream[..self.at]), self.replies());
        let refused = |at: usize| replies.get(at).is_some_and(|reply| reply.ends_with(b"the request was not sent\r\n"));
        let whole = asked.requests.into_iter().enumerate().filter(|(at, _)| !refused(*at));
        whole.filter_map(|(_, asked)| if let Asked::Request(args) = asked { Some(args) } else { None }).collect()
    }

    /// How its stream ends and what it was told last, for people.
    fn story(&self) -> String {
        let tail = |bytes: &[u8]| String::from_utf8_lossy(&bytes[bytes.len().saturating_sub(200)..]).into_owned();
        format!("{:?} sent ...{:?} and read ...{:?}", self.key, tail(&self.stream[..self.at]), tail(&self.received))
    }

    /// The replies that it has read, all whole but for the last.
    fn replies(&self) -> Vec<&[u8]> {
        let mut scan = ReplyScan::default();
        let (mut all, mut rest) = (Vec::new(), self.received.as_slice());
        loop {
            let found = scan.scan(rest);
            assert!(found.is_ok(), "{found:?}: {}", self.story());
            let Ok(Some(len)) = found else { return all };
            all.push(&rest[..len]);
            rest = &rest[len..];
        }
    }
}
