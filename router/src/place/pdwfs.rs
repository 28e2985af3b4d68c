//! Placement `pdwfs`: the ring of pdwfs's own client, so that direct and proxied clients can share instances.
//!
//! PDWFS.md section 2: for instance i and replica r in 0..=99 the point is the CRC-32/IEEE of the decimal text of r
//! followed by that of i. Names and addresses play no part: the order of the list is the ring.

use super::Shard;
use super::continuum::{Continuum, Point};

const REPLICAS: u32 = 100;

/// The ring over `shards` instances. Of equal points the one of the later instance counts (`"1" + "11" = "11" + "1"`),
/// hence the reversed order.
pub(super) fn continuum(shards: u16) -> Continuum {
    Continuum::new((0..shards).rev().flat_map(points).collect())
}

fn points(instance: u16) -> impl Iterator<Item = Point> {
    (0..REPLICAS).map(move |replica| {
        let value = crc32fast::hash(format!("{replica}{instance}").as_bytes());
        Point { value, owner: Shard(instance) }
    })
}

#[cfg(test)]
mod tests {
    use crate::place::{Placement, PlacementKind, PlacementOptions, Target};

    use super::*;

    fn placement(shards: u16) -> Placement {
        let targets: Vec<_> = (0..shards).map(|i| Target::named(format!("i{i}"), 1)).collect();
        Placement::new(&PlacementOptions::new(PlacementKind::Pdwfs), &targets).unwrap()
    }

    #[test]
    fn equal_points_are_as_many_as_pdwfs_has() {
        assert_eq!(1_000 - continuum(10).points().len(), 0);
        assert_eq!(1_100 - continuum(11).points().len(), 9);
        assert_eq!(3_200 - continuum(32).points().len(), 198);
    }

    #[test]
    fn the_table_of_the_contract_holds() {
        for (shards, key, index) in [
            (2, "/m/f:0", 1),
            (3, "/m/f:0", 1),
            (3, "/m/f:1", 0),
            (3, "/m/f:-1", 0),
            (3, "/m/f:316", 2),
            (3, "{/m/d/f}:children", 0),
            (3, "/m/{a}/f:7", 2),
            (3, "/m/{}/f:7", 1),
            (3, "{/m/x}y}:mode", 2),
            (8, "/m/f:0", 6),
            (11, "/m/f:171", 10),
            (32, "/m/f:46", 28),
        ] {
            assert_eq!(placement(shards).home(key.as_bytes()), Shard(index), "{shards} {key}");
        }
    }

    #[test]
    fn every_vector_of_the_real_client_holds() {
        let vectors = include_str!("../../tests/vectors/pdwfs-ring.tsv");
        let mut checked = 0;
        for line in vectors.lines().filter(|line| !line.starts_with('#')) {
            let [shards, key, index] = line.split('\t').collect::<Vec<_>>()[..] else { panic!("odd line: {line}") };
            let home = placement(shards.parse().unwrap()).home(key.as_bytes());
            assert_eq!(home, Shard(index.parse().unwrap()), "{line}");
            checked += 1;
        }
        assert_eq!(checked, 1_000);
    }

    #[test]
    fn a_hash_above_every_point_wraps_to_the_smallest() {
        let ring = continuum(3);
        let hash = crc32fast::hash(b"/m/f:316");
        assert!(ring.points().iter().all(|point| point.value < hash));
        assert_eq!(placement(3).home(b"/m/f:316"), ring.points()[0].owner);
    }
}
