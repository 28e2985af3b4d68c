//! What is due when: connecting, probing, pinging, giving up.

use crate::link::{Stage, Target};
use crate::order::LinkKey;
use crate::router::{Setup, Traffic};
use crate::time::Time;
use crate::upstream::Loss;

impl Traffic {
    /// Does what is due.
    pub(crate) fn tick(&mut self, setup: &Setup) {
        let mut at = 0;
        // By position: a link that is given up is replaced while we go on.
        while let Some(key) = self.links.keys().nth(at) {
            at += 1;
            self.tick_link(setup, key);
        }
        self.end_stalls(setup);
        self.measure_if_due(setup);
        (0..self.upstreams.len()).for_each(|index| self.serve_lanes(setup, index));
    }

    fn tick_link(&mut self, setup: &Setup, key: LinkKey) {
        self.connect_if_due(setup, key);
        self.expire(setup, key);
        let (occupied, moving) = (self.is_occupied(setup, key), self.is_moving(key));
        let Some(link) = self.links.get_mut(key) else { return };
        let waits = moving || link.in_flight() > 0;
        match link.stage {
            Stage::Connecting(until) | Stage::Proving(until) if until <= self.now => {
                self.give_up(setup, key, Loss::TooLate);
            }
            Stage::Ready if occupied => {}
            Stage::Ready if waits && self.now >= link.heard.after(setup.limits.link_dead) => {
                self.give_up(setup, key, Loss::Silent);
            }
            Stage::Ready
                if !waits && link.owner.is_none() && self.now >= link.heard.after(setup.limits.ping_interval) =>
            {
                self.send_on(setup, key, Target::Nobody, |out| out.extend_from_slice(b"*1\r\n$4\r\nPING\r\n"));
            }
            _ => {}
        }
    }

    /// When something is due next.
    pub(crate) fn next_timeout(&self, setup: &Setup) -> Option<Time> {
        let due = self.links.iter().map(|(key, link)| {
            let stage = match link.stage {
                Stage::Ready if self.is_occupied(setup, key) => Time::NEVER,
                Stage::Down(when) => when,
                Stage::Connecting(until) | Stage::Proving(until) => until,
                Stage::Ready if link.in_flight() > 0 || self.is_moving(key) => link.heard.after(setup.limits.link_dead),
                // Nothing gets between the commands of a transaction.
                Stage::Ready if link.owner.is_some() => Time::NEVER,
                Stage::Ready => link.heard.after(setup.limits.ping_interval),
            };
            stage.min(link.next_deadline())
        });
        due.chain(self.next_stall(setup)).chain(self.next_lane_attempt()).chain(self.next_measure()).min()
    }
}
