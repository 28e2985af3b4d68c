//! Large replies: handed on as they come, never held.
//!
//! A reply's size is unknown when its request is sent. One that turns out large on the Shared link
//! retires that link: new requests use a fresh one, and only those behind the value wait for it.

use crate::link::part::Target;
use crate::link::{Lane, Link, Standing};
use crate::loss::Loss;
use crate::mutant::Mutant;
use crate::order::{End, LinkKey, Order, Output, SessionKey};
use crate::refusal::Refusal;
use crate::request::pending::PendingKey;
use crate::resp::{LINE_END, ReplyScan};
use crate::router::{Setup, Traffic};
use crate::time::Time;

/// Longest reply to a question of the router's own. An instance with 100,000 connections lists them in some 40 MB.
pub(crate) const OWN_MAX: usize = 64 << 20;

/// What becomes of a reply of which a large value is arriving.
enum Course {
    /// It is its session's turn: hand it on.
    Stream(SessionKey, PendingKey),
    /// Earlier replies are missing: leave the rest in the link.
    Park(PendingKey),
    /// Nobody wants it.
    Skip,
    /// It has to be whole.
    Hold,
}

impl Traffic {
    /// Looks at the beginning of a reply; if the value that is arriving is large, sends it on its way.
    /// How many bytes are done with.
    pub(crate) fn stream_reply(
        &mut self,
        setup: &Setup,
        key: LinkKey,
        scan: &mut ReplyScan,
        bytes: &[u8],
    ) -> Result<usize, Loss> {
        if self.links.get(key).is_some_and(|link| link.flow.is_some()) {
            return Ok(self.stream_element(setup, key, scan, bytes));
        }
        let arriving = scan.arriving(bytes);
        let large = arriving.filter(|(size, end)| *size >= setup.limits.large_min && *end > bytes.len());
        let Some((size, end)) = large else { return Ok(self.stream_small(setup, key, scan, bytes)) };
        let part = self.links.get(key).and_then(|link| link.batch.front()).ok_or(Loss::UnaskedReply)?;
        // Without its line end, which is looked at: an instance that sends more than it announced is found out.
        let missing = (end - bytes.len()) as u64;
        if part.target.wants_whole() && end <= OWN_MAX {
            return Ok(0);
        }
        let course = self.course(part.target);
        if matches!(course, Course::Hold) {
            let fits = end + LINE_END.len() <= setup.limits.request_buffer_max;
            if fits {
                return Ok(0);
            }
            if let Some(used) = self.begin_flow(setup, key, part.target, scan, bytes) {
                return Ok(used);
            }
            if size <= setup.limits.request_buffer_max {
                return Ok(0);
            }
        }
        let course = self.commit_reply(setup, key, part.target);
        self.retire_link(setup, key);
        match course {
            Course::Hold => {
                self.refuse_front(setup, key);
                self.skip_value(key, missing);
            }
            Course::Park(pending) => {
                self.park(key, pending);
                return Ok(0);
            }
            Course::Skip => self.skip_value(key, missing),
            Course::Stream(session, pending) => {
                self.hand_on(session, bytes);
                self.relay(End::Link(key), End::Session(session), missing);
                if let Some(link) = self.links.get_mut(key) {
                    link.begin_stream(pending);
                }
            }
        }
        scan.pass_bulk();
        Ok(bytes.len())
    }

    /// The reply that is arriving will not be held: its request, and the transaction it is in, cannot be sent again.
    fn commit_reply(&mut self, setup: &Setup, key: LinkKey, target: Target) -> Course {
        self.hand_out_early(setup, key);
        if !setup.mutation.is(Mutant::BegunAgain) {
            self.links.get_mut(key).into_iter().for_each(|link| link.batch.commit_front());
        }
        self.course(target)
    }

    /// Hands on what is whole of a long reply of small values, as fast as its session takes it.
    fn stream_small(&mut self, setup: &Setup, key: LinkKey, scan: &mut ReplyScan, bytes: &[u8]) -> usize {
        let target = self.links.get(key).and_then(|link| link.batch.front()).map(|part| part.target);
        let (Some(target), true) = (target, bytes.len() > setup.limits.request_buffer_max) else { return 0 };
        if target.wants_whole() {
            return 0;
        }
        if matches!(self.course(target), Course::Hold) {
            return self.begin_flow(setup, key, target, scan, bytes).unwrap_or(0);
        }
        match self.commit_reply(setup, key, target) {
            Course::Hold => 0,
            Course::Skip => scan.pass_whole(),
            Course::Park(pending) => {
                self.retire_link(setup, key);
                self.park(key, pending);
                0
            }
            Course::Stream(session, pending) => {
                self.retire_link(setup, key);
                let whole = scan.pass_whole();
                self.hand_on(session, &bytes[..whole]);
                self.begin_stream(setup, key, session, pending);
                whole
            }
        }
    }

    /// Notes whose reply is streamed; the link is not read while its session has enough to write.
    fn begin_stream(&mut self, setup: &Setup, key: LinkKey, session: SessionKey, pending: PendingKey) {
        let (Some(link), Some(session)) = (self.links.get_mut(key), self.sessions.get_mut(session)) else { return };
        link.begin_stream(pending);
        if session.reply_bytes() >= setup.limits.session_output_max {
            link.parked = true;
            session.source = Some(key);
        }
    }

    /// Reads the link on whose reply a session is taking, once it has taken most of what it was given.
    pub(crate) fn refill(&mut self, setup: &Setup, key: SessionKey) {
        let Some(session) = self.sessions.get_mut(key) else { return };
        if session.reply_bytes() <= setup.limits.session_output_max / 2 {
            self.unparked.extend(session.source.take());
            self.weaving.extend(session.first.filter(|_| std::mem::take(&mut session.hungry)));
        }
    }

