//! Placement `ring`: the `consistent_hash_ring` crate with a hash that never changes.
//!
//! The ring is 64 bits wide. A target's first point is `XXH64(le64(XXH64(name)))`, each next one the XXH64 of the
//! previous point's eight little-endian bytes; a key's home is the owner of the first point at or above
//! `XXH64(hashed part)`, wrapping. So a home depends on the names of the targets, not on their order, and
//! adding one moves only the keys that it takes over.

use std::hash::{BuildHasher, Hash, Hasher};

use consistent_hash_ring::RingBuilder;

use super::xxh64::xxh64;
use super::{Shard, Target};

/// Points per unit of weight. The shares of equal targets then differ by some 8 % (one standard deviation).
pub(super) const POINTS_PER_WEIGHT: usize = 160;

/// Highest sum of weights: the crate inserts points one by one into a sorted vector, which at this size takes a second.
pub(super) const WEIGHT_SUM_MAX: u32 = 256;

#[derive(Clone)]
pub(super) struct Ring(consistent_hash_ring::Ring<Owner, StableHash>);

impl Ring {
    /// The ring over `targets`, in configured order. Names must differ and weights be positive.
    pub(super) fn new(targets: &[Target]) -> Self {
        let weighted = targets.iter().zip(0..).map(|(target, index)| {
            let owner = Owner { name: xxh64(target.name.as_bytes()), shard: Shard(index) };
            (owner, target.weight as usize * POINTS_PER_WEIGHT)
        });
        Self(RingBuilder::new(StableHash).weighted_nodes_iter(weighted).build())
    }

    pub(super) fn owner(&self, hashed_part: &[u8]) -> Shard {
        self.0.try_get(KeyBytes(hashed_part)).map_or(Shard(0), |owner| owner.shard)
    }
}

/// A target on the ring. Only the hash of its name places it.
#[derive(Clone, PartialEq, Eq)]
struct Owner {
    name: u64,
    shard: Shard,
}

impl Hash for Owner {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.name);
    }
}

/// The bytes alone: a slice's own `Hash` adds its length, in a way that the standard library may change.
struct KeyBytes<'k>(&'k [u8]);

impl Hash for KeyBytes<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write(self.0);
    }
}

#[derive(Clone, Copy)]
struct StableHash;

impl BuildHasher for StableHash {
    type Hasher = OneWrite;

    fn build_hasher(&self) -> OneWrite {
        OneWrite(0)
    }
}

/// XXH64 of the one thing that is written to it: all that the ring hashes is written in one piece.
struct OneWrite(u64);

impl Hasher for OneWrite {
    fn write(&mut self, bytes: &[u8]) {
        self.0 = xxh64(bytes);
    }

    fn write_u64(&mut self, number: u64) {
        self.write(&number.to_le_bytes());
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use crate::place::{Placement, PlacementKind, PlacementOptions};

    use super::*;

    fn targets(names: std::ops::Range<u32>) -> Vec<Target> {
        names.map(|i| Target::named(format!("127.0.0.1:{}", 7000 + i), 1)).collect()
    }

    fn placement(targets: &[Target]) -> Placement {
        Placement::new(&PlacementOptions::new(PlacementKind::Ring), targets).unwrap()
    }

    fn key(i: u32) -> String {
        format!("user:{i}:profile")
    }

    /// A sentence a stranger could program from: the module's documentation, point by point.
    fn documented_home(targets: &[Target], hashed_part: &str) -> Shard {
        let mut points = Vec::new();
        for (index, target) in targets.iter().enumerate() {
            let mut point = xxh64(target.name.as_bytes());
            for _ in 0..160 * target.weight {
                point = xxh64(&point.to_le_bytes());
                points.push((point, Shard(index as u16)));
            }
        }
        points.sort_unstable();
        let hash = xxh64(hashed_part.as_bytes());
        points.iter().find(|point| point.0 >= hash).unwrap_or(&points[0]).1
    }

    #[test]
    fn homes_are_the_documented_ones() {
        let mut targets = targets(0..5);
        targets[2].weight = 3;
        let placement = placement(&targets);
        for i in 0..2_000 {
            assert_eq!(placement.home(key(i).as_bytes()), documented_home(&targets, &key(i)), "{i}");
        }
        assert_eq!(placement.home(b"a{user:7:profile}b"), placement.home(key(7).as_bytes()));
    }

    /// Frozen: a change here moves every user's keys.
    #[test]
    fn homes_stay_the_same_in_every_release() {
        let placement = placement(&targets(0..4));
        let homes: Vec<_> = ["", "a", "foo", "user:1000", "{tag}x", "/m/f:0", "/m/f:1", "\u{fc}ber"]
            .iter()
            .map(|key| placement.home(key.as_bytes()).0)
            .collect();
        assert_eq!(homes, [3, 0, 1, 3, 3, 3, 0, 3]);
    }

    #[test]
    fn the_order_of_the_list_moves_no_key() {
        let forward = targets(0..6);
        let backward: Vec<_> = forward.iter().rev().cloned().collect();
        let (one, other) = (placement(&forward), placement(&backward));
        for i in 0..1_000 {
            let key = key(i);
            assert_eq!(one.home(key.as_bytes()).0, 5 - other.home(key.as_bytes()).0, "{key}");
        }
    }

    #[test]
    fn a_new_target_takes_its_share_and_moves_nothing_else() {
        let (before, after) = (placement(&targets(0..7)), placement(&targets(0..8)));
        let mut taken = 0;
        for i in 0..20_000 {
            let (old, new) = (before.home(key(i).as_bytes()), after.home(key(i).as_bytes()));
            assert!(new == old || new == Shard(7), "{i}: {old:?} {new:?}");
            taken += u32::from(new != old);
        }
        assert!((1_875..3_125).contains(&taken), "{taken} of 20,000, 2,500 expected");
    }

    #[test]
    fn shares_follow_the_weights() {
        let mut targets = targets(0..4);
        targets[0].weight = 2;
        let placement = placement(&targets);
        let mut keys = [0u32; 4];
        (0..50_000).for_each(|i| keys[placement.home(key(i).as_bytes()).index()] += 1);
        assert!((17_000..23_000).contains(&keys[0]), "{keys:?}");
        assert!(keys[1..].iter().all(|share| (8_000..12_000).contains(share)), "{keys:?}");
    }
}
