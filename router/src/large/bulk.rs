//! Large values: a Bulk lane for each, through which they pass without ever being held.
//!
//! ```text
//!             head known, own requests answered     lane free        bytes moved by the driver
//!   session ─────────────────────────────────► waits ───────► cut ──────────────────────────► answered
//!                                                              ▲ │ more arguments, more commands of
//!                                                              └─┘ a live transaction
//! ```
//!
//! A lane serves one session at a time, in the order in which they asked. A session uses a lane only
//! while it has no unanswered request elsewhere, so that its requests for one shard never overtake
//! each other on two paths.

use crate::command::{self, CommandId, CommandSpec, Treatment};
use crate::large::files::span;
use crate::link::Link;
use crate::link::part::Target;
use crate::order::{End, LinkKey, Order, Output, SessionKey};
use crate::place::{Located, Shard};
use crate::refusal::Refusal;
use crate::request::plan::{self, Plan};
use crate::resp::{Request, RequestScan};
use crate::router::{Setup, Traffic};
use crate::session::{Flow, Pause};
use crate::time::Time;

/// What became of an unfinished request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cut {
    /// It is not large, or has to be whole before it can be looked at.
    No,
    /// It is looked at again later.
    Wait,
    /// All its bytes so far are on their way or skipped, and the rest of what is arriving is ordered.
    Taken,
    /// So many of its bytes are.
    Passed(usize),
    /// It is answered, and what there is of it is not wanted.
    Unwanted,
}

impl Traffic {
    /// Looks at an unfinished request; what need not be whole goes on its way, what need not be held is skipped.
    /// `need`: bytes up to the end of what is arriving.
    pub(crate) fn cut_through(
        &mut self,
        setup: &Setup,
        key: SessionKey,
        scan: &mut RequestScan,
        bytes: &[u8],
        need: usize,
    ) -> Cut {
        let arriving = scan.arriving();
        let large = arriving.is_some_and(|size| size >= setup.limits.large_min);
        let begins = scan.begins(self.cut_min(setup, key));
        if self.is_discarding(key) {
            return self.discard_more(setup, key, scan, bytes, need);
        }
        let to = match self.cutting(key) {
            Some(to) => to,
            None if !begins && need <= setup.limits.request_buffer_max || scan.is_fresh() => return Cut::No,
            None => match self.begin_cut(setup, key, scan, bytes, need) {
                Ok(to) => to,
                Err(Cut::No) if need > setup.limits.request_buffer_max => {
                    self.refuse_head(setup, key, scan, bytes);
                    return self.discard_more(setup, key, scan, bytes, need);
                }
                Err(Cut::Unwanted) => return self.discard_more(setup, key, scan, bytes, need),
                Err(cut) => return cut,
            },
        };
        if let End::Spool(spool) = to {
            self.see_arguments(spool, scan, bytes, large);
        }
        if large {
            self.extend(to, bytes);
            scan.pass_argument();
            self.relay(End::Session(key), to, (need - bytes.len()) as u64);
            return Cut::Taken;
        }
        let whole = scan.pass_whole();
        self.extend(to, &bytes[..whole]);
        if let End::Link(lane) = to {
            self.pause_if_lane_full(setup, key, lane);
        }
        Cut::Passed(whole)
    }

    /// Where the middle of a request goes.
    pub(crate) fn cutting(&self, key: SessionKey) -> Option<End> {
        let session = self.sessions.get(key).filter(|session| session.cut)?;
        session.spooling.file.map(End::Spool).or(session.lane.map(End::Link))
    }

    fn extend(&mut self, to: End, bytes: &[u8]) {
        match to {
            End::Spool(spool) => self.extend_spool(spool, bytes),
            End::Link(lane) => self.extend_lane(lane, bytes),
            End::Session(_) => {}
        }
    }

    /// Has a session wait until its lane has written more; whether it has to.
    pub(crate) fn pause_if_lane_full(&mut self, setup: &Setup, key: SessionKey, lane: LinkKey) -> bool {
        let full = |link: &&Link| link.unsent() >= setup.limits.link_output_max;
        let Some(upstream) = self.links.get(lane).filter(full).map(|link| link.upstream) else { return false };
        self.pause(key, Pause::Waiting);
        self.await_output(upstream, key);
        true
    }

