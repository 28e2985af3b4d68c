//! Bytes that the driver moves from one end to another without the core seeing them.

use crate::large::relays::Relay;
use crate::link::Lane;
use crate::mutant::Mutant;
use crate::order::{End, LinkKey, Order, Output, SessionKey, Wait};
use crate::resp::Request;
use crate::router::{Setup, Traffic};
use crate::stats::CloseReason;
use crate::time::Time;

impl Traffic {
    /// Has the next bytes of one end moved to the other, by the driver if both have a connection.
    pub(crate) fn relay(&mut self, from: End, to: End, bytes: u64) {
        let inner = self.is_inner(from) || self.is_inner(to);
        self.relays.add(from, to, bytes, inner.then_some(self.now));
        if let End::Spool(key) = to {
            self.expect_spooled(key, bytes);
        }
        if !inner {
            self.order_bytes(from, Order::Relay { to, bytes });
        }
    }

    /// Orders what becomes of the next bytes of an end. Until the driver has the order, it must not
    /// hand in these bytes.
    pub(crate) fn order_bytes(&mut self, from: End, order: Order) {
        if self.is_inner(from) {
            return self.skip_inner(from, order);
        }
        self.set_ordered(from, true);
        self.outputs.push_back(Output::Order(from, order));
    }

    /// Notes whether an order about the next bytes of an end has yet to reach the driver.
    pub(crate) fn set_ordered(&mut self, end: End, ordered: bool) {
        match end {
            End::Session(key) => {
                if let Some(session) = self.sessions.get_mut(key) {
                    session.ordered = ordered;
                }
            }
            End::Link(key) => {
                if let Some(link) = self.links.get_mut(key) {
                    link.ordered = ordered;
                }
            }
            End::Spool(_) => {}
        }
    }

    /// So many bytes of an end have reached the other end of its relay.
    pub(crate) fn relayed(&mut self, setup: &Setup, from: End, bytes: u64) {
        let Some(relay) = self.relays.of_mut(from) else { return };
        relay.remaining = relay.remaining.saturating_sub(bytes);
        if let Some((_, since)) = &mut relay.waits {
            *since = self.now;
        }
        let (to, through) = (relay.to, relay.remaining == 0);
        // What the core passes on itself is counted where it comes in and goes out.
        let counted = if relay.inner { 0 } else { bytes };
        self.count_relayed(from, to, counted);
        if through {
            self.relays.end(from);
            match (from, to) {
                (End::Session(key), _) => self.argument_relayed(setup, key),
                (End::Spool(_), End::Link(lane)) => self.end_spooled(lane),
                // What follows on a link, the value's line end first, is read as ever.
                _ => {}
            }
        }
    }

    /// The relay of an end stands still.
    pub(crate) fn relay_waits(&mut self, from: End, wait: Wait) {
        let Some(relay) = self.relays.of_mut(from) else { return };
        if relay.waits.is_none_or(|(known, _)| known != wait) {
            relay.waits = Some((wait, self.now));
        }
    }

    /// A session has sent something, perhaps for its lane or its file.
    pub(crate) fn note_sending(&mut self, key: SessionKey) {
        let Some(session) = self.sessions.get(key) else { return };
        if let Some(link) = session.lane.and_then(|lane| self.links.get_mut(lane)) {
            link.heard = self.now;
        }
        if let Some(spool) = session.spooling.file.and_then(|spool| self.spools.get_mut(spool)) {
            spool.heard = self.now;
        }
    }

    fn count_relayed(&mut self, from: End, to: End, bytes: u64) {
        let counts = &mut self.stats.bytes;
        match (from, to) {
            (End::Session(_), End::Spool(key)) => {
                counts.from_clients += bytes;
                self.stats.spooled_bytes += bytes;
                self.spools.get_mut(key).into_iter().for_each(|spool| spool.heard = self.now);
            }
            (End::Spool(_), End::Link(lane)) => self.spool_passed(lane, bytes),
            (End::Spool(_), _) => {}
            (End::Session(key), _) => {
                counts.from_clients += bytes;
                counts.to_upstreams += bytes;
                let lane = self.sessions.get(key).and_then(|session| session.lane);
                if let Some(link) = lane.and_then(|lane| self.links.get_mut(lane)) {
                    link.heard = self.now;
                }
            }
            (End::Link(key), _) => {
                counts.from_upstreams += bytes;
                counts.to_clients += bytes;
                if let Some(link) = self.links.get_mut(key) {
                    link.heard = self.now;
                }
            }
        }
    }

    fn argument_relayed(&mut self, setup: &Setup, key: SessionKey) {
        if self.sessions.get(key).is_some_and(|session| session.between_requests()) {
            self.finish_cut(setup, key, b"", &Request { bytes: b"", spans: &[], missing: 0 });
        }
    }

