//! A link's requests: those that wait to be sent, and those that wait for a reply.

use std::collections::{HashMap, HashSet, VecDeque};

use crate::link::part::{Fate, Part, Target, Unit};
use crate::request::pending::PendingKey;
use crate::time::Time;

/// A batch that was larger gives its memory back once it is done with.
const KEEP: usize = 2 << 20;
/// So many bytes that are not needed any more may stay at a batch's start before the rest is moved.
const MOVE: usize = 16 << 10;

/// The requests of one link, in the order of their replies.
///
/// ```text
///       answered     sent, not answered           not sent
///   ├ (released) ┼ kept if `keeps`, else released ┼ to be written ┤
///              base                            written           end
/// ```
#[derive(Debug)]
pub(crate) struct Batch {
    /// What was sent is kept until it is answered, so that it can be sent again.
    keeps: bool,
    /// Requests, whole, and the rest of the one that is being sent.
    bytes: Vec<u8>,
    /// Where `bytes` start in all bytes that the link was ever given.
    base: u64,
    /// How many of these are written.
    written: u64,
    parts: VecDeque<Part>,
    /// No part's deadline is earlier.
    earliest: Time,
    /// Parts that were added since the last write.
    fresh: u64,
    /// Proxies below have asked for something on it.
    carries: bool,
    /// Replies to the first parts, which wait until those to all of their unit are there.
    early: Vec<Vec<u8>>,
    /// Bytes of the newest unit that are to come out of a file; see `outside`.
    outside: u64,
    /// What the instance said to requests that are to be sent again, by id: they get it if they are not.
    said: HashMap<u64, Vec<u8>>,
}

impl Batch {
    /// Nothing yet; what is sent is kept until it is answered if `keeps`.
    pub(crate) fn new(keeps: bool) -> Self {
        Self {
            keeps,
            bytes: Vec::new(),
            base: 0,
            written: 0,
            parts: VecDeque::new(),
            earliest: Time::NEVER,
            fresh: 0,
            carries: false,
            early: Vec::new(),
            outside: 0,
            said: HashMap::new(),
        }
    }

    /// Adds a request to the batch.
    pub(crate) fn append(&mut self, id: u64, target: Target, deadline: Time, write: impl FnOnce(&mut Vec<u8>)) {
        let start = self.end();
        write(&mut self.bytes);
        self.parts.push_back(Part { start, unit: start, ..Part::new(id, target, deadline) });
        self.earliest = self.earliest.min(deadline);
        self.fresh += 1;
    }

    /// The newest request is one that a proxy below has asked for.
    pub(crate) fn note_carried(&mut self) {
        self.carries = true;
        self.parts.back_mut().into_iter().for_each(|part| part.carried = true);
    }

    /// Whether proxies below have asked for something on it.
    pub(crate) fn carries(&self) -> bool {
        self.carries
    }

