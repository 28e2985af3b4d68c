//! Carrying out a plan: each shard gets its part of a request, and the parts' replies are awaited.

use crate::link::part::Target;
use crate::mutant::Mutant;
use crate::order::SessionKey;
use crate::place::{Shard, Shards};
use crate::refusal::Refusal;
use crate::request::gather::Join;
use crate::request::pending::PendingKey;
use crate::request::plan::{Place, Plan, Scratch};
use crate::resp::{Request, write};
use crate::router::{Setup, Traffic};
use crate::session::Flow;

impl Traffic {
    /// Sends a request where its plan says.
    pub(crate) fn carry_out(
        &mut self,
        setup: &Setup,
        session: SessionKey,
        request: &Request<'_>,
        plan: Plan,
        scratch: &mut Scratch,
    ) -> Flow {
        let shards = shards_of(setup, plan, scratch);
        if self.must_wait(setup, session, plan) || self.must_take_turns(setup, session, shards) {
            return Flow::Again;
        }
        if self.is_too_late(setup, session) {
            self.refuse(setup, session, &Refusal::NotSent);
            return Flow::Next;
        }
        let pending = self.push_pending(session);
        self.occupy(setup, pending, shards);
        match plan {
            Plan::One(shard) => self.send_whole(setup, pending, shard, request),
            Plan::All(join) => self.send_everywhere(setup, pending, request, join),
            Plan::Split { join, prefix, step } => {
                self.send_split(setup, pending, request, join, (prefix, step), scratch);
            }
            Plan::Cursor { at, shard, inner } => self.send_cursor(setup, pending, request, at, (shard, inner)),
        }
        Flow::Next
    }

    /// Whether a batch that the request has to join is full.
    fn must_wait(&mut self, setup: &Setup, session: SessionKey, plan: Plan) -> bool {
        match plan {
            Plan::One(shard) | Plan::Cursor { shard, .. } => self.is_full(setup, shard, session),
            Plan::All(_) | Plan::Split { .. } => {
                (0..setup.homes.shards()).any(|shard| self.is_full(setup, Shard(shard as u16), session))
            }
        }
    }

    fn send_whole(&mut self, setup: &Setup, pending: PendingKey, shard: Shard, request: &Request<'_>) {
        self.send(setup, shard, Target::Request(pending, 0), |out| out.extend_from_slice(request.bytes));
        if setup.mutation.is(Mutant::DoubleSend) && self.last_id.is_multiple_of(17) {
            self.send(setup, shard, Target::Nobody, |out| out.extend_from_slice(request.bytes));
        }
    }

    fn send_everywhere(&mut self, setup: &Setup, pending: PendingKey, request: &Request<'_>, join: Join) {
        let shards = setup.homes.shards();
        // RANDOMKEY takes the first key offered, so it must not be the same shard's every time.
        let first = if join == Join::NotNil { self.random.below(shards as u64) as usize } else { 0 };
        self.gather(pending, join, shards, &[]);
        for part in 0..shards {
            let shard = Shard(((first + part) % shards) as u16);
            let target = Target::Request(pending, part as u16);
            self.send(setup, shard, target, |out| out.extend_from_slice(request.bytes));
        }
    }

    fn send_cursor(
        &mut self,
        setup: &Setup,
        pending: PendingKey,
        request: &Request<'_>,
        at: usize,
        (shard, inner): (Shard, u64),
    ) {
        self.gather(pending, Join::Cursor(shard.0), 1, &[]);
        let cursor = inner.to_string();
        let args = (0..request.len()).map(|index| if index == at { cursor.as_bytes() } else { request.arg(index) });
        self.send(setup, shard, Target::Request(pending, 0), |out| write::request(out, request.len(), args));
    }

    fn send_split(
        &mut self,
        setup: &Setup,
        pending: PendingKey,
        request: &Request<'_>,
        join: Join,
        (prefix, step): (usize, usize),
        scratch: &mut Scratch,
    ) {
        let shards = setup.homes.shards();
        let parts = number_parts(scratch, join, shards);
        self.gather(pending, join, parts, &scratch.order);
        let mut part = 0;
        let mut target = || {
            part += 1;
            Target::Request(pending, part - 1)
        };
        for (index, own) in (0..shards).map(|index| (index, scratch.groups.of(index))) {
            let (shard, len) = (Shard(index as u16), prefix + own.len() * step);
            if !own.is_empty() {
                let own = own.iter().copied();
                self.send(setup, shard, target(), |out| write_part(out, request, len, prefix, step, own));
            }
        }
        let places = scratch.positions.iter().zip(&scratch.places);
        for (position, _) in places.filter(|(_, place)| **place == Place::Everywhere) {
            for index in 0..shards {
                let own = std::iter::once(*position);
                let shard = Shard(index as u16);
                self.send(setup, shard, target(), |out| write_part(out, request, prefix + step, prefix, step, own));
            }
        }
    }
}

/// The shards that a plan concerns, and the one of them by which its way is chosen.
pub(crate) fn concerned(setup: &Setup, plan: Plan, scratch: &Scratch, any: Shard) -> (Shard, Shards) {
    let first = match plan {
        Plan::One(shard) | Plan::Cursor { shard, .. } => shard,
        Plan::Split { .. } if let Some(Place::At(shard)) = scratch.places.first() => *shard,
        Plan::All(_) | Plan::Split { .. } => any,
    };
    (first, shards_of(setup, plan, scratch))
}

