//! Requests of which the rest is not wanted: it is skipped, never held.

use crate::command;
use crate::large::bulk::Cut;
use crate::mutant::Mutant;
use crate::order::{End, Order, SessionKey};
use crate::refusal::Refusal;
use crate::request::plan;
use crate::resp::{self, RequestScan};
use crate::router::{Setup, Traffic};

impl Traffic {
    /// Skips what is missing of the argument that is arriving, and whatever follows it in its request.
    pub(crate) fn skip_rest(&mut self, setup: &Setup, key: SessionKey, scan: &mut RequestScan, missing: usize) {
        let last = scan.pass_argument();
        if let Some(session) = self.sessions.get_mut(key) {
            session.discarding = !last;
        }
        self.tell_lane(key);
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

    /// The link to which a request, or the transaction it is in, was passing is lost: what is still to come of the
    /// request is skipped, `missing` of it at once, and EXEC will carry nothing out.
    pub(crate) fn discard_lost(&mut self, setup: &Setup, key: SessionKey, missing: Option<u64>) {
        self.doom_transaction(setup, key);
        missing.into_iter().for_each(|bytes| self.order_bytes(End::Session(key), Order::Skip { bytes }));
    }

    /// Skips what is here of a request that is not wanted, and orders the rest of what is arriving to be skipped.
    pub(crate) fn discard_more(
        &mut self,
        setup: &Setup,
        key: SessionKey,
        scan: &mut RequestScan,
        bytes: &[u8],
        need: usize,
    ) -> Cut {
        if scan.arriving().is_some() {
            self.skip_rest(setup, key, scan, need - bytes.len());
            return Cut::Taken;
        }
        if let Some(session) = self.sessions.get_mut(key) {
            session.discarding = true;
        }
        Cut::Passed(scan.pass_whole())
    }

    /// A request above the limit.
    pub(crate) fn refuse_request(&mut self, setup: &Setup, key: SessionKey) {
        self.doom_transaction(setup, key);
        self.refuse(setup, key, &Refusal::RequestTooLong(setup.limits.request_max));
    }

    /// Says why a request is refused of which too much would have to be held.
    pub(crate) fn refuse_head(&mut self, setup: &Setup, key: SessionKey, scan: &RequestScan, bytes: &[u8]) {
        let max = setup.limits.request_buffer_max;
        let why = self.trouble_of_head(setup, key, scan, bytes).unwrap_or(Refusal::WholeTooLong(max));
        self.doom(setup, key, &why);
    }

    /// What is wrong with a request as far as it is known: it is no command, its keys live apart, or are too long.
    fn trouble_of_head(&mut self, setup: &Setup, key: SessionKey, scan: &RequestScan, bytes: &[u8]) -> Option<Refusal> {
        let head = scan.head(bytes).filter(|head| !head.spans.is_empty())?;
        let id = match setup.table.resolve(&head) {
            Ok(id) => id,
            Err(why) => {
                let mut text = Vec::new();
                why.write(&setup.table, &head, &mut text);
                return Some(Refusal::AsRedis(String::from_utf8_lossy(resp::line(&text)).into_owned().into()));
            }
        };
        let (spec, any) = (setup.table.spec(id), self.any_shard(setup, key));
        let mut scratch = std::mem::take(&mut self.scratch);
        let known = command::keys_known(spec, &head, &mut scratch.positions);
        let denied = known.then(|| self.admission(setup, key, id, &head).err()).flatten();
        let arriving = scratch.positions.contains(&(head.spans.len() as u32));
        let too_long = arriving && scan.arriving().is_some_and(|size| size > setup.limits.key_max);
        let why = match known.then(|| plan::plan(setup, spec, &head, any, &mut scratch)) {
            Some(Ok(_)) => Some(Refusal::SplitTooLong(setup.limits.request_buffer_max)),
            Some(Err(why)) => Some(why),
            None => too_long.then_some(Refusal::KeyTooLong(setup.limits.key_max)),
        };
        self.scratch = scratch;
        denied.or(why)
    }
}
