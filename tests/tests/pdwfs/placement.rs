//! After a proxied run every instance holds exactly what the client-side ring would have left there.

use std::io;

use pdw_tests::contents::read_all;
use pdw_tests::hop::Seal;
use pdw_tests::instance::{Instance, addresses};
use pdw_tests::pdwfs::{CONNECTIONS_MAX, Process, TRIM_SCRIPT, TRIM_SHA};
use pdw_tests::proxy::Launch;

use super::replay::{MOUNT, direct_contents, replay, same, seed};

/// Replays directly, then through a proxy with `mutant`, and compares. The outer result tells
/// whether the check could be made, the inner one what it found.
pub(super) fn check(count: usize, mutant: Option<&str>) -> io::Result<io::Result<()>> {
    check_by(count, |launch| mutant.map_or(launch.clone(), |mutant| launch.clone().mutant(mutant)))
}

fn check_by(count: usize, by: impl Fn(&Launch) -> Launch) -> io::Result<io::Result<()>> {
    let instances = Instance::start_many(count)?;
    let wanted = direct_contents(seed(), &instances)?;
    let proxy = by(&Launch::new("pdwfs", &addresses(&instances))).start()?;
    let replayed = replay(seed(), &|_| vec![proxy.address().clone()]);
    Ok(replayed.and_then(|peak| {
        assert_eq!(peak, CONNECTIONS_MAX, "the replay does not open as many connections as pdwfs does");
        same(&wanted, &read_all(&instances)?)
    }))
}

#[test]
fn one_instance_holds_what_a_direct_run_leaves() -> io::Result<()> {
    check(1, None)?
}

#[test]
fn three_instances_hold_what_a_direct_run_leaves() -> io::Result<()> {
    check(3, None)?
}

#[test]
fn eleven_instances_hold_what_a_direct_run_leaves() -> io::Result<()> {
    // From 11 up the ring has equal points.
    check(11, None)?
}

#[test]
fn three_instances_hold_it_behind_two_and_three_levels_with_sealed_hops() -> io::Result<()> {
    let trees = [(2, Seal::Noise), (3, Seal::Tls), (3, Seal::Spiped)];
    let tried = trees.into_iter().filter(|(_, seal)| seal.can_be_tried());
    tried.into_iter().try_for_each(|(levels, seal)| check_by(3, |launch| launch.clone().levels(levels).seal(seal))?)
}

#[test]
fn stripes_of_megabytes_arrive_whole_where_they_belong() -> io::Result<()> {
    const STRIPE: u64 = 3 << 20;
    let instances = Instance::start_many(3)?;
    let direct = addresses(&instances);
    let proxy = Launch::new("pdwfs", &direct).start()?;
    let mut writer = Process::start(std::slice::from_ref(proxy.address()), MOUNT, STRIPE)?;
    let mut reader = Process::start(&direct, MOUNT, STRIPE)?;
    let data: Vec<u8> = (0..10 * STRIPE + 12_345).map(|at| (at * 31 + at / 4099) as u8).collect();
    writer.create("/m/big")?;
    writer.write("/m/big", 0, &data)?;
    assert!(reader.read("/m/big", 0, data.len())? == data, "what a direct client reads");
    assert!(writer.read("/m/big", 0, data.len())? == data, "what a proxied client reads");
    Ok(())
}

#[test]
fn a_direct_replay_leaves_the_same_twice_and_another_seed_something_else() -> io::Result<()> {
    let instances = Instance::start_many(3)?;
    let (first, second) = (direct_contents(7, &instances)?, direct_contents(7, &instances)?);
    same(&first, &second)?;
    assert!(same(&first, &direct_contents(8, &instances)?).is_err());
    Ok(())
}

#[test]
fn the_replays_script_has_the_digest_it_is_called_by() -> io::Result<()> {
    let instance = Instance::start()?;
    let digest = instance.connect()?.demand(&["SCRIPT", "LOAD", TRIM_SCRIPT])?;
    assert_eq!(digest.text(), TRIM_SHA);
    Ok(())
}
