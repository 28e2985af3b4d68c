//! An upstream is reached at another address from now on.

use crate::link::{Lane, Link, Stage, Standing};
use crate::loss::Loss;
use crate::mutant::Mutant;
use crate::order::LinkKey;
use crate::router::{Setup, Traffic};

impl Traffic {
    /// New requests go to the new address. What was sent to the old one is answered from there, as far as it answers.
    pub(crate) fn upstream_moved(&mut self, setup: &Setup, index: usize) {
        if setup.mutation.is(Mutant::MoveIgnored) {
            return;
        }
        let Some(upstream) = self.upstreams.get_mut(index) else { return };
        // Whatever was wrong, it was so at the old address: the new one is tried without a long pause.
        upstream.failures = 0;
        let lanes = upstream.bulk.clone();
        self.drop_candidate(index);
        let old = |(_, link): &(LinkKey, &Link)| {
            link.upstream == index && link.lane != Lane::Bulk && link.standing != Standing::Retired
        };
        let old: Vec<LinkKey> = self.links.iter().filter(old).map(|(key, _)| key).collect();
        old.into_iter().for_each(|key| self.leave_old_address(setup, key));
        lanes
            .iter()
            .filter_map(|lane| self.links.get_mut(*lane).map(|link| link.standing = Standing::Retired))
            .for_each(drop);
        self.close_outdated_lanes(setup, index);
        self.upstreams[index].bulk_rest = self.now;
    }

    fn leave_old_address(&mut self, setup: &Setup, key: LinkKey) {
        let Some(link) = self.links.get_mut(key) else { return };
        if link.lane == Lane::Framed && link.is_ready() {
            self.retire_framed(setup, key);
        } else if link.lane == Lane::Shared && link.is_ready() {
            self.retire_link(setup, key);
            self.tidy_after_reply(key);
        } else if link.is_open() {
            self.give_up(setup, key, Loss::Moved);
        } else {
            link.stage = Stage::Down(self.now);
            self.connect_if_due(setup, key);
        }
    }

    /// Closes lanes to an old address that nobody uses; the others once they are free.
    pub(crate) fn close_outdated_lanes(&mut self, setup: &Setup, index: usize) {
        let unused = |lane: &LinkKey| {
            self.links.get(*lane).is_some_and(|link| link.standing == Standing::Retired && link.is_unused())
        };
        let unused: Vec<LinkKey> = self.upstreams[index].bulk.iter().copied().filter(unused).collect();
        unused.into_iter().for_each(|lane| self.give_up(setup, lane, Loss::Moved));
    }
}

#[cfg(test)]
mod tests {
    use crate::order::{Input, Output};
    use crate::rig::{connected, router, written};
    use crate::time::Time;

    const GET: &[u8] = b"*2\r\n$3\r\nGET\r\n$1\r\nk\r\n";

    #[test]
    fn what_is_on_the_old_link_is_answered_and_what_comes_later_goes_to_the_new_one() {
        let now = Time::default();
        let (mut router, old) = router();
        let (early, late) = (router.open_session(now), router.open_session(now));
        router.handle(now, Input::SessionBytes(early, GET));
        assert_eq!(written(&mut router, old), GET);
        router.handle(now, Input::UpstreamMoved(0));
        let new = connected(&mut router);
        router.handle(now, Input::SessionBytes(late, GET));
        router.handle(now, Input::SessionBytes(early, GET));
        assert_eq!(written(&mut router, old), b"");
        assert_eq!(written(&mut router, new), GET, "a session with a request on the old link waits for it");
        router.handle(now, Input::LinkBytes(old, b"$1\r\n1\r\n"));
        assert_eq!(router.session_output(early), b"$1\r\n1\r\n");
        assert_eq!(written(&mut router, new), GET);
        assert!(std::iter::from_fn(|| router.poll_output()).any(|output| output == Output::CloseLink(old)));
    }

    #[test]
    fn a_link_that_is_being_opened_is_opened_anew_and_keeps_what_waits_for_it() {
        let now = Time::default();
        let (mut router, old) = router();
        router.handle(now, Input::LinkLost(old, crate::LossReason::Closed));
        router.handle(now, Input::UpstreamMoved(0));
        let new = connected(&mut router);
        let session = router.open_session(now);
        router.handle(now, Input::SessionBytes(session, GET));
        assert_eq!(written(&mut router, new), GET, "it was down, and is tried at once");
    }
}
