//! One connection to an upstream, and where it is in its life.
//!
//! ```text
//!   Down ── pause over ─► Connecting ── connected ─► Proving ── proof good ─► Ready ◄── heard ──┐
//!    ▲                        │                         │                      │  └── silent ─► Silent
//!    └────────────────────────┴──── lost, refused, too late, proof bad ────────┴── replaced ────┘
//! ```

pub(crate) mod batch;
pub(crate) mod circuit;
pub(crate) mod credentials;
pub(crate) mod links;
pub(crate) mod moved;
pub(crate) mod part;
pub(crate) mod proof;
pub(crate) mod replies;
pub(crate) mod timers;
pub(crate) mod upstream;

use std::sync::Arc;

use crate::link::batch::Batch;
use crate::link::proof::Probe;
use crate::loss::fence::Badge;
use crate::order::{Buffered, SessionKey, SpoolKey};
use crate::peer::framed::Framed;
use crate::peer::streams::Strand;
use crate::request::pending::PendingKey;
use crate::resp::ReplyScan;
use crate::time::Time;

/// The buffer of a reply that is not whole keeps at most this much memory that it does not need: to give it back
/// and take it anew for every reply costs more than the reply does.
const REPLY_KEEP: usize = 2 << 20;

/// What a link is used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lane {
    /// Small requests of many sessions, pipelined.
    Shared,
    /// One large value at a time.
    Bulk,
    /// The proxy's own requests.
    Control,
    /// Towards another proxy: it carries streams.
    Framed,
    /// A stream: it has no connection of its own.
    Stream,
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
    /// It was asked and says nothing: what is not sent waits until it does, or is replaced.
    Silent,
}

/// What is expected of a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// It takes new requests.
    Serving,
    /// It takes no new requests and is closed when nothing is left on it.
    Retired,
    /// It will take the place of a Shared link if that stays silent.
    Candidate,
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
    pub(crate) batch: Batch,
    /// What the driver holds of it.
    pub(crate) buffered: Buffered,
    reply: Vec<u8>,
    /// So many bytes of `reply` are done with.
    read: usize,
    pub(crate) scan: ReplyScan,
    /// A Bulk lane's session.
    pub(crate) owner: Option<SessionKey>,
    /// The file whose request a Bulk lane has.
    pub(crate) spool: Option<SpoolKey>,
    pub(crate) standing: Standing,
    /// How its instance knows it.
    pub(crate) badge: Option<Badge>,
    /// It is not read until its reply's turn comes.
    pub(crate) parked: bool,
    /// The request whose reply goes to its session as it comes.
    pub(crate) streaming: Option<PendingKey>,
    /// The part of a woven reply whose elements are handed on when they are due.
    pub(crate) flow: Option<Flow>,
    /// What it carries, if it is framed.
    pub(crate) framed: Option<Box<Framed>>,
    /// How it is carried, if it is a stream.
    pub(crate) strand: Option<Box<Strand>>,
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
#[derive(Debug, Default)]
pub(crate) struct Proof {
    /// What it has to answer.
    pub(crate) probe: Arc<Probe>,
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
            batch: Batch::new(false),
            buffered: Buffered::default(),
            reply: Vec::new(),
            read: 0,
            scan: ReplyScan::default(),
            owner: None,
            spool: None,
            standing: Standing::Serving,
            badge: None,
            parked: false,
            streaming: None,
            flow: None,
            framed: None,
            strand: None,
        }
    }

    /// The same, keeping what it sends until it is answered if `keeps`.
    pub(crate) fn keeping(self, keeps: bool) -> Self {
        Self { batch: Batch::new(keeps), ..self }
    }

    /// Whether there is something to write.
    pub(crate) fn has_output(&self) -> bool {
        let framed = |framed: &Framed| !framed.to_write().is_empty() || framed.carrier.has_more();
        self.batch.unsent() > 0 || self.framed.as_deref().is_some_and(framed)
    }

    /// Whether it is a lane that nobody uses.
    pub(crate) fn is_free_lane(&self) -> bool {
        self.is_ready() && self.is_unused()
    }

    /// Whether nobody uses it, as a lane. A request may be answered before the end of it is sent: that goes first.
    pub(crate) fn is_unused(&self) -> bool {
        let done = self.batch.in_flight() == 0 && self.batch.unsent() == 0;
        self.owner.is_none() && self.spool.is_none() && done
    }

    /// Its stage as a number: down, connecting, proving, ready.
    pub(crate) fn stage_index(&self) -> usize {
        match self.stage {
            Stage::Down(_) => 0,
            Stage::Connecting(_) => 1,
            Stage::Proving(_) => 2,
            Stage::Ready => 3,
            Stage::Silent => 4,
        }
    }

    /// Whether there is a connection, or one is being made.
    pub(crate) fn is_open(&self) -> bool {
        !matches!(self.stage, Stage::Down(_))
    }

    /// Whether the other end was met, and is a proxy.
    pub(crate) fn is_met(&self) -> bool {
        matches!(self.stage, Stage::Ready | Stage::Silent)
    }

    /// Whether requests may travel.
    pub(crate) fn is_ready(&self) -> bool {
        self.stage == Stage::Ready
    }

    /// Bytes of requests that wait for the upstream to take them.
    pub(crate) fn unsent(&self) -> usize {
        self.batch.unsent() + self.buffered.unsent as usize
    }

    /// Memory of replies that wait for more.
    pub(crate) fn reply_bytes(&self) -> usize {
        self.reply.capacity() + self.batch.early_bytes()
    }

    /// So many bytes of the batch are written; how many requests were added for this write.
    pub(crate) fn wrote(&mut self, bytes: usize, now: Time) -> u64 {
        if self.batch.front().is_none() {
            self.heard = now;
        }
        self.batch.wrote(bytes)
    }

    /// Takes what was kept of a reply that was not whole, and how much of it is done with.
    pub(crate) fn take_reply(&mut self) -> (Vec<u8>, usize) {
        (std::mem::take(&mut self.reply), std::mem::take(&mut self.read))
    }

    /// Keeps the beginning of a reply, of which `read` bytes are done with. Gives back a buffer that is not needed.
    pub(crate) fn keep_reply(&mut self, mut reply: Vec<u8>, read: usize) -> Vec<u8> {
        if read == reply.len() {
            return reply;
        }
        if read > reply.len() / 2 {
            // Not each time, so that a long reply that is read in small pieces is not moved for each of them.
            reply.drain(..read);
            if reply.capacity() > REPLY_KEEP {
                reply.shrink_to(REPLY_KEEP.max(2 * reply.len()));
            }
        } else {
            self.read = read;
        }
        self.reply = reply;
        Vec::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lane_is_nobody_elses_before_the_end_of_what_was_answered_early_is_sent() {
        let mut lane = Link::new(0, Lane::Bulk, Time::default());
        assert!(lane.is_unused());
        lane.batch.extend(b"end");
        assert!(!lane.is_unused());
        lane.wrote(3, Time::default());
        assert!(lane.is_unused());
    }
}
