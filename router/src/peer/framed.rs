//! A framed link towards another proxy, at the end that opened it: bytes out, bytes in, its life and its loss.
//!
//! ```text
//!   Down ──► Connecting ──► Proving ── hello answered ──► Ready ◄── heard ──── Silent
//!                                                           └── PING unanswered ─┘
//! ```
//!
//! While it is silent nothing is written to it, and new requests take another peer if there is one. What was sent
//! waits for its answer: only the other end knows what became of it.

use std::time::Duration;

use crate::large::stream::OWN_MAX;
use crate::link::proof::let_in;
use crate::link::{Lane, Link, Stage, Standing};
use crate::loss::Loss;
use crate::mutant::Mutant;
use crate::order::{LinkKey, Output};
use crate::peer::carrier::{Carrier, FILL, Grant, Lead};
use crate::peer::frame::{self, FrameError, Piece, StreamId};
use crate::peer::hello::{self, Clocks};
use crate::peer::lease::{lease, told_deadline};
use crate::peer::ledger::Ledger;
use crate::peer::resume::{Met, Severed};
use crate::router::{Setup, Traffic};
use crate::time::Time;

/// This part of `probe_after` a peer has to answer a PING; another such part passes before it is asked.
const PING_PART: u32 = 2;
/// So often a lease is renewed before it is over.
const RENEWALS: u32 = 3;
/// A stream that nobody has used for so long is closed.
const IDLE: Duration = Duration::from_secs(2);

/// What a framed link carries.
#[derive(Debug)]
pub(crate) struct Framed {
    pub(crate) carrier: Carrier<LinkKey>,
    /// Streams, with a number or not yet.
    pub(crate) streams: Vec<LinkKey>,
    /// Frames, of which `written` bytes are gone.
    out: Vec<u8>,
    written: usize,
    /// After this time what is in `out` may not be sent.
    until: Time,
    /// No request of its streams has an earlier deadline.
    pub(crate) earliest: Time,
    clocks: Clocks,
    /// Requests in `out` that were not counted yet.
    fresh: u64,
    /// When the PING was sent that is not answered.
    pinged: Option<Time>,
    /// Until then the other end may send what it was asked for, and when it was told so.
    pub(crate) lease: Time,
    renewed: Time,
    /// When idle streams are looked for.
    sweep: Time,
    /// What has gone over it.
    pub(crate) ledger: Ledger,
    /// The other end, once that is met: its incarnation, what it calls the link if that can be resumed, and since when.
    pub(crate) met: Option<Met>,
    /// Its connection is lost; it is to be resumed.
    pub(crate) severed: Option<Severed>,
}

impl Framed {
    fn new(own: Grant, kept: usize) -> Self {
        Self {
            carrier: Carrier::new(own, Grant { stream: 0, link: 0 }),
            streams: Vec::new(),
            out: Vec::new(),
            written: 0,
            until: Time::NEVER,
            earliest: Time::NEVER,
            clocks: Clocks::default(),
            fresh: 0,
            pinged: None,
            lease: Time::default(),
            renewed: Time::default(),
            sweep: Time::default(),
            ledger: Ledger::new(kept),
            met: None,
            severed: None,
        }
    }

    /// The other end has answered the hello.
    pub(crate) fn meet(&mut self, grant: Grant, now: Time, lease: Duration) {
        self.carrier.agree(grant);
        // The other end counts from its answer, which is older.
        (self.lease, self.renewed) = (now.after(lease), now);
    }

    /// Asks whether the other end is there, and lets it send what it is asked for a while longer.
    fn ping(&mut self, now: Time, lease: Duration) {
        let until = self.renew_lease(now, lease);
        self.carrier.note(&hello::ping(until));
    }

    /// When the lease is to be renewed, for the sake of what the other end has.
    fn renewal_due(&self, lease: Duration) -> Time {
        if self.streams.is_empty() { Time::NEVER } else { self.renewed.after(lease / RENEWALS) }
    }

