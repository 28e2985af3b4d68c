//! A request between its arrival and the moment its reply is handed over; replies in request order.
//!
//! ```text
//!                one reply, asked for earlier requests first
//!   Awaited ────────────────────────────────────────────────► handed over
//!      │  reply came before its turn                            ▲   ▲
//!      ├────────────────────────► Ready ────────────────────────┘   │
//!      │                            ▲                               │
//!   Gathering ── last part came ────┴───────────────────────────────┘
//! ```

use crate::mutant::Mutant;
use crate::order::{LinkKey, SessionKey};
use crate::place::Shards;
use crate::refusal::Refusal;
use crate::request::gather::{Gather, Join};
use crate::resp::write;
use crate::router::{Setup, Traffic};
use crate::session::Pause;
use crate::time::Time;

/// A gather that held more gives its memory back.
const GATHER_KEEP: usize = 16 << 10;

slotmap::new_key_type! {
    /// Names a request that is not answered yet.
    pub(crate) struct PendingKey;
}

/// A request that is not answered yet.
#[derive(Debug)]
pub(crate) struct Pending {
    session: SessionKey,
    /// The session's next request.
    next: Option<PendingKey>,
    arrived: Time,
    answer: Answer,
    /// Where it is being carried out, if its session has to wait for that, or it may have to go another way.
    busy: Shards,
    /// The link that is not read until it is this request's turn.
    parked: Option<LinkKey>,
}

impl Pending {
    /// Whose request it is.
    pub(crate) fn session(&self) -> SessionKey {
        self.session
    }

    /// Where it is being carried out, as far as somebody has to know.
    pub(crate) fn shards(&self) -> Shards {
        self.busy
    }

    /// Bytes of replies that wait here.
    pub(crate) fn bytes(&self) -> usize {
        match &self.answer {
            Answer::Awaited => 0,
            Answer::Gathering(gather) | Answer::Weaving(gather) => gather.bytes(),
            Answer::Ready(text) => text.capacity(),
        }
    }

    /// Memory of what is noted of it: whose it is, and the parts of it.
    pub(crate) fn record_bytes(&self) -> usize {
        let gather = match &self.answer {
            Answer::Gathering(gather) | Answer::Weaving(gather) => gather.record_bytes(),
            Answer::Awaited | Answer::Ready(_) => 0,
        };
        size_of::<Self>() + gather
    }
}

#[derive(Debug)]
enum Answer {
    Awaited,
    Gathering(Box<Gather>),
    /// All parts have begun; elements are handed on as they come.
    Weaving(Box<Gather>),
    Ready(Vec<u8>),
}

impl Traffic {
    /// Puts a request at the end of its session's order.
    pub(crate) fn push_pending(&mut self, session_key: SessionKey) -> PendingKey {
        let pending = Pending {
            session: session_key,
            next: None,
            arrived: self.now,
            answer: Answer::Awaited,
            busy: Shards::NONE,
            parked: None,
        };
        let key = self.pendings.insert(pending);
        let Some(session) = self.sessions.get_mut(session_key) else { return key };
        let before = session.last.replace(key);
        session.pending += 1;
        match before.and_then(|before| self.pendings.get_mut(before)) {
            Some(before) => before.next = Some(key),
            None => session.first = Some(key),
        }
        key
    }

    /// Has a session's later requests for these shards wait for this one, and says whether it has to wait
    /// itself. A request that is tried again or repeated may not be overtaken.
    pub(crate) fn must_take_turns(&mut self, setup: &Setup, key: SessionKey, shards: Shards) -> bool {
        let Some(session) = self.sessions.get_mut(key).filter(|_| setup.holds()) else { return false };
        let waits = session.busy.meets(shards) && !setup.mutation.is(Mutant::HoldOvertakes);
        if waits {
            session.paused = Some(Pause::Shard(shards));
        }
        waits
    }

    /// Notes where a request is carried out.
    pub(crate) fn occupy(&mut self, setup: &Setup, key: PendingKey, shards: Shards) {
        let Some(pending) = self.pendings.get_mut(key).filter(|_| setup.holds() || setup.has_peers()) else { return };
        pending.busy = shards;
        let session = self.sessions.get_mut(pending.session).filter(|_| setup.holds());
        session.into_iter().for_each(|session| session.busy = session.busy.with(shards));
    }

    /// Makes a request wait for several replies that become one.
    pub(crate) fn gather(&mut self, key: PendingKey, join: Join, parts: usize, order: &[u16]) {
        let mut gather = self.gathers.pop().unwrap_or_default();
        gather.order.clear();
        gather.order.extend_from_slice(order);
        gather.start(join, parts, self.upstreams.len());
        if let Some(pending) = self.pendings.get_mut(key) {
            pending.answer = Answer::Gathering(gather);
        }
    }

