//! A framed link whose connection is lost is resumed on another one: at the end that accepted it.
//!
//! ```text
//!   framed session ── connection lost ──► severed, with all that it carries ── claimed ──► goes on on that connection
//!                                            │                        (perhaps another worker's, which hands it over)
//!                                            └── its time is over, or it holds too much ──► gone
//! ```
//!
//! What its sessions have sent on is answered meanwhile, and the replies are kept: as frames, until they fill
//! `limits.resume_max`. What they have not sent on is dropped when the lease is over, as ever. A session in the middle
//! of a large value goes with the connection.

use crate::mutant::Mutant;
use crate::order::{End, Notice, Output, SessionKey};
use crate::peer::accept::Accepted;
use crate::peer::greeting::{Claim, Greeting, LinkName};
use crate::router::{Setup, Traffic};
use crate::session::Session;
use crate::session::admission::Who;
use crate::stats::CloseReason;
use crate::time::Time;

/// A connection that another worker is to have, since it has the link that is to be resumed on it: all that the router
/// knows of it.
#[derive(Debug)]
pub struct HandOver {
    who: Who,
    /// What waits to be written to it.
    out: Vec<u8>,
    hello: Vec<u8>,
}

impl Accepted {
    /// When it is to be seen whether a link without a connection is still worth keeping.
    fn severed_due(&self, now: Time) -> Option<Time> {
        let until = self.severed?;
        Some(if self.lease > now { until.min(self.lease) } else { until })
    }
}

impl Traffic {
    /// What a new link from below is called.
    pub(crate) fn name_link(&mut self) -> LinkName {
        self.last_id += 1;
        LinkName { worker: self.worker(), number: self.last_id }
    }

    fn worker(&self) -> usize {
        self.numbering.0.saturating_sub(1) as usize
    }

    /// A connection is gone. If it was a framed link's, that may be resumed on another one.
    pub(crate) fn connection_lost(&mut self, setup: &Setup, key: SessionKey) {
        if !self.sever_below(setup, key) {
            self.session_lost(setup, key);
        }
    }

    /// Keeps a framed link without its connection; whether it can be resumed.
    pub(crate) fn sever_below(&mut self, setup: &Setup, key: SessionKey) -> bool {
        let until = self.now.after(setup.limits.patience);
        let may = setup.limits.resume_max > 0 && !self.leaving;
        let Some(session) = self.sessions.get_mut(key).filter(|_| may) else { return false };
        let Some(accepted) = session.framed.as_mut() else { return false };
        accepted.severed = Some(until);
        self.severed_until = self.severed_until.min(accepted.severed_due(self.now).unwrap_or(until));
        session.buffered = crate::order::Buffered::default();
        self.outputs.push_back(Output::Notice(Notice::PeerLeft(accepted.peer.node.clone())));
        self.stats.sessions_closed[CloseReason::Client as usize] += 1;
        let carried: Vec<SessionKey> = accepted.carrier.open().collect();
        for carried in carried {
            let amid = self.sessions.get(carried).is_some_and(Session::is_amid);
            if amid || self.is_relaying(End::Session(carried)) {
                self.close_session_now(setup, carried, CloseReason::Upstream);
            }
        }
        self.grown = true;
        true
    }

    /// Takes a connection for that of a link that was lost, or hands it to the worker that has the link; whether there
    /// is such a link.
    pub(crate) fn accept_claim(
        &mut self,
        setup: &Setup,
        key: SessionKey,
        claim: &Claim,
        (greeting, hello): (&Greeting, &[u8]),
    ) -> bool {
        if claim.incarnation != setup.name {
            return false;
        }
        if claim.name.worker != self.worker() {
            return self.hand_over(setup, key, claim.name.worker, hello);
        }
        let Some(old) = self.find_claimed(key, claim, greeting) else { return false };
        let Some(mut lost) = self.sessions.remove(old) else { return false };
        let Some(mut accepted) = lost.framed.take() else { return false };
        if accepted.severed.is_none() {
            // Its end was not seen yet.
            self.stats.sessions_closed[CloseReason::Client as usize] += 1;
            self.outputs.push_back(Output::CloseSession(old));
        }
        if setup.mutation.is(Mutant::PositionIgnored) {
            accepted.forget_last();
        }
        accepted.severed = None;
        accepted.lease = accepted.lease.max(Time::from_micros(greeting.lease));
        let words = [format!("name={}", claim.name), format!("resumed={}", accepted.ledger.received())];
        self.answer_hello(setup, key, &words);
        self.put_on(key, old, accepted, (claim.received, lost.unwritten()));
        self.buffers.give_back_output(lost.out);
        true
    }

    /// The link that a claim is about, if it can be resumed: both ends have what the other one lacks.
    fn find_claimed(&self, key: SessionKey, claim: &Claim, greeting: &Greeting) -> Option<SessionKey> {
        let who = &self.sessions.get(key)?.who;
        let fits = |session: &Session, accepted: &Accepted| {
            let same = accepted.name == claim.name && accepted.peer.incarnation == greeting.peer.incarnation;
            let here = accepted.ledger.reaches(claim.received, session.reply_bytes());
            same && session.who.is_same_user(who) && here && accepted.ledger.received() >= claim.kept
        };
        let is_it = |other: &SessionKey| {
            let session = self.sessions.get(*other);
            session.is_some_and(|session| session.framed.as_ref().is_some_and(|accepted| fits(session, accepted)))
        };
        self.accepted.iter().copied().find(is_it)
    }

