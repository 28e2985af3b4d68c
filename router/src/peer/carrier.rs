//! A framed link, as both of its ends have it: streams by number, who has something to send, credit.
//!
//! ```text
//!   opening end                                              accepting end
//!   stream (a `Link`) ─► ready ─┐                      ┌─► session without a connection
//!   stream ───────────► ready ─┼─ frames ═════════════╪─► session
//!   stream ◄───────────────────┘                      └──  ready ◄─ session
//! ```
//!
//! A stream's number is free again at an end when that end has both sent and received CLOSE.

use std::collections::VecDeque;

use crate::peer::frame::{self, FrameError, FrameFlags, FrameReader, NUMBER_LEN, PAYLOAD_MAX, StreamId};
use crate::peer::window::Window;
use crate::session::backlog::Backlog;
use crate::time::Time;

/// Frames are written as long as fewer bytes than this wait for the connection.
pub(crate) const FILL: usize = 128 << 10;

/// This part of a link's credit is for streams that have little to send, ...
const RESERVED_PART: u64 = 4;
/// ... no more than this part of what a stream is granted at its start. So much of what nobody takes does not count on
/// the link either: ...
const LITTLE_PART: u64 = 16;
/// ... and when this part of the link's credit is used up nobody who has much may have more than that lie at the other
/// end. So who takes nothing, however many they are, leaves credit to all others.
const CROWDED_PART: u64 = 2;

/// What one end grants the other at the start, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Grant {
    /// On every stream.
    pub(crate) stream: u64,
    /// On the link as a whole.
    pub(crate) link: u64,
}

/// One end of a framed link. `K` names what its streams lead to.
#[derive(Debug)]
pub(crate) struct Carrier<K> {
    pub(crate) reader: FrameReader,
    /// By stream number, from 1 on.
    slots: Vec<Slot<K>>,
    /// How many of them are closing.
    closing: usize,
    /// Numbers that may be given anew, where this end gives them.
    free: Vec<u32>,
    /// How many streams are open at this end.
    open: usize,
    numbers: bool,
    ready: VecDeque<K>,
    /// Those that have much to send, while no more credit is left than is reserved for who has little.
    aside: VecDeque<K>,
    /// Frames that go before those of the streams.
    control: Vec<u8>,
    own: Grant,
    other: Grant,
    /// What may be sent.
    credit: u64,
    window: Window,
}

/// What a stream number stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Slot<K> {
    Free,
    Open(K),
    /// CLOSE was sent, and the other end's is awaited.
    Closing,
}

/// One end of a stream.
#[derive(Debug)]
pub(crate) struct StreamEnd<C> {
    /// The link that carries it.
    pub(crate) carrier: C,
    /// None before its first frame, and after its last.
    pub(crate) id: Option<StreamId>,
    /// What may be sent.
    pub(crate) credit: u64,
    pub(crate) window: Window,
    /// The other end has a lane for the value that is being sent.
    pub(crate) lane: bool,
    /// It is among those that have something to send.
    pub(crate) queued: bool,
    /// Bytes that will come and that nobody wants.
    pub(crate) skip: u64,
    /// Bytes that have come and wait until they are wanted.
    pub(crate) inbox: Backlog,
    /// After this time what has come is not to be sent on.
    pub(crate) latest: Time,
}

impl<K: Copy + PartialEq> Carrier<K> {
    /// A link on which no frame has been seen.
    pub(crate) fn new(own: Grant, other: Grant) -> Self {
        Self {
            reader: FrameReader::default(),
            slots: Vec::new(),
            closing: 0,
            free: Vec::new(),
            open: 0,
            numbers: false,
            ready: VecDeque::new(),
            aside: VecDeque::new(),
            control: Vec::new(),
            own,
            other,
            credit: other.link,
            window: Window::with_worth(own.link, own.link / LITTLE_PART),
        }
    }

    /// The other end has said what it grants.
    pub(crate) fn agree(&mut self, other: Grant) {
        (self.other, self.credit) = (other, other.link);
    }

    /// A stream's end before its first frame.
    pub(crate) fn new_end<C>(&self, carrier: C, id: Option<StreamId>) -> StreamEnd<C> {
        StreamEnd {
            carrier,
            id,
            credit: self.other.stream,
            window: Window::with_worth(self.own.stream, little(self.own) / 2),
            lane: false,
            queued: false,
            skip: 0,
            inbox: Backlog::default(),
            latest: Time::NEVER,
        }
    }

    /// Bytes of its streams that have come and that nobody has taken.
    pub(crate) fn owed(&self) -> u64 {
        self.window.owed()
    }

    /// What the other end grants to each stream at its start.
    pub(crate) fn stream_credit(&self) -> u64 {
        self.other.stream
    }

    /// Gives a stream a number.
    pub(crate) fn number(&mut self, key: K) -> StreamId {
        self.numbers = true;
        self.open += 1;
        let at = self.free.pop().unwrap_or(self.slots.len() as u32);
        match self.slots.get_mut(at as usize) {
            Some(slot) => *slot = Slot::Open(key),
            None => self.slots.push(Slot::Open(key)),
        }
        StreamId(at + 1)
    }

