//! A framed link at the end that accepted it: a session that carries sessions.
//!
//! ```text
//!   proxy below ══ frames ══► framed session ──► carried session ──► requests, as any session's
//!               ◄═ frames ══                 ◄── its output, as far as there is credit
//! ```
//!
//! A carried session has no connection: what it would read comes out of frames, and waits in its inbox while it is not
//! to be read; what it would write becomes frames. Otherwise it is a session as any other.

use std::collections::BTreeMap;

use crate::mutant::Mutant;
use crate::order::{End, Notice, Order, Output, SessionKey};
use crate::peer::carrier::{Carrier, FILL, Grant};
use crate::peer::frame::{self, FrameError, FrameReader, Piece, StreamId};
use crate::peer::greeting::{LinkName, Peer};
use crate::peer::hello::own_grant;
use crate::peer::lease::lease;
use crate::peer::ledger::Ledger;
use crate::router::{Setup, Traffic};
use crate::session::Session;
use crate::stats::CloseReason;
use crate::time::Time;

/// What a framed session carries.
#[derive(Debug)]
pub(crate) struct Accepted {
    pub(crate) carrier: Carrier<SessionKey>,
    pub(crate) peer: Peer,
    /// Until then what it has asked for may be sent.
    pub(crate) lease: Time,
    /// By what the other end claims it when its connection is lost.
    pub(crate) name: LinkName,
    /// What has gone over it.
    pub(crate) ledger: Ledger,
    /// Bytes to be written first that are no frames.
    pub(crate) prelude: usize,
    /// It has no connection; it waits for another one until this time.
    pub(crate) severed: Option<Time>,
    /// Where the frames began that came last; see [`Mutant::PositionIgnored`].
    mark: u64,
}

impl Accepted {
    /// Frames that came last count as not come.
    pub(crate) fn forget_last(&mut self) {
        self.ledger.forget_since(self.mark);
        self.carrier.reader = FrameReader::default();
    }

    /// Bytes have come, and are yet to be read.
    fn note_received(&mut self, bytes: usize) {
        if self.carrier.reader.is_between_frames() {
            self.mark = self.ledger.received();
        }
        self.ledger.note_received(bytes).into_iter().for_each(|come| self.carrier.tell_come(come));
    }

    /// These bytes were written.
    pub(crate) fn note_written(&mut self, bytes: &[u8]) {
        let first = self.prelude.min(bytes.len());
        self.prelude -= first;
        self.ledger.sent(&bytes[first..]);
    }

    /// How many streams are open.
    pub(crate) fn open_streams(&self) -> usize {
        self.carrier.open_streams()
    }
}

impl Traffic {
    /// Makes a framed link of a session, whose hello is answered.
    pub(crate) fn become_framed(
        &mut self,
        setup: &Setup,
        key: SessionKey,
        (peer, name): (Peer, LinkName),
        grant: Grant,
    ) {
        let Some(session) = self.sessions.get_mut(key) else { return };
        let carrier = Carrier::new(own_grant(&setup.limits), grant);
        self.outputs.push_back(Output::Notice(Notice::PeerCame(peer.node.clone())));
        let lease = self.now.after(lease(&setup.limits));
        let (ledger, prelude) = (Ledger::new(setup.limits.resume_max), session.reply_bytes());
        let accepted = Accepted { carrier, peer, lease, name, ledger, prelude, severed: None, mark: 0 };
        session.framed = Some(Box::new(accepted));
        self.accepted.push(key);
    }

    /// Whether a session carries others.
    pub(crate) fn is_framed(&self, key: SessionKey) -> bool {
        self.sessions.get(key).is_some_and(|session| session.framed.is_some())
    }

    /// Whether a framed session has no connection.
    pub(crate) fn is_severed(&self, key: SessionKey) -> bool {
        self.sessions.get(key).and_then(|session| session.framed.as_ref()).is_some_and(|it| it.severed.is_some())
    }

    pub(super) fn accepted(&mut self, key: SessionKey) -> Option<&mut Accepted> {
        self.sessions.get_mut(key)?.framed.as_deref_mut()
    }

