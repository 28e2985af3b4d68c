//! Placement `slots` beside `CLUSTER KEYSLOT` of a running Redis and the plan of `redis-cli --cluster create`.

use std::io::Write;
use std::process::{Command, Stdio};

use pdw_router::place::{Placement, PlacementKind, PlacementOptions, Target};

use crate::processes::{Instance, start_instances};

const CLUSTER: [&str; 2] = ["--cluster-enabled", "yes"];

fn placement(shards: usize) -> Placement {
    let targets: Vec<_> = (0..shards).map(|i| Target::named(format!("i{i}"), 1)).collect();
    Placement::new(&PlacementOptions::new(PlacementKind::Slots), &targets).unwrap()
}

/// Odd braces by hand, then random bytes of which many are braces.
fn keys() -> Vec<Vec<u8>> {
    let odd = ["", "{", "}", "{}", "{}{a}", "a{b", "a}b{c", "{a}{b}", "{{a}}", "a{}b{c}d", "{\u{fc}}", "foo{bar}baz"];
    let mut random = fastrand::Rng::with_seed(3);
    let mut keys: Vec<_> = odd.map(|key| key.as_bytes().to_vec()).into();
    keys.extend((0..5_000).map(|_| {
        let length = random.usize(..40);
        (0..length).map(|_| if random.u8(..5) == 0 { *random.choice(b"{}").unwrap() } else { random.u8(..) }).collect()
    }));
    keys
}

#[test]
fn slots_equal_cluster_keyslot() {
    let folder = tempfile::tempdir().unwrap();
    let instances = start_instances(folder.path(), [7_000], &CLUSTER);
    let (keys, mut pipeline) = (keys(), redis::pipe());
    for key in &keys {
        pipeline.cmd("CLUSTER").arg("KEYSLOT").arg(key);
    }
    let slots: Vec<u16> = pipeline.query(&mut instances[0].connect()).unwrap();
    let placement = placement(3);
    for (key, slot) in keys.iter().zip(slots) {
        assert_eq!(placement.slot(key), Some(slot), "{:?}", key.escape_ascii().to_string());
    }
}

/// What redis-cli would assign, as `(first, last)` slot by master. It prints the plan, asks, and is answered no.
fn plan_of_redis_cli(instances: &[Instance]) -> Vec<(u16, u16)> {
    let mut command = Command::new("redis-cli");
    command.args(["--cluster", "create"]).args(instances.iter().map(|instance| &instance.address));
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"no\n").unwrap();
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let ranges = text.lines().filter_map(|line| line.split_once("-> Slots ")?.1.split_once(" - "));
    ranges.map(|(first, last)| (first.trim().parse().unwrap(), last.trim().parse().unwrap())).collect()
}

/// The first and last slot of each shard, found by asking for the home of a key in every slot.
fn ranges(placement: &Placement) -> Vec<(u16, u16)> {
    let mut ranges = vec![(u16::MAX, 0); placement.shards()];
    for number in 0..200_000u32 {
        let key = number.to_string().into_bytes();
        let (range, slot) = (&mut ranges[placement.home(&key).index()], placement.slot(&key).unwrap());
        *range = (range.0.min(slot), range.1.max(slot));
    }
    ranges
}

#[test]
fn ranges_are_cut_as_redis_cli_cuts_them() {
    let folder = tempfile::tempdir().unwrap();
    let instances = start_instances(folder.path(), 7_000..7_011, &CLUSTER);
    for count in [3, 5, 7, 11] {
        let plan = plan_of_redis_cli(&instances[..count]);
        assert_eq!(plan.len(), count, "redis-cli printed no plan");
        assert_eq!(ranges(&placement(count)), plan, "{count} shards");
    }
}
