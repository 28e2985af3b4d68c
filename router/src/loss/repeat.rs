//! Requests that are sent again: what a lost link took with it, and what an instance could not do just now.
//!
//! ```text
//!          link lost, repeatable             fence confirmed
//!   sent ────────────────────────► Fenced ───────────────────┐
//!    │     trouble that passes                pause over     ▼
//!    └───────────────────────────► Pause ───────────────► batch of the upstream's link
//! ```
//!
//! Whatever waits here is answered at its deadline: with the instance's own error, or that the outcome is
//! unknown. Only under profile `pdwfs`, whose clients abort on an error; only requests of which all bytes are
//! there; and since a session has one request for a shard at a time, none of its later ones is overtaken.

use std::time::Duration;

use crate::command::{Repeat, Verdict};
use crate::link::part::{Fate, Part, Target, Unit};
use crate::mutant::Mutant;
use crate::order::LinkKey;
use crate::peer::lease::is_last_word;
use crate::refusal::Refusal;
use crate::resp::{RequestScan, Scanned};
use crate::router::{Setup, Traffic};
use crate::time::Time;

/// First pause before a request is tried again that an instance could not carry out.
const PAUSE_MIN: Duration = Duration::from_millis(20);
/// Doublings of that pause: it grows to 640 ms.
const DOUBLINGS: u8 = 5;

/// Errors that say "not now": nothing was carried out, and it may work later.
pub const TROUBLES: [&[u8]; 9] =
    [b"LOADING", b"BUSY", b"TRYAGAIN", b"MASTERDOWN", b"CLUSTERDOWN", b"READONLY", b"MISCONF", b"OOM", b"NOREPLICAS"];

/// What a request waits for before it is sent again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Until {
    /// The instance has confirmed that nothing of a lost link will be carried out any more.
    Fenced,
    /// This time.
    Pause(Time),
}

/// A request or transaction that will be sent again.
#[derive(Debug)]
pub(crate) struct Postponed {
    until: Until,
    deadline: Time,
    repeat: Repeat,
    unit: Unit,
}

impl Postponed {
    /// Memory of its bytes.
    pub(crate) fn bytes(&self) -> usize {
        self.unit.bytes()
    }

    fn due(&self) -> Time {
        match self.until {
            Until::Fenced => self.deadline,
            Until::Pause(until) => until.min(self.deadline),
        }
    }
}

impl Setup {
    /// Whether requests are kept and sent again rather than their clients told of a trouble.
    pub(crate) fn holds(&self) -> bool {
        self.profile == crate::Profile::Pdwfs && !self.mutation.is(Mutant::Unkept)
    }
}

impl Traffic {
    /// Puts the first request of a link aside if the instance's error passes; whether it did.
    pub(crate) fn try_again_later(&mut self, setup: &Setup, key: LinkKey, reply: &[u8]) -> bool {
        let Some(link) = self.links.get_mut(key).filter(|_| setup.holds()) else { return false };
        let any = Some(reply).filter(|reply| setup.mutation.is(Mutant::EveryErrorPasses) && reply.starts_with(b"-"));
        let Some(error) = trouble(link.batch.early(), reply).or(any) else { return false };
        let Some(part) = link.batch.front().filter(|part| part.whole && part.deadline > self.now) else { return false };
        if setup.has_peers() && is_last_word(part.deadline, self.now, &setup.limits) {
            return false;
        }
        if !link.batch.is_unit_wanted() || part.spool.is_some() && self.relays.of_link(key).is_some() {
            // Nobody waits for it, or an answer came before all of it was sent.
            return false;
        }
        let unknown = match part.spool {
            Some(spool) => self.spools.get(spool).is_none_or(|spool| spool.script),
            None => link.batch.unit_bytes().any(|bytes| verdict_of_bytes(setup, bytes).script),
        };
        if unknown {
            // Its error may be its own, when it has done something already.
            return false;
        }
        self.stats.count_retry(error);
        let mut said = link.batch.take_early();
        said.push(reply.to_vec());
        link.spool = None;
        let (index, unit) = (link.upstream, Unit { said, ..link.batch.take_unit() });
        self.try_after_pause(setup, index, unit);
        true
    }

