//! A client's connection: reading its requests, writing its replies; its end is told in `session/ending.rs`.
//!
//! ```text
//!         FIN, QUIT, protocol error             all answered and written
//!   Open ───────────────────────────► Finishing ────────────────────────► gone
//!     └───────────────────── connection lost ────────────────────────────►
//! ```
//!
//! An open session may be *paused*: it is not read, because something it wants is at its limit,
//! or because its next request waits for a command to be looked up.

pub(crate) mod admission;
pub(crate) mod attempts;
pub(crate) mod backlog;
pub(crate) mod denials;
mod ending;
pub(crate) mod gate;
mod partial;

use crate::large::bulk::Cut;
use crate::large::spool::Spooling;
use crate::local::Identity;
use crate::memory::Pressure;
use crate::mutant::Mutant;
use crate::order::{Buffered, End, LinkKey, SessionKey};
use crate::peer::accept::Accepted;
use crate::peer::carrier::StreamEnd;
use crate::place::Shards;
use crate::refusal::Refusal;
use crate::request::pending::PendingKey;
use crate::request::transaction::Held;
use crate::resp::{ProtocolError, RequestScan, Scanned, write};
use crate::router::{Setup, Traffic};
use crate::session::admission::{Who, stranger_limits};
use crate::session::backlog::Backlog;
use crate::stats::CloseReason;
use crate::time::Time;
pub(crate) use partial::Partial;

/// Scanners that are kept for the next requests that are not whole, or have to wait.
const PARTIALS_KEPT: usize = 1024;

/// A client's connection and its protocol state.
#[derive(Debug, Default)]
pub(crate) struct Session {
    /// Who it is.
    pub(crate) who: Who,
    /// What CLIENT ID says.
    pub(crate) id: u64,
    /// The client's stream has ended; there may be requests of it yet to read.
    ended: bool,
    /// Nothing more is read.
    finishing: bool,
    pub(crate) reason: CloseReason,
    /// The Bulk lane it uses.
    pub(crate) lane: Option<LinkKey>,
    /// What it has to do with the spool.
    pub(crate) spooling: Spooling,
    /// The rest of its request goes to its lane, or to its file, as it comes.
    pub(crate) cut: bool,
    /// When its unfinished request began to be held.
    pub(crate) begun: Time,
    /// The rest of its request is not wanted.
    pub(crate) discarding: bool,
    /// Its requests are on a link that was retired: it waits for them before it uses another.
    pub(crate) settling: bool,
    /// Why it is not read for now, if it is not.
    pub(crate) paused: Option<Pause>,
    /// The link that is not read until it has taken more of the reply from there.
    pub(crate) source: Option<LinkKey>,
    /// When its client last took reply bytes, or first refused to.
    taken: Time,
    /// Its client takes none of the replies that wait to be written.
    stuck: bool,
    /// More of its woven reply may be handed on once it has taken more.
    pub(crate) hungry: bool,
    /// An order about its next bytes is on its way to the driver.
    pub(crate) ordered: bool,
    /// An order to write is on its way to the driver.
    pub(crate) dirty: bool,
    /// Shards that have a request of it, where one at a time is the rule.
    pub(crate) busy: Shards,
    /// What the driver holds of it.
    pub(crate) buffered: Buffered,
    /// Requests that are not answered yet.
    pub(crate) pending: u32,
    pub(crate) first: Option<PendingKey>,
    pub(crate) last: Option<PendingKey>,
    /// Replies in order, of which `written` bytes are gone.
    pub(crate) out: Vec<u8>,
    written: usize,
    partial: Option<Box<Partial>>,
    /// The transaction that waits for its EXEC.
    pub(crate) held: Option<Box<Held>>,
    /// What the client said of itself.
    pub(crate) identity: Option<Box<Identity>>,
    /// Its streams to other proxies: the first of them.
    pub(crate) streams: Option<LinkKey>,
    /// It is a framed link, which carries other sessions.
    pub(crate) framed: Option<Box<Accepted>>,
    /// It is carried by a framed link, and has no connection of its own.
    pub(crate) carried: Option<Box<StreamEnd<SessionKey>>>,
}

