//! Which way a session's request goes: which peer, and which stream.
//!
//! The peer is chosen by the shard for which a request is, so that one shard's traffic meets in one peer. A session's
//! unanswered requests for one shard stay on one way.

use crate::link::part::{Target, Unit};
use crate::link::{Lane, Link, Stage};
use crate::mutant::Mutant;
use crate::order::{LinkKey, SessionKey};
use crate::peer::accept::tally;
use crate::peer::streams::stream_output_max;
use crate::peer::window::Window;
use crate::place::{Shard, Shards};
use crate::refusal::Refusal;
use crate::resp::Request;
use crate::router::{Setup, Traffic};
use crate::session::{Flow, Pause};
use crate::time::Time;

/// Upstreams that are other proxies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peers {
    /// How many there are.
    pub count: usize,
    /// Framed links to each.
    pub links: usize,
}

impl Traffic {
    /// The proxies above, by the name that they give themselves, each with how many links there are to it.
    pub(crate) fn peers_met(&self) -> Vec<(String, usize)> {
        let met = self.links.everything().filter(|(_, link)| link.lane == Lane::Framed && link.is_met());
        tally(met.filter_map(|(_, link)| self.upstreams[link.upstream].above.first()).map(|peer| peer.node.as_str()))
    }

    /// How many framed links there are to an upstream, whatever becomes of them.
    pub(crate) fn framed_links(&self, index: usize) -> usize {
        let framed =
            |link: &Link| link.lane == Lane::Framed && link.upstream == index && !matches!(link.stage, Stage::Down(_));
        self.links.everything().filter(|(_, link)| framed(link)).count()
    }

    /// The most bytes that have come on any stream, and on any framed link, and that nobody has taken.
    pub(crate) fn owed(&self) -> (usize, usize) {
        let opened = self.links.everything().filter_map(|(_, link)| Some(&link.strand.as_ref()?.end.window));
        let carried = self.sessions.values().filter_map(|session| Some(&session.carried.as_ref()?.window));
        let above = self.links.everything().filter_map(|(_, link)| Some(link.framed.as_ref()?.carrier.owed()));
        let below = self.sessions.values().filter_map(|session| Some(session.framed.as_ref()?.carrier.owed()));
        let stream = opened.chain(carried).map(Window::owed).max().unwrap_or(0);
        (stream as usize, above.chain(below).max().unwrap_or(0) as usize)
    }

    /// Sends a request whole to the peer that its first shard has.
    pub(crate) fn send_to_peer(
        &mut self,
        setup: &Setup,
        session: SessionKey,
        request: &Request<'_>,
        (first, shards): (Shard, Shards),
    ) -> Flow {
        if self.must_take_turns(setup, session, shards) {
            return Flow::Again;
        }
        let Some(way) = self.way_with_room(setup, session, first, shards) else { return Flow::Again };
        if self.is_too_late(setup, session) {
            self.refuse(setup, session, &Refusal::NotSent);
            return Flow::Next;
        }
        let pending = self.push_pending(session);
        self.occupy(setup, pending, shards);
        self.send_on(setup, way, Target::Request(pending, 0), |out| out.extend_from_slice(request.bytes));
        Flow::Next
    }

    /// The stream for a session's next request, unless it has to wait; then it is paused.
    pub(crate) fn way_with_room(
        &mut self,
        setup: &Setup,
        session: SessionKey,
        first: Shard,
        shards: Shards,
    ) -> Option<LinkKey> {
        let Some(way) = self.way(setup, session, first, shards) else {
            self.pause(session, Pause::Own);
            return None;
        };
        let unsent = self.links.get(way).map_or(0, |link| link.batch.unsent());
        if unsent >= stream_output_max(setup) || self.budget.retain_full {
            let upstream = self.links.get(way).map_or(0, |link| link.upstream);
            self.pause(session, Pause::Waiting);
            self.await_output(upstream, session);
            return None;
        }
        Some(way)
    }

    /// The stream for a session's request; `None` while it has unanswered requests for these shards on several.
    pub(crate) fn way(&mut self, setup: &Setup, session: SessionKey, first: Shard, shards: Shards) -> Option<LinkKey> {
        let mut taken = None;
        let mut next = self.sessions.get(session)?.streams;
        while let Some(key) = next {
            let link = self.links.get(key)?;
            let strand = link.strand.as_ref()?;
            next = strand.sibling;
            if link.batch.in_flight() > 0 && strand.shards.meets(shards) && taken.replace(key).is_some() {
                return None;
            }
        }
        if setup.mutation.is(Mutant::PeerOvertakes) {
            taken = None;
        }
        let key = taken.unwrap_or_else(|| {
            let carrier = self.carrier_for(setup, first, session);
            self.stream_on(setup, carrier, session)
        });
        let link = self.links.get_mut(key)?;
        let others = link.batch.in_flight() > 0;
        let strand = link.strand.as_mut()?;
        strand.shards = if others { strand.shards.with(shards) } else { shards };
        Some(key)
    }