    /// Takes an upstream's reply, or a refusal in its place, for one part of a request.
    pub(crate) fn deliver(&mut self, setup: &Setup, key: PendingKey, part: u16, reply: &[u8]) {
        let Some(pending) = self.pendings.get_mut(key) else {
            self.stats.discarded_replies += 1;
            return;
        };
        match &mut pending.answer {
            Answer::Awaited if setup.mutation.is(Mutant::AnsweredTwice) && self.last_id.is_multiple_of(29) => {
                let session = pending.session;
                self.answer(setup, key, reply.len(), |out| out.extend_from_slice(reply));
                self.answer_new(setup, session, |out| out.extend_from_slice(reply));
            }
            Answer::Awaited => self.answer(setup, key, reply.len(), |out| out.extend_from_slice(reply)),
            Answer::Gathering(gather) => {
                if gather.accept(part, reply) {
                    self.join_parts(setup, key);
                }
            }
            Answer::Weaving(_) | Answer::Ready(_) => self.stats.discarded_replies += 1,
        }
    }

    /// All parts are there, or have begun.
    pub(crate) fn join_parts(&mut self, setup: &Setup, key: PendingKey) {
        let Some(pending) = self.pendings.get_mut(key) else { return };
        let Answer::Gathering(gather) = &mut pending.answer else { return };
        if gather.flows().next().is_none() || !gather.begin_weaving() {
            return self.finish_gather(setup, key);
        }
        if let Answer::Gathering(gather) = std::mem::replace(&mut pending.answer, Answer::Awaited) {
            pending.answer = Answer::Weaving(gather);
        }
        self.weaving.push(key);
    }

    /// The gather of a request that is answered part after part, and whether its elements are being handed on.
    pub(crate) fn gather_of(&mut self, key: PendingKey) -> Option<(&mut Gather, bool)> {
        match &mut self.pendings.get_mut(key)?.answer {
            Answer::Gathering(gather) => Some((gather, false)),
            Answer::Weaving(gather) => Some((gather, true)),
            _ => None,
        }
    }

    /// A link is gone before anything of the woven reply was handed on: it is gathered again.
    pub(crate) fn gather_again(&mut self, key: PendingKey, part: u16) {
        let Some(pending) = self.pendings.get_mut(key) else { return };
        match std::mem::replace(&mut pending.answer, Answer::Awaited) {
            Answer::Gathering(mut gather) | Answer::Weaving(mut gather) => {
                gather.dry_up(part);
                pending.answer = Answer::Gathering(gather);
            }
            other => pending.answer = other,
        }
    }

    /// The last element of a woven reply is handed on.
    pub(crate) fn finish_weaving(&mut self, setup: &Setup, key: PendingKey) {
        let Some(pending) = self.pendings.get_mut(key) else { return };
        if let Answer::Weaving(gather) = std::mem::replace(&mut pending.answer, Answer::Awaited) {
            self.keep_gather(gather);
        }
        let session = self.turn_of(key).map(|(session, ..)| session);
        self.answer(setup, key, 0, |_| {});
        // Nothing may be left to write, so nothing else would look after it.
        session.into_iter().for_each(|session| self.close_if_done(setup, session));
    }

    fn keep_gather(&mut self, gather: Box<Gather>) {
        self.unparked.extend(gather.flows());
        if self.gathers.len() < 64 && gather.bytes() <= GATHER_KEEP {
            self.gathers.push(gather);
        }
    }

    fn finish_gather(&mut self, setup: &Setup, key: PendingKey) {
        let Some(pending) = self.pendings.get_mut(key) else { return };
        let Answer::Gathering(mut gather) = std::mem::replace(&mut pending.answer, Answer::Awaited) else { return };
        if setup.mutation.is(Mutant::WrongGatherOrder) {
            gather.order.sort_unstable();
        }
        let mut refusal = None;
        self.answer(setup, key, gather.bytes(), |out| {
            if let Err(why) = gather.finish(out) {
                write::error(out, &why.text());
                refusal = Some(why);
            }
        });
        if let Some(why) = refusal {
            self.stats.refusals[why.kind()] += 1;
        }
        self.keep_gather(gather);
    }

