//! A framed link whose connection is lost is resumed on another one, as long as the proxy at the other end lives: at the
//! end that opened it. Nothing that was on it is sent twice or lost.
//!
//! ```text
//!   Ready ── connection lost ──► severed ── connected, hello with the claim ──► answered: so much has come ──► Ready
//!                                  │                                               │
//!                                  │ refused a connection, or too late             └─ forgotten, or another process
//!                                  └───────────────► its streams are lost (`loss.rs`) ◄──┘
//! ```
//!
//! Its streams stay what they are meanwhile: what was not sent goes another way if there is one, what was sent waits.
//! At the other end (`severed.rs`) the sessions that it carries stay, too.

use std::sync::Arc;
use std::time::Duration;

use crate::link::proof::Probe;
use crate::link::{Link, Stage, Standing};
use crate::loss::Loss;
use crate::order::{LinkKey, LossReason};
use crate::peer::framed::Framed;
use crate::peer::greeting::{Claim, Greeting, LinkName};
use crate::peer::hello::Unfit;
use crate::peer::lease::lease;
use crate::router::{Setup, Traffic};
use crate::time::Time;

/// The other end of a framed link, and what it calls that.
#[derive(Debug)]
pub(crate) struct Met {
    pub(crate) incarnation: String,
    /// None if it cannot be resumed.
    pub(crate) name: Option<LinkName>,
    pub(crate) since: Time,
}

/// A framed link without a connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Severed {
    /// When it lost the last one that was good.
    since: Time,
    /// When its requests' time is over.
    until: Time,
}

impl Framed {
    /// When it is to be seen whether it is still worth waiting for the other end.
    pub(crate) fn give_up_due(&self, now: Time) -> Time {
        let Some(Severed { until, .. }) = self.severed else { return Time::NEVER };
        if self.lease > now { until.min(self.lease) } else { until }
    }

    /// What the other end is told to find the link by.
    fn claim(&self) -> Option<Claim> {
        let met = self.met.as_ref()?;
        let (received, kept) = (self.ledger.received(), self.ledger.base());
        Some(Claim { incarnation: met.incarnation.clone(), name: met.name?, received, kept })
    }
}

impl Link {
    /// Whether its connection is lost, and it is to be resumed.
    pub(crate) fn is_severed(&self) -> bool {
        self.framed.as_ref().is_some_and(|framed| framed.severed.is_some())
    }
}

impl Traffic {
    /// A link to another proxy is gone. Its streams go with it, and what was on them goes another way.
    pub(crate) fn framed_lost(&mut self, setup: &Setup, key: LinkKey, loss: Loss) {
        let Some(link) = self.links.get(key) else { return };
        let (index, standing) = (link.upstream, link.standing);
        let (met, severed) = (link.is_met(), link.is_severed());
        if self.sever(setup, key, loss) {
            return;
        }
        self.stats.links_lost += u64::from(!severed);
        self.stats.links_unresumed += u64::from(met || severed);
        if standing == Standing::Serving {
            let pause = self.pause_before_another(setup, index, loss);
            let next = self.add_framed(setup, index, self.now.after(pause));
            self.replace_framed(index, key, next);
            self.tell_trouble(index, loss.text());
        }
        // It is down while its streams look for another way.
        let Some(link) = self.links.get_mut(key) else { return };
        link.stage = Stage::Down(Time::NEVER);
        let framed = link.framed.take();
        if let (Some(framed), true) = (&framed, setup.holds()) {
            let incarnation = framed.met.as_ref().map(|met| met.incarnation.clone());
            let carries =
                |key: &LinkKey| self.links.get(*key).is_some_and(|link| link.batch.sent_carried().next().is_some());
            let fate = (framed.lease, framed.streams.iter().any(carries));
            incarnation.into_iter().for_each(|name| self.note_lost_peer(setup, index, name, fate));
        }
        for stream in framed.map(|framed| framed.streams).unwrap_or_default() {
            self.stream_lost(setup, stream);
        }
        self.links.remove(key);
        self.resume_waiting();
    }

    pub(crate) fn replace_framed(&mut self, index: usize, old: LinkKey, next: LinkKey) {
        let upstream = &mut self.upstreams[index];
        upstream.framed.iter_mut().filter(|key| **key == old).for_each(|key| *key = next);
        if upstream.shared == old {
            upstream.shared = next;
        }
    }

    /// Puts a fresh connection in the place of a lost one, if the link can be resumed; whether it can.
    fn sever(&mut self, setup: &Setup, key: LinkKey, loss: Loss) -> bool {
        if !self.may_resume(key, loss) {
            return false;
        }
        let Some(link) = self.links.get(key) else { return false };
        let (index, first) = (link.upstream, !link.is_severed());
        let pause = self.pause_before_resuming(setup, key, loss);
        let next = self.add_framed(setup, index, self.now.after(pause));
        self.replace_framed(index, key, next);
        self.move_framed(setup, key, next);
        if first {
            self.stats.links_lost += 1;
            self.tell_trouble(index, loss.text());
            self.leave_silent(setup, next);
        }
        self.connect_if_due(setup, next);
        true
    }