    /// Reads what the proxy below sent.
    pub(crate) fn frames_from_below(&mut self, setup: &Setup, key: SessionKey, mut bytes: &[u8]) {
        let Some(accepted) = self.accepted(key) else { return };
        accepted.note_received(bytes.len());
        let mut reader = std::mem::take(&mut accepted.carrier.reader);
        let outcome = loop {
            match reader.next(&mut bytes) {
                Ok(None) => break Ok(()),
                Ok(Some(piece)) => {
                    if let Err(error) = self.take_from_below(setup, key, piece) {
                        break Err(error);
                    }
                }
                Err(error) => break Err(error),
            }
        };
        if let Some(accepted) = self.accepted(key) {
            accepted.carrier.reader = reader;
        }
        match outcome.and_then(|()| self.demand_taken(setup, key)) {
            Ok(()) => self.order_frames(key),
            Err(_) if setup.mutation.is(Mutant::BrokenFramesPass) => {}
            Err(error) => {
                let node = self.accepted(key).map(|accepted| accepted.peer.node.clone()).unwrap_or_default();
                self.outputs.push_back(Output::Notice(Notice::PeerBroke(node, error.to_string())));
                self.stats.protocol_errors += 1;
                self.close_session_now(setup, key, CloseReason::Protocol);
            }
        }
    }

    fn take_from_below(&mut self, setup: &Setup, key: SessionKey, piece: Piece<'_>) -> Result<(), FrameError> {
        let Some(accepted) = self.accepted(key) else { return Ok(()) };
        match piece {
            Piece::Data(id, bytes) => self.data_from_below(setup, key, id, bytes),
            Piece::Deadline(id, micros) => {
                if let Some(carried) = self.carried_session(setup, key, id)? {
                    self.hurry_session(carried, Time::from_micros(micros));
                }
                Ok(())
            }
            Piece::Credit(StreamId(0), bytes) => {
                accepted.carrier.add_credit(bytes);
                Ok(())
            }
            Piece::Credit(id, bytes) => {
                if let Some(carried) = accepted.carrier.here(id)? {
                    if let Some(end) = self.sessions.get_mut(carried).and_then(|session| session.carried.as_mut()) {
                        end.credit = end.credit.saturating_add(bytes);
                    }
                    self.queue_session(carried);
                }
                Ok(())
            }
            Piece::Close(id) => {
                if let Some(carried) = accepted.carrier.closed(id)? {
                    if let Some(end) = self.sessions.get_mut(carried).and_then(|session| session.carried.as_mut()) {
                        end.id = None;
                    }
                    self.session_lost(setup, carried);
                }
                Ok(())
            }
            Piece::Come(bytes) => {
                accepted.ledger.acknowledged(bytes);
                Ok(())
            }
            Piece::Note(note) => {
                self.note_from_below(setup, key, note);
                Ok(())
            }
            // It is said to who sends a value, and values of replies have none; nor does anybody below refuse a stream.
            Piece::Lane(_) | Piece::Refused(..) => Err(FrameError::Unknown),
        }
    }

    fn data_from_below(
        &mut self,
        setup: &Setup,
        key: SessionKey,
        id: StreamId,
        bytes: &[u8],
    ) -> Result<(), FrameError> {
        let carried = self.carried_session(setup, key, id)?;
        let carried = carried.filter(|carried| self.sessions.contains_key(*carried));
        let Some(carried) = carried else {
            if let Some(accepted) = self.accepted(key) {
                accepted.carrier.received::<SessionKey>(None, bytes.len())?;
                accepted.carrier.taken::<SessionKey>(None, bytes.len() as u64);
            }
            return Ok(());
        };
        let Some([session, other]) = self.sessions.get_disjoint_mut([key, carried]) else { return Ok(()) };
        let (Some(accepted), Some(end)) = (&mut session.framed, &mut other.carried) else { return Ok(()) };
        accepted.carrier.received(Some(end), bytes.len())?;
        if end.inbox.is_empty() && self.wants_bytes(setup, carried) {
            self.carried_bytes(setup, carried, bytes);
        } else if let Some(end) = self.sessions.get_mut(carried).and_then(|session| session.carried.as_mut()) {
            end.inbox.buffer().extend_from_slice(bytes);
        }
        Ok(())
    }

    /// A carried session reads what has come for it.
    fn carried_bytes(&mut self, setup: &Setup, carried: SessionKey, bytes: &[u8]) {
        let Some(end) = self.sessions.get_mut(carried).and_then(|session| session.carried.as_mut()) else { return };
        let carrier = end.carrier;
        let skipped = end.skipped(bytes.len());
        let kept = if setup.mutation.is(Mutant::CreditLeak) { bytes.len().min(4) } else { 0 };
        if skipped < bytes.len() {
            self.session_bytes(setup, carried, &bytes[skipped..]);
        }
        // If the session is gone, so is what it owed.
        let Some([session, other]) = self.sessions.get_disjoint_mut([carrier, carried]) else { return };
        if let (Some(accepted), Some(end)) = (&mut session.framed, &mut other.carried) {
            accepted.carrier.taken(Some(end), (bytes.len() - kept) as u64);
        }
        self.order_frames(carrier);
    }

