//! Upstreams and their links: opening, reading, writing.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use crate::link::part::Target;
use crate::link::proof::Probe;
use crate::link::{Lane, Link, Stage};
use crate::loss::fence::Badge;
use crate::loss::repeat::Postponed;
use crate::mutant::Mutant;
use crate::order::{End, LinkKey, Order, Output, SessionKey, SpoolKey};
use crate::peer::fence::LostPeer;
use crate::peer::greeting::Peer;
use crate::place::Shard;
use crate::refusal::Refusal;
use crate::resp::write;
use crate::router::{Profile, Setup, Traffic};
use crate::time::Time;

/// A dial has at least this long to be answered.
const DIAL_MIN: Duration = Duration::from_millis(200);

/// All the patience of [`Mutant::Impatient`].
const MOMENT: Duration = Duration::from_millis(100);

/// One configured target.
#[derive(Debug)]
pub(crate) struct Upstream {
    /// The link for small requests of all sessions; of a peer the first of its framed links.
    pub(crate) shared: LinkKey,
    /// Framed links, if it is a peer.
    pub(crate) framed: Vec<LinkKey>,
    /// The peer, and all proxies above it.
    pub(crate) above: Vec<Peer>,
    /// Peers at its address that are lost, and may still do something.
    pub(crate) lost: Vec<LostPeer>,
    /// The link for the proxy's own questions, opened when there is one.
    pub(crate) control: Option<LinkKey>,
    /// Attempts since it was last usable.
    pub(crate) failures: u32,
    /// Attempts to replace a lost link.
    pub(crate) reconnects: u64,
    /// What the operator was told last of why it is down.
    pub(crate) trouble: String,
    /// All its links let us run MULTI, as far as we know.
    pub(crate) multi: bool,
    /// Sessions that are not read until the shared link's batch is shorter.
    pub(crate) waiting: Vec<SessionKey>,
    /// Links for one large value at a time.
    pub(crate) bulk: Vec<LinkKey>,
    /// Who waits for one of these.
    pub(crate) bulk_waiting: VecDeque<Waiter>,
    /// So much of `limits.spool_max` is taken by requests for it.
    pub(crate) spooled: u64,
    /// It refused a lane: none is opened before this time.
    pub(crate) bulk_rest: Time,
    /// A fresh connection that is tried beside the shared link, which is silent.
    pub(crate) candidate: Option<LinkKey>,
    /// Lost links of which the instance may still carry something out, by number.
    pub(crate) unfenced: Vec<(u64, Badge)>,
    /// It is known that it cannot be fenced.
    pub(crate) unfenceable: bool,
    /// Requests that will be sent again.
    pub(crate) postponed: Vec<Postponed>,
    /// What a new link has to answer first.
    pub(crate) probe: Arc<Probe>,
}

impl Setup {
    /// Whether requests for an upstream that is away are refused at once.
    fn fails_fast(&self) -> bool {
        self.profile == Profile::Redis && !self.mutation.is(Mutant::SlowToRefuse)
    }
}

/// Who waits for a Bulk lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Waiter {
    /// A session, to use it as it likes.
    Session(SessionKey),
    /// A request that is whole in this file.
    Spool(SpoolKey),
}

impl Waiter {
    /// The session that waits.
    pub(crate) fn session(self) -> Option<SessionKey> {
        match self {
            Self::Session(key) => Some(key),
            Self::Spool(_) => None,
        }
    }
}

impl Traffic {
    /// Adds the upstream of the next index.
    pub(crate) fn add_upstream(&mut self, setup: &Setup, index: usize) {
        let links = setup.peers.map_or(0, |peers| peers.links);
        let framed: Vec<LinkKey> = (0..links).map(|_| self.add_framed(setup, index, self.now)).collect();
        let shared = framed.first().copied();
        let shared = shared
            .unwrap_or_else(|| self.links.insert(Link::new(index, Lane::Shared, self.now).keeping(setup.holds())));
        self.upstreams.push(Upstream {
            shared,
            framed,
            above: Vec::new(),
            lost: Vec::new(),
            control: None,
            failures: 0,
            reconnects: 0,
            trouble: String::new(),
            multi: true,
            waiting: Vec::new(),
            bulk: Vec::new(),
            bulk_waiting: VecDeque::new(),
            spooled: 0,
            bulk_rest: Time::default(),
            candidate: None,
            unfenced: Vec::new(),
            unfenceable: false,
            postponed: Vec::new(),
            probe: Probe::of(setup, index),
        });
    }