    /// The other end has said what its clock shows.
    pub(crate) fn compare_clocks(&mut self, clock: u64, now: Time) {
        self.clocks.compare(clock, now);
    }

    /// Frames that wait to be written.
    pub(crate) fn to_write(&self) -> &[u8] {
        &self.out[self.written..]
    }

    /// Memory of frames that wait, or are kept.
    pub(crate) fn bytes(&self) -> usize {
        self.out.capacity() + self.carrier.bytes() + self.ledger.memory()
    }

    /// Lets the other end send what it has while a lease from `since` on lasts, if not longer; until when, on its clock.
    pub(crate) fn renew_lease(&mut self, since: Time, lease: Duration) -> u64 {
        (self.lease, self.renewed) = (self.lease.max(since.after(lease)), since);
        self.clocks.translate(self.lease).unwrap_or_default()
    }

    /// It goes on on another connection; so many bytes of frames have come at the other end.
    pub(crate) fn resume(&mut self, come: u64) {
        self.out = self.ledger.resume(come, &self.out[self.written..]);
        // The other end does not send on what comes too late.
        (self.written, self.until, self.pinged, self.severed) = (0, Time::NEVER, None, None);
    }

    /// Whether everything from this byte on is there to be sent again.
    pub(crate) fn reaches(&self, come: u64) -> bool {
        self.ledger.reaches(come, self.to_write().len())
    }

    /// So many bytes of frames are written; how many requests were among the frames so far.
    fn wrote(&mut self, bytes: usize) -> u64 {
        let bytes = bytes.min(self.to_write().len());
        self.ledger.sent(&self.out[self.written..self.written + bytes]);
        self.written += bytes;
        if self.written == self.out.len() {
            self.written = 0;
            self.until = Time::NEVER;
            self.out.clear();
            self.out.shrink_to(2 * FILL);
        }
        std::mem::take(&mut self.fresh)
    }

    fn has_room(&self) -> bool {
        self.out.len() - self.written < FILL
    }
}

impl Traffic {
    /// Adds a link to another proxy, to be opened at `when`.
    pub(crate) fn add_framed(&mut self, setup: &Setup, index: usize, when: Time) -> LinkKey {
        let mut link = Link::new(index, Lane::Framed, when);
        link.framed = Some(Box::new(Framed::new(hello::own_grant(&setup.limits), setup.limits.resume_max)));
        self.links.insert(link)
    }

    /// Makes frames of what its streams have to send, once all frames so far are written. What is past its deadline is taken out first.
    pub(crate) fn fill_link(&mut self, setup: &Setup, key: LinkKey) {
        let Some(link) = self.links.get(key).filter(|link| link.is_met()) else { return };
        let (Some(framed), silent) = (link.framed.as_ref(), !link.is_ready()) else { return };
        if !framed.to_write().is_empty() {
            // Nothing is added, so that it is known until when all of it may be sent.
            if framed.until <= self.now {
                self.give_up(setup, key, Loss::Stuck);
            }
            return;
        }
        let (now, lease) = (self.now, lease(&setup.limits));
        let framed = self.links.get_mut(key).and_then(|link| link.framed.as_mut());
        // What is sent now shall not be over when it arrives.
        if let Some(framed) = framed.filter(|framed| !silent && framed.renewal_due(lease) <= now) {
            framed.ping(now, lease);
        }
        // A link that is silent is asked whether it is there, and nothing more.
        while let Some(stream) = if silent { None } else { self.next_ready(key) } {
            if !setup.mutation.is(Mutant::StaleDeadline) {
                self.expire(setup, stream);
            }
            self.drop_unleased(setup, stream);
            self.write_stream(setup, key, stream);
        }
        if let Some(framed) = self.links.get_mut(key).and_then(|link| link.framed.as_mut()) {
            framed.carrier.take_control(&mut framed.out);
        }
    }

    fn next_ready(&mut self, key: LinkKey) -> Option<LinkKey> {
        let framed = self.links.get_mut(key)?.framed.as_mut().filter(|framed| framed.has_room())?;
        framed.carrier.take_control(&mut framed.out);
        framed.carrier.next_ready()
    }

