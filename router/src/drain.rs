//! The end of a router: what its driver has to know before it closes a session, or everything.

use crate::order::{End, SessionKey};
use crate::router::{Setup, Traffic};
use crate::stats::CloseReason;

impl Traffic {
    /// Whether nothing of a session is outstanding.
    pub(crate) fn is_idle(&self, key: SessionKey) -> bool {
        self.sessions.get(key).is_some_and(|session| session.rests()) && !self.is_relaying(End::Session(key))
    }

    /// Whether nothing of any client is left.
    pub(crate) fn is_quiet(&self) -> bool {
        self.sessions.is_empty()
            && self.links.values().all(|link| link.batch.unsent() == 0 && link.batch.awaited() == 0)
            && self.spools.is_empty()
            && self.upstreams.iter().all(|upstream| upstream.postponed.is_empty())
    }

    /// The driver ends a session that is idle; another is served on.
    pub(crate) fn session_retired(&mut self, setup: &Setup, key: SessionKey) {
        if self.is_idle(key) {
            self.finish_session(setup, key, CloseReason::Drain);
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::order::{Input, Output};
    use crate::rig::router;
    use crate::stats::CloseReason;
    use crate::time::Time;

    #[test]
    fn a_session_is_idle_only_between_requests_and_nothing_is_quiet_before_it_is_gone() {
        let now = Time::default();
        let (mut router, link) = router();
        assert!(router.is_quiet());
        let key = router.open_session(now);
        assert!(router.is_idle(key) && !router.is_quiet());
        router.handle(now, Input::SessionBytes(key, b"*2\r\n$3\r\nGET\r\n"));
        assert!(!router.is_idle(key), "half a request");
        router.handle(now, Input::SessionBytes(key, b"$1\r\nk\r\n"));
        assert!(!router.is_idle(key), "an unsent request");
        let request = router.link_output(now, link).len();
        router.handle(now, Input::LinkWritten(link, request));
        router.handle(now, Input::SessionRetired(key));
        assert!(!router.is_idle(key), "an unanswered request");
        router.handle(now, Input::LinkBytes(link, b"$1\r\nv\r\n"));
        assert!(!router.is_idle(key), "a reply that is not written");
        router.handle(now, Input::SessionWritten(key, 7));
        assert!(router.is_idle(key));
        router.handle(now, Input::SessionBytes(key, b"MULTI\r\n"));
        router.handle(now, Input::SessionWritten(key, 5));
        assert!(!router.is_idle(key), "a transaction");
        router.handle(now, Input::SessionBytes(key, b"DISCARD\r\n"));
        router.handle(now, Input::SessionWritten(key, 5));
        router.handle(now, Input::SessionRetired(key));
        assert!(router.is_quiet());
        let closed = std::iter::from_fn(|| router.poll_output()).any(|output| output == Output::CloseSession(key));
        assert!(closed && router.stats().sessions_closed[CloseReason::Drain as usize] == 1);
    }

    #[test]
    fn what_a_client_that_is_gone_has_sent_is_outstanding_until_it_is_carried_out() {
        let now = Time::default();
        let (mut router, link) = router();
        let key = router.open_session(now);
        router.handle(now, Input::SessionBytes(key, b"SET k v\r\n"));
        router.handle(now, Input::SessionLost(key));
        assert!(!router.is_quiet(), "unsent");
        let request = router.link_output(now, link).len();
        router.handle(now, Input::LinkWritten(link, request));
        assert!(!router.is_quiet(), "unanswered");
        router.handle(now, Input::LinkBytes(link, b"+OK\r\n"));
        assert!(router.is_quiet());
    }
}
