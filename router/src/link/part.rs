//! What travels on a link: parts of clients' requests, the proxy's own, and what must stay together.

use crate::order::SpoolKey;
use crate::request::pending::PendingKey;
use crate::time::Time;

/// Whom a reply is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// A client's request, or this part of it.
    Request(PendingKey, u16),
    /// Nobody: the client has been answered, or never asked.
    Nobody,
    /// The command table: the answer to COMMAND INFO about this entry of the waiting list.
    Table(u64),
    /// The fence: the answer to CLIENT KILL of the lost link of this number.
    Fence(u64),
    /// The fence between proxies: the answer of a peer about the lost one of this number.
    PeerFence(u64),
    /// The same for another proxy: the connections of the instance of this index, for the task of this number.
    FenceList(u64, u16),
    /// And one of the answers that this task awaits.
    FencePart(u64),
}

impl Target {
    /// Whether its reply is read only when it is whole, however long that is.
    pub(crate) fn wants_whole(self) -> bool {
        matches!(self, Self::Table(_) | Self::FenceList(..))
    }
}

/// One request on a link, unsent or sent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Part {
    /// Unique among all parts of a router.
    pub(crate) id: u64,
    pub(crate) target: Target,
    /// After this time it is not sent any more, and its client has been answered.
    pub(crate) deadline: Time,
    /// How often an instance has answered it with a trouble that passes.
    pub(crate) tries: u8,
    /// How often what came in the place of its reply was none.
    pub(crate) spoilt: u8,
    /// It could be sent again: all its bytes went through the batch, and it belongs to nothing that did not.
    pub(crate) whole: bool,
    /// A proxy below has asked for it: it may be sent only while that one's lease holds.
    pub(crate) carried: bool,
    /// It was on a link that was lost: it may have been carried out, though it is not sent on this one.
    pub(crate) tried: bool,
    /// The file that holds its bytes, and those of its unit.
    pub(crate) spool: Option<SpoolKey>,
    /// Where its bytes start in all bytes that the link was ever given.
    pub(crate) start: u64,
    /// Where the bytes start that are sent with it or not at all: those of its transaction, or its own.
    pub(crate) unit: u64,
}

impl Part {
    /// One that nothing has happened to, and that lies nowhere yet.
    pub(crate) fn new(id: u64, target: Target, deadline: Time) -> Self {
        Self {
            id,
            target,
            deadline,
            tries: 0,
            spoilt: 0,
            whole: true,
            carried: false,
            tried: false,
            spool: None,
            start: 0,
            unit: 0,
        }
    }
}

/// What is sent together or not at all: a transaction, or one request.
#[derive(Debug, Default)]
pub(crate) struct Unit {
    /// Its requests, each with its bytes as far as they are there.
    pub(crate) parts: Vec<(Part, Vec<u8>)>,
    /// What the instance said when it was tried last: to each request an error that passes, or what led to one.
    /// Empty if it said nothing, or if it was sent again since.
    pub(crate) said: Vec<Vec<u8>>,
}

/// What is known of a request whose time is up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// No byte of it was written to any link.
    NotSent,
    /// It may have been carried out.
    Unknown,
    /// It was not, and this is what the instance said instead.
    Said(Vec<u8>),
}

impl Unit {
    /// When the first of its requests is past its time.
    pub(crate) fn deadline(&self) -> Time {
        self.parts.iter().map(|(part, _)| part.deadline).min().unwrap_or(Time::NEVER)
    }

    /// Whether it could be sent again: all its bytes are there.
    pub(crate) fn is_whole(&self) -> bool {
        self.parts.iter().all(|(part, bytes)| part.whole && (part.spool.is_some() || !bytes.is_empty()))
    }

    /// The file that holds its bytes.
    pub(crate) fn spool(&self) -> Option<SpoolKey> {
        self.parts.first()?.0.spool
    }

    /// Whether nothing has gone wrong with it yet.
    pub(crate) fn is_untroubled(&self) -> bool {
        self.parts.iter().all(|(part, _)| part.tries == 0 && !part.tried)
    }

    /// Has none of its requests sent after this time.
    pub(crate) fn hurry(&mut self, latest: Time) {
        self.parts.iter_mut().for_each(|(part, _)| part.deadline = part.deadline.min(latest));
    }

    /// Whether somebody waits for it: whoever was told that its time is up does not.
    pub(crate) fn is_wanted(&self) -> bool {
        self.targets().any(|target| matches!(target, Target::Request(..)))
    }

    /// Whether it may have been carried out.
    pub(crate) fn was_tried(&self) -> bool {
        self.parts.iter().any(|(part, _)| part.tried)
    }

    /// Memory of its bytes, and of what the instance said.
    pub(crate) fn bytes(&self) -> usize {
        let bytes = self.parts.iter().map(|(_, bytes)| bytes).chain(&self.said);
        bytes.map(Vec::capacity).sum()
    }

    /// Whom its replies are for.
    pub(crate) fn targets(&self) -> impl Iterator<Item = Target> + '_ {
        self.parts.iter().map(|(part, _)| part.target)
    }
}