    /// Answers a request: at once if it is its turn, else when those before it are answered. `len`: about how long
    /// the reply is.
    pub(crate) fn answer(&mut self, setup: &Setup, key: PendingKey, len: usize, reply: impl FnOnce(&mut Vec<u8>)) {
        let Some(pending) = self.pendings.get_mut(key) else { return };
        let session_key = pending.session;
        let Some(session) = self.sessions.get_mut(session_key) else { return };
        let busy = std::mem::take(&mut pending.busy);
        if !busy.is_empty() {
            session.busy = session.busy.without(busy);
            if matches!(session.paused, Some(Pause::Shard(wanted)) if !session.busy.meets(wanted)) {
                self.resumable.push(session_key);
            }
        }
        if session.first == Some(key) {
            self.buffers.provide_output(&mut session.out, len);
            reply(&mut session.out);
            self.retire(setup, session_key, key);
            self.hand_over_ready(setup, session_key);
            self.replied(setup, session_key);
        } else {
            let mut text = self.buffers.take(len);
            reply(&mut text);
            pending.answer = Answer::Ready(text);
        }
    }

    /// Answers a session's newest request without anyone else.
    pub(crate) fn answer_new(&mut self, setup: &Setup, session_key: SessionKey, reply: impl FnOnce(&mut Vec<u8>)) {
        let key = self.push_pending(session_key);
        self.answer(setup, key, 0, reply);
    }

    /// Answers a session's newest request with a refusal.
    pub(crate) fn refuse(&mut self, setup: &Setup, session: SessionKey, why: &Refusal) {
        self.stats.refusals[why.kind()] += 1;
        self.answer_new(setup, session, |out| write::error(out, &why.text()));
    }

    fn hand_over_ready(&mut self, setup: &Setup, session_key: SessionKey) {
        while let Some(session) = self.sessions.get_mut(session_key) {
            let Some(first) = session.first else { return };
            let Some(Answer::Ready(text)) = self.pendings.get_mut(first).map(|pending| &mut pending.answer) else {
                return;
            };
            session.out.extend_from_slice(text);
            let text = std::mem::take(text);
            self.buffers.give_back(text);
            self.retire(setup, session_key, first);
        }
    }

    /// Takes the session's first request out of the order.
    fn retire(&mut self, setup: &Setup, session_key: SessionKey, key: PendingKey) {
        let (Some(pending), Some(session)) = (self.pendings.get(key), self.sessions.get_mut(session_key)) else {
            return;
        };
        self.stats.count_latency(self.now.since(pending.arrived));
        self.stats.replies += 1;
        session.pending -= 1;
        session.first = pending.next;
        if let Some(next) = session.first {
            match self.pendings.get(next) {
                Some(Pending { answer: Answer::Weaving(_), .. }) => self.weaving.push(next),
                Some(pending) => self.unparked.extend(pending.parked),
                None => {}
            }
        } else {
            session.last = None;
        }
        if !setup.mutation.is(Mutant::LeakedSlot) {
            self.pendings.remove(key);
        }
    }

    /// The session's output has grown.
    fn replied(&mut self, setup: &Setup, session_key: SessionKey) {
        let Some(session) = self.sessions.get_mut(session_key) else { return };
        if session.first.is_none() {
            session.settling = false;
            self.release_lane_if_done(session_key);
        }
        self.order_session_write(session_key);
        self.resume_if_relieved(setup, session_key);
    }

    /// The session of a request that is still awaited, whether its reply may be handed on as it
    /// comes, and whether it is its turn.
    pub(crate) fn turn_of(&self, key: PendingKey) -> Option<(SessionKey, bool, bool)> {
        let pending = self.pendings.get(key)?;
        let session = self.sessions.get(pending.session)?;
        match pending.answer {
            Answer::Ready(_) => None,
            Answer::Gathering(_) | Answer::Weaving(_) => Some((pending.session, false, session.first == Some(key))),
            Answer::Awaited => Some((pending.session, true, session.first == Some(key))),
        }
    }

    /// Leaves a reply in its link until it is its turn.
    pub(crate) fn park(&mut self, link_key: LinkKey, key: PendingKey) {
        if let (Some(link), Some(pending)) = (self.links.get_mut(link_key), self.pendings.get_mut(key)) {
            link.parked = true;
            pending.parked = Some(link_key);
        }
    }

    /// Has a request's session wait for its own requests before it is read again.
    pub(crate) fn settle_first(&mut self, key: PendingKey) {
        let session = self.pendings.get(key).map(|pending| pending.session);
        if let Some(session) = session.and_then(|session| self.sessions.get_mut(session)) {
            session.settling = true;
        }
    }

    /// Forgets all requests of a session that is gone; their replies are discarded when they come.
    pub(crate) fn forget_pending(&mut self, first: Option<PendingKey>) {
        let mut next = first;
        while let Some(pending) = next.and_then(|key| self.pendings.remove(key)) {
            next = pending.next;
            self.unparked.extend(pending.parked);
            if let Answer::Gathering(gather) | Answer::Weaving(gather) = pending.answer {
                self.keep_gather(gather);
            }
        }
    }
}
