//! Spare lanes: opened beside lanes that stand still.
//!
//! Clients that are stopped in the middle of large values (a scheduler suspends a job, a host is gone) keep their
//! lanes for `stall_max` each, one after the other, and as many as there are may wait for one. So that the others need
//! not wait for all of that, a lane that has not moved for a moment does not count any more, up to a bound.

use std::time::Duration;

use super::relays::Relay;
use crate::loss::Loss;
use crate::order::{End, LinkKey, SessionKey};
use crate::router::{Setup, Traffic};
use crate::session::Session;
use crate::time::Time;

/// How long a lane stands still before another may take its place: longer than most clients ever pause, and short
/// beside `stall_max`.
const MOMENT: Duration = Duration::from_millis(100);

impl Traffic {
    /// Whether an upstream may have another lane.
    pub(crate) fn may_add_lane(&self, setup: &Setup, index: usize) -> bool {
        let more = self.upstreams[index].bulk.len() < setup.limits.bulk_lanes;
        more || self.spare_lane_due(setup, index).is_some_and(|due| due <= self.now)
    }

    /// When an upstream may have one lane more than it has: as many as are too many have to stand still, and one.
    fn spare_lane_due(&self, setup: &Setup, index: usize) -> Option<Time> {
        let (lanes, limits) = (self.upstreams[index].bulk.len(), &setup.limits);
        let spare = lanes.checked_sub(limits.bulk_lanes).filter(|spare| *spare < limits.spare_lanes)?;
        let mut due: Vec<Time> = self.standing(setup, index).collect();
        due.sort_unstable();
        due.get(spare).copied()
    }

    /// Closes lanes that nobody uses any more: to where the upstream was, and those of which there are too many.
    pub(crate) fn close_unwanted_lanes(&mut self, setup: &Setup, index: usize) {
        self.close_outdated_lanes(setup, index);
        self.close_spare_lanes(setup, index);
    }

    /// Closes free lanes of which there are too many, now that others move again.
    fn close_spare_lanes(&mut self, setup: &Setup, index: usize) {
        let lanes = self.upstreams[index].bulk.len();
        if lanes <= setup.limits.bulk_lanes {
            return;
        }
        let standing = self.standing(setup, index).filter(|due| *due <= self.now).count();
        let surplus = lanes.saturating_sub(setup.limits.bulk_lanes + standing);
        let free = |lane: &LinkKey| self.links.get(*lane).is_some_and(|link| link.is_free_lane());
        let spare: Vec<LinkKey> = self.upstreams[index].bulk.iter().copied().filter(free).take(surplus).collect();
        spare.into_iter().for_each(|lane| self.give_up(setup, lane, Loss::Moved));
    }

    /// When an upstream for which somebody waits may have a spare lane.
    pub(crate) fn next_spare_lane(&self, setup: &Setup) -> Option<Time> {
        let wanted = (0..self.upstreams.len()).filter(|index| self.wants_lane(setup, *index));
        wanted.filter_map(|index| self.spare_lane_due(setup, index)).min()
    }

    /// The lanes whose sessions send nothing: when each of them does not count any more. Those of whom takes nothing do:
    /// replies fill the kernel's memory on both sides of the proxy.
    fn standing(&self, setup: &Setup, index: usize) -> impl Iterator<Item = Time> {
        let since = |lane: &LinkKey| {
            let sends = |relay: &&Relay| matches!(relay.from, End::Session(_));
            let relay = || self.relays.of_link(*lane).filter(sends).and_then(|relay| self.stands_since(setup, relay));
            Some(self.awaited_owner(*lane).or_else(relay)?.1)
        };
        self.upstreams[index].bulk.iter().filter_map(since).map(|since| since.after(MOMENT))
    }

    /// The session for which a relay stands still, and since when.
    pub(crate) fn stands_since(&self, setup: &Setup, relay: &Relay) -> Option<(SessionKey, Time)> {
        let (key, since) = relay.culprit(setup)?;
        // What was held for it goes before what is moved to it.
        let taken = self.sessions.get(key).filter(|_| relay.to == End::Session(key)).map(Session::taken);
        Some((key, taken.map_or(since, |taken| since.max(taken))))
    }
}
