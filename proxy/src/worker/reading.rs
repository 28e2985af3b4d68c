//! Who is read in a turn, in which order, and how far.
//!
//! Links come first, and sessions whose last read brought little: most of them have one small request. What they want
//! is under way before the others are read: newcomers, and then those that send much, in the order in
//! which they began, as far as the turn's allowance goes. So a wave of clients that all send as much as they can holds
//! up a small request for a fraction of a millisecond.
//!
//! Of a thousand clients each of which has hundreds of requests, all are read in one turn, for whoever is ready has to be
//! heard before it is looked who is late. So that what they have asked for is not held back meanwhile, a turn is cut into
//! slices.

use std::collections::VecDeque;
use std::time::Duration;

use pdw_router::{End, Time};

use super::{Mail, Worker};

/// Bytes read from a session at once. What it sends beyond it waits for the next turn, so that nobody is held up by
/// somebody else's flood.
const READ: usize = 64 << 10;
/// The same of a newcomer, and of anybody when the turn's allowance is used up. Who sends so much at once is no client
/// with one small request. And of a large value, which is known by its head, no more is kept then until it has a lane.
const READ_LITTLE: usize = 4 << 10;
/// Bytes that sessions may send in a turn before those that have more wait: about a tenth of a millisecond, for most of
/// them are the first in their pages.
const ALLOWANCE: usize = 128 << 10;

/// What a session sent when it was read last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sent {
    /// It was not read yet.
    Nothing,
    Little,
    Much,
}

impl Sent {
    /// What so many bytes are.
    pub(super) fn of(bytes: usize) -> Sent {
        if bytes < READ_LITTLE { Sent::Little } else { Sent::Much }
    }
}

/// When a socket is to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ahead {
    ThisTurn,
    NextTurn,
}

/// After so much time of reading all that came of it is written, and letters are read.
const SLICE: Duration = Duration::from_millis(2);
/// Reads after which the clock is looked at: as many small requests cost some 50 us.
const READS: usize = 16;

/// A part of a turn.
#[derive(Debug)]
pub(super) struct Slice {
    until: Time,
    reads: usize,
}

impl Slice {
    /// One that begins now.
    pub(super) fn begin(now: Time) -> Self {
        Self { until: now.after(SLICE), reads: 0 }
    }

    /// An end was read; whether the slice is over.
    pub(super) fn note_read(&mut self, clock: impl Fn() -> Time) -> bool {
        self.reads += 1;
        self.reads.is_multiple_of(READS) && clock() >= self.until
    }
}

/// The ends to read in this turn, and those for the next.
#[derive(Debug, Default)]
pub(super) struct Reading {
    first: VecDeque<End>,
    next_turn: VecDeque<End>,
    newcomers: VecDeque<End>,
    /// Sessions that send much.
    going_on: VecDeque<End>,
    /// How many of these are to be read in this turn.
    older: usize,
    /// What is left of this turn's allowance.
    allowance: usize,
    /// None of those that go on was read in this turn. One is, in any case.
    owed: bool,
}

impl Reading {
    /// What was left for the next turn is for this one.
    pub(super) fn begin_turn(&mut self) {
        self.first.append(&mut self.next_turn);
        self.allowance = ALLOWANCE;
        self.owed = true;
    }

    /// An end is to be read. It is among the others of its kind: `sent`, which for links is little.
    pub(super) fn add(&mut self, end: End, sent: Sent, when: Ahead) {
        match (sent, when) {
            (Sent::Nothing, _) => self.newcomers.push_back(end),
            (Sent::Much, _) => self.going_on.push_back(end),
            (Sent::Little, Ahead::ThisTurn) => self.first.push_back(end),
            (Sent::Little, Ahead::NextTurn) => self.next_turn.push_back(end),
        }
    }

    /// The next to be read of those that come first, and how far.
    pub(super) fn next(&mut self) -> Option<(End, usize)> {
        let piece = if self.allowance >= READ { READ } else { READ_LITTLE };
        self.first.pop_front().map(|end| (end, piece))
    }

    /// Those that come first have been read; whether there are others.
    pub(super) fn begin_others(&mut self) -> bool {
        self.older = self.going_on.len();
        self.older > 0 || !self.newcomers.is_empty()
    }

    /// The next to be read of the others, and how far.
    pub(super) fn next_other(&mut self) -> Option<(End, usize)> {
        if let Some(end) = self.newcomers.pop_front() {
            return Some((end, READ_LITTLE));
        }
        if self.older == 0 || (self.allowance == 0 && !self.owed) {
            return None;
        }
        self.owed = false;
        self.older -= 1;
        self.going_on.pop_front().map(|end| (end, READ))
    }

    /// So many bytes were read of a session.
    pub(super) fn note_read(&mut self, bytes: usize) {
        self.allowance = self.allowance.saturating_sub(bytes);
    }

    /// Whether nobody has to be read without the kernel telling so.
    pub(super) fn is_empty(&self) -> bool {
        [&self.first, &self.next_turn, &self.newcomers, &self.going_on].iter().all(|queue| queue.is_empty())
    }
}

impl Worker {
    /// Reads who is to be read in this turn; whether the worker is to stop.
    pub(super) fn read_ready(&mut self) -> Mail {
        let mut slice = Slice::begin(self.now);
        while let Some((end, piece)) = self.reading.next() {
            self.read(end, piece);
            if slice.note_read(|| self.clock()) && self.end_slice(&mut slice).is_stop() {
                return Mail::Stop;
            }
        }
        self.obey();
        if self.reading.begin_others() {
            while let Some((end, piece)) = self.reading.next_other() {
                self.read(end, piece);
                if slice.note_read(|| self.clock()) && self.end_slice(&mut slice).is_stop() {
                    return Mail::Stop;
                }
            }
            self.obey();
        }
        Mail::Read
    }

