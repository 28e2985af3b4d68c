//! One connection to an upstream: the requests that wait to be sent, and those that wait for a reply.
//!
//! ```text
//!   Down ── pause over ─► Connecting ── connected ─► Proving ── proof good ─► Ready
//!    ▲                        │                         │                      │
//!    └────────────────────────┴──── lost, refused, too late, proof bad ────────┘
//! ```

use std::collections::VecDeque;

use crate::order::SessionKey;
use crate::pending::PendingKey;
use crate::resp::ReplyScan;
use crate::time::Time;

/// A batch that was larger gives its memory back once it is written.
const BATCH_KEEP: usize = 256 << 10;

/// What a link to an instance is used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lane {
    /// Small requests of many sessions, pipelined.
    Shared,
    /// One large value at a time.
    Bulk,
    /// The proxy's own requests.
    Control,
}

/// Where a link is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// There is no connection; another attempt is made at this time.
    Down(Time),
    /// A connection is being made, until this time at the latest.
    Connecting(Time),
    /// The connection is there; it has to prove what it can, until this time at the latest.
    Proving(Time),
    /// Requests may travel.
    Ready,
}

/// Whom a reply is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// A client's request, or this part of it.
    Request(PendingKey, u16),
    /// Nobody: the client has been answered, or never asked.
    Nobody,
    /// The command table: the answer to COMMAND INFO about this entry of the waiting list.
    Table(u64),
}

/// One request on a link, unsent or sent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Part {
    /// Unique among all parts of a router.
    pub(crate) id: u64,
    pub(crate) target: Target,
    /// After this time it is not sent any more, and its client has been answered.
    pub(crate) deadline: Time,
    /// Where its bytes start in all bytes that the link was ever given.
    start: u64,
    /// Where the bytes start that are sent with it or not at all: those of its transaction, or its own.
    unit: u64,
}

/// One connection to an upstream.
#[derive(Debug)]
pub(crate) struct Link {
    /// Index of the upstream.
    pub(crate) upstream: usize,
    pub(crate) lane: Lane,
    pub(crate) stage: Stage,
    /// An order to write is on its way to the driver.
    pub(crate) dirty: bool,
    /// An order about its next bytes is on its way to the driver.
    pub(crate) ordered: bool,
    /// When the upstream was last heard of, or first asked after a silence.
    pub(crate) heard: Time,
    pub(crate) proof: Proof,
    /// Unsent requests, whole, and the rest of the one that is being sent.
    batch: Vec<u8>,
    /// How many bytes of `batch` are written.
    cursor: usize,
    /// How many bytes were ever written, up to `cursor`.
    written: u64,
    parts: VecDeque<Part>,
    /// So many parts at the front are past their deadline and answered.
    expired: usize,
    /// Parts that were added since the last write.
    fresh: u64,
    reply: Vec<u8>,
    /// So many bytes of `reply` are done with.
    read: usize,
    pub(crate) scan: ReplyScan,
    /// A Bulk lane's session.
    pub(crate) owner: Option<SessionKey>,
    /// It takes no new requests and is closed when nothing is left on it.
    pub(crate) retired: bool,
    /// It is not read until its reply's turn comes.
    pub(crate) parked: bool,
    /// The request whose reply goes to its session as it comes.
    pub(crate) streaming: Option<PendingKey>,
    /// The part of a woven reply whose elements are handed on when they are due.
    pub(crate) flow: Option<Flow>,
    /// The value that is being moved or skipped is the last of its reply.
    pub(crate) last_value: bool,
}

/// A part of a woven reply that a link holds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Flow {
    pub(crate) pending: PendingKey,
    pub(crate) part: u16,
    /// Elements that are not handed on.
    pub(crate) left: u64,
}

/// What a new link has shown so far.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Proof {
    /// Replies seen.
    pub(crate) replies: usize,
    /// Bytes of the probe that are written.
    pub(crate) written: usize,
    /// MULTI and EXEC were accepted.
    pub(crate) multi: bool,
}

impl Link {
    /// A link that is opened at `when`.
    pub(crate) fn new(upstream: usize, lane: Lane, when: Time) -> Self {
        Self {
            upstream,
            lane,
            stage: Stage::Down(when),
            dirty: false,
            ordered: false,
            heard: when,
            proof: Proof::default(),
            batch: Vec::new(),
            cursor: 0,
            written: 0,
            parts: VecDeque::new(),
            expired: 0,
            fresh: 0,
            reply: Vec::new(),
            read: 0,
            scan: ReplyScan::default(),
            owner: None,
            retired: false,
            parked: false,
            streaming: None,
            flow: None,
            last_value: false,
        }
    }

    /// Adds a request to the batch.
    pub(crate) fn append(&mut self, id: u64, target: Target, deadline: Time, write: impl FnOnce(&mut Vec<u8>)) {
        let start = self.written + self.unsent() as u64;
        write(&mut self.batch);
        self.parts.push_back(Part { id, target, deadline, start, unit: start });
        self.fresh += 1;
    }