    /// Whether a request or transaction that was not carried out may be tried again after a pause.
    pub(crate) fn may_try_later(&self, setup: &Setup, unit: &Unit) -> bool {
        let (deadline, now) = (unit.deadline(), self.now);
        setup.holds() && unit.is_whole() && deadline > now && !is_last_word(deadline, now, &setup.limits)
    }

    /// Puts aside what was not carried out: it is tried again after a pause.
    pub(crate) fn try_after_pause(&mut self, setup: &Setup, index: usize, unit: Unit) {
        let tries = unit.parts.first().map_or(0, |(part, _)| part.tries);
        let until = Until::Pause(self.now.after(self.pause_of_try(tries)));
        let deadline = unit.deadline().min(self.now.after(setup.limits.patience));
        self.postpone(index, Postponed { until, deadline, repeat: Repeat::Same, unit });
    }

    /// "Not now", or a peer's "not sent", is true of what was sent last. Of a request that was on a lost link before,
    /// nobody knows what became of it there: that is what its client is told, and the reply is for nobody.
    pub(crate) fn doubt_refusal(&mut self, setup: &Setup, key: LinkKey, reply: &[u8]) {
        let Some(link) = self.links.get_mut(key) else { return };
        let early = link.batch.early();
        // A peer has queued all of it, and was told "not now" by its instance.
        let aborted = reply.starts_with(b"-EXECABORT") && !early.iter().any(|reply| reply.starts_with(b"-"));
        let passes = trouble(early, reply).is_some() || aborted && setup.has_peers();
        let doubtful = |part: Part| part.tried && passes;
        if link.batch.front().is_some_and(doubtful) {
            let targets = link.batch.disown_unit();
            targets.into_iter().for_each(|target| self.deliver_refusal(setup, target, &Refusal::OutcomeUnknown));
        }
    }

    /// Doubles from try to try, with a random half so that not everybody comes back at once.
    fn pause_of_try(&mut self, tries: u8) -> Duration {
        let longest = PAUSE_MIN * (1 << tries.min(DOUBLINGS));
        let half = longest.as_micros() as u64 / 2;
        Duration::from_micros(half + self.random.below(half + 1))
    }

    fn postpone(&mut self, index: usize, mut postponed: Postponed) {
        postponed.unit.parts.iter_mut().for_each(|(part, _)| part.tries = part.tries.saturating_add(1));
        self.upstreams[index].postponed.push(postponed);
    }

    /// What was sent on a lost link and not answered: sent again, or its clients are told.
    pub(crate) fn repeat_lost(&mut self, setup: &Setup, index: usize, sent: Vec<Unit>) {
        for unit in sent {
            let repeat = if setup.holds() { self.repeat_of_unit(setup, &unit) } else { Repeat::Never };
            let fenceless = [Mutant::MissingFence, Mutant::MissingPeerFence].iter().any(|it| setup.mutation.is(*it));
            let at_once = fenceless || setup.mutation.is(Mutant::UnfencedSpool) && unit.spool().is_some();
            let upstream = &self.upstreams[index];
            let may_arrive = !upstream.unfenced.is_empty() || !upstream.lost.is_empty();
            let waits = may_arrive && !at_once;
            let deadline = unit.deadline().min(self.now.after(setup.limits.patience));
            let postponed = Postponed { until: Until::Fenced, deadline, repeat, unit };
            match repeat {
                Repeat::Never => self.refuse_unit(setup, postponed.unit, &Refusal::OutcomeUnknown),
                Repeat::Read => self.send_again(setup, index, postponed),
                Repeat::Same | Repeat::MayDiffer if waits => self.postpone(index, postponed),
                _ if at_once => self.send_again(setup, index, postponed),
                _ => self.refuse_unit(setup, postponed.unit, &Refusal::OutcomeUnknown),
            }
        }
    }

    /// Whether a request or transaction may be sent again though it may have been carried out.
    fn repeat_of_unit(&self, setup: &Setup, unit: &Unit) -> Repeat {
        if !unit.is_wanted() || !unit.is_whole() || self.now >= unit.deadline() {
            return Repeat::Never;
        }
        if setup.mutation.is(Mutant::RepeatedAnything) {
            return Repeat::Same;
        }
        if let Some(spool) = unit.spool() {
            return self.spools.get(spool).map_or(Repeat::Never, |spool| spool.repeat);
        }
        let each = unit.parts.iter().map(|(_, bytes)| verdict_of_bytes(setup, bytes).repeat);
        each.max().unwrap_or(Repeat::Never)
    }