    /// Has a connection carry what a lost one did, whose other end has got so many bytes and lacks the rest.
    fn put_on(&mut self, key: SessionKey, old: SessionKey, mut accepted: Box<Accepted>, (come, rest): (u64, &[u8])) {
        for carried in accepted.carrier.open() {
            let end = self.sessions.get_mut(carried).and_then(|session| session.carried.as_mut());
            end.into_iter().for_each(|end| end.carrier = key);
        }
        self.accepted.iter_mut().filter(|other| **other == old).for_each(|other| *other = key);
        self.outputs.push_back(Output::Notice(Notice::PeerCame(accepted.peer.node.clone())));
        let frames = accepted.ledger.resume(come, rest);
        if let Some(session) = self.sessions.get_mut(key) {
            accepted.prelude = session.reply_bytes();
            self.buffers.extend(&mut session.out, &frames);
            session.framed = Some(accepted);
        }
        self.order_session_write(key);
        self.order_frames(key);
    }

    /// Gives a connection to another worker.
    fn hand_over(&mut self, setup: &Setup, key: SessionKey, worker: usize, hello: &[u8]) -> bool {
        let known = (worker as u64) < self.numbering.1;
        let Some(session) = self.sessions.get(key).filter(|_| known) else { return false };
        let out = session.unwritten().to_vec();
        let handed = HandOver { who: session.who.clone(), out, hello: hello.to_vec() };
        self.session_lost(setup, key);
        self.handed_over.push((key, handed));
        self.outputs.push_back(Output::HandOver(key, worker));
        true
    }

    /// Takes in a connection that another worker had.
    pub(crate) fn take_over(&mut self, setup: &Setup, handed: HandOver) -> SessionKey {
        self.stats.sessions_opened += 1;
        let mut session = Session::of(handed.who);
        session.out = handed.out;
        let key = self.insert_session(session);
        self.session_bytes(setup, key, &handed.hello);
        key
    }

    /// Forgets the links that nobody has claimed in time: what has nothing for the other end waits no longer than that may
    /// be sure of it.
    pub(crate) fn forget_severed(&mut self, setup: &Setup) {
        let now = self.now;
        if self.severed_until > now {
            return;
        }
        self.forget(setup, |traffic, key, accepted| {
            let idle = accepted.lease <= now && !traffic.owes(key, accepted);
            accepted.severed.is_some_and(|until| until <= now || idle)
        });
        let accepted = self.accepted.iter().filter_map(|key| self.sessions.get(*key)?.framed.as_ref());
        self.severed_until = accepted.filter_map(|accepted| accepted.severed_due(now)).min().unwrap_or(Time::NEVER);
    }

    /// Whether there is, or will be, something for the other end of a framed link.
    fn owes(&self, key: SessionKey, accepted: &Accepted) -> bool {
        let mut all = accepted.carrier.open().chain([key]).filter_map(|key| self.sessions.get(key));
        all.any(|session| session.first.is_some() || session.reply_bytes() > 0)
    }

    /// Forgets the links without a connection that hold too much.
    pub(crate) fn bound_severed(&mut self, setup: &Setup) {
        let max = setup.limits.resume_max;
        self.forget(setup, |traffic, key, accepted| {
            accepted.severed.is_some() && traffic.held_for(key, accepted) > max
        });
    }

    /// Forgets all links without a connection.
    pub(crate) fn leave_severed(&mut self, setup: &Setup) {
        self.forget(setup, |_, _, accepted| accepted.severed.is_some());
    }

    fn forget(&mut self, setup: &Setup, is_one: impl Fn(&Self, SessionKey, &Accepted) -> bool) {
        let its = |key: &SessionKey| self.sessions.get(*key).and_then(|session| session.framed.as_deref());
        let gone = |key: &SessionKey| its(key).is_some_and(|accepted| is_one(self, *key, accepted));
        let gone: Vec<SessionKey> = self.accepted.iter().copied().filter(gone).collect();
        for key in gone {
            self.session_lost(setup, key);
        }
    }

    /// Bytes that are held for the other end of a framed link.
    fn held_for(&self, key: SessionKey, accepted: &Accepted) -> usize {
        let all = accepted.carrier.open().chain([key]).filter_map(|key| self.sessions.get(key));
        let held = |session: &Session| session.reply_bytes() + session.inbox_bytes() + session.request_bytes();
        accepted.ledger.kept() + all.map(held).sum::<usize>()
    }

    /// The most bytes that are kept of what was sent on a framed link, or held for one that has no connection.
    pub(crate) fn most_kept(&self) -> usize {
        let above = self.links.values().filter_map(|link| Some(link.framed.as_ref()?.ledger.kept()));
        let below = self.accepted.iter().filter_map(|key| Some((*key, self.sessions.get(*key)?.framed.as_deref()?)));
        let below = below.map(|(key, accepted)| match accepted.severed {
            Some(_) => self.held_for(key, accepted),
            None => accepted.ledger.kept(),
        });
        above.chain(below).max().unwrap_or(0)
    }
}