    /// Makes one frame of what a stream has to send, as far as it may.
    fn write_stream(&mut self, setup: &Setup, key: LinkKey, stream: LinkKey) {
        let amid = self.is_amid_value(stream);
        let Some([link, stream_link]) = self.links.pair_mut(key, stream) else { return };
        let (Some(framed), Some(strand)) = (&mut link.framed, &mut stream_link.strand) else { return };
        let end = &mut strand.end;
        let (unsent, now) = (stream_link.batch.unsent(), self.now);
        let much = !end.lane && (amid || framed.carrier.is_much(unsent));
        let bytes = framed.carrier.allowance(end, unsent, much);
        if bytes > 0 {
            let id = *end.id.get_or_insert_with(|| framed.carrier.number(stream));
            let deadline = stream_link.batch.deadline_of_next(bytes);
            framed.until = framed.until.min(deadline);
            let deadline = framed.clocks.translate(told_deadline(deadline, now, &setup.limits));
            frame::write_data(&mut framed.out, id, deadline, &stream_link.batch.to_write()[..bytes]);
            framed.carrier.spend(end, bytes);
        }
        end.queued = bytes < unsent && framed.carrier.may_send(end, much);
        if end.queued {
            framed.carrier.queue_again(stream, much);
        }
        if bytes > 0 {
            framed.fresh += stream_link.wrote(bytes, now);
            self.stream_drained(setup, stream);
        }
    }

    /// Bytes of frames are written.
    pub(crate) fn framed_written(&mut self, key: LinkKey, bytes: usize) {
        let Some(link) = self.links.get_mut(key) else { return };
        let Some(framed) = &mut link.framed else { return };
        let requests = framed.wrote(bytes);
        let done = framed.to_write().is_empty();
        if requests > 0 {
            self.stats.batch.observe(requests);
        }
        if done {
            self.order_write(key);
        }
    }

    /// Reads what the other end sent.
    pub(crate) fn framed_bytes(&mut self, setup: &Setup, key: LinkKey, bytes: &[u8]) {
        let outcome = match self.links.get(key).map(|link| link.stage) {
            Some(Stage::Proving(_)) => self.hello_bytes(setup, key, bytes),
            Some(_) => self.frames_from_above(setup, key, bytes),
            None => Ok(()),
        };
        if let Err(loss) = outcome {
            self.give_up(setup, key, loss);
        }
    }

    /// Reads the answer to the hello, and what follows it.
    fn hello_bytes(&mut self, setup: &Setup, key: LinkKey, bytes: &[u8]) -> Result<(), Loss> {
        let Some(link) = self.links.get_mut(key) else { return Ok(()) };
        let (mut kept, _) = link.take_reply();
        kept.extend_from_slice(bytes);
        while let Some(len) = link.scan.scan(&kept).map_err(Loss::NotResp)? {
            link.proof.replies += 1;
            if link.proof.replies > link.proof.probe.greetings {
                self.greeted(setup, key, &kept[..len])?;
                return self.frames_from_above(setup, key, &kept[len..]);
            }
            let_in(&kept[..len])?;
            kept.drain(..len);
        }
        let endless = kept.len() > OWN_MAX;
        link.keep_reply(kept, 0);
        if endless { Err(Loss::EndlessReply) } else { Ok(()) }
    }

    fn frames_from_above(&mut self, setup: &Setup, key: LinkKey, mut bytes: &[u8]) -> Result<(), Loss> {
        let now = self.now;
        let Some(link) = self.links.get_mut(key) else { return Ok(()) };
        let Some(framed) = &mut link.framed else { return Ok(()) };
        framed.pinged = None;
        framed.ledger.note_received(bytes.len()).into_iter().for_each(|come| framed.carrier.tell_come(come));
        let mut reader = std::mem::take(&mut framed.carrier.reader);
        if std::mem::replace(&mut link.stage, Stage::Ready) == Stage::Silent {
            self.resume_waiting();
        }
        self.links.get_mut(key).into_iter().for_each(|link| link.heard = now);
        while let Some(piece) = reader.next(&mut bytes).map_err(Loss::Frame)? {
            self.take_from_above(setup, key, piece)?;
        }
        if let Some(framed) = self.links.get_mut(key).and_then(|link| link.framed.as_mut()) {
            framed.carrier.reader = reader;
        }
        self.order_write(key);
        self.demand_closed(setup, key).map_err(Loss::Frame)
    }

