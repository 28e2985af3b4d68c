//! A link is lost: who takes its place, and what becomes of the requests that were on it.
//!
//! ```text
//!                       ┌─ repeatable ──► sent again, behind the fence (`loss/repeat.rs`)
//!   sent, unanswered ───┤
//!                       └─ else ────────► its client is told that nobody knows
//!   unsent ── profile pdwfs ────────────► the next link's batch
//!          └─ profile redis ────────────► its client is told that it was not sent
//! ```

pub(crate) mod fence;
pub(crate) mod repeat;

use std::time::Duration;

use crate::link::part::{Target, Unit};
use crate::link::upstream::Waiter;
use crate::link::{Lane, Link, Standing};
use crate::mutant::Mutant;
use crate::order::{End, LinkKey, LossReason, Notice, Output};
use crate::peer::frame::FrameError;
use crate::peer::hello::Unfit;
use crate::refusal::Refusal;
use crate::request::pending::PendingKey;
use crate::resp::ReplyError;
use crate::router::{Profile, Setup, Traffic};
use crate::stats::CloseReason;

/// After so many replies that are none a request is not sent again.
const SPOILT_MAX: u8 = 3;

/// Why a link is given up.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Loss {
    Outside(LossReason),
    NotResp(ReplyError),
    UnaskedReply,
    /// What answers a question of the proxy's own, and so has to be whole, has no end.
    EndlessReply,
    Unusable,
    WrongPassword,
    NeedlessPassword,
    NeedsPassword,
    Silent,
    TooLate,
    Abandoned,
    Moved,
    Replaced,
    Unfit(Unfit),
    Frame(FrameError),
    /// It was severed, and was not resumed in time.
    NotResumed,
    /// Nothing was taken of what was to be sent, until it was too late to send it.
    Stuck,
}

impl From<LossReason> for Loss {
    fn from(reason: LossReason) -> Self {
        Self::Outside(reason)
    }
}

impl Loss {
    pub(crate) fn text(self) -> String {
        match self {
            Self::Outside(LossReason::Unreachable) => {
                "no connection can be made; is it running at this address?".into()
            }
            Self::Outside(LossReason::Closed) => "it closed the connection".into(),
            Self::Outside(LossReason::Failed) => "reading or writing failed".into(),
            Self::Outside(LossReason::Unsealed) => "its handshake failed; the log says why, once a minute".into(),
            Self::NotResp(error) => error.to_string(),
            Self::UnaskedReply => "it sent a reply to nothing".into(),
            Self::EndlessReply => "it goes on and on answering a question of this proxy; is it a Redis server?".into(),
            Self::Unusable => "it refuses PING (it is loading, or its ACL does not allow PING to this user)".into(),
            Self::WrongPassword => {
                "it refuses this proxy's user and password; correct `user`, `password_file` or `password_env` of this \
                 upstream, or the user there ('ACL GETUSER'), and send SIGHUP"
                    .into()
            }
            Self::NeedlessPassword => {
                "it knows of no password; remove `password_file` or `password_env` of this upstream, and send SIGHUP"
                    .into()
            }
            Self::NeedsPassword => {
                "it wants a password; give this upstream `password_file` or `password_env`, `user` if it is not \
                 `default`, and send SIGHUP"
                    .into()
            }
            Self::Silent => "nothing arrived for times.link_dead".into(),
            Self::Abandoned => "its session left in the middle of a request".into(),
            Self::Moved => "it is at another address now".into(),
            Self::Replaced => "it was silent while a fresh connection was answered".into(),
            Self::Unfit(why) => why.to_string(),
            Self::Frame(error) => error.to_string(),
            Self::NotResumed => "its connection was lost, and no other one could be made in time".into(),
            Self::Stuck => "it took nothing for times.patience".into(),
            Self::TooLate => "it could not be connected and proven within times.connect_timeout".into(),
        }
    }
}

impl Traffic {
    /// Closes a link that the driver believes to be sound.
    pub(crate) fn give_up(&mut self, setup: &Setup, key: LinkKey, loss: Loss) {
        if !self.is_stream(key) {
            self.outputs.push_back(Output::CloseLink(key));
        }
        self.link_lost(setup, key, loss);
    }

    /// A link is gone.
    pub(crate) fn link_lost(&mut self, setup: &Setup, key: LinkKey, loss: Loss) {
        let Some(link) = self.links.get(key) else { return };
        match link.lane {
            Lane::Framed => return self.framed_lost(setup, key, loss),
            Lane::Stream => return self.stream_lost(setup, key),
            _ => {}
        }
        let standing = link.standing;
        let next = (link.lane != Lane::Bulk && standing == Standing::Serving).then(|| self.successor(setup, key, loss));
        if standing == Standing::Candidate {
            return self.candidate_lost(setup, key, loss);
        }
        self.replace(setup, key, next, loss);
    }

    /// A link that will be opened in place of a lost one.
    fn successor(&mut self, setup: &Setup, lost: LinkKey, loss: Loss) -> LinkKey {
        let (index, lane) = self.links.get(lost).map_or((0, Lane::Shared), |link| (link.upstream, link.lane));
        if let Some(key) = self.upstreams[index].candidate.take_if(|_| lane == Lane::Shared) {
            // It has begun already.
            self.links.get_mut(key).into_iter().for_each(|link| link.standing = Standing::Serving);
            return key;
        }
        let pause = self.pause_before_retry(setup, index);
        // A dial that nobody answered was a pause already.
        let pause = if matches!(loss, Loss::TooLate) { setup.limits.reconnect_min } else { pause };
        self.links.insert(Link::new(index, lane, self.now.after(pause)).keeping(setup.holds()))
    }

