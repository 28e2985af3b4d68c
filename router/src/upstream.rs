//! Upstreams and their links: opening, proving, losing, and what is due when.

use std::time::Duration;

use crate::link::{Lane, Link, Part, Stage, Target};
use crate::mutant::Mutant;
use crate::order::{End, LinkKey, LossReason, Notice, Order, Output, SessionKey};
use crate::pending::PendingKey;
use crate::place::Shard;
use crate::refusal::Refusal;
use crate::resp::{ReplyError, ReplyScan, write};
use crate::router::{Profile, Setup, Traffic};
use crate::stats::CloseReason;
use crate::time::Time;
use std::collections::VecDeque;

/// One configured target.
#[derive(Debug)]
pub(crate) struct Upstream {
    /// The link for small requests of all sessions.
    pub(crate) shared: LinkKey,
    /// The link for the proxy's own questions, opened when there is one.
    control: Option<LinkKey>,
    /// Attempts since it was last usable.
    pub(crate) failures: u32,
    /// Attempts to replace a lost link.
    pub(crate) reconnects: u64,
    /// What the operator was told last of why it is down.
    pub(crate) trouble: String,
    /// It lets us run MULTI, as far as we know.
    pub(crate) multi: bool,
    /// Sessions that are not read until the shared link's batch is shorter.
    waiting: Vec<SessionKey>,
    /// Links for one large value at a time.
    pub(crate) bulk: Vec<LinkKey>,
    /// Sessions that wait for one of these.
    pub(crate) bulk_waiting: VecDeque<SessionKey>,
    /// It refused a lane: none is opened before this time.
    pub(crate) bulk_rest: Time,
}

/// Why a link is given up.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Loss {
    Outside(LossReason),
    NotResp(ReplyError),
    UnaskedReply,
    Unusable,
    Silent,
    TooLate,
    Abandoned,
}

impl From<LossReason> for Loss {
    fn from(reason: LossReason) -> Self {
        Self::Outside(reason)
    }
}

impl Loss {
    fn text(self) -> String {
        match self {
            Self::Outside(LossReason::Unreachable) => {
                "no connection can be made; is it running at this address?".into()
            }
            Self::Outside(LossReason::Closed) => "it closed the connection".into(),
            Self::Outside(LossReason::Failed) => "reading or writing failed".into(),
            Self::NotResp(error) => error.to_string(),
            Self::UnaskedReply => "it sent a reply to nothing".into(),
            Self::Unusable => "it refuses PING (loading, or a password is needed)".into(),
            Self::Silent => "nothing arrived for limits.link_dead".into(),
            Self::Abandoned => "its session left in the middle of a request".into(),
            Self::TooLate => "it could not be connected and proven within limits.connect_timeout".into(),
        }
    }
}

impl Traffic {
    /// Adds the upstream of the next index.
    pub(crate) fn add_upstream(&mut self, index: usize) {
        let shared = self.links.insert(Link::new(index, Lane::Shared, self.now));
        self.upstreams.push(Upstream {
            shared,
            control: None,
            failures: 0,
            reconnects: 0,
            trouble: String::new(),
            multi: true,
            waiting: Vec::new(),
            bulk: Vec::new(),
            bulk_waiting: VecDeque::new(),
            bulk_rest: Time::default(),
        });
    }

    /// Whether an upstream answers, be it on a link that takes no more requests.
    pub(crate) fn answers(&self, index: usize) -> bool {
        self.links.values().any(|link| link.upstream == index && link.lane == Lane::Shared && link.is_ready())
    }

    /// Whether requests to an upstream travel at once.
    pub(crate) fn is_ready(&self, upstream: &Upstream) -> bool {
        self.links.get(upstream.shared).is_some_and(Link::is_ready)
    }

    /// Adds a request to the batch for a shard.
    pub(crate) fn send(&mut self, setup: &Setup, shard: Shard, target: Target, bytes: impl FnOnce(&mut Vec<u8>)) {
        let upstream = &self.upstreams[shard.index()];
        let mut key = upstream.shared;
        if setup.mutation.is(Mutant::ReorderOverPaths) && self.last_id.is_multiple_of(7) {
            key = self.control_link(setup, shard.index());
        }
        self.send_on(setup, key, target, bytes);
    }

