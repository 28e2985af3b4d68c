//! Streams that the other end opens: taken in, or refused.
//!
//! ```text
//!   opening end                                       accepting end
//!   requests of a session ── first frame ──► room? ── yes ──► a carried session
//!      ▲        │                              │
//!      │        ▼                              no: nothing of it is carried out
//!      └─ again after a pause (`pdwfs`), ◄── REFUSED, with the reason
//!         or its client hears the reason
//! ```

use crate::link::Link;
use crate::link::part::Unit;
use crate::mutant::Mutant;
use crate::order::{LinkKey, SessionKey};
use crate::peer::carrier::Lead;
use crate::peer::frame::{FrameError, StreamId};
use crate::refusal::Refusal;
use crate::resp::write;
use crate::router::{Setup, Traffic};

impl Traffic {
    /// The session of a stream, which begins with the stream's first frame; `None` if it is gone, or was refused.
    ///
    /// # Errors
    /// The number cannot be.
    pub(crate) fn carried_session(
        &mut self,
        setup: &Setup,
        key: SessionKey,
        id: StreamId,
    ) -> Result<Option<SessionKey>, FrameError> {
        let Some(accepted) = self.accepted(key) else { return Ok(None) };
        match accepted.carrier.lead(id)? {
            Some(Lead::Here(carried)) => Ok(Some(carried)),
            Some(Lead::Gone) => Ok(None),
            None => Ok(self.take_stream_in(setup, key, id)),
        }
    }

    /// Makes a session of a new stream, if there is room for one.
    fn take_stream_in(&mut self, setup: &Setup, key: SessionKey, id: StreamId) -> Option<SessionKey> {
        let refusal = self.why_no_stream(setup, key);
        let accepted = self.accepted(key)?;
        if let Some(why) = refusal {
            accepted.carrier.refuse(id, &why.text());
            self.stats.refusals[why.kind()] += 1;
            return None;
        }
        let end = accepted.carrier.new_end(key, Some(id));
        let carried = self.open_carried(end);
        self.accepted(key)?.carrier.admit(id, carried);
        Some(carried)
    }

    /// Why a framed link may not have one more stream. One that has more than its share leaves none to others.
    fn why_no_stream(&self, setup: &Setup, key: SessionKey) -> Option<Refusal> {
        let open = self.sessions.get(key)?.framed.as_ref()?.open_streams();
        if open >= setup.limits.streams_max && !setup.mutation.is(Mutant::StreamsUnbounded) {
            return Some(Refusal::TooManyStreams(setup.limits.streams_max));
        }
        self.has_no_room(setup, self.sessions.len() + 1).then_some(Refusal::TooManySessions)
    }

    /// The other end has refused a stream: nothing that was sent on it was carried out.
    pub(crate) fn stream_refused(&mut self, setup: &Setup, key: LinkKey, why: &[u8]) {
        self.forget_number(key);
        let mut said = Vec::new();
        write::error(&mut said, why);
        let Some(link) = self.lose_stream(setup, key, true) else { return };
        self.hand_back(setup, link, &said);
    }

    /// Requests that were refused are tried again where that is the rule; or else their clients hear why.
    fn hand_back(&mut self, setup: &Setup, mut link: Link, said: &[u8]) {
        for mut unit in link.batch.undone() {
            if !unit.is_wanted() {
                self.refuse_unit(setup, unit, &Refusal::NotSent);
            } else if unit.was_tried() {
                self.refuse_unit(setup, unit, &Refusal::OutcomeUnknown);
            } else {
                unit.said = unit.parts.iter().map(|_| said.to_vec()).collect();
                self.try_unit_later(setup, link.upstream, unit);
            }
        }
        self.look_again(link.owner);
    }

    fn try_unit_later(&mut self, setup: &Setup, index: usize, unit: Unit) {
        if self.may_try_later(setup, &unit) {
            self.stats.count_retry(unit.said.first().map_or(&[], Vec::as_slice));
            self.try_after_pause(setup, index, unit);
        } else {
            self.hand_on_said(setup, unit);
        }
    }
}