    fn send_again(&mut self, setup: &Setup, index: usize, mut postponed: Postponed) {
        postponed.unit.hurry(postponed.deadline);
        if postponed.unit.said.is_empty() {
            self.stats.count_repeat(postponed.repeat);
        }
        self.bring_back(setup, self.upstreams[index].shared, postponed.unit);
    }

    /// Adds what was on another link to the batch of this one.
    pub(crate) fn bring_back(&mut self, setup: &Setup, key: LinkKey, unit: Unit) {
        if let Some(spool) = unit.spool() {
            return self.await_lane(setup, spool, unit);
        }
        let way = if setup.has_peers() { self.way_of_unit(setup, &unit) } else { Some(key) };
        let Some((key, link)) = way.and_then(|way| Some((way, self.links.get_mut(way)?))) else {
            let why = if unit.was_tried() { Refusal::OutcomeUnknown } else { Refusal::NotSent };
            return self.refuse_unit(setup, unit, &why);
        };
        if unit.parts.len() > 1 && link.is_ready() && !link.proof.multi && !setup.has_peers() {
            let why = if unit.was_tried() { Refusal::OutcomeUnknown } else { Refusal::TransactionsForbidden };
            return self.refuse_unit(setup, unit, &why);
        }
        link.batch.adopt(unit);
        self.order_write(key);
    }

    /// Whether something waits for a fence.
    pub(crate) fn awaits_fence(&self, index: usize) -> bool {
        self.upstreams[index].postponed.iter().any(|postponed| postponed.until == Until::Fenced)
    }

    /// Tells everybody who waits for a request or transaction.
    pub(crate) fn refuse_unit(&mut self, setup: &Setup, unit: Unit, why: &Refusal) {
        unit.targets().for_each(|target| self.deliver_refusal(setup, target, why));
        unit.spool().into_iter().for_each(|spool| self.close_spool(spool));
    }

    /// The instance has confirmed the fence, or will not (`confirmed`): then only reads may be sent again.
    pub(crate) fn release_fenced(&mut self, setup: &Setup, index: usize, confirmed: bool) {
        let waiting = std::mem::take(&mut self.upstreams[index].postponed);
        let (fenced, rest): (Vec<_>, Vec<_>) =
            waiting.into_iter().partition(|postponed| postponed.until == Until::Fenced);
        self.upstreams[index].postponed = rest;
        for postponed in fenced {
            if confirmed || postponed.repeat == Repeat::Read {
                self.send_again(setup, index, postponed);
            } else {
                self.refuse_unit(setup, postponed.unit, &Refusal::OutcomeUnknown);
            }
        }
    }

    /// Sends what has waited long enough, and answers what has waited too long.
    pub(crate) fn serve_postponed(&mut self, setup: &Setup, index: usize) {
        let now = self.now;
        while let Some(at) = self.upstreams[index].postponed.iter().position(|postponed| postponed.due() <= now) {
            let mut postponed = self.upstreams[index].postponed.remove(at);
            if setup.mutation.is(Mutant::RepeatAfterDeadline) {
                postponed.deadline = Time::NEVER;
                postponed.unit.parts.iter_mut().for_each(|(part, _)| part.deadline = Time::NEVER);
            }
            if postponed.deadline > now {
                self.send_again(setup, index, postponed);
            } else if postponed.unit.was_tried() {
                // Whatever the instance says now, it may have carried it out before.
                self.refuse_unit(setup, postponed.unit, &Refusal::OutcomeUnknown);
            } else {
                self.hand_on_said(setup, postponed.unit);
            }
        }
    }

    /// The patience is over: the client gets what the instance said.
    pub(crate) fn hand_on_said(&mut self, setup: &Setup, unit: Unit) {
        for (target, reply) in unit.targets().zip(&unit.said) {
            self.deliver_said(setup, target, reply);
        }
        unit.spool().into_iter().for_each(|spool| self.close_spool(spool));
    }

    /// Answers with an error that was to pass.
    fn deliver_said(&mut self, setup: &Setup, target: Target, reply: &[u8]) {
        self.stats.count_error(reply);
        if let Target::Request(pending, part) = target {
            self.deliver(setup, pending, part, reply);
        }
    }

