//! A ring of 32-bit points, made for being asked often.

use super::Shard;

/// One point of the ring: it owns the hashes from just above the previous point up to its own value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Point {
    pub(super) value: u32,
    pub(super) owner: Shard,
}

/// Points in ascending order, and for each of the equal slices of the hash range the first point at or after its start:
/// a look-up jumps there and walks on, half a step on average, where a binary search would mispredict ten branches.
#[derive(Clone)]
pub(super) struct Continuum {
    points: Box<[Point]>,
    starts: Box<[u32]>,
    /// A hash shifted right by this is the index of its slice.
    shift: u32,
}

impl Continuum {
    /// Builds the ring. Of points with equal values the first in `points` owns the hash.
    pub(super) fn new(mut points: Vec<Point>) -> Self {
        points.sort_by_key(|point| point.value);
        points.dedup_by_key(|point| point.value);
        let bits = points.len().next_power_of_two().trailing_zeros().clamp(1, 24);
        let shift = u32::BITS - bits;
        let starts = (0..1u32 << bits).map(|slice| first_at(&points, slice << shift)).collect();
        Self { points: points.into(), starts, shift }
    }

    /// The owner of the first point at or above `hash`; past the last point the ring begins again.
    pub(super) fn owner(&self, hash: u32) -> Shard {
        let start = self.starts[(hash >> self.shift) as usize] as usize;
        let at_or_above = self.points[start..].iter().find(|point| point.value >= hash);
        at_or_above.or(self.points.first()).map_or(Shard(0), |point| point.owner)
    }

    #[cfg(test)]
    pub(super) fn points(&self) -> &[Point] {
        &self.points
    }
}

fn first_at(points: &[Point], value: u32) -> u32 {
    points.partition_point(|point| point.value < value) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ring(points: &[(u32, u16)]) -> Continuum {
        Continuum::new(points.iter().map(|&(value, owner)| Point { value, owner: Shard(owner) }).collect())
    }

    #[test]
    fn a_hash_belongs_to_the_first_point_at_or_above_it_and_wraps() {
        let ring = ring(&[(900, 2), (100, 0), (500, 1)]);
        for (hash, owner) in [(0, 0), (100, 0), (101, 1), (500, 1), (501, 2), (900, 2), (901, 0), (u32::MAX, 0)] {
            assert_eq!(ring.owner(hash), Shard(owner), "{hash}");
        }
    }

    #[test]
    fn points_at_both_ends_of_the_range_own_their_hash() {
        let ring = ring(&[(0, 3), (u32::MAX, 4)]);
        assert_eq!(ring.owner(0), Shard(3));
        assert_eq!(ring.owner(1), Shard(4));
        assert_eq!(ring.owner(u32::MAX), Shard(4));
    }

    #[test]
    fn of_equal_points_the_first_one_given_owns_the_hash() {
        let ring = ring(&[(7, 5), (7, 1), (9, 2)]);
        assert_eq!(ring.owner(7), Shard(5));
        assert_eq!(ring.points().len(), 2);
    }

    #[test]
    fn the_walk_finds_what_a_scan_of_all_points_finds() {
        let mut random = fastrand::Rng::with_seed(7);
        for points in [1usize, 2, 3, 63, 64, 65, 3200] {
            let list: Vec<_> = (0..points).map(|i| (random.u32(..), i as u16)).collect();
            let ring = ring(&list);
            for _ in 0..2_000 {
                let hash = random.u32(..);
                let scanned = ring.points().iter().find(|point| point.value >= hash).unwrap_or(&ring.points()[0]);
                assert_eq!(ring.owner(hash), scanned.owner, "{points} points, {hash}");
            }
        }
    }
}