    fn take_from_above(&mut self, setup: &Setup, key: LinkKey, piece: Piece<'_>) -> Result<(), Loss> {
        let Some(link) = self.links.get_mut(key) else { return Ok(()) };
        let Some(framed) = &mut link.framed else { return Ok(()) };
        match piece {
            Piece::Data(id, bytes) => self.data_from_above(setup, key, id, bytes).map_err(Loss::Frame)?,
            Piece::Credit(StreamId(0), bytes) => framed.carrier.add_credit(bytes),
            Piece::Credit(id, bytes) => {
                let stream = framed.carrier.here(id).map_err(Loss::Frame)?;
                stream.into_iter().for_each(|stream| self.add_stream_credit(stream, bytes));
            }
            Piece::Close(id) => {
                let stream = framed.carrier.closed(id).map_err(Loss::Frame)?;
                stream.into_iter().for_each(|stream| self.stream_closed_above(setup, stream));
            }
            Piece::Refused(id, why) => {
                let stream = framed.carrier.closed(id).map_err(Loss::Frame)?;
                stream.into_iter().for_each(|stream| self.stream_refused(setup, stream, why));
            }
            Piece::Come(bytes) => framed.ledger.acknowledged(bytes),
            Piece::Lane(id) => {
                let stream = framed.carrier.here(id).map_err(Loss::Frame)?;
                stream.into_iter().for_each(|stream| self.lane_above(setup, stream));
            }
            Piece::Note(note) => self.note_from_above(setup, key, note)?,
            Piece::Deadline(..) => return Err(Loss::Frame(FrameError::Unknown)),
        }
        Ok(())
    }

    fn data_from_above(&mut self, setup: &Setup, key: LinkKey, id: StreamId, bytes: &[u8]) -> Result<(), FrameError> {
        let Some(framed) = self.links.get_mut(key).and_then(|link| link.framed.as_mut()) else { return Ok(()) };
        let wrong = setup.mutation.is(Mutant::WrongStream) && self.stats.replies % 19 == 3;
        let id = if wrong { StreamId(id.0 % framed.streams.len().max(1) as u32 + 1) } else { id };
        match framed.carrier.lead(id)? {
            None => Err(FrameError::Stream(id.0)),
            Some(Lead::Gone) => {
                framed.carrier.received::<LinkKey>(None, bytes.len())?;
                framed.carrier.taken::<LinkKey>(None, bytes.len() as u64);
                Ok(())
            }
            Some(Lead::Here(stream)) => {
                let Some([link, stream_link]) = self.links.pair_mut(key, stream) else { return Ok(()) };
                let end = stream_link.strand.as_mut().map(|strand| &mut strand.end);
                link.framed.as_mut().map_or(Ok(()), |framed| framed.carrier.received(end, bytes.len()))?;
                self.stream_bytes(setup, stream, bytes);
                Ok(())
            }
        }
    }

    /// Sessions that wait for a peer look again.
    pub(crate) fn resume_waiting(&mut self) {
        self.resumable.extend(self.upstreams.iter_mut().flat_map(|upstream| upstream.waiting.drain(..)));
    }

    /// A link to another proxy takes nothing new; it is closed when its streams are done with.
    pub(crate) fn retire_framed(&mut self, setup: &Setup, key: LinkKey) {
        let Some(link) = self.links.get_mut(key) else { return };
        link.standing = Standing::Retired;
        let index = link.upstream;
        let next = self.add_framed(setup, index, self.now);
        self.replace_framed(index, key, next);
        self.connect_if_due(setup, next);
        self.sweep_streams(key, Time::NEVER);
    }