    /// The lane or the file to which an unfinished request may go, once it is the session's turn there. Nothing but the
    /// request's place is taken on it.
    fn begin_cut(
        &mut self,
        setup: &Setup,
        key: SessionKey,
        scan: &RequestScan,
        bytes: &[u8],
        need: usize,
    ) -> Result<End, Cut> {
        let head = scan.head(bytes).filter(|head| !head.spans.is_empty()).ok_or(Cut::No)?;
        let id = setup.table.resolve(&head).map_err(|why| self.ask_about_head(setup, key, &head, why))?;
        let shard = self.cut_home(setup, key, id, &head).ok_or(Cut::No)?;
        if need > setup.limits.request_max {
            self.refuse_request(setup, key);
            return Err(Cut::Unwanted);
        }
        if let Err(why) = self.admission(setup, key, id, &head) {
            self.doom(setup, key, &why);
            return Err(Cut::Unwanted);
        }
        if self.holds_transaction(key) {
            self.queue_head(setup, key, id, &head)?;
        }
        if self.fails_fast(setup, shard) {
            self.doom(setup, key, &Refusal::NotSent);
            return Err(Cut::Unwanted);
        }
        let spool = if self.spools(setup, key) { self.room_for_head(setup, key, shard, need)? } else { None };
        let to = match spool {
            Some(spool) => spool,
            None => self.lane_for(setup, shard, key).map(End::Link).ok_or(Cut::Wait)?,
        };
        if self.forbids_transactions(setup, key) {
            self.doom(setup, key, &Refusal::TransactionsForbidden);
            return Err(Cut::Unwanted);
        }
        self.note_large(first_key(setup, id, &head));
        self.go_live(setup, key, to);
        match to {
            End::Spool(spool) => self.begin_spooled(setup, spool, &head),
            End::Link(lane) => {
                let pending = self.push_pending(key);
                self.send_on_lane(lane, Target::Request(pending, 0), b"");
                self.tell_of_lane(key, lane);
            }
            End::Session(_) => {}
        }
        self.stats.count_request(id.index());
        if let Some(session) = self.sessions.get_mut(key) {
            (session.cut, session.spooling.barred) = (true, false);
        }
        Ok(to)
    }

    /// A session has its lane. To another proxy it is one only when that one has one; then it is told by that one's word.
    fn tell_of_lane(&mut self, key: SessionKey, lane: LinkKey) {
        if self.is_stream(lane) {
            self.forget_lane_above(lane);
        } else {
            self.tell_lane(key);
        }
    }

    /// An unfinished request inside a transaction: whether it may go on its way.
    fn queue_head(&mut self, setup: &Setup, key: SessionKey, id: CommandId, head: &Request<'_>) -> Result<(), Cut> {
        if self.is_doomed(key) {
            self.answer_held(setup, key);
            self.answer_new(setup, key, |out| out.extend_from_slice(b"+QUEUED\r\n"));
            return Err(Cut::Unwanted);
        }
        let settled = self.settle_home(setup, key, id, head);
        self.answer_held(setup, key);
        settled.map_err(|why| {
            self.doom(setup, key, &why);
            Cut::Unwanted
        })
    }

    /// Where an unfinished request goes, if that is known though it is not whole, and nothing but that matters.
    fn cut_home(&mut self, setup: &Setup, key: SessionKey, id: CommandId, head: &Request<'_>) -> Option<Shard> {
        if self.treatment(setup, id, head) != Treatment::Forward {
            return None;
        }
        let (spec, any) = (setup.table.spec(id), self.any_shard(setup, key));
        let mut scratch = std::mem::take(&mut self.scratch);
        let known = command::keys_known(spec, head, &mut scratch.positions);
        let home = |position: &u32| match plan::locate(setup, head.arg(*position as usize)) {
            Located::Home(_) => head.arg(*position as usize).len() <= setup.limits.key_max,
            Located::Spread(_) => false,
        };
        let plain = scratch.positions.iter().filter(|at| (**at as usize) < head.spans.len()).all(home);
        let shard = match plain {
            false => None,
            true if known => match plan::plan(setup, spec, head, any, &mut scratch) {
                Ok(Plan::One(shard)) => Some(shard),
                _ => None,
            },
            // Who may not touch every key is not sent on before all of them are seen.
            true if self.is_bounded(key) => None,
            // A key that is arriving has to be seen whole.
            true => {
                (setup.homes.shards() == 1 && !scratch.positions.contains(&(head.spans.len() as u32))).then_some(any)
            }
        };
        self.scratch = scratch;
        shard
    }