    /// What proxies below have asked for and was not sent: with the unit, whom the reply is for.
    pub(crate) fn unsent_carried(&self) -> impl Iterator<Item = (u64, Target)> + '_ {
        let unsent = self.parts.iter().rev().take_while(|part| part.start >= self.written);
        let unsent = unsent.filter(|part| part.carried && part.unit >= self.written);
        unsent.map(|part| (part.unit, part.target))
    }

    /// The same of what was sent and not answered.
    pub(crate) fn sent_carried(&self) -> impl Iterator<Item = Target> + '_ {
        let sent = self.parts.iter().filter(|part| part.carried && part.unit < self.written);
        sent.map(|part| part.target)
    }

    /// Takes these units out, which were not sent; whom their replies are for, and whether they may have been carried
    /// out before.
    pub(crate) fn take_units(&mut self, units: &HashSet<u64>) -> Vec<(Target, bool)> {
        let taken = self.parts.iter().filter(|part| units.contains(&part.unit));
        let targets = taken.map(|part| (part.target, part.tried)).collect();
        self.drop_unsent(|part| units.contains(&part.unit));
        targets
    }

    /// Adds more bytes of the newest request.
    pub(crate) fn extend(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// The newest request is not to be sent again: a part of it does not pass here, or of its transaction.
    pub(crate) fn never_again(&mut self) {
        self.parts.back_mut().into_iter().for_each(|part| part.whole = false);
    }

    /// Where the batch ends in all bytes that the link was ever given.
    fn end(&self) -> u64 {
        self.base + self.bytes.len() as u64 + self.outside
    }

    /// Whether nothing was ever sent on it.
    pub(crate) fn is_new(&self) -> bool {
        self.written == 0
    }

    /// The requests on it that clients wait for.
    pub(crate) fn requests(&self) -> impl Iterator<Item = PendingKey> + '_ {
        self.parts.iter().filter_map(|part| match part.target {
            Target::Request(pending, _) => Some(pending),
            _ => None,
        })
    }

    /// The request that the next reply answers, if one was sent.
    pub(crate) fn front(&self) -> Option<Part> {
        self.parts.get(self.early.len()).copied().filter(|part| part.start < self.written)
    }

    /// The oldest request that has no reply.
    pub(crate) fn front_mut(&mut self) -> Option<&mut Part> {
        self.parts.get_mut(self.early.len())
    }

    /// Ties the newest `count` requests together: all of them are sent, or none.
    pub(crate) fn unite(&mut self, count: usize) {
        let first = self.parts.len().saturating_sub(count);
        let unit = self.parts.get(first).map_or(0, |part| part.unit);
        // Not all of them are somebody's whose time is known.
        let deadline = self.parts.range(first..).map(|part| part.deadline).min().unwrap_or(Time::NEVER);
        for part in self.parts.range_mut(first..) {
            (part.unit, part.deadline) = (unit, deadline);
        }
    }

    /// The reply that is arriving is handed on as it comes: its request cannot be sent again.
    pub(crate) fn commit_front(&mut self) {
        self.front_mut().into_iter().for_each(|part| part.whole = false);
    }

    /// Adds what was on another link.
    pub(crate) fn adopt(&mut self, unit: Unit) {
        let count = unit.parts.len();
        self.said.extend(unit.parts.iter().map(|(part, _)| part.id).zip(unit.said));
        for (part, bytes) in unit.parts {
            self.append(part.id, part.target, part.deadline, |out| out.extend_from_slice(&bytes));
            if let Some(newest) = self.parts.back_mut() {
                (newest.tries, newest.spoilt, newest.tried) = (part.tries, part.spoilt, part.tried);
                newest.carried = part.carried;
            }
            self.carries |= part.carried;
        }
        self.unite(count);
    }

    /// Bytes that wait to be written.
    pub(crate) fn unsent(&self) -> usize {
        self.to_write().len()
    }

    /// Memory of requests that wait to be written or answered.
    pub(crate) fn memory(&self) -> usize {
        self.bytes.capacity()
    }

    /// Memory of what is noted of these requests.
    pub(crate) fn record_bytes(&self) -> usize {
        self.parts.len() * size_of::<Part>()
    }

    /// Bytes of requests that wait to be written or answered.
    pub(crate) fn kept(&self) -> usize {
        self.bytes.len()
    }

    /// What waits to be written.
    pub(crate) fn to_write(&self) -> &[u8] {
        &self.bytes[self.offset(self.written)..]
    }

    fn offset(&self, at: u64) -> usize {
        (at - self.base) as usize
    }

    /// So many bytes of it are written; how many requests were added for this write.
    pub(crate) fn wrote(&mut self, bytes: usize) -> u64 {
        self.written += bytes as u64;
        self.release(self.needless());
        std::mem::take(&mut self.fresh)
    }

    /// How far nothing is needed any more: it is written, and will not be sent again.
    fn needless(&self) -> u64 {
        if !self.keeps {
            return self.written;
        }
        let kept = self.parts.iter().find(|part| part.whole).map(|part| part.start);
        kept.map_or(self.written, |start| start.min(self.written))
    }

    /// When the first of the requests that begin in the next `bytes` is past its time.
    pub(crate) fn deadline_of_next(&self, bytes: usize) -> Time {
        let end = self.written + bytes as u64;
        let next = self.parts.iter().rev().skip_while(|part| part.start >= end);
        next.take_while(|part| part.start >= self.written).map(|part| part.deadline).min().unwrap_or(Time::NEVER)
    }

    /// Gives memory of the batch back up to here, if that is worth moving what is behind.
    fn release(&mut self, upto: u64) {
        if upto <= self.base {
            return;
        }
        let gone = self.offset(upto);
        if gone == self.bytes.len() {
            self.bytes.clear();
            self.bytes.shrink_to(KEEP);
            self.base = upto;
        } else if gone > MOVE && gone > self.bytes.len() / 2 {
            self.bytes.drain(..gone);
            self.base = upto;
        }
    }

    /// Gives memory back that nothing is in, if it is more than `keep` bytes.
    pub(crate) fn trim(&mut self, keep: usize) {
        if self.bytes.is_empty() && self.bytes.capacity() > keep {
            self.bytes = Vec::new();
        }
    }

    /// Takes out the request that the first reply answers; `None` if no request was sent that lacks one.
    pub(crate) fn take_answered(&mut self) -> Option<Part> {
        let part = self.parts.front().copied().filter(|part| part.start < self.written)?;
        self.parts.pop_front();
        self.forget_said(&part);
        if self.keeps {
            self.release(self.needless());
        }
        Some(part)
    }

    /// What the instance said to a request before it was sent again.
    fn forget_said(&mut self, part: &Part) -> Option<Vec<u8>> {
        // Hardly ever is there any, and this is asked for every reply.
        if self.said.is_empty() { None } else { self.said.remove(&part.id) }
    }

    /// Keeps a reply until all of its unit are there; whether it has to wait.
    pub(crate) fn wait_for_unit(&mut self, reply: &[u8]) -> bool {
        let waits = self.keeps && self.early.len() + 1 < self.front_unit();
        if waits {
            self.early.push(reply.to_vec());
        }
        waits
    }

    /// How many parts the first unit has.
    fn front_unit(&self) -> usize {
        let Some(first) = self.parts.front() else { return 0 };
        // Most requests are alone, and this is asked for every reply.
        match self.parts.get(1) {
            Some(second) if second.unit == first.unit => {
                self.parts.iter().take_while(|part| part.unit == first.unit).count()
            }
            _ => 1,
        }
    }

    /// Whether somebody waits for the first unit.
    pub(crate) fn is_unit_wanted(&self) -> bool {
        let mut parts = self.parts.iter().take(self.front_unit());
        parts.any(|part| matches!(part.target, Target::Request(..)))
    }

    /// Replies that waited for the last one of their unit.
    pub(crate) fn early(&self) -> &[Vec<u8>] {
        &self.early
    }

    /// Memory of replies that wait for the last one of their unit, or for the end of a request's time.
    pub(crate) fn early_bytes(&self) -> usize {
        self.early.iter().chain(self.said.values()).map(Vec::capacity).sum()
    }

    /// Takes these; from now on they count as given.
    pub(crate) fn take_early(&mut self) -> Vec<Vec<u8>> {
        std::mem::take(&mut self.early)
    }

    /// The requests of the first unit, as far as their bytes are there.
    pub(crate) fn unit_bytes(&self) -> impl Iterator<Item = &[u8]> {
        let ends = self.parts.iter().skip(1).map(|part| part.start).chain([self.end()]);
        self.parts.iter().zip(ends).take(self.front_unit()).map(|(part, end)| self.slice(part, end))
    }

    /// Has nobody wait for the first unit any more; who did. Its requests keep their places.
    pub(crate) fn disown_unit(&mut self) -> Vec<Target> {
        let count = self.front_unit();
        self.parts.iter_mut().take(count).map(|part| std::mem::replace(&mut part.target, Target::Nobody)).collect()
    }

    /// Takes the first unit out, replies and all, to send it again.
    pub(crate) fn take_unit(&mut self) -> Unit {
        let count = self.front_unit();
        self.early.clear();
        let bytes: Vec<Vec<u8>> = self.unit_bytes().map(<[u8]>::to_vec).collect();
        let parts = self.parts.iter().copied().zip(bytes).collect();
        for _ in 0..count {
            self.take_answered();
        }
        Unit { parts, said: Vec::new() }
    }

    /// A part's bytes; none if they are not there any more.
    fn slice(&self, part: &Part, end: u64) -> &[u8] {
        if part.start >= self.base && part.spool.is_none() {
            &self.bytes[self.offset(part.start)..self.offset(end)]
        } else {
            &[]
        }
    }

    /// Requests that are not answered.
    pub(crate) fn in_flight(&self) -> usize {
        self.parts.len()
    }

    /// How many requests are on it that are neither answered nor past their deadline.
    pub(crate) fn awaited(&self) -> usize {
        self.parts.iter().filter(|part| matches!(part.target, Target::Request(..))).count()
    }

    /// Before this time no request's time is up.
    pub(crate) fn next_deadline(&self) -> Time {
        self.earliest
    }

    /// The requests whose time is up, each with what is known of it. One that was sent keeps its place, and its
    /// late reply is for nobody; the others will never be sent.
    pub(crate) fn expire(&mut self, now: Time) -> Vec<(Target, Fate)> {
        if now < self.earliest {
            return Vec::new();
        }
        let (written, mut late) = (self.written, Vec::new());
        for part in self.parts.iter_mut().filter(|part| part.deadline <= now) {
            // What is in a file is on its way to the link.
            let sent = part.unit < written || part.spool.is_some();
            let said = self.said.remove(&part.id).map_or(Fate::NotSent, Fate::Said);
            // Whatever the instance has said, it may have carried out what was on a link that was lost.
            let fate = if sent || part.tried { Fate::Unknown } else { said };
            late.push((std::mem::replace(&mut part.target, Target::Nobody), fate));
            part.deadline = if sent { Time::NEVER } else { part.deadline };
        }
        self.drop_unsent(|part| part.deadline <= now);
        self.earliest = self.parts.iter().map(|part| part.deadline).min().unwrap_or(Time::NEVER);
        late
    }

    /// Takes out of the batch what was not sent and is not wanted.
    fn drop_unsent(&mut self, unwanted: impl Fn(&Part) -> bool) {
        if self.outside > 0 {
            return;
        }
        let first = self.parts.partition_point(|part| part.unit < self.written);
        let tail: Vec<Part> = self.parts.drain(first..).collect();
        let Some(mut at) = tail.first().map(|part| part.start) else { return };
        let ends: Vec<u64> = tail.iter().skip(1).map(|part| part.start).chain([self.end()]).collect();
        let mut unit = (u64::MAX, 0);
        for (part, end) in tail.iter().zip(ends) {
            if unwanted(part) {
                self.forget_said(part);
                continue;
            }
            // The rest of a unit begins where its first part now lies.
            unit = if unit.0 == part.unit { unit } else { (part.unit, at) };
            let (from, to) = (self.offset(part.start)..self.offset(end), self.offset(at));
            self.bytes.copy_within(from, to);
            self.parts.push_back(Part { start: at, unit: unit.1, ..*part });
            at += end - part.start;
        }
        self.bytes.truncate(self.offset(at));
    }

    /// Takes the transactions that were not sent out of the batch; whom their replies are for, and whether they may
    /// have been carried out before.
    pub(crate) fn take_transactions(&mut self) -> Vec<(Target, bool)> {
        let pairs = self.parts.iter().zip(self.parts.iter().skip(1)).filter(|(one, next)| one.unit == next.unit);
        let units: HashSet<u64> = pairs.map(|(one, _)| one.unit).filter(|unit| *unit >= self.written).collect();
        let tied = |part: &Part| units.contains(&part.unit);
        let targets = self.parts.iter().filter(|part| tied(part)).map(|part| (part.target, part.tried)).collect();
        self.drop_unsent(tied);
        targets
    }

    /// Takes everything off a link that is lost: what was sent, and what was not.
    pub(crate) fn salvage(&mut self) -> (Vec<Unit>, Vec<Unit>) {
        let parts: Vec<Part> = self.parts.drain(..).collect();
        let ends = parts.iter().skip(1).map(|part| part.start).chain([self.end()]);
        let (mut sent, mut unsent): (Vec<Unit>, Vec<Unit>) = (Vec::new(), Vec::new());
        let mut last = None;
        for (part, end) in parts.iter().zip(ends) {
            let was_sent = part.unit < self.written;
            let units = if was_sent { &mut sent } else { &mut unsent };
            if last.replace(part.unit) != Some(part.unit) {
                units.push(Unit::default());
            }
            let (bytes, said) = (self.slice(part, end).to_vec(), self.said.remove(&part.id));
            if let Some(unit) = units.last_mut() {
                unit.parts.push((Part { tried: part.tried || was_sent, ..*part }, bytes));
                // What it said before it was sent again says nothing of what became of it since.
                unit.said.extend(said.filter(|_| !was_sent));
            }
        }
        (sent, unsent)
    }

    /// Takes everything apart: the other end has carried out nothing of it, sent or not.
    pub(crate) fn undone(&mut self) -> Vec<Unit> {
        self.written = 0;
        self.salvage().1
    }
}

mod outside;
#[cfg(test)]
mod tests;
