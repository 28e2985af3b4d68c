//! What is due when: connecting, probing, pinging, giving up.

use std::time::Duration;

use crate::link::part::Target;
use crate::link::{Lane, Stage, Standing};
use crate::loss::Loss;
use crate::mutant::Mutant;
use crate::order::{LinkKey, SessionKey};
use crate::router::{Setup, Traffic};
use crate::session::Session;
use crate::stats::CloseReason;
use crate::time::Time;

fn heartbeat(setup: &Setup) -> Duration {
    HEARTBEAT.min(setup.limits.patience / HEARTBEATS)
}

/// How often the driver looks in at least, so that "since the last look" means something.
const HEARTBEAT: Duration = Duration::from_secs(1);
/// In any case so often within the patience.
const HEARTBEATS: u32 = 32;

impl Traffic {
    /// It is `now`. A gap between two looks is the driver's absence: the process was stopped, or its machine
    /// was. What came in meanwhile may be as old as the gap, and the silence in it was nobody's.
    pub(crate) fn advance(&mut self, setup: &Setup, now: Time) {
        if now <= self.now {
            return;
        }
        let gap = now.since(self.now);
        self.before = self.now;
        self.now = now;
        let absent = gap.saturating_sub(heartbeat(setup));
        if absent >= HEARTBEAT / 2 {
            self.listens = now.after(setup.limits.probe_after / 2);
            self.links.everything_mut().for_each(|link| link.heard = link.heard.after(absent).min(now));
        }
    }

    /// Whether what came in just now may be past its time already.
    pub(crate) fn is_too_late(&self, setup: &Setup, session: SessionKey) -> bool {
        let latest = self.sessions.get(session).map_or(Time::NEVER, |session| session.latest());
        self.before.after(setup.limits.patience).min(latest) <= self.now
    }

    fn heartbeat(&self, setup: &Setup) -> Option<Time> {
        (!self.sessions.is_empty() || !self.spools.is_empty()).then(|| self.now.after(heartbeat(setup)))
    }

    /// Does what is due.
    pub(crate) fn tick(&mut self, setup: &Setup) {
        let mut at = 0;
        // By position: a link that is given up is replaced while we go on.
        while let Some(key) = self.links.at(at) {
            self.tick_link(setup, key);
            at += usize::from(self.links.at(at) == Some(key));
        }
        self.end_stalls(setup);
        self.forget_severed(setup);
        self.serve_fence_tasks(setup);
        if setup.mutation.is(Mutant::IdleClosed) {
            self.close_idle(setup);
        }
        self.expire_waiting(setup);
        self.grant_room(setup);
        self.trim_idle();
        self.measure_if_due(setup);
        for index in 0..self.upstreams.len() {
            self.serve_lanes(setup, index);
            self.serve_postponed(setup, index);
            self.fence_lost_peers(setup, index);
        }
    }

    /// See [`Mutant::IdleClosed`].
    fn close_idle(&mut self, setup: &Setup) {
        let idle = |session: &Session| session.rests() && session.taken().after(HEARTBEAT) <= self.now;
        let idle: Vec<SessionKey> =
            self.sessions.iter().filter(|(_, session)| idle(session)).map(|(key, _)| key).collect();
        idle.into_iter().for_each(|key| self.close_session_now(setup, key, CloseReason::Client));
    }

    fn tick_link(&mut self, setup: &Setup, key: LinkKey) {
        self.connect_if_due(setup, key);
        if self.links.get(key).is_some_and(|link| link.lane == Lane::Framed) {
            return self.tick_framed(setup, key);
        }
        self.expire(setup, key);
        let (occupied, moving) = (self.is_occupied(setup, key), self.is_moving(key));
        let Some(link) = self.links.get_mut(key) else { return };
        let silent = link.silence_due(setup).is_some_and(|due| due <= self.now);
        let waits = moving || link.batch.in_flight() > 0;
        match link.stage {
            Stage::Connecting(until) | Stage::Proving(until) if until <= self.now => {
                self.give_up(setup, key, Loss::TooLate);
            }
            Stage::Ready | Stage::Silent if occupied => {}
            Stage::Ready | Stage::Silent if waits && self.now >= link.heard.after(setup.limits.link_dead) => {
                self.give_up(setup, key, Loss::Silent);
            }
            Stage::Ready if silent && link.standing == Standing::Candidate => self.promote_candidate(setup, key),
            Stage::Ready if silent => self.note_silence(setup, key),
            Stage::Ready
                if !waits
                    && link.owner.is_none()
                    && !setup.mutation.is(Mutant::Unpinged)
                    && self.now >= link.heard.after(setup.limits.ping_interval) =>
            {
                self.send_own(setup, key, Target::Nobody, |out| out.extend_from_slice(b"*1\r\n$4\r\nPING\r\n"));
            }
            _ => {}
        }
    }

    /// When something is due next.
    pub(crate) fn next_timeout(&self, setup: &Setup) -> Option<Time> {
        let due = self.links.iter().map(|(key, link)| {
            if link.lane == Lane::Framed {
                return self.framed_due(setup, key, link);
            }
            let stage = match link.stage {
                Stage::Ready | Stage::Silent if self.is_occupied(setup, key) => Time::NEVER,
                Stage::Down(when) => when,
                Stage::Connecting(until) | Stage::Proving(until) => until,
                Stage::Ready
                    if link.batch.in_flight() > 0 || self.is_moving(key) || link.standing == Standing::Candidate =>
                {
                    link.silence_due(setup).unwrap_or(link.heard.after(setup.limits.link_dead))
                }
                Stage::Silent => link.heard.after(setup.limits.link_dead),
                // Nothing gets between the commands of a transaction.
                Stage::Ready if link.owner.is_some() => Time::NEVER,
                Stage::Ready => link.heard.after(setup.limits.ping_interval),
            };
            stage.min(link.batch.next_deadline())
        });
        let postponed = self.next_postponed();
        due.chain(postponed)
            .chain(self.heartbeat(setup))
            .chain(self.next_stall(setup))
            .chain(self.next_spare_lane(setup))
            .chain(self.next_lane_attempt())
            .chain(self.next_measure())
            .chain(self.next_peer_fence())
            .chain(self.next_fence_look())
            .chain((self.severed_until != Time::NEVER).then_some(self.severed_until))
            .min()
    }
}
