//! Who has a lane: first come, first served, a few at a time to each upstream.

use crate::link::upstream::Waiter;
use crate::link::{Lane, Link};
use crate::mutant::Mutant;
use crate::order::{LinkKey, SessionKey};
use crate::place::Shard;
use crate::router::{Setup, Traffic};
use crate::session::Pause;
use crate::stats::CloseReason;
use crate::time::Time;

impl Traffic {
    /// The lane of a session that may use one now; else it is paused, and looked at again when it may.
    pub(crate) fn lane_for(&mut self, setup: &Setup, shard: Shard, key: SessionKey) -> Option<LinkKey> {
        let session = self.sessions.get(key)?;
        let peers = setup.has_peers();
        let fits = |link: &Link| link.is_ready() && (peers || link.upstream == shard.index());
        // One that is left over from a doomed transaction is another path by now.
        let on_it = session.first.is_none() || session.held.as_ref().is_some_and(|held| held.is_live());
        let usable = |lane: &LinkKey| on_it && self.links.get(*lane).is_some_and(fits);
        if let Some(lane) = session.lane.filter(usable) {
            return Some(lane);
        }
        if session.first.is_some() && !setup.mutation.is(Mutant::LaneOvertakes) {
            self.pause(key, Pause::Own);
            return None;
        }
        if peers {
            return self.lane_to_peer(setup, shard, key);
        }
        self.pause(key, Pause::Lane);
        let (upstream, waiter) = (&mut self.upstreams[shard.index()], Waiter::Session(key));
        if !upstream.bulk_waiting.contains(&waiter) {
            upstream.bulk_waiting.push_back(waiter);
        }
        self.serve_lanes(setup, shard.index());
        let lane = self.sessions.get(key)?.lane?;
        self.unpause(key);
        Some(lane)
    }

    /// Gives free lanes to those who wait, and opens another if there may be more.
    pub(crate) fn serve_lanes(&mut self, setup: &Setup, index: usize) {
        self.close_unwanted_lanes(setup, index);
        loop {
            if !self.serves_lanes(setup, index) {
                return;
            }
            let lost = setup.mutation.is(Mutant::LeakedLane);
            let free = self.upstreams[index]
                .bulk
                .iter()
                .copied()
                .find(|lane| self.links.get(*lane).is_some_and(Link::is_free_lane));
            let Some(lane) = free.filter(|lane| !lost || self.is_new(*lane)) else { break };
            self.hand_lane(setup, index, lane);
        }
        if self.wants_lane(setup, index) && self.may_add_lane(setup, index) {
            let key = self.links.insert(Link::new(index, Lane::Bulk, self.now).keeping(setup.holds()));
            self.upstreams[index].bulk.push(key);
            self.connect_if_due(setup, key);
        }
    }

    /// Whether anybody waits for a lane, and may have it.
    fn serves_lanes(&self, setup: &Setup, index: usize) -> bool {
        let upstream = &self.upstreams[index];
        // Nothing newer is carried out before what a lost lane may have left.
        let fenced = || {
            upstream.unfenced.is_empty()
                || setup.mutation.is(Mutant::MissingFence)
                || setup.mutation.is(Mutant::UnfencedSpool)
        };
        !upstream.bulk_waiting.is_empty() && fenced()
    }

    /// Whether another lane would be of use, and can be opened.
    pub(crate) fn wants_lane(&self, setup: &Setup, index: usize) -> bool {
        // Asked in every turn of every upstream: first what is seldom so.
        if !self.serves_lanes(setup, index) {
            return false;
        }
        let opening = |lane: &&LinkKey| self.links.get(**lane).is_some_and(|link| !link.is_ready());
        let upstream = &self.upstreams[index];
        let wanted = upstream.bulk_waiting.len() > upstream.bulk.iter().filter(opening).count();
        wanted && self.now >= upstream.bulk_rest && self.is_ready(upstream)
    }

