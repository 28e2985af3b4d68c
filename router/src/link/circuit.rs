//! A link that was asked and says nothing: is it the network, the instance, or only a long command?
//!
//! ```text
//!             silent for probe_after             answered, and the link still silent
//!   Ready ──────────────────────────► Silent ─────────────────────────────────────► replaced
//!     ▲            heard of again        │ a fresh connection is tried again and again
//!     └──────────────────────────────────┘ (profile `redis`: it cannot be made: given up at once)
//! ```
//!
//! While it is silent nothing more is written to it, so that what is not sent can go another way. An instance
//! that is busy answers the fresh connection no sooner than the old one; a network that swallows packets lets
//! neither through, and when it is whole again the fresh connection is there within a pause, where the old
//! one waits for a retransmission that the kernel may have put off for minutes.

use crate::link::{Lane, Link, Stage, Standing};
use crate::loss::Loss;
use crate::mutant::Mutant;
use crate::order::{End, LinkKey, LossReason, Notice, Order, Output};
use crate::router::{Profile, Setup, Traffic};
use crate::time::Time;

/// This part of `probe_after` the silent link has to speak up once the fresh one was answered.
const GRACE_PART: u32 = 8;

impl Traffic {
    /// A link owes replies and has said nothing for too long.
    pub(crate) fn note_silence(&mut self, setup: &Setup, key: LinkKey) {
        if setup.mutation.is(Mutant::SilenceIsLoss) {
            return self.give_up(setup, key, Loss::Silent);
        }
        let Some(link) = self.links.get_mut(key) else { return };
        link.stage = Stage::Silent;
        let index = link.upstream;
        self.stats.silences += 1;
        self.try_candidate(setup, index);
    }

    /// A silent link was heard of: all is well.
    pub(crate) fn end_silence(&mut self, key: LinkKey) {
        let Some(link) = self.links.get_mut(key) else { return };
        link.stage = Stage::Ready;
        let index = link.upstream;
        self.order_write(key);
        self.drop_candidate(index);
        self.tell_end_of_trouble(index);
    }

    /// Tells the operator that an upstream answers again, if it was said not to.
    fn tell_end_of_trouble(&mut self, index: usize) {
        if !std::mem::take(&mut self.upstreams[index].trouble).is_empty() {
            self.outputs.push_back(Output::Notice(Notice::UpstreamReady(index)));
        }
    }

    /// The fresh connection is not needed.
    pub(crate) fn drop_candidate(&mut self, index: usize) {
        if let Some(candidate) = self.upstreams[index].candidate.take() {
            self.links.remove(candidate);
            self.outputs.push_back(Output::CloseLink(candidate));
        }
    }

    /// Opens a fresh connection beside a silent link, unless there is one.
    fn try_candidate(&mut self, setup: &Setup, index: usize) {
        if self.upstreams[index].candidate.is_some() {
            return;
        }
        let mut link = Link::new(index, Lane::Shared, self.now).keeping(setup.holds());
        link.standing = Standing::Candidate;
        let key = self.links.insert(link);
        self.upstreams[index].candidate = Some(key);
        self.connect_if_due(setup, key);
    }

    /// The fresh connection came to nothing: another one is tried.
    pub(crate) fn candidate_lost(&mut self, setup: &Setup, key: LinkKey, loss: Loss) {
        let Some(lost) = self.links.remove(key) else { return };
        let index = lost.upstream;
        self.upstreams[index].candidate = None;
        let shared = self.upstreams[index].shared;
        let unreachable = matches!(lost.stage, Stage::Connecting(_));
        if setup.profile == Profile::Redis && unreachable {
            return self.give_up(setup, shared, loss);
        }
        // Silence alone may be a long command; but now the way there is lost, or the instance takes nobody.
        self.tell_trouble(index, loss.text());
        // A dial that came to nothing has taken its time; a refusal came at once.
        let refused = matches!(loss, Loss::Outside(LossReason::Unreachable));
        let pause = if refused { setup.limits.reconnect_max / 2 } else { setup.limits.reconnect_min };
        let mut link = Link::new(index, Lane::Shared, self.now.after(pause)).keeping(setup.holds());
        link.standing = Standing::Candidate;
        self.upstreams[index].candidate = Some(self.links.insert(link));
    }

    /// The fresh connection was answered some time ago, and the old one is still silent.
    pub(crate) fn promote_candidate(&mut self, setup: &Setup, key: LinkKey) {
        let Some(link) = self.links.get_mut(key) else { return };
        link.standing = Standing::Serving;
        let index = link.upstream;
        self.upstreams[index].candidate = None;
        let silent = self.upstreams[index].shared;
        self.outputs.push_back(Output::CloseLink(silent));
        self.replace(setup, silent, Some(key), Loss::Replaced);
        self.tell_end_of_trouble(index);
        self.order_write(key);
    }

    /// Has a link's batch written, unless that is ordered or must wait.
    pub(crate) fn order_write(&mut self, key: LinkKey) {
        let Some(link) = self.links.get_mut(key) else { return };
        if link.lane == Lane::Stream {
            return self.queue_stream(key);
        }
        let may = if link.lane == Lane::Framed { link.is_met() } else { link.is_ready() };
        if may && link.has_output() && !std::mem::replace(&mut link.dirty, true) {
            self.outputs.push_back(Output::Order(End::Link(key), Order::Inject));
        }
    }
}

impl Link {
    /// When it counts as silent; of a candidate, when it takes the silent link's place.
    pub(crate) fn silence_due(&self, setup: &Setup) -> Option<Time> {
        let after = setup.limits.probe_after;
        // Without a badge it could not be fenced, and what it has might be carried out any time.
        let owes = self.lane == Lane::Shared && self.badge.is_some() && self.batch.front().is_some();
        let owes = owes && !setup.mutation.is(Mutant::SilenceUnnoticed);
        match (self.stage, self.standing) {
            (Stage::Ready, Standing::Candidate) => Some(self.heard.after(after / GRACE_PART)),
            (Stage::Ready, Standing::Serving) if owes => Some(self.heard.after(after)),
            _ => None,
        }
    }
}