    /// Where the bytes of this end are being moved.
    pub(crate) fn relay_target(&self, from: End) -> Option<End> {
        self.relays.of(from).map(|relay| relay.to)
    }

    /// Whether bytes of this end are being moved.
    pub(crate) fn is_relaying(&self, from: End) -> bool {
        self.relays.of(from).is_some()
    }

    /// Whether a link's silence is not its upstream's: it is not read until its reply's turn comes, or its
    /// session has yet to send or to take something.
    pub(crate) fn is_occupied(&self, setup: &Setup, key: LinkKey) -> bool {
        let parked = self.links.get(key).is_some_and(|link| link.parked);
        let moving = || self.relays.of_link(key).is_some_and(|relay| !relay.awaits_link(setup));
        parked || moving() || self.awaited_owner(key).is_some()
    }

    /// Whether bytes are being moved to a link or from it.
    pub(crate) fn is_moving(&self, key: LinkKey) -> bool {
        self.relays.of_link(key).is_some()
    }

    /// The session of a lane, if it is the one that has to go on, and since when: in the middle of a request,
    /// or of a transaction whose commands so far are answered.
    pub(crate) fn awaited_owner(&self, key: LinkKey) -> Option<(SessionKey, Time)> {
        let link = self.links.get(key).filter(|_| !self.is_moving(key))?;
        let session = self.sessions.get(link.owner?)?;
        let idle = session.cut || link.batch.in_flight() == 0;
        link.owner.filter(|_| idle && session.is_amid()).zip(session.idle_since(link.heard))
    }

    /// Sessions that keep a lane and send nothing while others wait for it, and when that is too long.
    fn idle_owners(&self, setup: &Setup) -> impl Iterator<Item = (SessionKey, Time)> {
        let wanted = self.upstreams.iter().filter(|upstream| !upstream.bulk_waiting.is_empty());
        wanted.flat_map(|upstream| &upstream.bulk).filter_map(|lane| {
            let (owner, since) = self.awaited_owner(*lane)?;
            Some((owner, since.after(setup.limits.stall_max)))
        })
    }

    /// Ends what moves nothing while others wait for it.
    pub(crate) fn end_stalls(&mut self, setup: &Setup) {
        let noticed = !setup.mutation.is(Mutant::StallsUnnoticed);
        let fillers = self.slow_fillers(setup).map(|(key, since)| (key, since.after(setup.limits.stall_max)));
        let late = self.hindrances(setup).chain(fillers).filter(|(_, due)| noticed && *due <= self.now);
        let stalled: Vec<SessionKey> = late.map(|(key, _)| key).collect();
        for key in stalled {
            self.stats.stalls += 1;
            self.close_session_now(setup, key, CloseReason::Stalled);
        }
    }

    /// Sessions that stand in the way of others because they deliver or take nothing, and when that is too long.
    fn hindrances(&self, setup: &Setup) -> impl Iterator<Item = (SessionKey, Time)> {
        let relays = self.relays.linked().filter(|relay| self.others_wait(relay));
        let moving = relays.filter_map(|relay| {
            let (key, since) = self.stands_since(setup, relay)?;
            Some((key, since.after(setup.limits.stall_max)))
        });
        moving.chain(self.idle_owners(setup)).chain(self.slow_readers(setup))
    }

    /// Whether anyone waits for the link of a relay: senders for its lane, or requests behind on it.
    fn others_wait(&self, relay: &Relay) -> bool {
        let ((End::Link(key), _) | (_, End::Link(key))) = (relay.from, relay.to) else { return false };
        self.links.get(key).is_some_and(|link| match link.lane {
            // It is one session's alone.
            Lane::Stream => false,
            Lane::Bulk => !self.upstreams[link.upstream].bulk_waiting.is_empty(),
            _ => link.batch.in_flight() > 1 || self.others_wait_for_flows(link),
        })
    }

    /// When the next relay counts as stalled.
    pub(crate) fn next_stall(&self, setup: &Setup) -> Option<Time> {
        self.hindrances(setup).map(|(_, due)| due).min()
    }

    /// Closes a session at once, whatever it is in the middle of.
    pub(crate) fn close_session_now(&mut self, setup: &Setup, key: SessionKey, reason: CloseReason) {
        if let Some(session) = self.sessions.get_mut(key) {
            session.reason = reason;
            self.close_session(setup, key);
        }
    }

    /// Forgets a session and has its connection closed, if it has one.
    pub(crate) fn close_session(&mut self, setup: &Setup, key: SessionKey) {
        if self.session_lost(setup, key) {
            self.outputs.push_back(Output::CloseSession(key));
        }
    }

    /// Closes a lane on purpose.
    pub(crate) fn close_lane(&mut self, setup: &Setup, lane: LinkKey) {
        self.give_up(setup, lane, crate::loss::Loss::Abandoned);
    }
}