    /// Whether a link of which a connection is lost can be resumed, as far as that is known here.
    fn may_resume(&self, key: LinkKey, loss: Loss) -> bool {
        let Some(link) = self.links.get(key).filter(|link| link.standing == Standing::Serving) else { return false };
        let attempted = link.is_severed();
        let passes = match loss {
            Loss::Outside(LossReason::Closed | LossReason::Failed) => true,
            // Whoever refuses a connection is not there any more.
            Loss::Outside(LossReason::Unsealed) | Loss::TooLate => attempted,
            Loss::Silent => !attempted,
            _ => false,
        };
        let known = link.framed.as_ref().is_some_and(|framed| framed.claim().is_some());
        passes && known && (attempted || link.is_met()) && !self.is_given_up(key)
    }

    /// Whether it is too late to resume a link: the patience is over, or another peer has been there since the other end
    /// may not do anything any more.
    pub(crate) fn is_given_up(&self, key: LinkKey) -> bool {
        let Some(framed) = self.links.get(key).and_then(|link| link.framed.as_ref()) else { return false };
        let over = |severed: Severed| severed.until <= self.now || framed.lease <= self.now && self.is_any_there();
        framed.severed.is_some_and(over)
    }

    fn is_any_there(&self) -> bool {
        (0..self.upstreams.len()).any(|index| self.is_there(index))
    }

    /// A link that has served for a while is resumed at once.
    fn pause_before_resuming(&mut self, setup: &Setup, key: LinkKey, loss: Loss) -> Duration {
        let Some(link) = self.links.get(key) else { return Duration::ZERO };
        let (index, first) = (link.upstream, !link.is_severed());
        let since = link.framed.as_ref().and_then(|framed| Some(framed.met.as_ref()?.since));
        if first && since.is_some_and(|since| self.now >= since.after(setup.limits.reconnect_max)) {
            self.upstreams[index].reconnects += 1;
            return Duration::ZERO;
        }
        self.pause_before_another(setup, index, loss)
    }

    fn pause_before_another(&mut self, setup: &Setup, index: usize, loss: Loss) -> Duration {
        let pause = self.pause_before_retry(setup, index);
        match loss {
            Loss::TooLate => setup.limits.reconnect_min,
            // It is there, and has said so.
            Loss::Unfit(Unfit::Forgotten) => Duration::ZERO,
            _ => pause,
        }
    }

    /// Has another connection carry what a lost one did.
    fn move_framed(&mut self, setup: &Setup, old: LinkKey, next: LinkKey) {
        let Some(mut framed) = self.links.remove(old).and_then(|link| link.framed) else { return };
        framed.severed.get_or_insert(Severed { since: self.now, until: self.now.after(setup.limits.patience) });
        for key in &framed.streams {
            let strand = self.links.get_mut(*key).and_then(|link| link.strand.as_mut());
            strand.into_iter().for_each(|strand| strand.end.carrier = next);
        }
        if let Some(link) = self.links.get_mut(next) {
            link.framed = Some(framed);
        }
    }

    /// A link is connected: if it is to be resumed, that is what it says.
    pub(crate) fn claim_link(&mut self, setup: &Setup, key: LinkKey) {
        let (now, elsewhere) = (self.now, self.is_any_there());
        let Some(link) = self.links.get_mut(key) else { return };
        let Some(framed) = &mut link.framed else { return };
        let (Some(claim), Some(severed)) = (framed.claim(), framed.severed) else { return };
        // While there is another way, nobody waits for this one longer than for one lease.
        let since = if elsewhere { severed.since } else { now };
        let until = framed.renew_lease(since, lease(&setup.limits));
        let words = [claim.word(), format!("lease={until}")];
        link.proof.probe = Arc::new(Probe::with(setup, link.upstream, &words));
    }

    /// The hello of a link was answered: it begins, or goes on.
    ///
    /// # Errors
    /// The other end does not know the link that was to be resumed.
    pub(crate) fn begin_framed(&mut self, setup: &Setup, key: LinkKey, greeting: &Greeting) -> Result<(), Loss> {
        let now = self.now;
        let Some(link) = self.links.get_mut(key) else { return Ok(()) };
        let severed = link.is_severed();
        let Some(framed) = &mut link.framed else { return Ok(()) };
        if severed {
            let come = greeting.resumed.filter(|come| framed.reaches(*come));
            framed.resume(come.ok_or(Loss::Unfit(Unfit::Forgotten))?);
            self.stats.links_resumed += 1;
        } else {
            framed.meet(greeting.grant.unwrap_or_default(), now, lease(&setup.limits));
        }
        framed.compare_clocks(greeting.clock, now);
        let incarnation = greeting.peer.incarnation.clone();
        framed.met = Some(Met { incarnation, name: greeting.name, since: now });
        link.stage = Stage::Ready;
        link.heard = now;
        if !severed {
            self.grant_streams(key);
        }
        Ok(())
    }
}