    /// Adds a request to the batch of a link.
    pub(crate) fn send_on(&mut self, setup: &Setup, key: LinkKey, target: Target, bytes: impl FnOnce(&mut Vec<u8>)) {
        self.last_id += 1;
        let Some(link) = self.links.get(key) else { return };
        if setup.profile == Profile::Redis && self.is_failing(link) {
            return self.deliver_refusal(setup, target, &Refusal::NotSent);
        }
        let Some(link) = self.links.get_mut(key) else { return };
        link.append(self.last_id, target, self.now.after(setup.limits.patience), bytes);
        if link.is_ready() && !link.dirty {
            link.dirty = true;
            self.outputs.push_back(Output::Order(End::Link(key), Order::Inject));
        }
    }

    fn is_failing(&self, link: &Link) -> bool {
        matches!(link.stage, Stage::Down(_)) && self.upstreams[link.upstream].failures > 0
    }

    /// Whether a request for a shard is refused rather than kept until its upstream is there.
    pub(crate) fn fails_fast(&self, setup: &Setup, shard: Shard) -> bool {
        let link = self.links.get(self.upstreams[shard.index()].shared);
        setup.profile == Profile::Redis && link.is_some_and(|link| self.is_failing(link))
    }

    /// Ties the newest requests of a shard's batch together: all of them are sent, or none.
    pub(crate) fn unite_newest(&mut self, shard: Shard, count: usize) {
        if let Some(link) = self.links.get_mut(self.upstreams[shard.index()].shared) {
            link.unite(count);
        }
    }

    /// Whether a shard's batch is full; the session then waits until it is shorter.
    pub(crate) fn is_full(&mut self, setup: &Setup, shard: Shard, session: SessionKey) -> bool {
        let upstream = &mut self.upstreams[shard.index()];
        let full = self.links.get(upstream.shared).is_some_and(|link| link.unsent() >= setup.limits.link_output_max);
        if full {
            upstream.waiting.push(session);
        }
        full
    }

    /// Has a session looked at again when one of an upstream's batches is shorter.
    pub(crate) fn await_output(&mut self, upstream: usize, session: SessionKey) {
        self.upstreams[upstream].waiting.push(session);
    }

    /// The link for the proxy's own questions to an upstream.
    pub(crate) fn control_link(&mut self, setup: &Setup, upstream: usize) -> LinkKey {
        if let Some(key) = self.upstreams[upstream].control {
            return key;
        }
        let key = self.links.insert(Link::new(upstream, Lane::Control, self.now));
        self.upstreams[upstream].control = Some(key);
        self.connect_if_due(setup, key);
        key
    }

    pub(crate) fn connect_if_due(&mut self, setup: &Setup, key: LinkKey) {
        let Some(link) = self.links.get_mut(key) else { return };
        if matches!(link.stage, Stage::Down(when) if when <= self.now) {
            link.stage = Stage::Connecting(self.now.after(setup.limits.connect_timeout));
            self.outputs.push_back(Output::Connect(key, link.upstream));
        }
    }

    /// The connection is there: it is to prove itself before anything travels.
    pub(crate) fn link_connected(&mut self, setup: &Setup, key: LinkKey) {
        let Some(link) = self.links.get_mut(key) else { return };
        link.stage = Stage::Proving(self.now.after(setup.limits.connect_timeout));
        self.outputs.push_back(Output::Order(End::Link(key), Order::Inject));
    }

    /// Takes out of a link's batch what is past its deadline.
    pub(crate) fn drop_stale(&mut self, setup: &Setup, key: LinkKey) {
        if !setup.mutation.is(Mutant::StaleDeadline) {
            self.expire(setup, key);
        }
    }

    /// What is to be written to a link.
    pub(crate) fn link_output(&self, key: LinkKey) -> &[u8] {
        match self.links.get(key) {
            Some(link) if link.is_ready() => link.batch(),
            Some(link) if matches!(link.stage, Stage::Proving(_)) => &self.probe[link.proof.written..],
            _ => &[],
        }
    }

    /// So many bytes of a link's output are written.
    pub(crate) fn link_written(&mut self, setup: &Setup, key: LinkKey, bytes: usize) {
        let Some(link) = self.links.get_mut(key) else { return };
        self.stats.bytes.to_upstreams += bytes as u64;
        if !link.is_ready() {
            link.proof.written += bytes;
            return;
        }
        let requests = link.wrote(bytes, self.now);
        if requests > 0 {
            self.stats.batch.observe(requests);
        }
        self.relieve(setup, key);
    }