    /// Tells whoever waits for a request whose time is up what is known of it.
    pub(crate) fn deliver_fate(&mut self, setup: &Setup, target: Target, fate: &Fate) {
        match fate {
            Fate::NotSent => self.deliver_refusal(setup, target, &Refusal::NotSent),
            Fate::Unknown => self.deliver_refusal(setup, target, &Refusal::OutcomeUnknown),
            Fate::Said(reply) => self.deliver_said(setup, target, reply),
        }
    }

    /// When the next request is due that waits to be sent again.
    pub(crate) fn next_postponed(&self) -> Option<Time> {
        let all = self.upstreams.iter().flat_map(|upstream| &upstream.postponed);
        all.map(Postponed::due).min()
    }
}

/// The error that passes, if that is what the reply, or the replies to a whole transaction, come to.
fn trouble<'r>(early: &'r [Vec<u8>], last: &'r [u8]) -> Option<&'r [u8]> {
    let errors = || early.iter().map(Vec::as_slice).filter(|reply| reply.starts_with(b"-"));
    match errors().next() {
        Some(first) => (last.starts_with(b"-") && errors().all(passes)).then_some(first),
        None => Some(last).filter(|last| passes(last)),
    }
}

/// Whether an error says that nothing was carried out and that it may work later.
fn passes(error: &[u8]) -> bool {
    let Some(text) = error.strip_prefix(b"-") else { return false };
    // "EXECABORT Transaction discarded because of: OOM ..."
    let reason = b"because of: ";
    let cause = memchr::memmem::find(text, reason).map(|at| &text[at + reason.len()..]);
    let cause = cause.filter(|_| text.starts_with(b"EXECABORT")).unwrap_or(text);
    let word = cause.split(|byte| matches!(byte, b' ' | b'\r')).next().unwrap_or_default();
    // Another proxy's word for the same.
    if text.strip_suffix(b"\r\n") == Some(&Refusal::NotSent.text()) {
        return true;
    }
    // What a script met, the script may have met half-way.
    TROUBLES.contains(&word) && memchr::memmem::find(text, b"script: ").is_none()
}

/// What becomes of a request when it is sent twice.
pub(crate) fn verdict_of_bytes(setup: &Setup, bytes: &[u8]) -> Verdict {
    let mut scan = RequestScan::new(setup.scan_limits());
    let Ok(Scanned::Request(len)) = scan.scan(bytes) else { return Verdict::never() };
    Verdict::of(&setup.table, &scan.request(&bytes[..len]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn troubles_that_pass_are_told_from_answers() {
        let passing = [
            "-LOADING Redis is loading the dataset in memory\r\n",
            "-OOM command not allowed when used memory > 'maxmemory'.\r\n",
            "-EXECABORT Transaction discarded because of: READONLY You can't write against a read only replica.\r\n",
            "-NOREPLICAS Not enough good replicas to write.\r\n",
        ];
        let answers = [
            "-NOSCRIPT No matching script. Please use EVAL.\r\n",
            "-BUSYGROUP Consumer Group name already exists\r\n",
            "-BUSYKEY Target key name already exists.\r\n",
            "-EXECABORT Transaction discarded because of previous errors.\r\n",
            "-OOM command not allowed when used memory > 'maxmemory'. script: 1f2a, on @user_script:1.\r\n",
            "-ERR LOADING\r\n",
            "+OK\r\n",
        ];
        assert!(passing.iter().all(|reply| passes(reply.as_bytes())));
        assert!(!answers.iter().any(|reply| passes(reply.as_bytes())));
    }

    #[test]
    fn a_transaction_is_tried_again_if_only_passing_troubles_aborted_it() {
        let early = |error: &str| [b"+OK\r\n".to_vec(), error.as_bytes().to_vec(), b"+QUEUED\r\n".to_vec()];
        let oom = early("-OOM command not allowed when used memory > 'maxmemory'.\r\n");
        let aborted = b"-EXECABORT Transaction discarded because of previous errors.\r\n";
        assert_eq!(trouble(&oom, aborted), Some(&*oom[1]));
        assert_eq!(trouble(&early("-ERR unknown command\r\n"), aborted), None);
        assert_eq!(trouble(&early("+QUEUED\r\n"), b"*1\r\n-OOM in the middle\r\n"), None);
    }
}
