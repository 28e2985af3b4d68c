//! Streams towards other proxies, and what becomes of what is on one that is lost.
//!
//! A stream is a link without a connection: it belongs to one session (or to the proxy itself), is opened when there is
//! something to send, and closed when nobody has used it for a while. So whatever holds up one session, a slow shard,
//! a reply that it does not take, a value of 50 MiB, holds up nobody else on the framed link.

use crate::link::{Lane, Link, Stage, Standing};
use crate::mutant::Mutant;
use crate::order::{End, LinkKey, SessionKey};
use crate::peer::carrier::StreamEnd;
use crate::place::Shards;
use crate::router::{Profile, Setup, Traffic};
use crate::session::Pause;
use crate::time::Time;

/// How a stream is carried.
#[derive(Debug)]
pub(crate) struct Strand {
    pub(crate) end: StreamEnd<LinkKey>,
    /// Another stream of the same session.
    pub(crate) sibling: Option<LinkKey>,
    /// Its position among the streams of its link.
    at: usize,
    /// For which shards there are unanswered requests on it.
    pub(crate) shards: Shards,
}

impl Setup {
    /// Whether the upstreams are proxies, each of which reaches everything.
    pub(crate) fn has_peers(&self) -> bool {
        self.peers.is_some()
    }
}

impl Traffic {
    /// Whether a link is a stream.
    pub(crate) fn is_stream(&self, key: LinkKey) -> bool {
        self.links.get(key).is_some_and(|link| link.lane == Lane::Stream)
    }

    /// Opens a stream, of a session or of the proxy itself.
    pub(crate) fn open_stream(&mut self, setup: &Setup, carrier: LinkKey, owner: Option<SessionKey>) -> LinkKey {
        let sibling = owner.and_then(|owner| self.sessions.get(owner)).and_then(|session| session.streams);
        let upstream = self.links.get(carrier).map_or(0, |link| link.upstream);
        let mut stream = Link::new(upstream, Lane::Stream, self.now).keeping(setup.holds());
        stream.stage = Stage::Ready;
        stream.owner = owner;
        if let Some(framed) = self.links.get(carrier).and_then(|link| link.framed.as_ref()) {
            let end = framed.carrier.new_end(carrier, None);
            let strand = Strand { end, sibling, at: framed.streams.len(), shards: Shards::NONE };
            stream.strand = Some(Box::new(strand));
        }
        let key = self.links.insert(stream);
        if let Some(framed) = self.links.get_mut(carrier).and_then(|link| link.framed.as_mut()) {
            framed.streams.push(key);
        }
        if let Some(session) = owner.and_then(|owner| self.sessions.get_mut(owner)) {
            session.streams = Some(key);
        }
        key
    }

    /// The proxy's own stream to a peer, for its own questions.
    pub(crate) fn control_stream(&mut self, setup: &Setup) -> LinkKey {
        let index = (0..self.upstreams.len()).find(|index| self.is_there(*index)).unwrap_or(0);
        if let Some(key) = self.upstreams[index].control {
            return key;
        }
        let carrier = self.upstreams[index].shared;
        let key = self.open_stream(setup, carrier, None);
        self.upstreams[index].control = Some(key);
        key
    }

    /// Whether a stream's session is in the middle of a large value on it.
    pub(crate) fn is_amid_value(&self, key: LinkKey) -> bool {
        let owner = self.links.get(key).and_then(|link| self.sessions.get(link.owner?));
        owner.is_some_and(|session| session.cut && session.lane == Some(key))
    }

    /// A stream has something to send: its link is to be written.
    pub(crate) fn queue_stream(&mut self, key: LinkKey) {
        let Some(link) = self.links.get_mut(key) else { return };
        let (earliest, unsent) = (link.batch.next_deadline(), link.batch.unsent());
        let Some(strand) = &mut link.strand else { return };
        let carrier = strand.end.carrier;
        let queues = unsent > 0 && strand.end.credit > 0 && !std::mem::replace(&mut strand.end.queued, true);
        let Some(framed) = self.links.get_mut(carrier).and_then(|link| link.framed.as_mut()) else { return };
        framed.earliest = framed.earliest.min(earliest);
        if queues {
            framed.carrier.queue(key);
        }
        self.order_write(carrier);
    }