    /// A carried session may be read again.
    pub(crate) fn revive(&mut self, setup: &Setup, carried: SessionKey) {
        while self.wants_bytes(setup, carried) {
            let Some(end) = self.sessions.get_mut(carried).and_then(|session| session.carried.as_mut()) else { return };
            let mut inbox = std::mem::take(&mut end.inbox);
            let bytes = inbox.rest().len().min(frame::PAYLOAD_MAX);
            if bytes == 0 {
                return;
            }
            self.carried_bytes(setup, carried, &inbox.rest()[..bytes]);
            inbox.take(bytes);
            inbox.shrink();
            if let Some(end) = self.sessions.get_mut(carried).and_then(|session| session.carried.as_mut()) {
                end.inbox = inbox;
            }
        }
    }

    /// What comes on a stream from now on is not to be sent on after `until`.
    fn hurry_session(&mut self, carried: SessionKey, until: Time) {
        let Some(session) = self.sessions.get_mut(carried) else { return };
        // Its EXEC may come in a later frame than what is queued, with a request behind it.
        let between = session.between_requests() && session.held.is_none();
        let Some(end) = &mut session.carried else { return };
        // What is there already keeps its own time, so all of it has the earlier one.
        let waiting = !between || !end.inbox.is_empty();
        end.latest = if waiting { end.latest.min(until) } else { until };
    }

    /// A session has output: its driver is to write it, or it is to become frames.
    pub(crate) fn order_session_write(&mut self, key: SessionKey) {
        let Some(session) = self.sessions.get_mut(key) else { return };
        if session.carried.is_some() {
            return self.queue_session(key);
        }
        if !std::mem::replace(&mut session.dirty, true) {
            self.outputs.push_back(Output::Order(End::Session(key), Order::Inject));
        }
    }

    fn queue_session(&mut self, carried: SessionKey) {
        self.queue_again(carried, false);
    }

    fn queue_again(&mut self, carried: SessionKey, much: bool) {
        let Some(session) = self.sessions.get_mut(carried) else { return };
        let unsent = session.reply_bytes() > 0;
        let Some(key) = session.carried.as_ref().filter(|end| unsent && end.id.is_some()).map(|end| end.carrier) else {
            return;
        };
        let Some([session, other]) = self.sessions.get_disjoint_mut([key, carried]) else { return };
        let (Some(accepted), Some(end)) = (&mut session.framed, &mut other.carried) else { return };
        self.grown |= accepted.severed.is_some();
        if !accepted.carrier.may_send(end, much) || std::mem::replace(&mut end.queued, true) {
            return;
        }
        accepted.carrier.queue_again(carried, much);
        self.order_frames(key);
    }

    /// What a carried session is in the middle of has a lane, or is skipped: all of it may come.
    pub(crate) fn tell_lane(&mut self, carried: SessionKey) {
        let end = self.sessions.get(carried).and_then(|session| session.carried.as_ref());
        let Some((carrier, id)) = end.and_then(|end| Some((end.carrier, end.id?))) else { return };
        self.accepted(carrier).into_iter().for_each(|accepted| accepted.carrier.tell_lane(id));
        self.order_frames(carrier);
    }

    /// Has a framed session written, if there is something to write and a connection.
    pub(crate) fn order_frames(&mut self, key: SessionKey) {
        let writes = |accepted: &Accepted| accepted.carrier.has_more() && accepted.severed.is_none();
        if self.sessions.get(key).and_then(|session| session.framed.as_deref()).is_some_and(writes)
            && let Some(session) = self.sessions.get_mut(key)
            && !std::mem::replace(&mut session.dirty, true)
        {
            self.outputs.push_back(Output::Order(End::Session(key), Order::Inject));
        }
    }

    /// Says something to a proxy below about this one.
    pub(crate) fn note_below(&mut self, _setup: &Setup, key: SessionKey, note: &[u8]) {
        if let Some(accepted) = self.accepted(key) {
            accepted.carrier.note(note);
        }
        self.order_frames(key);
    }

