//! Leases: until when a proxy may send on what another one has given it.
//!
//! ```text
//!   leaf                                          spine
//!   every third of a lease: LEASE until t  ─────►  sends its requests until t, and not after
//!   link lost, or silent: waits until t            drops what it has not sent by then, or of a link that is lost
//! ```
//!
//! A request's own time may be a minute. Who wants to try it by way of another peer need not wait for that, only for
//! the lease: after it the first peer has nothing of it left to send, whatever became of that. `t` is a moment of the
//! spine's clock that is not later than the leaf's own.
//!
//! The time that a request has is told to the next level, too, less what its answer takes to come back.

use std::collections::HashSet;
use std::time::Duration;

use crate::limits::Limits;
use crate::link::part::Target;
use crate::order::LinkKey;
use crate::refusal::Refusal;
use crate::router::{Setup, Traffic};
use crate::time::Time;

/// So many times `probe_after` a lease lasts: a peer that answers is never late with it.
const PROBES: u32 = 3;

/// This part of the time that is left for a request is kept for the way back of what the next level says of it.
const WAY_BACK: u32 = 12;

/// How long what another proxy says of a request may be on its way: no longer than a PING and its answer.
fn way_back(left: Duration, limits: &Limits) -> Duration {
    (left / WAY_BACK).min(limits.probe_after / 2)
}

/// Until when the next level may try what is this proxy's to answer by `deadline`: a little less, so that it is the next
/// level that gives it up, which knows whether it was sent.
pub(crate) fn told_deadline(deadline: Time, now: Time, limits: &Limits) -> Time {
    if deadline == Time::NEVER {
        return deadline;
    }
    let left = deadline.since(now);
    now.after(left - way_back(left, limits)).min(deadline)
}

/// Whether what another proxy says of a request now is its last word: it was given no more time.
pub(crate) fn is_last_word(deadline: Time, now: Time, limits: &Limits) -> bool {
    deadline.since(now) <= way_back(limits.patience, limits)
}

/// How long a lease lasts.
pub(crate) fn lease(limits: &Limits) -> Duration {
    limits.probe_after * PROBES
}

impl Traffic {
    /// Whether a request that has not been sent may be: it is nobody's of another proxy, or that proxy's lease holds.
    fn is_leased(&self, target: Target) -> bool {
        let Target::Request(pending, _) = target else { return true };
        let session = self.pendings.get(pending).and_then(|pending| self.sessions.get(pending.session()));
        // Its session went with the link that carried it.
        let Some(session) = session else { return false };
        let Some(end) = &session.carried else { return true };
        let carrier = self.sessions.get(end.carrier).and_then(|session| session.framed.as_ref());
        carrier.is_some_and(|accepted| accepted.lease > self.now)
    }

    /// Takes out of a link's batch what proxies below have asked for and may not be sent any more.
    pub(crate) fn drop_unleased(&mut self, setup: &Setup, key: LinkKey) {
        let Some(link) = self.links.get(key).filter(|link| link.batch.carries()) else { return };
        let over = |(unit, target): (u64, Target)| (!self.is_leased(target)).then_some(unit);
        let over: HashSet<u64> = link.batch.unsent_carried().filter_map(over).collect();
        if over.is_empty() {
            return;
        }
        let dropped = self.links.get_mut(key).map(|link| link.batch.take_units(&over)).unwrap_or_default();
        for (target, tried) in dropped {
            let why = if tried { Refusal::OutcomeUnknown } else { Refusal::NotSent };
            self.deliver_refusal(setup, target, &why);
        }
        self.relieve(setup, key);
    }

    /// Whether something of proxies below is on its way that nobody has a lease for any more: the link by which it came is
    /// gone, or its other end has given it up.
    pub(crate) fn has_orphans(&self) -> bool {
        let links = self.links.everything();
        links.flat_map(|(_, link)| link.batch.sent_carried()).any(|target| !self.is_leased(target))
    }

    /// Whether something is on its way on links that were lost, and these are not fenced off.
    pub(crate) fn has_unfenced(&self) -> bool {
        self.upstreams.iter().any(|upstream| !upstream.unfenced.is_empty() || !upstream.lost.is_empty())
    }
}