/// Why a session is not read for now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pause {
    /// It has too many unanswered requests, or too many replies that it does not read.
    Limit,
    /// Something outside of it: a batch that is full, a command that is being looked up.
    Waiting,
    /// Its next request is for these shards, of which one has one of it, where one at a time is the rule.
    Shard(Shards),
    /// Its next request takes another path than its unanswered ones.
    Own,
    /// Its next request needs a Bulk lane, or the last one on its lane is not answered.
    Lane,
}

/// What is to happen to a session after a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flow {
    /// Its next request is read.
    Next,
    /// It is paused, and the same request is looked at again later.
    Again,
}

impl Session {
    /// A session that has just begun.
    pub(crate) fn of(who: Who) -> Self {
        Self { who, ..Self::default() }
    }

    /// Whether nothing of it is outstanding, as far as it knows itself.
    pub(crate) fn rests(&self) -> bool {
        if self.framed.is_some() {
            return false;
        }
        let unread = self.partial.is_some() || self.paused.is_some() || self.held.is_some() || self.finishing;
        !unread && self.first.is_none() && self.out.is_empty() && self.lane.is_none() && self.spooling.file.is_none()
    }

    /// Whether nothing has happened on it that would not do on a framed link.
    pub(crate) fn may_become_framed(&self) -> bool {
        let busy = self.first.is_some() || self.held.is_some() || self.finishing || self.ended;
        !busy && self.streams.is_none() && self.carried.is_none() && self.framed.is_none()
    }

    /// Bytes that have come for it on its stream and wait.
    pub(crate) fn inbox_bytes(&self) -> usize {
        self.carried.as_ref().map_or(0, |end| end.inbox.memory())
    }

    /// After this time nothing of what has come is sent on.
    pub(crate) fn latest(&self) -> Time {
        self.carried.as_ref().map_or(Time::NEVER, |end| end.latest)
    }

    /// Whether its lane is in the middle of its request or transaction.
    pub(crate) fn is_amid(&self) -> bool {
        self.spooling.file.is_none() && (self.cut || self.held.as_ref().is_some_and(|held| held.is_live()))
    }

    /// Whether no request is half read.
    pub(crate) fn between_requests(&self) -> bool {
        self.partial.is_none()
    }

    /// Whether what it was paused for may be over; it is looked at again then.
    fn may_resume(&self) -> bool {
        match self.paused {
            None => false,
            Some(Pause::Limit | Pause::Waiting) => true,
            // To look at it again takes as long as it is.
            Some(Pause::Shard(wanted)) => !self.busy.meets(wanted),
            Some(Pause::Own | Pause::Lane) => self.first.is_none() && !self.cut,
        }
    }

    /// Takes note of whether its client takes what is written.
    fn note_taken(&mut self, bytes: usize, now: Time) {
        let rest = self.reply_bytes() > 0;
        if bytes > 0 || rest && !self.stuck {
            self.taken = now;
        }
        self.stuck = rest;
    }

    /// When its client last took reply bytes.
    pub(crate) fn taken(&self) -> Time {
        self.taken
    }

    /// Since when its client has taken none of the replies that wait to be written.
    pub(crate) fn stuck_since(&self) -> Option<Time> {
        self.stuck.then_some(self.taken)
    }

    /// Since when it has owed its lane something that was `heard` of then, if nobody owes it anything.
    pub(crate) fn idle_since(&self, heard: Time) -> Option<Time> {
        let owed = self.paused.is_some() || self.reply_bytes() > 0;
        if owed { self.stuck_since() } else { Some(heard.max(self.taken)) }
    }

    /// Whether its unanswered requests or unread replies reach one `part`-th of their limits.
    fn is_above(&self, setup: &Setup, part: usize) -> bool {
        let above = self.pending as usize >= setup.limits.session_pending_max.div_ceil(part)
            || self.reply_bytes() >= setup.limits.session_output_max.div_ceil(part);
        above && !setup.mutation.is(Mutant::Unbounded)
    }
}

impl Traffic {
    /// Takes in a session that is carried by a framed link, and may do what that may.
    pub(crate) fn open_carried(&mut self, end: StreamEnd<SessionKey>) -> SessionKey {
        self.stats.streams_accepted += 1;
        let who = self.sessions.get(end.carrier).map(|session| session.who.clone()).unwrap_or_default();
        self.insert_session(Session { carried: Some(Box::new(end)), who, ..Session::default() })
    }