    /// Has `next` take the place of a link, if anything is to, and looks after what was on it.
    pub(crate) fn replace(&mut self, setup: &Setup, key: LinkKey, next: Option<LinkKey>, loss: Loss) {
        let Some(mut link) = self.links.remove(key) else { return };
        self.stats.links_lost += 1;
        if setup.mutation.is(Mutant::LossClosesSessions) {
            let all: Vec<_> = self.sessions.keys().collect();
            all.into_iter().for_each(|session| self.close_session_now(setup, session, CloseReason::Upstream));
        }
        // A session in the middle of a value towards it: see `lane_lost`.
        let missing = self.relays.drop_of(End::Link(key)).first().map(|(_, bytes)| *bytes);
        if setup.mutation.is(Mutant::BegunAgain) {
            link.end_stream();
        }
        if let Some(pending) = link.end_stream() {
            // A reply whose first byte has left is never restarted.
            self.close_stream(setup, pending);
        }
        if let Some(flow) = link.flow.take() {
            self.flow_lost(setup, flow);
        }
        let index = link.upstream;
        if let Some(next) = next {
            self.install(index, link.lane, next);
            self.tell_trouble(index, loss.text());
        } else if link.lane == Lane::Bulk {
            self.lane_lost(setup, key, &link, missing, setup.profile == Profile::Redis);
        }
        if let Some(spool) = link.spool.filter(|_| link.batch.in_flight() == 0) {
            // It was answered before all of it was sent.
            self.close_spool(spool);
        }
        let (mut sent, unsent) = link.batch.salvage();
        if matches!(loss, Loss::NotResp(_)) {
            self.give_up_spoilt(setup, &mut sent);
        }
        let next = next.unwrap_or(self.upstreams[index].shared);
        self.fence_off(setup, &link, !sent.is_empty(), next);
        self.repeat_lost(setup, index, sent);
        self.move_unsent(setup, next, unsent);
        if setup.profile == Profile::Redis && link.lane == Lane::Shared && link.standing == Standing::Serving {
            let waiting = self.upstreams[index].bulk_waiting.drain(..);
            // Under this profile nothing is in a file.
            self.resumable.extend(waiting.filter_map(Waiter::session));
        }
        self.relieve(setup, next);
    }

    /// It is the first request whose reply was none. After too many such replies its client is told: sent again and
    /// again it would cost everybody else the link each time.
    fn give_up_spoilt(&mut self, setup: &Setup, sent: &mut Vec<Unit>) {
        let Some(first) = sent.first_mut() else { return };
        first.parts.iter_mut().for_each(|(part, _)| part.spoilt = part.spoilt.saturating_add(1));
        if first.parts.iter().any(|(part, _)| part.spoilt >= SPOILT_MAX) {
            let spoilt = sent.remove(0);
            self.refuse_unit(setup, spoilt, &Refusal::OutcomeUnknown);
        }
    }

    fn install(&mut self, index: usize, lane: Lane, next: LinkKey) {
        let upstream = &mut self.upstreams[index];
        match lane {
            Lane::Shared => upstream.shared = next,
            _ => upstream.control = Some(next),
        }
    }

    /// What a lost link had not sent waits for the next one; under profile `redis` nothing waits for an
    /// upstream that is not there.
    pub(crate) fn move_unsent(&mut self, setup: &Setup, next: LinkKey, unsent: Vec<Unit>) {
        let latest = self.now.after(setup.limits.patience);
        for mut unit in unsent {
            if unit.targets().all(|target| matches!(target, Target::Fence(_))) {
                // The fence was put up anew.
                continue;
            }
            // To another peer that answers, so that nobody waits for this one.
            let elsewhere = setup.has_peers() && !unit.was_tried() && !self.all_peers_failing();
            if (setup.holds() || elsewhere) && unit.is_whole() {
                unit.hurry(latest);
                self.bring_back(setup, next, unit);
            } else {
                let why = if unit.was_tried() { Refusal::OutcomeUnknown } else { Refusal::NotSent };
                self.refuse_unit(setup, unit, &why);
            }
        }
    }

    /// Tells the operator why an upstream is down, unless that is known.
    pub(crate) fn tell_trouble(&mut self, index: usize, text: String) {
        let upstream = &mut self.upstreams[index];
        if upstream.trouble != text {
            upstream.trouble.clone_from(&text);
            self.outputs.push_back(Output::Notice(Notice::UpstreamDown(index, text)));
        }
    }

    /// Doubles from attempt to attempt, with a random half so that not everybody comes back at once.
    pub(crate) fn pause_before_retry(&mut self, setup: &Setup, upstream: usize) -> Duration {
        let upstream = &mut self.upstreams[upstream];
        let doublings = upstream.failures.min(16);
        upstream.failures += 1;
        upstream.reconnects += 1;
        if setup.mutation.is(Mutant::EagerReconnect) {
            return Duration::ZERO;
        }
        let longest = setup.limits.reconnect_min.saturating_mul(1 << doublings).min(setup.limits.reconnect_max);
        let half = longest.as_micros() as u64 / 2;
        Duration::from_micros(half + self.random.below(half + 1))
    }

    /// Closes the session of a reply that was being streamed.
    pub(crate) fn close_stream(&mut self, setup: &Setup, pending: PendingKey) {
        if let Some((session, ..)) = self.turn_of(pending) {
            self.close_session_now(setup, session, CloseReason::Upstream);
        }
    }
}
