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

use std::collections::HashSet;
use std::time::Duration;

use crate::limits::Limits;
use crate::order::LinkKey;
use crate::part::Target;
use crate::refusal::Refusal;
use crate::router::{Setup, Traffic};

/// So many times `probe_after` a lease lasts: a peer that answers is never late with it.
const PROBES: u32 = 3;

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

    /// Requests of sessions that went with the link that carried them, sent and not answered.
    pub(crate) fn orphans(&self) -> usize {
        let orphan =
            |target: &Target| matches!(target, Target::Request(pending, _) if !self.pendings.contains_key(*pending));
        let links = self.links.everything();
        links.map(|(_, link)| link.batch.sent_carried().filter(|target| orphan(target)).count()).sum()
    }
}