    /// Whether an upstream answers, be it on a link that takes no more requests.
    pub(crate) fn answers(&self, index: usize) -> bool {
        let carries = |link: &Link| matches!(link.lane, Lane::Shared | Lane::Framed);
        self.links.values().any(|link| link.upstream == index && carries(link) && link.is_ready())
    }

    /// Whether requests to an upstream travel at once.
    pub(crate) fn is_ready(&self, upstream: &Upstream) -> bool {
        self.links.get(upstream.shared).is_some_and(Link::is_ready)
    }

    /// Adds a request to the batch for a shard.
    pub(crate) fn send(&mut self, setup: &Setup, shard: Shard, target: Target, bytes: impl FnOnce(&mut Vec<u8>)) {
        let mut key = self.upstreams[shard.index()].shared;
        if setup.mutation.is(Mutant::ReorderOverPaths) && self.last_id.is_multiple_of(7) {
            key = self.control_link(setup, shard.index());
        }
        self.send_on(setup, key, target, bytes);
    }

    /// Adds a request to the batch of a link.
    pub(crate) fn send_on(&mut self, setup: &Setup, key: LinkKey, target: Target, bytes: impl FnOnce(&mut Vec<u8>)) {
        // It may have come any time since the last look.
        self.append(setup, key, (target, self.before), bytes);
    }

    /// Adds a request of the proxy's own to the batch of a link.
    pub(crate) fn send_own(&mut self, setup: &Setup, key: LinkKey, target: Target, bytes: impl FnOnce(&mut Vec<u8>)) {
        self.append(setup, key, (target, self.now), bytes);
    }

    fn append(
        &mut self,
        setup: &Setup,
        key: LinkKey,
        (target, since): (Target, Time),
        bytes: impl FnOnce(&mut Vec<u8>),
    ) {
        self.last_id += 1;
        let Some(link) = self.links.get(key) else { return };
        if setup.fails_fast() && self.is_failing(link) {
            return self.deliver_refusal(setup, target, &Refusal::NotSent);
        }
        let patience = if setup.mutation.is(Mutant::Impatient) { MOMENT } else { setup.limits.patience };
        let (latest, carried) = self.latest(target);
        let deadline = since.after(patience).min(latest);
        let Some(link) = self.links.get_mut(key) else { return };
        link.batch.append(self.last_id, target, deadline, bytes);
        if carried {
            link.batch.note_carried();
        }
        self.order_write(key);
    }

    /// Whether a request for a shard is refused rather than kept until its upstream is there.
    pub(crate) fn fails_fast(&self, setup: &Setup, shard: Shard) -> bool {
        if setup.has_peers() {
            return setup.fails_fast() && self.all_peers_failing();
        }
        let link = self.links.get(self.upstreams[shard.index()].shared);
        setup.fails_fast() && link.is_some_and(|link| self.is_failing(link))
    }