/// The shards that a plan concerns.
fn shards_of(setup: &Setup, plan: Plan, scratch: &Scratch) -> Shards {
    match plan {
        Plan::One(shard) | Plan::Cursor { shard, .. } => Shards::one(shard),
        Plan::All(_) => Shards::all(setup.homes.shards()),
        Plan::Split { .. } => scratch.places.iter().fold(Shards::NONE, |shards, place| match place {
            Place::At(shard) => shards.with(Shards::one(*shard)),
            Place::Everywhere => Shards::all(setup.homes.shards()),
        }),
    }
}

/// Counts what each shard gets and writes down which part is about which key; how many parts there are.
///
/// Parts are numbered as they are sent: shards in order, then for each spread key every shard.
fn number_parts(scratch: &mut Scratch, join: Join, shards: usize) -> usize {
    let single = scratch.groups.sort(&scratch.positions, &scratch.places, shards);
    let spread = scratch.places.iter().filter(|place| **place == Place::Everywhere).count();
    scratch.order.clear();
    match join {
        Join::Interleave => order_of_keys(scratch),
        Join::Count => {
            scratch.order.resize(single, 0);
            for key in 1..=spread {
                scratch.order.resize(single + key * shards, key as u16);
            }
        }
        _ => {}
    }
    single + spread * shards
}

fn order_of_keys(scratch: &mut Scratch) {
    for place in &scratch.places {
        let Place::At(shard) = place else { continue };
        scratch.order.push(scratch.groups.rank(*shard));
    }
}

/// What a request is split by, sorted by shard; kept from request to request.
#[derive(Debug, Default)]
pub(crate) struct Groups {
    /// Positions of arguments: those of the first shard, then those of the next.
    sorted: Vec<u32>,
    /// For each shard where its own end in these, and how many shards before it have any.
    shards: Vec<(u32, u16)>,
    /// Keys that were looked at, however often.
    #[cfg(test)]
    looks: usize,
}

impl Groups {
    /// Takes these, of which some live on one shard; on how many shards there are such.
    fn sort(&mut self, positions: &[u32], places: &[Place], shards: usize) -> usize {
        self.shards.clear();
        self.shards.resize(shards, (0, 0));
        let at = |place: &Place| if let Place::At(shard) = place { Some(shard.index()) } else { None };
        for shard in places.iter().filter_map(at) {
            self.shards[shard].0 += 1;
            self.look();
        }
        let (mut keys, mut rank) = (0, 0);
        for (own, before) in &mut self.shards {
            let begin = keys;
            *before = rank;
            rank += u16::from(*own > 0);
            keys += std::mem::replace(own, begin);
        }
        self.sorted.clear();
        self.sorted.resize(keys as usize, 0);
        for (position, place) in positions.iter().zip(places) {
            let Some(shard) = at(place) else { continue };
            let end = &mut self.shards[shard].0;
            self.sorted[*end as usize] = *position;
            *end += 1;
            self.look();
        }
        usize::from(rank)
    }

    /// Counts that something was looked at.
    fn look(&mut self) {
        #[cfg(test)]
        (self.looks += 1);
    }

    /// The positions of a shard's arguments.
    fn of(&self, shard: usize) -> &[u32] {
        let begin = shard.checked_sub(1).map_or(0, |before| self.shards[before].0);
        &self.sorted[begin as usize..self.shards[shard].0 as usize]
    }

    /// How many shards before this one have arguments.
    fn rank(&self, shard: Shard) -> u16 {
        self.shards[shard.index()].1
    }
}

fn write_part(
    out: &mut Vec<u8>,
    request: &Request<'_>,
    len: usize,
    prefix: usize,
    step: usize,
    positions: impl Iterator<Item = u32>,
) {
    let own = positions.flat_map(|position| (0..step).map(move |offset| request.arg(position as usize + offset)));
    write::request(out, len, (0..prefix).map(|index| request.arg(index)).chain(own));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sorted(places: &[Place], shards: usize) -> Groups {
        let (mut groups, positions) = (Groups::default(), (0..places.len() as u32).collect::<Vec<_>>());
        groups.sort(&positions, places, shards);
        groups
    }

    #[test]
    fn each_shard_has_its_own_in_the_requests_order() {
        let places = [2, 0, 2, 4, 0].map(|shard| Place::At(Shard(shard)));
        let places = [&places[..], &[Place::Everywhere], &places[..1]].concat();
        let groups = sorted(&places, 5);
        let all: [&[u32]; 5] = std::array::from_fn(|shard| groups.of(shard));
        assert_eq!(all, [&[1, 4][..], &[], &[0, 2, 6], &[], &[3]]);
        assert_eq!([0, 2, 4].map(|shard| groups.rank(Shard(shard))), [0, 1, 2]);
    }

    #[test]
    fn keys_of_thousands_of_shards_are_looked_at_a_few_times_each() {
        let shards = 4_000;
        let places: Vec<Place> = (0..40_000u32).map(|key| Place::At(Shard((key * 7 % shards) as u16))).collect();
        let groups = sorted(&places, shards as usize);
        assert!(groups.looks <= 3 * places.len(), "{}", groups.looks);
        assert_eq!((0..shards as usize).map(|shard| groups.of(shard).len()).sum::<usize>(), places.len());
    }
}
