//! Placement `ketama`: the ring of twemproxy's `distribution: ketama`, so that its users can move over.
//!
//! Source: `nc_ketama.c`, `nc_server.c` and `nc_conf.c` of twemproxy 0.5.0, and the running program
//! (`tests/tests/placement`).

use super::continuum::{Continuum, Point};
use super::key_hash::md5_word;
use super::{PlacementError, Shard, Target};

/// Points of a server that has the average weight.
const POINTS_PER_SERVER: f32 = 160.0;

/// Longest label of a point; twemproxy formats it into 86 bytes, and past them hashes whatever lies behind.
const LABEL_MAX: usize = 85;

/// The port that libmemcached leaves out of a label.
const DEFAULT_PORT_SUFFIX: &str = ":11211";

/// The label twemproxy gives a server that has no name of its own in `servers:`.
///
/// That is `host:port`, but only `host` at port 11211, and a UNIX socket's path with the colon that precedes the weight.
pub(super) fn label_of_address(address: &str) -> String {
    if address.starts_with('/') {
        return format!("{address}:");
    }
    address.strip_suffix(DEFAULT_PORT_SUFFIX).unwrap_or(address).to_owned()
}

/// The ring over `targets`. Names must differ and weights be positive.
pub(super) fn continuum(targets: &[Target]) -> Result<Continuum, PlacementError> {
    let weight_sum: u64 = targets.iter().map(|target| u64::from(target.weight)).sum();
    let mut points = Vec::new();
    for (target, shard) in in_twemproxys_order(targets) {
        let labels = labels_of(target, weight_sum, targets.len());
        check_label(target, labels)?;
        points.extend((0..labels).flat_map(|number| points_of(&target.name, number, shard)));
    }
    Ok(Continuum::new(points))
}

/// twemproxy sorts a pool's servers by length and bytes of their names; it decides who owns equal points.
fn in_twemproxys_order(targets: &[Target]) -> Vec<(&Target, Shard)> {
    let mut order: Vec<_> = targets.iter().zip((0..).map(Shard)).collect();
    order.sort_by_key(|(target, _)| (target.name.len(), target.name.as_bytes()));
    order
}

/// Number of labels, each of four points: 40 for the average weight, in twemproxy's single precision,
/// which gives some counts of equal servers 39.
fn labels_of(target: &Target, weight_sum: u64, servers: usize) -> u32 {
    let share = target.weight as f32 / weight_sum as f32;
    let points = f64::from(share * POINTS_PER_SERVER / 4.0 * servers as f32) + 1e-10;
    (points as f32).floor() as u32
}

fn check_label(target: &Target, labels: u32) -> Result<(), PlacementError> {
    let longest = label(&target.name, labels.saturating_sub(1)).len();
    if longest > LABEL_MAX {
        return Err(PlacementError::NameTooLong { name: target.name.clone(), excess: longest - LABEL_MAX });
    }
    Ok(())
}

fn label(name: &str, number: u32) -> String {
    format!("{name}-{number}")
}

fn points_of(name: &str, number: u32, owner: Shard) -> impl Iterator<Item = Point> {
    let label = label(name, number);
    (0..4).map(move |word| Point { value: md5_word(label.as_bytes(), word), owner })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn targets(weights: &[u32]) -> Vec<Target> {
        weights.iter().zip(0..).map(|(weight, i): (_, u32)| Target::named(format!("s{i}"), *weight)).collect()
    }

    fn points_by_shard(weights: &[u32]) -> Vec<usize> {
        let ring = continuum(&targets(weights)).unwrap();
        (0..weights.len()).map(|i| ring.points().iter().filter(|p| p.owner.index() == i).count()).collect()
    }

    #[test]
    fn addresses_are_labelled_as_libmemcached_labels_them() {
        for (address, label) in [
            ("127.0.0.1:6379", "127.0.0.1:6379"),
            ("127.0.0.1:11211", "127.0.0.1"),
            ("cache.example:112110", "cache.example:112110"),
            ("/run/redis.sock", "/run/redis.sock:"),
        ] {
            assert_eq!(label_of_address(address), label);
        }
    }

    #[test]
    fn points_follow_the_weights() {
        assert_eq!(points_by_shard(&[1, 1, 1]), [160, 160, 160]);
        assert_eq!(points_by_shard(&[1, 3]), [80, 240]);
        assert_eq!(points_by_shard(&[1, 1_000])[0], 0);
    }

    /// 1/n * 160 / 4 * n falls short of 40 in single precision for these n.
    #[test]
    fn single_precision_costs_some_counts_of_servers_a_label() {
        let short: Vec<_> = (1..60).filter(|&n| labels_of(&targets(&[1])[0], n as u64, n) == 39).collect();
        assert_eq!(short, [25, 47, 50, 55]);
    }

    #[test]
    fn a_name_that_twemproxy_would_hash_wrongly_is_refused() {
        let with = |length: usize| continuum(&[Target::named("n".repeat(length), 1), Target::named("m".to_owned(), 1)]);
        assert!(with(82).is_ok());
        let error = with(83).err().unwrap().to_string();
        assert!(error.contains("shorten it by 1"), "{error}");
    }
}