    /// Has sessions read again that waited for a link's batch to become shorter, if it has.
    fn relieve(&mut self, setup: &Setup, key: LinkKey) {
        let Some(link) = self.links.get(key) else { return };
        if link.unsent() <= setup.limits.link_output_max / 2 {
            self.resumable.append(&mut self.upstreams[link.upstream].waiting);
        }
    }

    /// Reads what an upstream sent.
    pub(crate) fn link_bytes(&mut self, setup: &Setup, key: LinkKey, bytes: &[u8]) {
        let Some(link) = self.links.get_mut(key) else { return };
        link.heard = self.now;
        self.stats.bytes.from_upstreams += bytes.len() as u64;
        self.take_in(setup, bytes.len());
        let Some(link) = self.links.get_mut(key) else { return };
        let (mut kept, read) = link.take_reply();
        let mut scan = std::mem::take(&mut link.scan);
        let outcome = if kept.is_empty() {
            let outcome = self.read_replies(setup, key, &mut scan, bytes);
            outcome.map(|used| {
                kept.extend_from_slice(&bytes[used..]);
                0
            })
        } else {
            kept.extend_from_slice(bytes);
            self.read_replies(setup, key, &mut scan, &kept[read..]).map(|used| read + used)
        };
        match (outcome, self.links.get_mut(key)) {
            (Err(loss), _) => self.give_up(setup, key, loss),
            (Ok(read), Some(link)) => {
                link.keep_reply(kept, read);
                link.scan = scan;
            }
            (Ok(_), None) => {}
        }
    }

    fn read_replies(&mut self, setup: &Setup, key: LinkKey, scan: &mut ReplyScan, bytes: &[u8]) -> Result<usize, Loss> {
        let mut used = 0;
        if self.links.get(key).is_none_or(|link| link.parked) {
            return Ok(0);
        }
        while let Some(len) = scan.scan(&bytes[used..]).map_err(Loss::NotResp)? {
            let reply = &bytes[used..used + len];
            used += len;
            let Some(link) = self.links.get_mut(key) else { break };
            if matches!(link.stage, Stage::Proving(_)) {
                self.prove(key, reply)?;
                continue;
            }
            if link.flow.is_some() {
                self.hand_on_element(key, reply);
                if self.links.get(key).is_none_or(|link| link.parked) {
                    break;
                }
                continue;
            }
            let part = link.take_answered().ok_or(Loss::UnaskedReply)?;
            link.end_stream();
            self.answered(setup, key, part, reply);
            self.tidy_after_reply(key);
        }
        if self.links.contains_key(key) {
            used += self.stream_reply(setup, key, scan, &bytes[used..])?;
        }
        Ok(used)
    }

    fn answered(&mut self, setup: &Setup, key: LinkKey, mut part: Part, reply: &[u8]) {
        if setup.mutation.is(Mutant::LostReply) && part.id.is_multiple_of(31) {
            return;
        }
        if setup.mutation.is(Mutant::SwappedReplies)
            && part.id.is_multiple_of(13)
            && let Some(next) = self.links.get_mut(key).and_then(Link::front_mut)
        {
            std::mem::swap(&mut next.target, &mut part.target);
        }
        self.stats.count_error(reply);
        match part.target {
            Target::Request(pending, index) => self.deliver(setup, pending, index, reply),
            Target::Nobody => self.stats.discarded_replies += 1,
            Target::Table(lookup) => self.looked_up(lookup, reply),
        }
    }

    /// Closes a link that the driver believes to be sound.
    pub(crate) fn give_up(&mut self, setup: &Setup, key: LinkKey, loss: Loss) {
        self.outputs.push_back(Output::CloseLink(key));
        self.link_lost(setup, key, loss);
    }