    /// Whether nothing was ever sent on a lane.
    fn is_new(&self, lane: LinkKey) -> bool {
        self.links.get(lane).is_some_and(|link| link.batch.is_new())
    }

    fn hand_lane(&mut self, setup: &Setup, index: usize, lane: LinkKey) {
        while let Some(waiter) = self.upstreams[index].bulk_waiting.pop_front() {
            let key = match waiter {
                Waiter::Session(key) => key,
                Waiter::Spool(key) => return self.send_spooled(setup, lane, key),
            };
            let (Some(session), Some(link)) = (self.sessions.get_mut(key), self.links.get_mut(lane)) else { continue };
            session.lane = Some(lane);
            link.owner = Some(key);
            link.heard = self.now;
            self.resumable.push(key);
            return;
        }
    }

    /// Gives a session's lane to the next one, once everything on it is answered.
    pub(crate) fn release_lane_if_done(&mut self, key: SessionKey) {
        let Some(session) = self.sessions.get_mut(key) else { return };
        let unanswered = |lane: LinkKey| self.links.get(lane).is_some_and(|link| link.batch.in_flight() > 0);
        if session.is_amid() || session.first.is_some() && session.lane.is_some_and(unanswered) {
            return;
        }
        if let Some(lane) = session.lane.take() {
            self.free_lane(lane);
        }
        if self.sessions.get(key).is_some_and(|session| matches!(session.paused, Some(Pause::Lane | Pause::Own))) {
            self.resumable.push(key);
        }
    }

    /// A lane has no owner any more.
    pub(crate) fn free_lane(&mut self, lane: LinkKey) {
        let Some(link) = self.links.get_mut(lane) else { return };
        if link.lane == Lane::Stream {
            // It stays its session's.
            return self.forget_lane_above(lane);
        }
        link.owner = None;
        self.freed_lanes.push(link.upstream);
    }

    /// A lane is gone. Its session's request cannot be repeated, for nobody has all its bytes: in the
    /// middle of one the session is closed, or, under profile `redis`, told so, and the rest skipped.
    /// `missing`: what was to be relayed yet of the value that was arriving.
    pub(crate) fn lane_lost(&mut self, setup: &Setup, lane: LinkKey, link: &Link, missing: Option<u64>, told: bool) {
        let upstream = &mut self.upstreams[link.upstream];
        upstream.bulk.retain(|other| *other != lane);
        if !link.is_ready() {
            upstream.bulk_rest = self.now.after(setup.limits.reconnect_max);
        }
        self.freed_lanes.push(link.upstream);
        let Some(key) = link.owner else { return };
        let Some(session) = self.sessions.get_mut(key) else { return };
        session.lane = None;
        let amid = session.is_amid();
        let cut = std::mem::take(&mut session.cut);
        session.discarding = cut && !session.between_requests() && told;
        if amid && told {
            self.discard_lost(setup, key, missing);
        } else if amid {
            self.finish_session(setup, key, CloseReason::Upstream);
        }
        self.release_lane_if_done(key);
    }

    /// A session is gone: a lane `amid` its request or transaction is closed, so that the instance
    /// discards what it has.
    pub(crate) fn abandon_lane(&mut self, setup: &Setup, lane: LinkKey, amid: bool) {
        let Some(link) = self.links.get_mut(lane) else { return };
        link.owner = None;
        if !amid && link.batch.in_flight() == 0 && link.batch.unsent() == 0 || setup.mutation.is(Mutant::LaneKeptOpen) {
            self.free_lane(lane);
        } else {
            self.close_lane(setup, lane);
        }
    }

    /// When upstreams that refused a lane are asked for one again.
    pub(crate) fn next_lane_attempt(&self) -> Option<Time> {
        let waiting = self.upstreams.iter().filter(|upstream| !upstream.bulk_waiting.is_empty());
        waiting.map(|upstream| upstream.bulk_rest).filter(|rest| *rest > self.now).min()
    }
}