    /// Gives a new session its number.
    pub(crate) fn insert_session(&mut self, session: Session) -> SessionKey {
        let (first, step) = self.numbering;
        let id = first + (self.stats.sessions_opened + self.stats.streams_accepted - 1) * step;
        self.sessions.insert(Session { id, ..session })
    }

    /// Turns a new session away if there are too many; whether it stays.
    pub(crate) fn close_if_crowded(&mut self, setup: &Setup, key: SessionKey) -> bool {
        let crowded = self.has_no_room(setup, self.sessions.len());
        if crowded {
            self.refuse(setup, key, &Refusal::TooManySessions);
            self.finish_session(setup, key, CloseReason::TooMany);
        }
        !crowded
    }

    /// Whether so many sessions are too many by now.
    pub(crate) fn has_no_room(&self, setup: &Setup, sessions: usize) -> bool {
        sessions > setup.limits.sessions_max || self.budget.pressure != Pressure::None
    }

    /// Which session it is, counted from 0 among those of this router.
    pub(crate) fn session_number(&self, key: SessionKey) -> u64 {
        let (_, step) = self.numbering;
        self.sessions.get(key).map_or(0, |session| session.id / step)
    }

    /// Reads what a client's connection brought.
    pub(crate) fn connection_bytes(&mut self, setup: &Setup, key: SessionKey, bytes: &[u8]) {
        self.stats.bytes.from_clients += bytes.len() as u64;
        self.take_in(setup, bytes.len());
        self.note_sending(key);
        if self.is_framed(key) {
            self.frames_from_below(setup, key, bytes);
        } else {
            self.session_bytes(setup, key, bytes);
        }
    }

    /// Reads what a client sent.
    pub(crate) fn session_bytes(&mut self, setup: &Setup, key: SessionKey, bytes: &[u8]) {
        let passed = self.pass_on(setup, End::Session(key), bytes);
        let bytes = &bytes[passed..];
        if bytes.is_empty() {
            return;
        }
        let Some(session) = self.sessions.get_mut(key).filter(|session| !session.finishing) else { return };
        let mut partial = session.partial.take().or_else(|| self.partials.pop()).unwrap_or_else(|| {
            Box::new(Partial { backlog: Backlog::default(), scan: RequestScan::new(setup.scan_limits()) })
        });
        if self.is_outside(key) {
            partial.scan.bound(stranger_limits());
        }
        if partial.backlog.is_empty() {
            let used = self.read_requests(setup, key, &mut partial.scan, bytes);
            self.buffers.extend(partial.backlog.buffer(), &bytes[used..]);
        } else {
            self.buffers.extend(partial.backlog.buffer(), bytes);
            self.read_partial(setup, key, &mut partial);
        }
        self.keep_partial(setup, key, partial);
    }

    /// Reads on where a session was paused.
    pub(crate) fn resume(&mut self, setup: &Setup, key: SessionKey) {
        let Some(session) = self.sessions.get_mut(key) else { return };
        if !session.may_resume() {
            return;
        }
        session.paused = None;
        if let Some(mut partial) = session.partial.take() {
            self.read_partial(setup, key, &mut partial);
            self.keep_partial(setup, key, partial);
        }
        if self.sessions.get(key).is_some_and(|session| session.paused.is_none()) {
            self.read_again(End::Session(key));
            self.close_if_done(setup, key);
        }
    }

    fn read_partial(&mut self, setup: &Setup, key: SessionKey, partial: &mut Partial) {
        let used = self.read_requests(setup, key, &mut partial.scan, partial.backlog.rest());
        partial.backlog.take(used);
    }

    fn keep_partial(&mut self, setup: &Setup, key: SessionKey, mut partial: Box<Partial>) {
        let idle = partial.backlog.is_empty() && partial.scan.is_fresh();
        if let (false, Some(session)) = (idle, self.sessions.get_mut(key).filter(|session| !session.finishing)) {
            if session.begun == Time::default() {
                session.begun = self.now;
            }
            session.partial = Some(partial);
            return;
        }
        if let Some(session) = self.sessions.get_mut(key).filter(|session| session.buffered.unread == 0) {
            session.begun = Time::default();
        }
        self.buffers.give_back(std::mem::take(&mut partial.backlog).into_buffer());
        if self.partials.len() < PARTIALS_KEPT {
            partial.scan.bound(setup.scan_limits());
            partial.scan.trim();
            self.partials.push(partial);
        }
    }