    /// Whether a shard's batch is full; the session then waits until it is shorter.
    pub(crate) fn is_full(&mut self, setup: &Setup, shard: Shard, session: SessionKey) -> bool {
        let upstream = &mut self.upstreams[shard.index()];
        let full = self.links.get(upstream.shared).is_some_and(|link| link.unsent() >= setup.limits.link_output_max);
        let full = full || self.budget.retain_full;
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
            // An unanswered dial is given up sooner: the kernel would try again only after seconds.
            let dial = setup.limits.connect_timeout.min(setup.limits.reconnect_max.max(DIAL_MIN));
            link.stage = Stage::Connecting(self.now.after(dial));
            self.outputs.push_back(Output::Connect(key, link.upstream));
        }
    }

    /// The connection is there: it is to prove itself before anything travels.
    pub(crate) fn link_connected(&mut self, setup: &Setup, key: LinkKey) {
        let Some(link) = self.links.get_mut(key) else { return };
        link.stage = Stage::Proving(self.now.after(setup.limits.connect_timeout));
        link.proof.probe = Arc::clone(&self.upstreams[link.upstream].probe);
        if setup.mutation.is(Mutant::Unproven) {
            link.stage = Stage::Ready;
            link.dirty = true;
        }
        self.claim_link(setup, key);
        self.outputs.push_back(Output::Order(End::Link(key), Order::Inject));
    }

    /// Takes out of a link's batch what is past its deadline.
    pub(crate) fn drop_stale(&mut self, setup: &Setup, key: LinkKey) {
        if self.links.get(key).is_some_and(|link| link.lane == Lane::Framed) {
            self.fill_link(setup, key);
            return;
        }
        if !setup.mutation.is(Mutant::MissingPeerFence) {
            self.drop_unleased(setup, key);
        }
        if !setup.mutation.is(Mutant::StaleDeadline) {
            self.expire(setup, key);
        }
    }

    /// What is to be written to a link.
    pub(crate) fn link_output(&self, key: LinkKey) -> &[u8] {
        match self.links.get(key) {
            Some(link) if matches!(link.stage, Stage::Proving(_)) => link.proof.to_write(),
            Some(link) if link.is_met() && link.framed.is_some() => {
                link.framed.as_ref().map_or(&[], |framed| framed.to_write())
            }
            Some(link) if link.is_ready() => link.batch.to_write(),
            _ => &[],
        }
    }

    /// So many bytes of a link's output are written.
    pub(crate) fn link_written(&mut self, setup: &Setup, key: LinkKey, bytes: usize) {
        let Some(link) = self.links.get_mut(key) else { return };
        self.stats.bytes.to_upstreams += bytes as u64;
        if matches!(link.stage, Stage::Proving(_)) {
            link.proof.written += bytes;
            return;
        }
        if link.lane == Lane::Framed {
            return self.framed_written(key, bytes);
        }
        let requests = link.wrote(bytes, self.now);
        if requests > 0 {
            self.stats.batch.observe(requests);
        }
        if link.lane == Lane::Bulk && link.is_unused() {
            self.freed_lanes.push(link.upstream);
        }
        self.wake_feeder(setup, End::Link(key));
        self.relieve(setup, key);
    }

    /// Has sessions read again that waited for a link's batch to become shorter, if it has.
    pub(crate) fn relieve(&mut self, setup: &Setup, key: LinkKey) {
        let Some(link) = self.links.get(key) else { return };
        if link.unsent() <= setup.limits.link_output_max / 2 {
            self.resumable.append(&mut self.upstreams[link.upstream].waiting);
        }
    }

    pub(crate) fn deliver_refusal(&mut self, setup: &Setup, target: Target, why: &Refusal) {
        match target {
            Target::Request(pending, part) => {
                self.stats.refusals[why.kind()] += 1;
                let why = why.text();
                let mut text = self.buffers.take(why.len());
                write::error(&mut text, &why);
                self.deliver(setup, pending, part, &text);
                self.buffers.give_back(text);
            }
            Target::Table(lookup) => self.looked_up(lookup, b"*1\r\n*-1\r\n"),
            Target::PeerFence(number) => self.peer_fenced(setup, number, b"-ERR\r\n"),
            Target::FenceList(number, _) | Target::FencePart(number) => self.fence_part(setup, number, b"-ERR\r\n"),
            Target::Nobody | Target::Fence(_) => {}
        }
    }

    /// Answers the requests of a link whose time is up.
    pub(crate) fn expire(&mut self, setup: &Setup, key: LinkKey) {
        if setup.mutation.is(Mutant::WithoutDeadline) {
            return;
        }
        let now = self.now;
        let late = self.links.get_mut(key).map(|link| link.batch.expire(now)).unwrap_or_default();
        for (target, fate) in late {
            self.deliver_fate(setup, target, &fate);
            self.relieve(setup, key);
        }
    }
}