    /// The other end of a new link has said what it grants to each stream.
    pub(crate) fn grant_streams(&mut self, carrier: LinkKey) {
        let Some(framed) = self.links.get(carrier).and_then(|link| link.framed.as_ref()) else { return };
        let (credit, streams) = (framed.carrier.stream_credit(), framed.streams.clone());
        for key in streams {
            if let Some(strand) = self.links.get_mut(key).and_then(|link| link.strand.as_mut()) {
                strand.end.credit = credit;
            }
            self.queue_stream(key);
        }
    }

    /// More may be sent on a stream.
    pub(crate) fn add_stream_credit(&mut self, key: LinkKey, bytes: u64) {
        if let Some(strand) = self.links.get_mut(key).and_then(|link| link.strand.as_mut()) {
            strand.end.credit = strand.end.credit.saturating_add(bytes);
        }
        self.queue_stream(key);
    }

    /// The value that is being sent on a stream has a lane at the other end: all of it may go there.
    pub(crate) fn lane_above(&mut self, setup: &Setup, key: LinkKey) {
        let Some(link) = self.links.get_mut(key) else { return };
        let owner = link.owner.filter(|owner| self.sessions.get(*owner).is_some_and(|it| it.lane == Some(key)));
        if let Some((owner, strand)) = owner.zip(link.strand.as_mut()) {
            strand.end.lane = true;
            self.tell_lane(owner);
            self.queue_stream(key);
            self.wake_feeder(setup, End::Link(key));
        }
    }

    /// Whether what is sent on a stream waits for a lane at the other end, if it needs one.
    pub(crate) fn awaits_lane(&self, key: LinkKey) -> bool {
        let strand = self.links.get(key).and_then(|link| link.strand.as_ref());
        strand.is_some_and(|strand| !strand.end.lane)
    }

    /// A stream's value is another one from now on, or over.
    pub(crate) fn forget_lane_above(&mut self, key: LinkKey) {
        let strand = self.links.get_mut(key).and_then(|link| link.strand.as_mut());
        strand.into_iter().for_each(|strand| strand.end.lane = false);
    }

    /// Bytes of a stream's batch have become frames: whoever waited for that goes on.
    pub(crate) fn stream_drained(&mut self, setup: &Setup, key: LinkKey) {
        let Some(link) = self.links.get(key) else { return };
        let (owner, upstream) = (link.owner, link.upstream);
        let short = link.batch.unsent() <= stream_output_max(setup) / 2;
        let waits =
            |key: &SessionKey| self.sessions.get(*key).is_some_and(|session| session.paused == Some(Pause::Waiting));
        if short && owner.as_ref().is_some_and(waits) {
            self.resumable.extend(owner);
            self.upstreams[upstream].waiting.retain(|other| Some(*other) != owner);
        }
        self.wake_feeder(setup, End::Link(key));
    }

    /// Bytes of a stream have come.
    pub(crate) fn stream_bytes(&mut self, setup: &Setup, key: LinkKey, bytes: &[u8]) {
        let end = self.links.get_mut(key).and_then(|link| link.strand.as_mut()).map(|strand| &mut strand.end);
        let skipped = end.map_or(0, |end| end.skipped(bytes.len()));
        let passed = self.pass_on(setup, End::Link(key), &bytes[skipped..]);
        let rest = &bytes[skipped + passed..];
        if !rest.is_empty() {
            self.link_bytes(setup, key, rest);
        }
        self.take_stream(setup, key);
    }

    /// Grants more on a stream if what has come is taken: it does not wait for its turn, and its session takes it.
    pub(crate) fn take_stream(&mut self, setup: &Setup, key: LinkKey) {
        let may = self.links.get(key).is_some_and(|link| !link.parked) && self.may_pass(setup, End::Link(key));
        let Some(carrier) = self.carrier_of(key).filter(|_| may) else { return };
        let Some([link, stream]) = self.links.pair_mut(carrier, key) else { return };
        if let (Some(framed), Some(strand)) = (&mut link.framed, &mut stream.strand) {
            let owed = strand.end.window.owed();
            let kept = if setup.mutation.is(Mutant::CreditLeak) { owed.min(4) } else { 0 };
            framed.carrier.taken(Some(&mut strand.end), owed - kept);
        }
        self.order_write(carrier);
    }