    /// A link is gone: what was sent is answered with a refusal, what was not waits for the next link.
    pub(crate) fn link_lost(&mut self, setup: &Setup, key: LinkKey, loss: Loss) {
        let Some(mut link) = self.links.remove(key) else { return };
        self.stats.links_lost += 1;
        // A session in the middle of a value towards it: see `lane_lost`.
        self.drop_relays(End::Link(key));
        if let Some(pending) = link.end_stream() {
            // A reply whose first byte has left is never restarted.
            self.close_stream(setup, pending);
        }
        if let Some(flow) = link.flow.take() {
            self.flow_lost(setup, flow);
        }
        if link.lane == Lane::Bulk || link.retired {
            return self.unreplaced_link_lost(setup, key, link);
        }
        let pause = self.pause_before_retry(setup, link.upstream);
        let mut next = Link::new(link.upstream, link.lane, self.now.after(pause));
        let (sent, unsent) = link.salvage();
        next.adopt(unsent);
        let next = self.links.insert(next);
        let upstream = &mut self.upstreams[link.upstream];
        match link.lane {
            Lane::Shared => upstream.shared = next,
            Lane::Control | Lane::Bulk => upstream.control = Some(next),
        }
        self.tell_trouble(link.upstream, loss.text());
        for part in sent {
            self.deliver_refusal(setup, part.target, &Refusal::OutcomeUnknown);
        }
        if setup.profile == Profile::Redis {
            self.refuse_unsent(setup, next);
            self.resumable.extend(self.upstreams[link.upstream].bulk_waiting.drain(..));
        }
    }

    /// Tells the operator why an upstream is down, unless that is known.
    fn tell_trouble(&mut self, index: usize, text: String) {
        let upstream = &mut self.upstreams[index];
        if upstream.trouble != text {
            upstream.trouble.clone_from(&text);
            self.outputs.push_back(Output::Notice(Notice::UpstreamDown(index, text)));
        }
    }

    /// Fails fast: nothing waits for an upstream that is not there.
    fn refuse_unsent(&mut self, setup: &Setup, key: LinkKey) {
        while let Some((target, _)) = self.links.get_mut(key).and_then(|link| link.expire(Time::NEVER)) {
            self.deliver_refusal(setup, target, &Refusal::NotSent);
        }
        self.relieve(setup, key);
    }

    /// Doubles from attempt to attempt, with a random half so that not everybody comes back at once.
    fn pause_before_retry(&mut self, setup: &Setup, upstream: usize) -> Duration {
        let upstream = &mut self.upstreams[upstream];
        let doublings = upstream.failures.min(16);
        upstream.failures += 1;
        upstream.reconnects += 1;
        let longest = setup.limits.reconnect_min.saturating_mul(1 << doublings).min(setup.limits.reconnect_max);
        let half = longest.as_micros() as u64 / 2;
        Duration::from_micros(half + self.random.below(half + 1))
    }

    pub(crate) fn deliver_refusal(&mut self, setup: &Setup, target: Target, why: &Refusal) {
        match target {
            Target::Request(pending, part) => {
                self.stats.refusals[why.kind()] += 1;
                let mut text = self.buffers.take();
                write::error(&mut text, &why.text());
                self.deliver(setup, pending, part, &text);
                self.buffers.give_back(text);
            }
            Target::Table(lookup) => self.looked_up(lookup, b"*1\r\n*-1\r\n"),
            Target::Nobody => {}
        }
    }

    /// Answers the requests of a link whose time is up.
    pub(crate) fn expire(&mut self, setup: &Setup, key: LinkKey) {
        let now = self.now;
        while let Some((target, sent)) = self.links.get_mut(key).and_then(|link| link.expire(now)) {
            let why = if sent { Refusal::OutcomeUnknown } else { Refusal::NotSent };
            self.deliver_refusal(setup, target, &why);
            self.relieve(setup, key);
        }
    }

    /// A link is gone that is opened again only when somebody needs one.
    fn unreplaced_link_lost(&mut self, setup: &Setup, key: LinkKey, mut link: Link) {
        if link.lane == Lane::Bulk {
            self.lane_lost(setup, key, &link);
        }
        let (sent, unsent) = link.salvage();
        for part in sent {
            self.deliver_refusal(setup, part.target, &Refusal::OutcomeUnknown);
        }
        for (part, _) in unsent {
            self.deliver_refusal(setup, part.target, &Refusal::NotSent);
        }
        self.relieve(setup, self.upstreams[link.upstream].shared);
    }

    /// Closes the session of a reply that was being streamed.
    pub(crate) fn close_stream(&mut self, setup: &Setup, pending: PendingKey) {
        if let Some((session, ..)) = self.turn_of(pending) {
            self.close_session_now(setup, session, CloseReason::Upstream);
        }
    }
}