    /// Adds more bytes of the newest request.
    pub(crate) fn extend(&mut self, bytes: &[u8]) {
        self.batch.extend_from_slice(bytes);
    }

    /// Whether it is a lane that nobody uses.
    pub(crate) fn is_free_lane(&self) -> bool {
        self.is_ready() && self.owner.is_none() && self.in_flight() == 0
    }

    /// Whether nothing was ever sent on it.
    pub(crate) fn is_new(&self) -> bool {
        self.written == 0
    }

    /// The requests on it that clients wait for.
    pub(crate) fn requests(&self) -> impl Iterator<Item = PendingKey> + '_ {
        self.parts.iter().filter_map(|part| match part.target {
            Target::Request(pending, _) => Some(pending),
            _ => None,
        })
    }

    /// The request that the next reply answers, if one was sent.
    pub(crate) fn front(&self) -> Option<Part> {
        self.parts.front().copied().filter(|part| part.start < self.written)
    }

    /// Ties the newest `count` requests together: all of them are sent, or none.
    pub(crate) fn unite(&mut self, count: usize) {
        let first = self.parts.len().saturating_sub(count);
        let unit = self.parts.get(first).map_or(0, |part| part.unit);
        self.parts.range_mut(first..).for_each(|part| part.unit = unit);
    }

    /// Adds what another link had not sent; what was tied together stays so.
    pub(crate) fn adopt(&mut self, unsent: Vec<(Part, Vec<u8>)>) {
        let mut unit = None;
        for (part, bytes) in unsent {
            self.append(part.id, part.target, part.deadline, |out| out.extend_from_slice(&bytes));
            let Some(newest) = self.parts.back_mut() else { return };
            match unit {
                Some((old, new)) if old == part.unit => newest.unit = new,
                _ => unit = Some((part.unit, newest.unit)),
            }
        }
    }

    /// Its stage as a number: down, connecting, proving, ready.
    pub(crate) fn stage_index(&self) -> usize {
        match self.stage {
            Stage::Down(_) => 0,
            Stage::Connecting(_) => 1,
            Stage::Proving(_) => 2,
            Stage::Ready => 3,
        }
    }

    /// Whether requests may travel.
    pub(crate) fn is_ready(&self) -> bool {
        self.stage == Stage::Ready
    }

    /// The oldest request that is not answered.
    pub(crate) fn front_mut(&mut self) -> Option<&mut Part> {
        self.parts.front_mut()
    }

    /// Bytes that wait to be written.
    pub(crate) fn unsent(&self) -> usize {
        self.batch.len() - self.cursor
    }

    /// Memory of requests that wait to be written.
    pub(crate) fn batch_bytes(&self) -> usize {
        self.batch.capacity()
    }

    /// Memory of a reply that is not whole.
    pub(crate) fn reply_bytes(&self) -> usize {
        self.reply.capacity()
    }

    /// What waits to be written.
    pub(crate) fn batch(&self) -> &[u8] {
        &self.batch[self.cursor..]
    }

    /// So many bytes of the batch are written; how many requests were added for this write.
    pub(crate) fn wrote(&mut self, bytes: usize, now: Time) -> u64 {
        if self.is_silent() {
            self.heard = now;
        }
        self.cursor += bytes;
        self.written += bytes as u64;
        if self.cursor == self.batch.len() {
            self.batch.clear();
            self.batch.shrink_to(BATCH_KEEP);
            self.cursor = 0;
        }
        std::mem::take(&mut self.fresh)
    }

    /// Whether nothing has been asked that is not answered.
    fn is_silent(&self) -> bool {
        self.parts.front().is_none_or(|part| part.start >= self.written)
    }

    /// The request that the next reply answers; `None` if no request was sent that lacks a reply.
    pub(crate) fn take_answered(&mut self) -> Option<Part> {
        if self.is_silent() {
            return None;
        }
        self.expired = self.expired.saturating_sub(1);
        self.parts.pop_front()
    }

    /// Requests that are not answered.
    pub(crate) fn in_flight(&self) -> usize {
        self.parts.len()
    }

    /// When the next request's time is up.
    pub(crate) fn next_deadline(&self) -> Time {
        self.parts.get(self.expired).map_or(Time::NEVER, |part| part.deadline)
    }

    /// The next request whose time is up, and whether it may have been executed. It keeps its
    /// place if it was sent, and its late reply is for nobody; else it will never be sent.
    pub(crate) fn expire(&mut self, now: Time) -> Option<(Target, bool)> {
        let part = self.parts.get_mut(self.expired).filter(|part| part.deadline <= now)?;
        let target = std::mem::replace(&mut part.target, Target::Nobody);
        let sent = part.unit < self.written;
        if sent {
            self.expired += 1;
        } else {
            self.cut(self.expired);
        }
        Some((target, sent))
    }

    /// Takes an unsent request out of the batch.
    fn cut(&mut self, index: usize) {
        let Some(part) = self.parts.remove(index) else { return };
        let end = self.parts.get(index).map_or(self.written + self.unsent() as u64, |next| next.start);
        let offset = self.cursor + (part.start - self.written) as usize;
        let len = end - part.start;
        self.batch.drain(offset..offset + len as usize);
        for later in self.parts.iter_mut().skip(index) {
            later.start -= len;
            // The rest of the same unit begins where the part that is gone began.
            later.unit = later.unit.saturating_sub(len).max(part.start);
        }
    }

    /// Takes everything off a link that is lost: the requests that were sent, and those that were
    /// not, each with its bytes.
    pub(crate) fn salvage(&mut self) -> (Vec<Part>, Vec<(Part, Vec<u8>)>) {
        let end = self.written + self.unsent() as u64;
        let parts: Vec<Part> = self.parts.drain(..).collect();
        let ends = parts.iter().skip(1).map(|part| part.start).chain([end]);
        let (mut sent, mut unsent) = (Vec::new(), Vec::new());
        for (part, end) in parts.iter().zip(ends) {
            if part.unit < self.written {
                sent.push(*part);
            } else {
                let offset = self.cursor + (part.start - self.written) as usize;
                unsent.push((*part, self.batch[offset..offset + (end - part.start) as usize].to_vec()));
            }
        }
        (sent, unsent)
    }

    /// Takes what was kept of a reply that was not whole, and how much of it is done with.
    pub(crate) fn take_reply(&mut self) -> (Vec<u8>, usize) {
        (std::mem::take(&mut self.reply), std::mem::take(&mut self.read))
    }

    /// Keeps the beginning of a reply, of which `read` bytes are done with; a large buffer is given back when it
    /// is empty.
    pub(crate) fn keep_reply(&mut self, mut reply: Vec<u8>, read: usize) {
        if read == reply.len() {
            reply.clear();
        } else if read > reply.len() / 2 {
            // Not each time, so that a long reply that is read in small pieces is not moved for each of them.
            reply.drain(..read);
            reply.shrink_to(2 * reply.len().max(32 << 10));
        } else {
            self.read = read;
        }
        if !reply.is_empty() || reply.capacity() <= 64 << 10 {
            self.reply = reply;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link() -> Link {
        let mut link = Link::new(0, Lane::Shared, Time::default());
        for (id, text) in [b"aaaa", b"bbbb", b"cccc"].iter().enumerate() {
            let deadline = Time::from_micros(10 + id as u64);
            link.append(id as u64, Target::Table(id as u64), deadline, |out| out.extend_from_slice(*text));
        }
        link
    }

    #[test]
    fn a_request_counts_as_sent_from_its_first_byte_on() {
        let mut link = link();
        link.wrote(5, Time::default());
        let (sent, unsent) = link.salvage();
        assert_eq!(sent.iter().map(|part| part.id).collect::<Vec<_>>(), [0, 1]);
        assert_eq!(unsent[0].1, b"cccc");
    }

    #[test]
    fn what_is_past_its_deadline_is_not_sent() {
        let mut link = link();
        link.wrote(2, Time::default());
        let late = Time::from_micros(11);
        assert_eq!(link.expire(late), Some((Target::Table(0), true)));
        assert_eq!(link.expire(late), Some((Target::Table(1), false)));
        assert_eq!(link.expire(late), None);
        assert_eq!(link.batch(), b"aacccc");
        link.wrote(6, late);
        assert_eq!(link.take_answered().map(|part| part.target), Some(Target::Nobody));
        assert_eq!(link.take_answered().map(|part| part.target), Some(Target::Table(2)));
        assert!(link.take_answered().is_none());
    }

    #[test]
    fn a_transaction_is_sent_whole_or_not_at_all() {
        let mut link = link();
        link.unite(2);
        link.wrote(5, Time::default());
        assert_eq!(link.expire(Time::from_micros(20)), Some((Target::Table(0), true)));
        assert_eq!(link.expire(Time::from_micros(20)), Some((Target::Table(1), true)));
        assert_eq!(link.expire(Time::from_micros(20)), Some((Target::Table(2), true)));
        assert_eq!(link.batch(), b"bbbcccc");
        assert_eq!(link.salvage().0.len(), 3);
    }

    #[test]
    fn a_transaction_that_waits_for_the_next_link_stays_whole() {
        let mut lost = link();
        lost.unite(2);
        let mut next = Link::new(0, Lane::Shared, Time::default());
        next.adopt(lost.salvage().1);
        next.wrote(5, Time::default());
        let late = Time::from_micros(12);
        let expired: Vec<_> = std::iter::from_fn(|| next.expire(late)).map(|(_, sent)| sent).collect();
        assert_eq!(expired, [true, true, true]);
        assert_eq!(next.batch(), b"bbbcccc");
    }

    #[test]
    fn no_reply_is_expected_to_a_request_that_was_not_sent() {
        assert!(link().take_answered().is_none());
    }
}