    pub(crate) fn carrier_of(&self, key: LinkKey) -> Option<LinkKey> {
        Some(self.links.get(key)?.strand.as_ref()?.end.carrier)
    }

    /// Takes a stream out of everything.
    fn drop_stream(&mut self, key: LinkKey) -> Option<Link> {
        let mut link = self.links.remove(key)?;
        let upstream = &mut self.upstreams[link.upstream];
        upstream.control.take_if(|control| *control == key);
        let mut strand = link.strand.take()?;
        let carrier = strand.end.carrier;
        self.unchain(link.owner, key, strand.sibling);
        let mut moved = None;
        if let Some(framed) = self.links.get_mut(carrier).and_then(|link| link.framed.as_mut()) {
            let owed = strand.end.window.owed();
            let id = strand.end.id.take();
            framed.carrier.taken(Some(&mut strand.end), owed);
            id.into_iter().for_each(|id| framed.carrier.close(id));
            framed.streams.swap_remove(strand.at);
            moved = framed.streams.get(strand.at).copied();
        }
        if let Some(moved) = moved.and_then(|moved| self.links.get_mut(moved)).and_then(|link| link.strand.as_mut()) {
            moved.at = strand.at;
        }
        self.order_write(carrier);
        self.close_if_retired(carrier);
        Some(link)
    }

    /// Takes a stream out of its session's.
    fn unchain(&mut self, owner: Option<SessionKey>, key: LinkKey, sibling: Option<LinkKey>) {
        let Some(session) = owner.and_then(|owner| self.sessions.get_mut(owner)) else { return };
        if session.streams == Some(key) {
            session.streams = sibling;
            return;
        }
        let mut next = session.streams;
        while let Some(strand) = next.and_then(|at| self.links.get_mut(at)).and_then(|link| link.strand.as_mut()) {
            if strand.sibling == Some(key) {
                strand.sibling = sibling;
                return;
            }
            next = strand.sibling;
        }
    }

    /// A stream is gone with its link, or because the other end has closed it. What was on it goes another way, as far
    /// as it may.
    pub(crate) fn stream_lost(&mut self, setup: &Setup, key: LinkKey) {
        let Some(mut link) = self.lose_stream(setup, key, setup.profile == Profile::Redis) else { return };
        let (sent, unsent) = link.batch.salvage();
        let next = self.upstreams[link.upstream].shared;
        self.repeat_lost(setup, link.upstream, sent);
        self.move_unsent(setup, next, unsent);
        self.look_again(link.owner);
    }

    /// Takes out a stream that is gone. A session that is in the middle of a value on it is `told`, or closed.
    pub(crate) fn lose_stream(&mut self, setup: &Setup, key: LinkKey, told: bool) -> Option<Link> {
        let missing = self.relays.drop_of(End::Link(key)).first().map(|(_, bytes)| *bytes);
        let mut link = self.drop_stream(key)?;
        if let Some(pending) = link.end_stream() {
            // A reply whose first byte has left is never restarted.
            self.close_stream(setup, pending);
        }
        let owner = link.owner.and_then(|owner| self.sessions.get(owner));
        if owner.is_some_and(|session| session.lane == Some(key)) {
            self.lane_lost(setup, key, &link, missing, told);
        }
        Some(link)
    }

    /// What is gone may have been what its session waited for.
    pub(crate) fn look_again(&mut self, owner: Option<SessionKey>) {
        let paused = owner.and_then(|owner| self.sessions.get(owner)).and_then(|session| session.paused);
        if matches!(paused, Some(Pause::Own | Pause::Waiting)) {
            self.resumable.extend(owner);
        }
    }

    /// The other end has closed a stream, which has given up its number by that.
    pub(crate) fn stream_closed_above(&mut self, setup: &Setup, key: LinkKey) {
        self.forget_number(key);
        self.stream_lost(setup, key);
    }

    /// The other end has done with a stream, so its number stands for nothing any more.
    pub(crate) fn forget_number(&mut self, key: LinkKey) {
        let strand = self.links.get_mut(key).and_then(|link| link.strand.as_mut());
        strand.into_iter().for_each(|strand| strand.end.id = None);
    }