    /// Makes frames of what carried sessions have to write, as far as there is credit.
    pub(crate) fn fill_session(&mut self, setup: &Setup, key: SessionKey) {
        while let Some(carried) = self.next_carried(key) {
            let amid = self.relays.inner_to(End::Session(carried)).is_some();
            let Some([session, other]) = self.sessions.get_disjoint_mut([key, carried]) else { continue };
            let much = session.has_much(other, amid);
            let bytes = session.write_frame(other, much);
            let wrong = setup.mutation.is(Mutant::StreamClosedEarly) && self.stats.replies.is_multiple_of(23);
            // Nothing written, too, says something: the other end takes nothing.
            self.session_written(setup, carried, bytes);
            if wrong && bytes > 0 {
                self.close_session_now(setup, carried, CloseReason::Quit);
            }
            self.requeue(carried, much);
        }
        if let Some(session) = self.sessions.get_mut(key) {
            session.take_control(&mut self.buffers);
        }
    }

    fn next_carried(&mut self, key: SessionKey) -> Option<SessionKey> {
        let session = self.sessions.get_mut(key)?;
        session.take_control(&mut self.buffers);
        let room = session.reply_bytes() < FILL;
        session.framed.as_mut().filter(|_| room)?.carrier.next_ready()
    }

    fn requeue(&mut self, carried: SessionKey, much: bool) {
        if let Some(end) = self.sessions.get_mut(carried).and_then(|session| session.carried.as_mut()) {
            end.queued = false;
        }
        self.queue_again(carried, much);
    }

    /// A framed session has been written: there may be more to write.
    pub(crate) fn frames_written(&mut self, key: SessionKey) {
        if self.sessions.get(key).is_some_and(|session| session.reply_bytes() < FILL) {
            self.order_frames(key);
        }
    }

    /// A framed session is gone, and all that it carried.
    pub(crate) fn accepted_lost(&mut self, setup: &Setup, key: SessionKey, accepted: &Accepted) {
        self.accepted.retain(|other| *other != key);
        if accepted.severed.is_none() {
            self.outputs.push_back(Output::Notice(Notice::PeerLeft(accepted.peer.node.clone())));
        }
        let carried: Vec<SessionKey> = accepted.carrier.open().collect();
        for key in carried {
            self.session_lost(setup, key);
        }
    }

    /// A carried session is gone: its stream is closed.
    pub(crate) fn carried_lost(&mut self, end: &mut crate::peer::carrier::StreamEnd<SessionKey>) {
        let owed = end.window.owed();
        let (carrier, id) = (end.carrier, end.id.take());
        if let Some(accepted) = self.accepted(carrier) {
            accepted.carrier.taken::<SessionKey>(Some(end), owed);
            id.into_iter().for_each(|id| accepted.carrier.close(id));
        }
        self.order_frames(carrier);
    }

    /// Closes a framed session: the proxy below comes again.
    pub(crate) fn end_accepted(&mut self, setup: &Setup, key: SessionKey) {
        self.close_session_now(setup, key, CloseReason::Upstream);
    }

    /// The proxies below, each with how many links it has.
    pub(crate) fn below(&self) -> Vec<(String, usize)> {
        let accepted = self.accepted.iter().filter_map(|key| self.sessions.get(*key)?.framed.as_ref());
        let accepted = accepted.filter(|accepted| accepted.severed.is_none());
        tally(accepted.map(|accepted| accepted.peer.node.as_str()))
    }
}

/// How often each name comes.
pub(crate) fn tally<'a>(names: impl Iterator<Item = &'a str>) -> Vec<(String, usize)> {
    let mut counts = BTreeMap::<&str, usize>::new();
    names.for_each(|name| *counts.entry(name).or_default() += 1);
    counts.into_iter().map(|(name, count)| (name.to_owned(), count)).collect()
}

impl Session {
    /// Whether a carried session has much to write, as it has in the middle of a large value.
    fn has_much(&self, carried: &Self, amid: bool) -> bool {
        amid || self.framed.as_ref().is_some_and(|accepted| accepted.carrier.is_much(carried.reply_bytes()))
    }

    /// Appends a frame of what a carried session has to write, as far as there is credit; how many bytes of it.
    fn write_frame(&mut self, carried: &mut Self, much: bool) -> usize {
        let waiting = carried.reply_bytes();
        let (Some(accepted), Some(end)) = (&mut self.framed, &mut carried.carried) else { return 0 };
        let bytes = accepted.carrier.allowance(end, waiting, much);
        let Some(id) = end.id.filter(|_| bytes > 0) else { return 0 };
        accepted.carrier.spend(end, bytes);
        let start = carried.out.len() - waiting;
        frame::write_data(&mut self.out, id, None, &carried.out[start..start + bytes]);
        bytes
    }

    /// Appends the frames that go first.
    fn take_control(&mut self, buffers: &mut crate::pool::Pool) {
        if let Some(accepted) = &mut self.framed {
            buffers.provide_output(&mut self.out, 0);
            accepted.carrier.take_control(&mut self.out);
        }
    }
}
