//! Requests that are whole in a file: they wait for a lane, are sent, and are kept until they are answered.
//!
//! ```text
//!               lane free          answered
//!   waits ───────────────► sent ─────────────► the file is gone
//!     ▲                     │
//!     └─────────────────────┘ link lost, error that passes (`loss/repeat.rs`)
//! ```
//!
//! A lane has one of them at a time, all of it relayed from the file. None belongs to a session any more, so it is
//! sent though its client may be gone, as a small one is.
//!
//! Its patience is counted from when it was whole, and anew as long as its upstream takes others; once it is being
//! sent it has no deadline, however slow that is, until something goes wrong.

use crate::link::Link;
use crate::link::part::{Part, Target, Unit};
use crate::link::upstream::Waiter;
use crate::mutant::Mutant;
use crate::order::{End, LinkKey, SessionKey, SpoolKey};
use crate::place::{Shard, Shards};
use crate::refusal::Refusal;
use crate::router::{Setup, Traffic};
use crate::time::Time;

impl Traffic {
    /// A session's request is whole in its file: it goes on its way.
    pub(crate) fn dispatch_spool(&mut self, setup: &Setup, session: SessionKey, key: SpoolKey) {
        let Some(spool) = self.spools.get(key) else { return };
        let (shard, commands) = (Shard(spool.upstream as u16), spool.ends.len());
        self.release_owner(key);
        let pending = self.push_pending(session);
        // None of its session's requests was there when it began, and it has sent none since.
        self.occupy(setup, pending, Shards::one(shard));
        let deadline = self.before.after(setup.limits.patience);
        let mut unit = Unit::default();
        for at in 1..=commands {
            self.last_id += 1;
            let target = if at == commands { Target::Request(pending, 0) } else { Target::Nobody };
            let part = Part { spool: Some(key), ..Part::new(self.last_id, target, deadline) };
            unit.parts.push((part, Vec::new()));
        }
        self.await_lane(setup, key, unit);
    }

    /// Has a request wait for a lane.
    pub(crate) fn await_lane(&mut self, setup: &Setup, key: SpoolKey, unit: Unit) {
        let late = unit.deadline() <= self.now;
        let Some(spool) = self.spools.get_mut(key).filter(|_| !late) else { return self.refuse_waiting(setup, unit) };
        let index = spool.upstream;
        spool.waiting = Some(unit);
        self.upstreams[index].bulk_waiting.push_back(Waiter::Spool(key));
        self.serve_lanes(setup, index);
    }

    /// It has a lane: its bytes go there.
    pub(crate) fn send_spooled(&mut self, setup: &Setup, lane: LinkKey, key: SpoolKey) {
        let late = self.waiting_until(setup, key).is_some_and(|until| until <= self.now);
        let (Some(spool), Some(link)) = (self.spools.get_mut(key), self.links.get_mut(lane)) else { return };
        let Some(mut unit) = spool.waiting.take() else { return };
        if late {
            return self.refuse_waiting(setup, unit);
        }
        if unit.parts.len() > 1 && !link.proof.multi {
            let why = if unit.was_tried() { Refusal::OutcomeUnknown } else { Refusal::TransactionsForbidden };
            return self.refuse_unit(setup, unit, &why);
        }
        let len = spool.len;
        if unit.is_untroubled() {
            unit.parts.iter_mut().for_each(|(part, _)| part.deadline = Time::NEVER);
        } else if setup.mutation.is(Mutant::StaleReplies) && unit.parts.len() > 1 {
            unit.parts.remove(0);
        }
        link.batch.adopt_spooled(unit, &spool.ends);
        (link.spool, link.heard) = (Some(key), self.now);
        self.relay(End::Spool(key), End::Link(lane), len);
    }

    /// So many bytes of a file have passed to its lane.
    pub(crate) fn spool_passed(&mut self, lane: LinkKey, bytes: u64) {
        let now = self.now;
        let Some(link) = self.links.get_mut(lane) else { return };
        link.heard = now;
        link.batch.passed(bytes);
        self.stats.bytes.to_upstreams += bytes;
    }

    /// A lane's request is answered, or all of it has passed: after both the file is gone and the lane free.
    pub(crate) fn end_spooled(&mut self, lane: LinkKey) {
        if self.is_moving(lane) {
            return;
        }
        let Some(link) = self.links.get_mut(lane).filter(|link| link.batch.in_flight() == 0) else { return };
        let index = link.upstream;
        if let Some(key) = link.spool.take() {
            self.close_spool(key);
            self.freed_lanes.push(index);
        }
    }

    /// The file of a whole request can be read no more.
    pub(crate) fn whole_spool_failed(&mut self, setup: &Setup, key: SpoolKey) {
        if let Some(unit) = self.take_waiting(key) {
            return self.refuse_waiting(setup, unit);
        }
        let lane = self.links.iter().find(|(_, link)| link.spool == Some(key)).map(|(lane, _)| lane);
        self.close_spool(key);
        // In the middle of it; one that is put aside is refused when its time comes.
        lane.into_iter().for_each(|lane| self.close_lane(setup, lane));
    }

    /// Takes a request that waits for a lane out of the line.
    fn take_waiting(&mut self, key: SpoolKey) -> Option<Unit> {
        let spool = self.spools.get_mut(key)?;
        let unit = spool.waiting.take()?;
        self.upstreams[spool.upstream].bulk_waiting.retain(|waiter| *waiter != Waiter::Spool(key));
        Some(unit)
    }

    /// Answers those whose patience is over before there was a lane.
    pub(crate) fn expire_waiting(&mut self, setup: &Setup) {
        let late = |key: &SpoolKey| self.waiting_until(setup, *key).is_some_and(|until| until <= self.now);
        let late: Vec<SpoolKey> = self.spools.keys().filter(late).collect();
        for key in late {
            self.take_waiting(key).into_iter().for_each(|unit| self.refuse_waiting(setup, unit));
        }
    }

    /// Tells whoever waits for a request that it is not sent, or not sent again.
    fn refuse_waiting(&mut self, setup: &Setup, unit: Unit) {
        if unit.was_tried() {
            self.refuse_unit(setup, unit, &Refusal::OutcomeUnknown);
        } else if unit.said.is_empty() {
            self.refuse_unit(setup, unit, &Refusal::NotSent);
        } else {
            self.hand_on_said(setup, unit);
        }
    }

    /// How long a request waits for a lane. As long as its client is there and its upstream takes others, it is only
    /// a matter of time.
    fn waiting_until(&self, setup: &Setup, key: SpoolKey) -> Option<Time> {
        let spool = self.spools.get(key)?;
        let unit = spool.waiting.as_ref()?;
        let asked = unit.targets().any(|target| match target {
            Target::Request(pending, _) => self.pendings.contains_key(pending),
            _ => false,
        });
        let lanes = self.upstreams[spool.upstream].bulk.iter().filter(|_| asked && unit.is_untroubled());
        let busy =
            lanes.filter_map(|lane| self.links.get(*lane)).filter(|link| link.is_ready() && !link.is_free_lane());
        let taken = busy.map(|link: &Link| link.heard.after(setup.limits.patience)).max();
        Some(taken.map_or(unit.deadline(), |taken| taken.max(unit.deadline())))
    }
}