    /// Closes a retired link that carries nothing any more.
    pub(crate) fn close_if_retired(&mut self, key: LinkKey) {
        let retired = |link: &&Link| {
            link.standing == Standing::Retired && link.framed.as_ref().is_some_and(|framed| framed.streams.is_empty())
        };
        if self.links.get(key).filter(retired).is_some() {
            self.links.remove(key);
            self.outputs.push_back(Output::CloseLink(key));
        }
    }

    /// Does what is due on a link to another proxy.
    pub(crate) fn tick_framed(&mut self, setup: &Setup, key: LinkKey) {
        let now = self.now;
        self.expire_streams(setup, key);
        if self.is_given_up(key) {
            return self.give_up(setup, key, Loss::NotResumed);
        }
        let Some(link) = self.links.get(key) else { return };
        match link.stage {
            Stage::Connecting(until) | Stage::Proving(until) if until <= now => {
                return self.give_up(setup, key, Loss::TooLate);
            }
            Stage::Ready | Stage::Silent if now >= link.heard.after(setup.limits.link_dead) => {
                return self.give_up(setup, key, Loss::Silent);
            }
            _ => {}
        }
        self.ask_whether_there(setup, key);
        self.sweep_if_due(key);
    }

    /// Sends a PING if it is time to; without an answer in time the link is silent.
    fn ask_whether_there(&mut self, setup: &Setup, key: LinkKey) {
        let (now, due) = (self.now, self.ping_due(setup, key));
        let Some(link) = self.links.get_mut(key).filter(|link| link.is_ready() && due <= now) else { return };
        let Some(framed) = &mut link.framed else { return };
        if setup.mutation.is(Mutant::SilenceUnnoticed) {
            framed.pinged = None;
        }
        if framed.pinged.is_some_and(|pinged| pinged.after(setup.limits.probe_after / PING_PART) <= now) {
            link.stage = Stage::Silent;
            self.stats.silences += 1;
            return self.leave_silent(setup, key);
        }
        framed.pinged.get_or_insert(now);
        framed.ping(now, lease(&setup.limits));
        self.order_write(key);
    }

    /// When it is asked whether it is there, or counts as silent.
    fn ping_due(&self, setup: &Setup, key: LinkKey) -> Time {
        let Some(link) = self.links.get(key).filter(|link| link.is_ready()) else { return Time::NEVER };
        let part = setup.limits.probe_after / PING_PART;
        let Some(framed) = &link.framed else { return Time::NEVER };
        let renewal = framed.renewal_due(lease(&setup.limits));
        let asked = match framed.pinged {
            Some(pinged) => pinged.after(part),
            None if framed.streams.is_empty() => link.heard.after(setup.limits.ping_interval),
            None => link.heard.after(part),
        };
        asked.min(renewal)
    }

    fn sweep_if_due(&mut self, key: LinkKey) {
        let now = self.now;
        let due = self.links.get_mut(key).and_then(|link| link.framed.as_mut()).is_some_and(|framed| {
            let due = framed.sweep <= now && !framed.streams.is_empty();
            framed.sweep = if due { now.after(IDLE / 2) } else { framed.sweep };
            due
        });
        if due {
            let since = Time::from_micros(now.micros().saturating_sub(IDLE.as_micros() as u64));
            self.sweep_streams(key, since);
        }
    }

    /// When something is due on a link to another proxy.
    pub(crate) fn framed_due(&self, setup: &Setup, key: LinkKey, link: &Link) -> Time {
        let stage = match link.stage {
            Stage::Down(when) => when,
            Stage::Connecting(until) | Stage::Proving(until) => until,
            Stage::Ready | Stage::Silent => link.heard.after(setup.limits.link_dead).min(self.ping_due(setup, key)),
        };
        let Some(framed) = &link.framed else { return stage };
        let sweep = if framed.streams.is_empty() || framed.severed.is_some() { Time::NEVER } else { framed.sweep };
        let stage = stage.min(framed.give_up_due(self.now));
        stage.min(framed.earliest.max(self.listens)).min(sweep)
    }
}