    /// The stream for a session's large value. While its peer is away none is taken: the client waits in TCP.
    pub(crate) fn lane_to_peer(&mut self, setup: &Setup, shard: Shard, key: SessionKey) -> Option<LinkKey> {
        let way = self.way_with_room(setup, key, shard, Shards::one(shard))?;
        let carrier = self.carrier_of(way).and_then(|carrier| self.links.get(carrier));
        if !carrier.is_some_and(Link::is_ready) {
            let upstream = self.links.get(way).map_or(0, |link| link.upstream);
            self.pause(key, Pause::Waiting);
            self.await_output(upstream, key);
            return None;
        }
        let now = self.now;
        self.links.get_mut(way).into_iter().for_each(|link| link.heard = now);
        self.sessions.get_mut(key)?.lane = Some(way);
        Some(way)
    }

    /// The framed link that carries a session's requests for a shard: that of the shard's peer, or, while that is
    /// away, of another one; the share of a peer that is away is spread over all others.
    fn carrier_for(&self, setup: &Setup, shard: Shard, session: SessionKey) -> LinkKey {
        let count = self.upstreams.len();
        let own = shard.index() % count;
        let there = |index: &usize| self.is_there(*index);
        let instead = || {
            let others: usize = (0..count).filter(there).count();
            (0..count).filter(there).nth(shard.index() / count % others.max(1))
        };
        let stays = self.is_there(own) || setup.mutation.is(Mutant::ShareStays);
        let index = if stays { own } else { instead().unwrap_or(own) };
        let keys = &self.upstreams[index].framed;
        let start = self.session_number(session) as usize % keys.len();
        let in_turn = || keys[start..].iter().chain(&keys[..start]).copied();
        in_turn().find(|key| self.links.get(*key).is_some_and(Link::is_ready)).unwrap_or(keys[start])
    }

    /// Whether a peer answers.
    pub(crate) fn is_there(&self, index: usize) -> bool {
        self.upstreams[index].framed.iter().any(|key| self.links.get(*key).is_some_and(Link::is_ready))
    }

    /// The session's stream on a framed link; it is opened if there is none.
    fn stream_on(&mut self, setup: &Setup, carrier: LinkKey, session: SessionKey) -> LinkKey {
        let mut next = self.sessions.get(session).and_then(|session| session.streams);
        while let Some(key) = next {
            let Some(strand) = self.links.get(key).and_then(|link| link.strand.as_ref()) else { break };
            if strand.end.carrier == carrier {
                return key;
            }
            next = strand.sibling;
        }
        self.open_stream(setup, carrier, Some(session))
    }

    /// The stream for what was on another one.
    pub(crate) fn way_of_unit(&mut self, setup: &Setup, unit: &Unit) -> Option<LinkKey> {
        let pending = |target| match target {
            Target::Request(pending, _) => self.pendings.get(pending),
            _ => None,
        };
        // Of a transaction only EXEC knows where it is carried out.
        let pending = unit.targets().filter_map(pending).max_by_key(|pending| !pending.shards().is_empty())?;
        let (session, shards) = (pending.session(), pending.shards());
        self.way(setup, session, shards.first(), shards)
    }

    /// Whether no peer answers, nor has for a while.
    pub(crate) fn all_peers_failing(&self) -> bool {
        let failing = |key: &LinkKey| self.links.get(*key).is_some_and(|link| self.is_failing(link));
        self.upstreams.iter().all(|upstream| upstream.framed.iter().all(failing))
    }

    /// Ties the newest requests of a batch together: all of them are sent, or none.
    pub(crate) fn unite_newest(&mut self, key: LinkKey, count: usize) {
        self.links.get_mut(key).into_iter().for_each(|link| link.batch.unite(count));
    }

    /// The link for a session's transaction, unless it has to wait.
    pub(crate) fn way_of_transaction(&mut self, setup: &Setup, session: SessionKey, shard: Shard) -> Option<LinkKey> {
        if setup.has_peers() {
            return self.way_with_room(setup, session, shard, Shards::one(shard));
        }
        let full = self.is_full(setup, shard, session);
        (!full).then(|| self.upstreams[shard.index()].shared)
    }

    /// After this time a request may not be sent on, as the proxy below has it, if one has asked for it.
    pub(crate) fn latest(&self, target: Target) -> (Time, bool) {
        let Target::Request(pending, _) = target else { return (Time::NEVER, false) };
        let session = self.pendings.get(pending).and_then(|pending| self.sessions.get(pending.session()));
        session.map_or((Time::NEVER, false), |session| (session.latest(), session.carried.is_some()))
    }

    /// Whether a link, or the one that carries it, is down and could not be replaced yet.
    pub(crate) fn is_failing(&self, link: &Link) -> bool {
        let carrier = link.strand.as_ref().and_then(|strand| self.links.get(strand.end.carrier)).unwrap_or(link);
        // One that is severed has not been tried anew yet.
        let first = u32::from(carrier.is_severed());
        matches!(carrier.stage, Stage::Down(_)) && self.upstreams[link.upstream].failures > first
    }
}