    /// Reading has lasted for long: what came of it is written, and letters are read, before it goes on.
    fn end_slice(&mut self, slice: &mut Slice) -> Mail {
        self.obey();
        // Whoever was written may be written again.
        self.turn = self.turn.wrapping_add(1);
        *slice = Slice::begin(self.clock());
        self.read_mail()
    }

    /// Reads an end once; of a session at most `piece` bytes.
    fn read(&mut self, end: End, piece: usize) {
        match end {
            End::Session(key) => self.read_session(key, piece),
            End::Link(key) => self.read_link(key),
            End::Spool(key) => self.read_spool(key),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pdw_router::SessionKey;
    use slotmap::SlotMap;

    fn sessions<const N: usize>() -> [End; N] {
        let mut keys = SlotMap::<SessionKey, ()>::with_key();
        std::array::from_fn(|_| End::Session(keys.insert(())))
    }

    /// Reads one turn: `little` were told of and send little, all others as much as they may, without end. Who was
    /// read, and how far.
    fn turn(reading: &mut Reading, little: &[End]) -> Vec<(End, usize)> {
        reading.begin_turn();
        little.iter().for_each(|end| reading.add(*end, Sent::Little, Ahead::ThisTurn));
        let mut read = Vec::new();
        while let Some((end, _)) = reading.next() {
            reading.note_read(50);
            read.push((end, 50));
        }
        reading.begin_others();
        while let Some((end, piece)) = reading.next_other() {
            reading.note_read(piece);
            reading.add(end, Sent::of(piece), Ahead::NextTurn);
            read.push((end, piece));
        }
        read
    }

    #[test]
    fn a_slice_ends_with_its_time_and_the_clock_is_hardly_looked_at() {
        let looks = std::cell::Cell::new(0);
        // Each read takes 50 us.
        let mut slice = Slice::begin(Time::default());
        let over = (1..1_000u64).find(|reads| {
            slice.note_read(|| {
                looks.set(looks.get() + 1);
                Time::from_micros(reads * 50)
            })
        });
        assert_eq!((over, looks.get()), (Some(48), 3));
    }

    fn add(reading: &mut Reading, ends: &[End], sent: Sent) {
        ends.iter().for_each(|end| reading.add(*end, sent, Ahead::ThisTurn));
    }

    fn who(read: Vec<(End, usize)>) -> Vec<End> {
        read.into_iter().map(|(end, _)| end).collect()
    }

    #[test]
    fn who_sends_little_is_read_before_newcomers_and_these_before_those_that_go_on() {
        let mut reading = Reading::default();
        let [flood, newcomer, little] = sessions();
        add(&mut reading, &[flood], Sent::Much);
        add(&mut reading, &[newcomer], Sent::Nothing);
        assert_eq!(turn(&mut reading, &[little]), [(little, 50), (newcomer, READ_LITTLE), (flood, READ)]);
    }

    #[test]
    fn of_newcomers_a_little_is_read_and_then_as_far_as_the_allowance_goes() {
        let mut reading = Reading::default();
        let wave: [End; 12] = sessions();
        add(&mut reading, &wave, Sent::Nothing);
        let pieces = |read: Vec<(End, usize)>| read.into_iter().map(|(_, bytes)| bytes).collect::<Vec<_>>();
        assert_eq!(pieces(turn(&mut reading, &[])), [READ_LITTLE; 12]);
        assert_eq!(pieces(turn(&mut reading, &[])), [READ; ALLOWANCE / READ]);
    }

    #[test]
    fn when_the_allowance_is_used_up_who_has_sent_little_is_read_a_little() {
        let mut reading = Reading::default();
        reading.begin_turn();
        add(&mut reading, &sessions::<12>(), Sent::Little);
        let mut pieces = Vec::new();
        while let Some((_, piece)) = reading.next() {
            reading.note_read(piece);
            pieces.push(piece);
        }
        let (far, little) = pieces.split_at(ALLOWANCE / READ);
        assert!(far.iter().all(|bytes| *bytes == READ) && little.iter().all(|bytes| *bytes == READ_LITTLE));
    }

    #[test]
    fn those_that_go_on_take_turns() {
        let mut reading = Reading::default();
        let wave: [End; 12] = sessions();
        add(&mut reading, &wave, Sent::Much);
        let order: Vec<End> = (0..6).flat_map(|_| who(turn(&mut reading, &[]))).collect();
        assert_eq!(order, wave);
        assert!(!reading.is_empty());
    }

    #[test]
    fn a_wave_in_every_turn_does_not_stop_those_that_go_on() {
        let mut reading = Reading::default();
        let ends: [End; 50] = sessions();
        let (wave, older) = ends.split_at(48);
        add(&mut reading, older, Sent::Much);
        let mut gone_on = Vec::new();
        for _ in 0..2 {
            // Each sends exactly what is read, and has no more.
            reading.begin_turn();
            add(&mut reading, wave, Sent::Nothing);
            reading.begin_others();
            while let Some((end, piece)) = reading.next_other() {
                reading.note_read(piece);
                gone_on.extend(older.contains(&end).then_some(end));
            }
        }
        assert_eq!(gone_on, older);
    }

    #[test]
    fn what_is_left_for_the_next_turn_waits_for_it() {
        let mut reading = Reading::default();
        let [end]: [End; 1] = sessions();
        reading.begin_turn();
        reading.add(end, Sent::Little, Ahead::NextTurn);
        assert_eq!((reading.next(), reading.is_empty()), (None, false));
        reading.begin_turn();
        assert_eq!((reading.next(), reading.is_empty()), (Some((end, READ)), true));
    }
}
