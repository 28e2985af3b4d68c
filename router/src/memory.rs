//! The ceiling on what a router holds.
//!
//! What is held is measured only now and then: whatever comes in uses up a headroom, and when that is
//! gone everything is counted anew. So the ordinary path pays one subtraction for it.
//!
//! ```text
//!   0 ──────────────── 3/4 ───────────────────────── 4/4 of limits.memory_max
//!        everything        Tight: no new sessions; a     Full: the newest unfinished request loses its
//!                          session is read only while    buffer and its session is closed; without one,
//!                          little of it is unanswered    the session that reads its replies least
//! ```

use std::collections::HashMap;

use crate::link::Link;
use crate::link::part::Target;
use crate::loss::repeat::Postponed;
use crate::mutant::Mutant;
use crate::order::{Buffered, End, LinkKey, SessionKey};
use crate::pool::Pool;
use crate::request::pending::Pending;
use crate::router::{Setup, Traffic};
use crate::session::Session;
use crate::stats::{CloseReason, Holding, Peaks};
use crate::time::Time;

/// How much is held, against the ceiling.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Pressure {
    /// Below three quarters.
    #[default]
    None,
    /// Above three quarters: the rest is for finishing what has begun.
    Tight,
    /// At the ceiling.
    Full,
}

/// What may still come in before the holding is measured, and what the last measurement said.
#[derive(Debug, Default)]
pub(crate) struct Budget {
    headroom: usize,
    pub(crate) pressure: Pressure,
    /// As many bytes of requests are kept as may be.
    pub(crate) retain_full: bool,
    /// Under pressure: when to measure again though nothing comes in.
    again: Option<Time>,
}

impl Budget {
    /// Under pressure a session has this part of its own limits.
    pub(crate) fn share(&self) -> usize {
        if self.pressure == Pressure::None { 1 } else { 16 }
    }
}

/// An idle link's batch keeps at most this much memory.
const BATCH_IDLE: usize = 256 << 10;
/// Under pressure the holding is measured at least this often.
const MEASURE_MICROS: u64 = 20_000;
/// What a link may hold of a reply that nobody waits for.
const LEAST: usize = 64 << 10;

impl Traffic {
    /// What is held right now.
    pub(crate) fn holding(&self) -> Holding {
        let mut holding = Holding {
            sessions: self.sessions.len() - self.carried_sessions() - self.accepted.len(),
            pending: self.pendings.len(),
            ..Holding::default()
        };
        for (_, link) in self.links.everything() {
            holding.in_flight += link.batch.in_flight();
            holding.batch_bytes += link.batch.memory() + link.framed.as_ref().map_or(0, |framed| framed.bytes());
            holding.kept_bytes += link.batch.kept();
            holding.retained_bytes += link.batch.kept() - link.batch.unsent();
            holding.record_bytes += link.batch.record_bytes();
            holding.reply_bytes += link.reply_bytes();
            holding.buffered_bytes += link.buffered.bytes();
            if let Some(row) = holding.links.get_mut(link.lane as usize) {
                row[link.stage_index()] += 1;
            }
        }
        for spool in self.spools.values() {
            holding.spools += 1;
            holding.spooled_bytes += spool.room;
            holding.batch_bytes += spool.memory();
        }
        holding.streams = [self.links.streams(), self.carried_sessions()];
        holding.accepted = self.accepted.iter().filter(|key| !self.is_severed(**key)).count();
        holding.severed = self.accepted.len() - holding.accepted;
        let postponed = self.upstreams.iter().flat_map(|upstream| &upstream.postponed);
        holding.batch_bytes += postponed.map(Postponed::bytes).sum::<usize>();
        holding.reply_bytes += self.pendings.values().map(Pending::bytes).sum::<usize>();
        holding.record_bytes += self.pendings.values().map(Pending::record_bytes).sum::<usize>();
        holding.buffered_bytes += self.guest_bytes;
        for session in self.sessions.values() {
            holding.buffered_bytes += session.buffered.bytes();
            holding.request_bytes += session.request_bytes() + session.inbox_bytes();
            let kept = session.framed.as_ref().map_or(0, |it| it.ledger.memory() + it.carrier.closing_bytes());
            holding.reply_bytes += session.reply_bytes() + kept;
            holding.record_bytes += session.record_bytes();
            holding.transaction_bytes += session.held.as_ref().map_or(0, |held| held.bytes());
        }
        holding
    }