    /// A session is gone: what it has asked for whole is carried out, but what it is in the middle of is not.
    pub(crate) fn leave_streams(&mut self, first: Option<LinkKey>, lane: Option<LinkKey>, amid: bool) {
        let mut next = first;
        while let Some(key) = next {
            let Some(link) = self.links.get_mut(key) else { return };
            next = link.strand.as_mut().and_then(|strand| strand.sibling.take());
            link.owner = None;
            let broken = amid && lane == Some(key) || link.streaming.is_some();
            if broken || link.batch.in_flight() == 0 {
                self.stats.discarded_replies += link.batch.in_flight() as u64;
                self.drop_stream(key);
            }
        }
    }

    /// A stream has one reply less to wait for.
    pub(crate) fn tidy_stream(&mut self, key: LinkKey) {
        let Some(link) = self.links.get(key).filter(|link| link.batch.in_flight() == 0) else { return };
        let carrier = link.strand.as_ref().and_then(|strand| self.links.get(strand.end.carrier));
        let retired = carrier.is_some_and(|link| link.standing == Standing::Retired);
        let control = self.upstreams[link.upstream].control == Some(key);
        match link.owner {
            Some(owner) if !retired => self.release_lane_if_done(owner),
            None if control && !retired => {}
            owner => {
                owner.into_iter().for_each(|owner| self.release_lane_if_done(owner));
                self.drop_if_unused(key);
            }
        }
    }

    fn drop_if_unused(&mut self, key: LinkKey) {
        let Some(link) = self.links.get(key) else { return };
        let lane = link.owner.and_then(|owner| self.sessions.get(owner)).and_then(|session| session.lane);
        if lane != Some(key) && link.batch.in_flight() == 0 && !self.is_relaying(End::Link(key)) {
            self.drop_stream(key);
        }
    }

    /// Closes the streams of a link that nobody has used since then.
    pub(crate) fn sweep_streams(&mut self, carrier: LinkKey, since: Time) {
        let Some(framed) = self.links.get(carrier).and_then(|link| link.framed.as_ref()) else { return };
        let idle = |key: &LinkKey| self.links.get(*key).is_some_and(|link| link.heard <= since);
        let idle: Vec<LinkKey> = framed.streams.iter().copied().filter(idle).collect();
        idle.into_iter().for_each(|key| self.drop_if_unused(key));
        self.close_if_retired(carrier);
    }

    /// Answers the requests of a link's streams whose time is up, if there may be any.
    pub(crate) fn expire_streams(&mut self, setup: &Setup, carrier: LinkKey) {
        let now = self.now;
        let Some(framed) = self.links.get_mut(carrier).and_then(|link| link.framed.as_mut()) else { return };
        if framed.earliest.max(self.listens) > now {
            return;
        }
        let streams = framed.streams.clone();
        streams.iter().for_each(|key| self.expire(setup, *key));
        let deadlines = streams.iter().filter_map(|key| self.links.get(*key)).map(|link| link.batch.next_deadline());
        let earliest = deadlines.min().unwrap_or(Time::NEVER);
        if let Some(framed) = self.links.get_mut(carrier).and_then(|link| link.framed.as_mut()) {
            framed.earliest = earliest;
        }
    }

    /// A link has fallen silent: what was not sent on it goes another way, if there is one.
    pub(crate) fn leave_silent(&mut self, setup: &Setup, carrier: LinkKey) {
        if !(0..self.upstreams.len()).any(|index| self.is_there(index)) {
            return;
        }
        let Some(framed) = self.links.get(carrier).and_then(|link| link.framed.as_ref()) else { return };
        let unsent = |key: &LinkKey| self.links.get(*key).is_some_and(|link| link.batch.front().is_none());
        let unsent: Vec<LinkKey> = framed.streams.iter().copied().filter(unsent).collect();
        for key in unsent {
            let lane = self.links.get(key).and_then(|link| self.sessions.get(link.owner?)).map(|session| session.lane);
            if lane != Some(Some(key)) {
                self.stream_lost(setup, key);
            }
        }
    }
}

/// Unsent bytes of a stream past which its session is not read.
pub(crate) fn stream_output_max(setup: &Setup) -> usize {
    setup.limits.link_output_max.min(setup.limits.session_output_max)
}