    /// Sessions that take nothing of a reply while others wait behind it, and when that is too long.
    pub(crate) fn slow_readers(&self, setup: &Setup) -> impl Iterator<Item = (SessionKey, Time)> {
        let full = self.links.values().filter(|link| link.parked && link.batch.in_flight() > 1);
        full.filter_map(|link| {
            let key = self.turn_of(link.streaming.or(link.flow.map(|flow| flow.pending))?)?.0;
            Some((key, self.sessions.get(key)?.stuck_since()?.after(setup.limits.stall_max)))
        })
    }

    /// Answers the request whose reply is arriving with a refusal; the reply is for nobody any more.
    fn refuse_front(&mut self, setup: &Setup, key: LinkKey) {
        let Some(part) = self.links.get_mut(key).and_then(|link| link.batch.front_mut()) else { return };
        let target = std::mem::replace(&mut part.target, Target::Nobody);
        self.deliver_refusal(setup, target, &Refusal::GatherTooLong(setup.limits.request_buffer_max));
    }

    fn course(&self, target: Target) -> Course {
        let Target::Request(pending, _) = target else { return Course::Skip };
        match self.turn_of(pending) {
            None => Course::Skip,
            Some((_, false, _)) => Course::Hold,
            Some((session, true, true)) => Course::Stream(session, pending),
            Some((_, true, false)) => Course::Park(pending),
        }
    }

    /// Adds the beginning of a streamed reply to its session's output.
    pub(crate) fn hand_on(&mut self, session_key: SessionKey, bytes: &[u8]) {
        let Some(session) = self.sessions.get_mut(session_key) else { return };
        self.buffers.provide_output(&mut session.out, bytes.len());
        session.out.extend_from_slice(bytes);
        self.order_session_write(session_key);
    }

    /// Takes the Shared link out of service because a large value is on it. Sessions that have
    /// requests on it use the next one only when these are answered, so that none overtakes another.
    pub(crate) fn retire_link(&mut self, setup: &Setup, key: LinkKey) {
        let Some(link) = self.links.get_mut(key) else { return };
        if link.lane != Lane::Shared || link.standing != Standing::Serving {
            return;
        }
        link.standing = Standing::Retired;
        let index = link.upstream;
        let waiting: Vec<PendingKey> = link.batch.requests().collect();
        for pending in waiting {
            self.settle_first(pending);
        }
        let next = self.links.insert(Link::new(index, Lane::Shared, self.now).keeping(setup.holds()));
        self.upstreams[index].shared = next;
        self.stats.links_retired += 1;
        self.connect_if_due(setup, next);
    }

    /// A link has one reply less to wait for: a retired one may be closed, a lane be free.
    pub(crate) fn tidy_after_reply(&mut self, key: LinkKey) {
        if self.links.get(key).is_some_and(|link| link.spool.is_some()) {
            return self.end_spooled(key);
        }
        let Some(link) = self.links.get(key).filter(|link| link.batch.in_flight() == 0) else { return };
        if link.lane == Lane::Stream {
            self.tidy_stream(key);
        } else if link.standing == Standing::Retired && link.lane != Lane::Bulk {
            self.links.remove(key);
            self.outputs.push_back(Output::CloseLink(key));
        } else if let Some(owner) = link.owner {
            self.release_lane_if_done(owner);
        } else if link.lane == Lane::Bulk && (link.is_free_lane() || link.standing == Standing::Retired) {
            self.freed_lanes.push(link.upstream);
        }
    }

    /// The session that a link streams to is gone: the rest of the value goes nowhere.
    pub(crate) fn orphan_stream(&mut self, setup: &Setup, key: LinkKey, remaining: u64) {
        let Some(link) = self.links.get_mut(key) else { return };
        match link.lane {
            Lane::Bulk => return self.close_lane(setup, key),
            // It is its session's alone, and goes with it.
            Lane::Stream => return,
            _ => {}
        }
        link.end_stream();
        link.dissolve_flow();
        self.skip_value(key, remaining);
    }

    /// The rest of the value that is arriving is for nobody. A link that is closed behind it is closed at once.
    fn skip_value(&mut self, key: LinkKey, missing: u64) {
        let Some(link) = self.links.get_mut(key) else { return };
        if link.lane == Lane::Shared && link.standing == Standing::Retired && link.batch.in_flight() == 1 {
            link.batch.take_answered();
            self.stats.discarded_replies += 1;
            return self.tidy_after_reply(key);
        }
        self.order_bytes(End::Link(key), Order::Skip { bytes: missing });
    }

    /// Reads a link on that had to wait for its reply's turn.
    pub(crate) fn unpark(&mut self, setup: &Setup, key: LinkKey) {
        let Some(link) = self.links.get_mut(key) else { return };
        if std::mem::take(&mut link.parked) {
            self.end_flow_if_unwanted(key);
            self.link_bytes(setup, key, b"");
            self.read_again(End::Link(key));
        }
    }
}

impl Link {
    /// The next reply goes to its session as it comes; its time cannot run out any more.
    fn begin_stream(&mut self, pending: PendingKey) {
        self.streaming = Some(pending);
        if let Some(part) = self.batch.front_mut() {
            part.deadline = Time::NEVER;
        }
    }

    /// The request whose reply was being streamed, if one was.
    pub(crate) fn end_stream(&mut self) -> Option<PendingKey> {
        self.streaming.take()
    }
}
