//! Requests of which the rest is not wanted: it is skipped, never held.

use crate::mutant::Mutant;
use crate::order::{End, Order, SessionKey};
use crate::refusal::Refusal;
use crate::resp::RequestScan;
use crate::router::{Setup, Traffic};
use crate::stats::CloseReason;

impl Traffic {
    /// Skips what is missing of the argument that is arriving, and whatever follows it in its request.
    pub(crate) fn skip_rest(&mut self, setup: &Setup, key: SessionKey, scan: &mut RequestScan, missing: usize) {
        let last = scan.pass_argument();
        if let Some(session) = self.sessions.get_mut(key) {
            session.discarding = !last;
        }
        let bytes = missing as u64 + u64::from(setup.mutation.is(Mutant::MiscountedSkip));
        self.order_bytes(End::Session(key), Order::Skip { bytes });
    }

    /// Whether the rest of the request that is arriving is not wanted.
    pub(crate) fn is_discarding(&self, key: SessionKey) -> bool {
        self.sessions.get(key).is_some_and(|session| session.discarding)
    }

    pub(crate) fn end_discarding(&mut self, key: SessionKey) {
        if let Some(session) = self.sessions.get_mut(key) {
            session.discarding = false;
        }
    }

    /// Refuses a request above the limit without ever holding it; if its end is not known, closes the session.
    pub(crate) fn skip_request(&mut self, setup: &Setup, key: SessionKey, scan: &mut RequestScan, missing: usize) {
        self.refuse_request(setup, key);
        if scan.is_last_argument() {
            self.skip_rest(setup, key, scan, missing);
        } else {
            scan.restart();
            self.finish_session(setup, key, CloseReason::TooLong);
        }
    }

    pub(crate) fn refuse_request(&mut self, setup: &Setup, key: SessionKey) {
        self.doom_transaction(key);
        self.refuse(setup, key, &Refusal::RequestTooLong(setup.limits.request_max));
    }
}