    /// The last bytes of a request that was cut through, and the arguments that they make whole.
    pub(crate) fn finish_cut(&mut self, setup: &Setup, key: SessionKey, tail: &[u8], rest: &Request<'_>) {
        let to = self.cutting(key);
        let Some(session) = self.sessions.get_mut(key) else { return };
        session.cut = false;
        if let Some(End::Spool(spool)) = to {
            return self.finish_spooled(setup, key, spool, tail, rest);
        }
        let (lane, live) = (session.lane, session.held.is_some());
        if let Some(lane) = lane {
            self.extend_lane(lane, tail);
        }
        if !live {
            self.pause(key, Pause::Lane);
        }
        self.release_lane_if_done(key);
    }

    /// Takes a read that will be answered with a large value to a lane, so that nobody waits behind it.
    pub(crate) fn read_on_lane(&mut self, setup: &Setup, key: SessionKey, shard: Shard, request: &Request<'_>) -> Flow {
        if self.fails_fast(setup, shard) {
            self.refuse(setup, key, &Refusal::NotSent);
            return Flow::Next;
        }
        let Some(lane) = self.lane_for(setup, shard, key) else { return Flow::Again };
        let pending = self.push_pending(key);
        self.append_to_lane(lane, Target::Request(pending, 0), request.bytes);
        self.pause(key, Pause::Lane);
        Flow::Next
    }

    /// Whether a read's reply is expected to be large: its span says so, or its file had large values before.
    pub(crate) fn is_large_read(&self, setup: &Setup, spec: &CommandSpec, request: &Request<'_>) -> bool {
        match &*spec.name {
            "getrange" | "substr" => span(request).is_some_and(|span| span >= setup.limits.large_min as u64),
            "get" | "getex" | "getdel" => self.large.contains(request.arg(1)),
            _ => false,
        }
    }

    /// Adds a request to a lane of which not all passes here, or that belongs to such a transaction.
    pub(crate) fn send_on_lane(&mut self, lane: LinkKey, target: Target, bytes: &[u8]) {
        self.append_to_lane(lane, target, bytes);
        self.links.get_mut(lane).into_iter().for_each(|link| link.batch.never_again());
    }

    /// Adds a request to a lane. It has no deadline: how long a large value takes is its client's affair,
    /// until others wait for the lane.
    fn append_to_lane(&mut self, lane: LinkKey, target: Target, bytes: &[u8]) {
        self.last_id += 1;
        let Some(link) = self.links.get_mut(lane) else { return };
        link.batch.append(self.last_id, target, Time::NEVER, |out| out.extend_from_slice(bytes));
        self.write_lane(lane);
    }

    pub(crate) fn extend_lane(&mut self, lane: LinkKey, bytes: &[u8]) {
        let Some(link) = self.links.get_mut(lane) else { return };
        link.batch.extend(bytes);
        self.write_lane(lane);
    }

    fn write_lane(&mut self, lane: LinkKey) {
        if self.is_stream(lane) {
            return self.queue_stream(lane);
        }
        let Some(link) = self.links.get_mut(lane) else { return };
        if !std::mem::replace(&mut link.dirty, true) {
            self.outputs.push_back(Output::Order(End::Link(lane), Order::Inject));
        }
    }

    /// Remembers that a file has large values.
    pub(crate) fn note_large(&mut self, key: &[u8]) {
        self.large.insert(key);
    }
}

/// The key by which a file with large values is remembered.
fn first_key<'r>(setup: &Setup, id: CommandId, head: &Request<'r>) -> &'r [u8] {
    command::first_key(setup.table.spec(id), head).map_or(b"", |position| head.arg(position as usize))
}