    /// What a stream of the other end's leads to: the end here, nobody any more, or it is new (`None`).
    ///
    /// # Errors
    /// The number cannot be: the other end numbers its streams one after another.
    pub(crate) fn lead(&self, id: StreamId) -> Result<Option<Lead<K>>, FrameError> {
        let at = id.0.checked_sub(1).ok_or(FrameError::Stream(id.0))? as usize;
        match self.slots.get(at) {
            Some(Slot::Open(key)) => Ok(Some(Lead::Here(*key))),
            Some(Slot::Closing) => Ok(Some(Lead::Gone)),
            Some(Slot::Free) => Ok(None),
            None if at == self.slots.len() => Ok(None),
            None => Err(FrameError::Stream(id.0)),
        }
    }

    /// What a stream leads to here, if it still does.
    ///
    /// # Errors
    /// The number cannot be.
    pub(crate) fn here(&self, id: StreamId) -> Result<Option<K>, FrameError> {
        let lead = self.lead(id)?;
        Ok(lead.and_then(|lead| if let Lead::Here(key) = lead { Some(key) } else { None }))
    }

    /// Takes in a stream that the other end has opened.
    pub(crate) fn admit(&mut self, id: StreamId, key: K) {
        self.open += 1;
        self.put(id, Slot::Open(key));
    }

    /// Refuses a stream that the other end has opened, and says why.
    pub(crate) fn refuse(&mut self, id: StreamId, why: &[u8]) {
        self.closing += 1;
        self.put(id, Slot::Closing);
        frame::write(&mut self.control, id, FrameFlags::REFUSED, &why[..why.len().min(frame::REASON_MAX)]);
    }

    fn put(&mut self, id: StreamId, slot: Slot<K>) {
        let at = id.0 as usize - 1;
        if at == self.slots.len() {
            self.slots.push(Slot::Free);
        }
        self.slots[at] = slot;
    }

    /// This end is done with a stream.
    pub(crate) fn close(&mut self, id: StreamId) {
        let Some(slot) = self.slots.get_mut(id.0 as usize - 1) else { return };
        if matches!(slot, Slot::Open(_)) {
            *slot = Slot::Closing;
            self.open -= 1;
            self.closing += 1;
            frame::write(&mut self.control, id, FrameFlags::CLOSE, &[]);
        }
    }

    /// The other end is done with a stream; what it led to here, if it still did.
    ///
    /// # Errors
    /// It was not open.
    pub(crate) fn closed(&mut self, id: StreamId) -> Result<Option<K>, FrameError> {
        let unknown = FrameError::Stream(id.0);
        let at = id.0.checked_sub(1).ok_or(unknown)?;
        let slot = self.slots.get_mut(at as usize).ok_or(unknown)?;
        let before = std::mem::replace(slot, Slot::Free);
        if self.numbers && before != Slot::Free {
            self.free.push(at);
        }
        match before {
            Slot::Free => Err(unknown),
            Slot::Closing => {
                self.closing -= 1;
                Ok(None)
            }
            Slot::Open(key) => {
                self.open -= 1;
                frame::write(&mut self.control, id, FrameFlags::CLOSE, &[]);
                Ok(Some(key))
            }
        }
    }

    /// How many streams are open at this end.
    pub(crate) fn open_streams(&self) -> usize {
        self.open
    }

    /// Streams that this end has closed, and the other one has not.
    pub(crate) fn closing(&self) -> usize {
        self.closing
    }

    /// Memory of these.
    pub(crate) fn closing_bytes(&self) -> usize {
        self.closing * size_of::<Slot<K>>()
    }