    /// Handles the whole requests at the start of `bytes`; how many bytes are done with.
    fn read_requests(&mut self, setup: &Setup, key: SessionKey, scan: &mut RequestScan, bytes: &[u8]) -> usize {
        let mut used = 0;
        while self.may_read(setup, key) {
            let rest = &bytes[used..];
            match scan.scan(rest) {
                Ok(Scanned::Request(len)) if self.cutting(key).is_some() => {
                    self.finish_cut(setup, key, &rest[..len], &scan.request(&rest[..len]));
                    used += len;
                }
                Ok(Scanned::Request(len)) if self.is_discarding(key) => {
                    self.end_discarding(key);
                    used += len;
                }
                Ok(Scanned::Request(len)) if len > setup.limits.request_max => {
                    // It came whole in one read, so there is nothing to skip.
                    self.refuse_request(setup, key);
                    used += len;
                }
                Ok(Scanned::Request(len)) => {
                    if self.request(setup, key, scan.request(&rest[..len])) == Flow::Again {
                        scan.restart();
                        self.pause_unless_paused(key);
                        break;
                    }
                    used += len;
                }
                Ok(Scanned::Nothing(len)) => used += len,
                Ok(Scanned::Incomplete(need)) => match self.cut_through(setup, key, scan, rest, need) {
                    Cut::No => {
                        self.answer_held(setup, key);
                        break;
                    }
                    Cut::Passed(len) => {
                        used += len;
                        break;
                    }
                    Cut::Wait => {
                        scan.restart();
                        break;
                    }
                    Cut::Taken | Cut::Unwanted => return bytes.len(),
                },
                Err(error) if error.is_for_strangers() && !self.is_outside(key) => scan.relax(setup.scan_limits()),
                Err(error) => {
                    self.protocol_error(setup, key, error);
                    used = bytes.len();
                }
            }
            if used == bytes.len() {
                break;
            }
        }
        if used == bytes.len() {
            self.answer_held(setup, key);
        }
        used
    }

    /// Whether the session's next request may be looked at; pauses it at a limit.
    fn may_read(&mut self, setup: &Setup, key: SessionKey) -> bool {
        let share = self.budget.share();
        let Some(mut session) = self.sessions.get_mut(key) else { return false };
        if session.held.is_some() && (session.settling || session.is_above(setup, share)) {
            // What is held is answered only here or at EXEC, which would then never be read.
            self.answer_held(setup, key);
            let Some(found) = self.sessions.get_mut(key) else { return false };
            session = found;
        }
        // The rest of a request that has begun on a lane is what its answer waits for.
        if session.paused.is_none() && !session.cut && session.is_above(setup, share) {
            session.paused = Some(Pause::Limit);
        }
        if session.paused.is_none() && session.settling && session.first.is_some() {
            session.paused = Some(Pause::Own);
        }
        session.paused.is_none() && !session.finishing && session.framed.is_none()
    }

    /// Stops reading a session until [`resume`](Self::resume).
    pub(crate) fn pause(&mut self, key: SessionKey, why: Pause) {
        if let Some(session) = self.sessions.get_mut(key) {
            session.paused = Some(why);
        }
    }

    fn pause_unless_paused(&mut self, key: SessionKey) {
        if let Some(session) = self.sessions.get_mut(key) {
            session.paused.get_or_insert(Pause::Waiting);
        }
    }

    /// Goes on with a session at once.
    pub(crate) fn unpause(&mut self, key: SessionKey) {
        if let Some(session) = self.sessions.get_mut(key) {
            session.paused = None;
        }
    }

    /// Has a paused session read again once it is well below its limits.
    pub(crate) fn resume_if_relieved(&mut self, setup: &Setup, key: SessionKey) {
        let Some(session) = self.sessions.get(key) else { return };
        let released = !setup.mutation.is(Mutant::LimitNotReleased);
        if released && session.paused == Some(Pause::Limit) && !session.is_above(setup, 2 * self.budget.share()) {
            self.resumable.push(key);
        }
    }

    fn protocol_error(&mut self, setup: &Setup, key: SessionKey, error: ProtocolError) {
        self.stats.protocol_errors += 1;
        self.answer_held(setup, key);
        self.answer_new(setup, key, |out| write::error(out, format!("ERR {error}").as_bytes()));
        self.finish_session(setup, key, CloseReason::Protocol);
    }
}
