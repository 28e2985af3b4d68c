//! Who is read in a turn, in which order, and how far.
//!
//! Whoever the kernel has just told of comes first: most of them have one small request. Sessions that have more than
//! one read takes go on behind them, in the order in which they began, as far as the turn's allowance goes. So a wave
//! of clients that all send as much as they can holds up a small request for a fraction of a millisecond.
//!
//! Of a thousand clients each of which the kernel has told of, with hundreds of requests each, all are read in one turn,
//! for whoever is ready has to be heard before it is looked who is late. So that what they have asked for is not held
//! back meanwhile, a turn is cut into slices.

use std::collections::VecDeque;
use std::time::Duration;

use pdw_router::{End, Time};

use super::Ahead;

/// Bytes read from a session at once. What it sends beyond it waits for the next turn, so that nobody is held up by
/// somebody else's flood.
const READ: usize = 64 << 10;
/// The same when sessions have sent so much in this turn already that its allowance is used up.
const READ_LITTLE: usize = 16 << 10;
/// Bytes that sessions may send in a turn before they are read less far, and those that have more wait: about a tenth
/// of a millisecond.
const ALLOWANCE: usize = 256 << 10;

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
    /// Sessions of which the last read has left something.
    going_on: VecDeque<End>,
    /// How many of these are left from the turn before.
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
        self.older = self.going_on.len();
        self.allowance = ALLOWANCE;
        self.owed = true;
    }

    /// An end is to be read.
    pub(super) fn add(&mut self, end: End, when: Ahead) {
        match when {
            Ahead::ThisTurn => self.first.push_back(end),
            Ahead::NextTurn => self.next_turn.push_back(end),
        }
    }

    /// A session has more than was read.
    pub(super) fn go_on(&mut self, end: End) {
        self.going_on.push_back(end);
    }

    /// The next to be read in this turn.
    pub(super) fn next(&mut self) -> Option<End> {
        if let Some(end) = self.first.pop_front() {
            return Some(end);
        }
        if self.older == 0 || (self.allowance == 0 && !self.owed) {
            return None;
        }
        self.owed = false;
        self.older -= 1;
        self.going_on.pop_front()
    }

    /// Bytes that a session may be read of now.
    pub(super) fn piece(&self) -> usize {
        if self.allowance >= READ { READ } else { READ_LITTLE }
    }

    /// So many bytes were read of a session.
    pub(super) fn note_read(&mut self, bytes: usize) {
        self.allowance = self.allowance.saturating_sub(bytes);
    }

    /// Whether nobody has to be read without the kernel telling so.
    pub(super) fn is_empty(&self) -> bool {
        self.first.is_empty() && self.next_turn.is_empty() && self.going_on.is_empty()
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

    /// Reads one turn; each of `flooding` sends as much as it may. Who was read, and how far.
    fn turn(reading: &mut Reading, told: &[End], flooding: &[End]) -> Vec<(End, usize)> {
        reading.begin_turn();
        told.iter().for_each(|end| reading.add(*end, Ahead::ThisTurn));
        let mut read = Vec::new();
        while let Some(end) = reading.next() {
            let piece = reading.piece();
            let bytes = if flooding.contains(&end) { piece } else { 50 };
            reading.note_read(bytes);
            if bytes == piece {
                reading.go_on(end);
            }
            read.push((end, bytes));
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

    #[test]
    fn who_has_just_sent_something_is_read_before_those_that_go_on() {
        let mut reading = Reading::default();
        let ends: [End; 3] = sessions();
        let flood = [ends[0], ends[1]];
        turn(&mut reading, &flood, &flood);
        let order: Vec<End> = turn(&mut reading, &[ends[2]], &flood).into_iter().map(|(end, _)| end).collect();
        assert_eq!(order, [ends[2], ends[0], ends[1]]);
    }

    #[test]
    fn a_wave_is_read_as_far_as_the_allowance_goes_and_then_a_little_each() {
        let mut reading = Reading::default();
        let wave: [End; 50] = sessions();
        let read: Vec<usize> = turn(&mut reading, &wave, &wave).into_iter().map(|(_, bytes)| bytes).collect();
        let (far, little) = read.split_at(ALLOWANCE / READ);
        assert!(far.iter().all(|bytes| *bytes == READ) && little.iter().all(|bytes| *bytes == READ_LITTLE));
    }

    #[test]
    fn those_that_go_on_take_turns() {
        let mut reading = Reading::default();
        let wave: [End; 12] = sessions();
        turn(&mut reading, &wave, &wave);
        let mut order = Vec::new();
        for _ in 0..3 {
            let read = turn(&mut reading, &[], &wave);
            assert_eq!(read.len(), ALLOWANCE / READ);
            order.extend(read.into_iter().map(|(end, _)| end));
        }
        assert_eq!(order, wave);
        assert!(!reading.is_empty());
    }

    #[test]
    fn a_wave_in_every_turn_does_not_stop_those_that_go_on() {
        let mut reading = Reading::default();
        let ends: [End; 50] = sessions();
        let (wave, older) = ends.split_at(48);
        turn(&mut reading, older, older);
        let mut gone_on = Vec::new();
        for _ in 0..2 {
            // Each sends exactly what is read, and has no more.
            reading.begin_turn();
            wave.iter().for_each(|end| reading.add(*end, Ahead::ThisTurn));
            while let Some(end) = reading.next() {
                reading.note_read(reading.piece());
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
        reading.add(end, Ahead::NextTurn);
        assert_eq!((reading.next(), reading.is_empty()), (None, false));
        reading.begin_turn();
        assert_eq!((reading.next(), reading.is_empty()), (Some(end), true));
    }
}
