//! A session's requests keep their order across lanes: whatever one Redis answers to a pipeline with values of all
//! sizes on few keys, the proxy answers too.
//!
//! `PDW_SEED` is the first seed, `PDW_SEEDS` how many pipelines each setting gets.

use std::io;
use std::time::Duration;

use pdw_tests::address::Address;
use pdw_tests::instance::{Instance, addresses};
use pdw_tests::proxy::Launch;

use crate::script::{Script, script};
use crate::stream::{Answer, converse};

/// Pipelines of each setting unless `PDW_SEEDS` says otherwise.
const SEEDS: u64 = 25;

/// How long a pipeline may take.
const PATIENCE: Duration = Duration::from_secs(60);

fn number(variable: &str, default: u64) -> u64 {
    std::env::var(variable).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// Sends a script from empty instances; the answers to its commands.
fn answers(script: &Script, address: &Address, instances: &[Instance]) -> io::Result<Vec<Answer>> {
    instances.iter().try_for_each(Instance::clear)?;
    converse(address, script, PATIENCE)
}

/// The first difference between one Redis and the proxy, described.
fn difference(script: &Script, wanted: &[Answer], found: &io::Result<Vec<Answer>>) -> Option<String> {
    let found = match found {
        Ok(found) => found,
        Err(error) => return Some(format!("{error}\n{script}")),
    };
    let at = wanted.iter().zip(found).position(|(wanted, found)| wanted != found)?;
    Some(format!("step {at}: wanted {:?}, found {:?}\n{}", wanted[at], found[at], script.until(at)))
}

fn compare(profile: &'static str, shards: usize) -> io::Result<()> {
    let oracle = Instance::start_many(1)?;
    let instances = Instance::start_many(shards)?;
    let proxy = Launch::new(profile, &addresses(&instances)).placement("slots").start()?;
    let first = number("PDW_SEED", 1);
    for seed in first..first + number("PDW_SEEDS", SEEDS) {
        let script = script(seed);
        let wanted = answers(&script, oracle[0].address(), &oracle)?;
        let found = answers(&script, proxy.address(), &instances);
        if let Some(difference) = difference(&script, &wanted, &found) {
            return Err(io::Error::other(format!("seed {seed}, profile {profile}, {shards} instances: {difference}")));
        }
    }
    Ok(())
}

#[test]
fn values_of_all_sizes_in_one_pipeline_before_one_instance() -> io::Result<()> {
    compare("redis", 1)
}

#[test]
fn values_of_all_sizes_in_one_pipeline_before_three_instances() -> io::Result<()> {
    compare("redis", 3)
}

#[test]
fn values_of_all_sizes_in_one_pipeline_under_profile_pdwfs() -> io::Result<()> {
    compare("pdwfs", 3)
}

#[test]
fn a_request_that_overtakes_another_is_noticed() -> io::Result<()> {
    let oracle = Instance::start_many(1)?;
    // Two values may be written over before anybody reads them.
    for seed in 1..20 {
        let mut script = script(seed);
        let wanted = answers(&script, oracle[0].address(), &oracle)?;
        script.swap_first_two_sets();
        let found = answers(&script, oracle[0].address(), &oracle);
        if difference(&script, &wanted, &found).is_some() {
            return Ok(());
        }
    }
    panic!("nobody noticed")
}