    /// What its streams lead to.
    pub(crate) fn open(&self) -> impl Iterator<Item = K> + '_ {
        self.slots.iter().filter_map(|slot| match slot {
            Slot::Open(key) => Some(*key),
            _ => None,
        })
    }

    /// Adds a stream to those that have something to send.
    pub(crate) fn queue(&mut self, key: K) {
        self.ready.push_back(key);
    }

    /// The next stream that has something to send, if any of it may be sent.
    pub(crate) fn next_ready(&mut self) -> Option<K> {
        if self.credit > 0 { self.ready.pop_front() } else { None }
    }

    /// Whether there is something that may be sent.
    pub(crate) fn has_more(&self) -> bool {
        !self.control.is_empty() || self.credit > 0 && !self.ready.is_empty()
    }

    /// Moves the frames that go first to where they are written from.
    pub(crate) fn take_control(&mut self, out: &mut Vec<u8>) {
        out.append(&mut self.control);
    }

    /// Memory of frames that wait.
    pub(crate) fn bytes(&self) -> usize {
        self.control.capacity()
    }

    /// Whether so many bytes of a stream are more than may use the credit that is left to others.
    pub(crate) fn is_much(&self, bytes: usize) -> bool {
        bytes as u64 > little(self.other)
    }

    fn reserve(&self) -> u64 {
        self.other.link / RESERVED_PART
    }

    /// How many of a stream's bytes may be sent now in one frame. Who has `much` leaves part of the link's credit to
    /// others: what it sends may lie at the other end until it is taken there.
    pub(crate) fn allowance<C>(&self, end: &StreamEnd<C>, bytes: usize, much: bool) -> usize {
        let credit = if much { self.credit.saturating_sub(self.reserve()) } else { self.credit };
        let most = self.stream_allowance(end, much).min(credit).min((PAYLOAD_MAX - NUMBER_LEN) as u64);
        bytes.min(most as usize)
    }

    /// What a stream may send as far as it is its own affair.
    fn stream_allowance<C>(&self, end: &StreamEnd<C>, much: bool) -> u64 {
        let crowded = self.credit <= self.other.link / CROWDED_PART;
        let untaken = self.other.stream.saturating_sub(end.credit);
        if much && crowded { end.credit.min(little(self.other).saturating_sub(untaken)) } else { end.credit }
    }

    /// Whether a stream may send something once the link has credit; else it waits for a word about itself.
    pub(crate) fn may_send<C>(&self, end: &StreamEnd<C>, much: bool) -> bool {
        self.stream_allowance(end, much) > 0
    }

    /// Adds a stream to those that have something to send, or, if it has `much`, to those that wait for more credit.
    pub(crate) fn queue_again(&mut self, key: K, much: bool) {
        let list = if much && self.credit <= self.reserve() { &mut self.aside } else { &mut self.ready };
        list.push_back(key);
    }

    /// So many bytes of a stream are sent.
    pub(crate) fn spend<C>(&mut self, end: &mut StreamEnd<C>, bytes: usize) {
        end.credit -= bytes as u64;
        self.credit -= bytes as u64;
    }

    /// More may be sent on the link.
    pub(crate) fn add_credit(&mut self, bytes: u64) {
        self.credit = self.credit.saturating_add(bytes);
        if self.credit > self.reserve() {
            self.ready.append(&mut self.aside);
        }
    }

    /// Bytes of a stream have come.
    ///
    /// # Errors
    /// There was no credit for them.
    pub(crate) fn received<C>(&mut self, end: Option<&mut StreamEnd<C>>, bytes: usize) -> Result<(), FrameError> {
        self.window.received(bytes)?;
        let Some(end) = end else { return Ok(()) };
        let before = self.counted(end);
        end.window.received(bytes)?;
        self.window.taken(bytes as u64 - (self.counted(end) - before));
        self.renew();
        Ok(())
    }

    /// What counts on the link of that which has come on a stream and is not taken.
    fn counted<C>(&self, end: &StreamEnd<C>) -> u64 {
        end.window.owed().saturating_sub(little(self.own))
    }

    /// Bytes of a stream, or of one that is gone, are taken: more may come.
    pub(crate) fn taken<C>(&mut self, end: Option<&mut StreamEnd<C>>, bytes: u64) {
        let Some(end) = end else {
            self.window.taken(bytes);
            return self.renew();
        };
        let before = self.counted(end);
        end.window.taken(bytes);
        self.window.taken(before - self.counted(end));
        let grant = end.id.zip(end.window.grant());
        grant.into_iter().for_each(|(id, bytes)| self.write_credit(id, bytes));
        self.renew();
    }

    /// Grants anew on the link what is free of it.
    fn renew(&mut self) {
        let grant = self.window.grant();
        grant.into_iter().for_each(|bytes| self.write_credit(StreamId::default(), bytes));
    }

    /// Says that a stream's value has a lane at this end.
    pub(crate) fn tell_lane(&mut self, id: StreamId) {
        frame::write(&mut self.control, id, FrameFlags::LANE, &[]);
    }

    fn write_credit(&mut self, id: StreamId, bytes: u64) {
        frame::write(&mut self.control, id, FrameFlags::CREDIT, &bytes.to_be_bytes());
    }

    /// Says how many bytes have come on the link.
    pub(crate) fn tell_come(&mut self, bytes: u64) {
        frame::write(&mut self.control, StreamId::default(), FrameFlags::COME, &bytes.to_be_bytes());
    }

    /// Says something about the proxy itself.
    pub(crate) fn note(&mut self, text: &[u8]) {
        frame::write(&mut self.control, StreamId::default(), FrameFlags::NOTE, text);
    }
}

/// What is little beside a grant.
fn little(grant: Grant) -> u64 {
    (grant.stream / LITTLE_PART).max(1)
}

/// Where a stream leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lead<K> {
    Here(K),
    /// This end is done with it.
    Gone,
}

impl<C> StreamEnd<C> {
    /// Takes bytes that nobody wants off the front of what has come; how many.
    pub(crate) fn skipped(&mut self, bytes: usize) -> usize {
        let skipped = self.skip.min(bytes as u64);
        self.skip -= skipped;
        skipped as usize
    }
}

#[cfg(test)]
mod tests;