    /// Sessions that have no connection of their own.
    fn carried_sessions(&self) -> usize {
        self.streams_below().sum()
    }

    /// The most of them on one framed link.
    fn most_streams(&self) -> usize {
        self.streams_below().max().unwrap_or(0)
    }

    /// How many sessions each framed link carries.
    fn streams_below(&self) -> impl Iterator<Item = usize> + '_ {
        let carried = |key: &SessionKey| Some(self.sessions.get(*key)?.framed.as_ref()?.open_streams());
        self.accepted.iter().filter_map(carried)
    }

    /// How near the router is to its limits.
    pub(crate) fn peaks(&self) -> Peaks {
        let mut peaks = Peaks::default();
        for session in self.sessions.values() {
            let held = session.held.as_ref().map_or(0, |held| held.bytes());
            peaks.request_bytes = peaks.request_bytes.max(session.request_bytes());
            peaks.transaction_bytes = peaks.transaction_bytes.max(held);
            peaks.session_pending = peaks.session_pending.max(session.pending as usize);
            peaks.session_output = peaks.session_output.max(session.reply_bytes());
        }
        peaks.link_output = self.links.everything().map(|(_, link)| link.unsent()).max().unwrap_or(0);
        peaks.resume = self.most_kept();
        (peaks.stream_window, peaks.peer_window) = self.owed();
        peaks.streams = self.most_streams();
        peaks.peer_links = (0..self.upstreams.len()).map(|index| self.framed_links(index)).max().unwrap_or(0);
        peaks.bulk_lanes = self.upstreams.iter().map(|upstream| upstream.bulk.len()).max().unwrap_or(0);
        peaks
    }

    /// Takes account of bytes that come in.
    #[inline]
    pub(crate) fn take_in(&mut self, setup: &Setup, bytes: usize) {
        match self.budget.headroom.checked_sub(bytes) {
            Some(rest) => self.budget.headroom = rest,
            None => self.measure(setup),
        }
    }

    /// Takes account of what the driver holds of an end by now.
    pub(crate) fn buffered(&mut self, setup: &Setup, end: End, buffered: Buffered) {
        let before = match end {
            End::Session(key) => {
                let Some(session) = self.sessions.get_mut(key) else { return };
                if buffered.unread > 0 && session.begun == Time::default() {
                    session.begun = self.now;
                }
                std::mem::replace(&mut session.buffered, buffered)
            }
            End::Link(key) => {
                let Some(link) = self.links.get_mut(key) else { return };
                std::mem::replace(&mut link.buffered, buffered)
            }
            End::Spool(_) => return,
        };
        if let End::Link(key) = end {
            self.relieve(setup, key);
        }
        self.take_in(setup, buffered.bytes().saturating_sub(before.bytes()));
    }

    /// Takes account of what the driver holds for clients that are no sessions yet.
    pub(crate) fn guest_bytes(&mut self, setup: &Setup, bytes: usize) {
        let before = std::mem::replace(&mut self.guest_bytes, bytes);
        self.take_in(setup, bytes.saturating_sub(before));
    }

    /// Counts what is held, and makes room if it is too much.
    fn measure(&mut self, setup: &Setup) {
        let max = if setup.mutation.is(Mutant::Unbounded) { usize::MAX } else { setup.limits.memory_max };
        let mut held = self.staying();
        if held >= max / 4 * 3 {
            self.trim();
            held = self.staying();
        }
        while held >= max && self.shed(setup) {
            held = self.staying();
        }
        self.budget.pressure = match held {
            held if held >= max => Pressure::Full,
            held if held >= max / 4 * 3 => Pressure::Tight,
            _ => Pressure::None,
        };
        let room = self.measure_kept(setup);
        // Half of what is left to the next mark, so that the mark is not overrun by far.
        self.budget.headroom = (max / 4 * 3).saturating_sub(held).max(max / 64).min(room) / 2;
        let tight = self.budget.pressure != Pressure::None || self.budget.retain_full;
        self.budget.again = tight.then(|| Time::from_micros(self.now.micros() + MEASURE_MICROS));
    }

    /// What is held and will be for longer than until this input is done with. What links have of replies to sessions
    /// that were closed goes then, and nobody else has to.
    fn staying(&self) -> usize {
        let links = self.links.everything().map(|(_, link)| link);
        let leaving: usize = links.filter(|link| self.is_unwanted(link)).map(Link::reply_bytes).sum();
        self.holding().bytes().saturating_sub(leaving)
    }

    /// Whether a link holds much of a reply that nobody waits for.
    fn is_unwanted(&self, link: &Link) -> bool {
        link.reply_bytes() > LEAST && self.asker(link).is_none()
    }

    /// Gives memory back that is kept only because it may be needed again.
    fn trim(&mut self) {
        self.links.everything_mut().for_each(|link| link.batch.trim(0));
        self.buffers = Pool::default();
    }

    /// Gives memory back that long requests and replies have left, once there are none.
    pub(crate) fn trim_idle(&mut self) {
        self.links.everything_mut().for_each(|link| link.batch.trim(BATCH_IDLE));
        self.buffers.age();
    }

    /// Counts what is kept of requests; how much more may be. Sessions that waited for it to become less are
    /// read again.
    fn measure_kept(&mut self, setup: &Setup) -> usize {
        let total = setup.limits.retain_total;
        let kept: usize = self.links.everything().map(|(_, link)| link.batch.kept()).sum();
        let was_full = std::mem::replace(&mut self.budget.retain_full, kept >= total);
        if was_full && !self.budget.retain_full {
            self.resumable.extend(self.upstreams.iter_mut().flat_map(|upstream| upstream.waiting.drain(..)));
        }
        total.saturating_sub(kept).max(total / 64)
    }

    /// Measures again if it is time to.
    pub(crate) fn measure_if_due(&mut self, setup: &Setup) {
        if self.budget.again.is_some_and(|due| due <= self.now) {
            self.measure(setup);
        }
    }

    /// When to measure again.
    pub(crate) fn next_measure(&self) -> Option<Time> {
        self.budget.again
    }

    /// Closes the session that costs least to lose; whether there was one.
    fn shed(&mut self, setup: &Setup) -> bool {
        let newest = self
            .sessions
            .iter()
            .filter(|(_, session)| {
                session.request_bytes() > 0 || session.buffered.unread > 0 || self.is_amid_stream(session)
            })
            .max_by_key(|(_, session)| session.begun);
        let Some(key) = newest.map(|(key, _)| key).or_else(|| self.fullest()) else { return false };
        self.stats.sheds += 1;
        self.close_session_now(setup, key, CloseReason::Memory);
        self.drop_unwanted_replies();
        true
    }

    /// Whether a session is in the middle of a value of which something waits for a stream's credit.
    fn is_amid_stream(&self, session: &Session) -> bool {
        let lane = session.lane.filter(|lane| self.is_amid_value(*lane));
        lane.and_then(|lane| self.links.get(lane)).is_some_and(|link| link.batch.unsent() > 0)
    }

    /// The session for which the most is held: replies that it does not read, that wait for others of it, or that
    /// are not whole.
    fn fullest(&self) -> Option<SessionKey> {
        let mut held: HashMap<SessionKey, usize> = HashMap::new();
        let waiting = self.pendings.values().map(|pending| (pending.session(), pending.bytes()));
        let arriving = self.links.everything().filter_map(|(_, link)| Some((self.asker(link)?, link.reply_bytes())));
        let unread = self.sessions.iter().map(|(key, session)| match &session.framed {
            None => (key, session.reply_bytes() + session.buffered.bytes()),
            // What it carries is its sessions' affair, but not what its other end has to close.
            Some(accepted) => (key, accepted.carrier.closing_bytes()),
        });
        for (key, bytes) in waiting.chain(arriving).chain(unread) {
            *held.entry(key).or_default() += bytes;
        }
        // The key, too, so that the choice does not depend on the map.
        held.into_iter().filter(|(_, bytes)| *bytes > 0).max_by_key(|(key, bytes)| (*bytes, *key)).map(|(key, _)| key)
    }

    /// Whose reply a link is receiving.
    fn asker(&self, link: &Link) -> Option<SessionKey> {
        let Target::Request(pending, _) = link.batch.front()?.target else { return None };
        self.pendings.get(pending).map(Pending::session)
    }

    /// Looks again at what links hold of replies that nobody waits for any more.
    fn drop_unwanted_replies(&mut self) {
        let unwanted = |link: &Link| !link.parked && self.is_unwanted(link);
        let keys: Vec<LinkKey> =
            self.links.everything().filter(|(_, link)| unwanted(link)).map(|(key, _)| key).collect();
        for key in keys {
            if let Some(link) = self.links.get_mut(key) {
                link.parked = true;
                self.unparked.push(key);
            }
        }
    }
}
