//! Whatever one Redis answers, it answers through the proxy too: on one instance, and on four.
//!
//! `PDW_SEED` is the first seed, `PDW_SEEDS` how many sequences each setting gets.

use std::collections::BTreeSet;
use std::io;

use pdw_router::place::{Placement, PlacementKind, PlacementOptions, Target};
use pdw_tests::address::Address;
use pdw_tests::differential::{
    Difference, Family, MASKS, Noise, Setting, Step, Subject, Trial, Used, sequence, shrink, spread_sequence,
};
use pdw_tests::hop::Seal;
use pdw_tests::instance::{Instance, Server, addresses};
use pdw_tests::nutcracker::Nutcracker;
use pdw_tests::proxy::Launch;
use pdw_tests::skipped;

/// Sequences of each setting unless `PDW_SEEDS` says otherwise.
const SEEDS: u64 = 1500;

/// Differences shown before a run gives up.
const SHOWN: usize = 12;

fn number(variable: &str, default: u64) -> u64 {
    std::env::var(variable).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// Placement `slots`: it does not depend on the instances' addresses, so that a seed means the same every time.
fn placement(shards: usize) -> io::Result<Placement> {
    let targets: Vec<_> = (0..shards).map(|shard| Target::named(shard.to_string(), 1)).collect();
    Placement::new(&PlacementOptions::new(PlacementKind::Slots), &targets).map_err(io::Error::other)
}

fn trial(server: &Server, address: &Address, instances: &[Instance]) -> io::Result<Trial> {
    let subject = Subject { address: address.clone(), placement: placement(instances.len())? };
    Trial::new(Instance::start_with(server, &[])?, subject, instances)
}

/// Runs `count` sequences and describes the differences, shrunk.
fn differences(trial: &mut Trial, count: u64, left_out: &[&str]) -> io::Result<Vec<String>> {
    differences_in(trial, count, |seed| {
        let mut steps = sequence(seed, &Setting::default());
        leave_out(&mut steps, left_out);
        steps
    })
}

fn differences_in(trial: &mut Trial, count: u64, sequence: impl Fn(u64) -> Vec<Step>) -> io::Result<Vec<String>> {
    let (first, mut shown, mut known) = (number("PDW_SEED", 1), Vec::new(), BTreeSet::new());
    for seed in first..first + count {
        let steps = sequence(seed);
        let Some(difference) = trial.run(&steps)? else { continue };
        if known.insert(difference.kind(&steps)) {
            let (steps, difference) = shrink(trial, &steps, difference)?;
            shown.push(describe(seed, &steps, &difference));
        }
        if shown.len() >= SHOWN {
            break;
        }
    }
    Ok(shown)
}

/// Removes commands by name; `NESTED` stands for a MULTI inside another.
fn leave_out(steps: &mut Vec<Step>, left_out: &[&str]) {
    let mut open = false;
    steps.retain(|step| {
        let name = step.name();
        let nested = open && name == "MULTI" && left_out.contains(&"NESTED");
        open = (open || name == "MULTI") && !["EXEC", "DISCARD", "RESET"].contains(&name.as_str());
        !nested && !left_out.contains(&name.as_str())
    });
}

fn describe(seed: u64, steps: &[Step], difference: &Difference) -> String {
    let lines: Vec<_> = steps.iter().enumerate().map(|(at, step)| format!("  {at}: {step}")).collect();
    format!("seed {seed}:\n{}\n  {difference}\n", lines.join("\n"))
}

/// Compares a proxy before `shards` instances of `server` with one of them; the masks it needed, and differences.
fn proxied(server: &Server, shards: usize, count: u64, left_out: &[&str]) -> io::Result<(Used, Vec<String>)> {
    let instances = (0..shards).map(|_| Instance::start_with(server, &[])).collect::<io::Result<Vec<_>>>()?;
    proxied_by(&Launch::new("redis", &addresses(&instances)), server, &instances, count, left_out)
}

/// The same by a proxy, or a tree of them.
fn proxied_by(
    launch: &Launch,
    server: &Server,
    instances: &[Instance],
    count: u64,
    left_out: &[&str],
) -> io::Result<(Used, Vec<String>)> {
    let (shards, proxy) = (instances.len(), launch.clone().placement("slots").start()?);
    let mut trial = trial(server, proxy.address(), instances)?;
    let noise = Noise::start(proxy.address(), 2);
    let found = differences(&mut trial, count, left_out)?;
    noise.finish()?;
    let named = found.into_iter().map(|text| format!("{} with {shards} instances, {text}", server.name));
    Ok((trial.used, named.collect()))
}

#[test]
fn a_proxy_answers_as_one_redis_does_and_every_mask_is_needed() -> io::Result<()> {
    let count = number("PDW_SEEDS", SEEDS);
    let (mut used, mut found) = proxied(&Server::redis(), 1, count, &[])?;
    let (more_used, more_found) = proxied(&Server::redis(), 4, count, &[])?;
    used.extend(more_used);
    found.extend(more_found);
    assert!(found.is_empty(), "{}", found.join("\n"));
    let idle: Vec<_> = MASKS.iter().map(|mask| mask.name).filter(|name| !used.contains(name)).collect();
    assert_eq!(idle, Vec::<&str>::new(), "masks that no run needed");
    Ok(())
}

#[test]
fn a_proxy_answers_as_one_valkey_does() -> io::Result<()> {
    for server in Server::found().iter().filter(|server| server.name == "valkey") {
        // Valkey aborts a transaction for them, Redis does not, and the proxy does as Redis.
        let (_, found) = proxied(server, 4, number("PDW_SEEDS", SEEDS) / 4, &["WATCH", "NESTED"])?;
        assert!(found.is_empty(), "{}", found.join("\n"));
    }
    Ok(())
}

#[test]
fn a_tree_of_proxies_with_sealed_hops_answers_as_one_redis_does() -> io::Result<()> {
    let trees = [(2, Seal::Plain), (2, Seal::Noise), (2, Seal::Tls), (3, Seal::Spiped)];
    for (levels, seal) in trees.into_iter().filter(|(_, seal)| seal.can_be_tried()) {
        let instances = Instance::start_many(4)?;
        let launch = Launch::new("redis", &addresses(&instances)).levels(levels).seal(seal);
        let count = number("PDW_SEEDS", SEEDS) / 6;
        let (_, found) = proxied_by(&launch, &Server::redis(), &instances, count, &[])?;
        assert!(found.is_empty(), "{levels} levels, {seal:?}: {}", found.join("\n"));
    }
    Ok(())
}

/// Compares sets whose members are spread over four shards with one Redis.
fn spread(family: Family, config: &str) -> io::Result<()> {
    let instances = Instance::start_many(4)?;
    let proxy = Launch::new("pdwfs", &addresses(&instances)).config(config).start()?;
    // With one shard in the oracle's view no request may be refused for its keys' homes.
    let subject = Subject { address: proxy.address().clone(), placement: placement(1)? };
    let mut trial = Trial::new(Instance::start()?, subject, &instances)?;
    let found = differences_in(&mut trial, number("PDW_SEEDS", SEEDS) / 3, |seed| spread_sequence(seed, family))?;
    assert!(found.is_empty(), "{}", found.join("\n"));
    Ok(())
}

#[test]
fn spread_stripe_sets_answer_as_one_redis_does() -> io::Result<()> {
    spread(Family::Stripes, "")
}

#[test]
fn spread_children_answer_as_one_redis_does() -> io::Result<()> {
    spread(Family::Children, "spread_children = true\n")
}

#[test]
fn deliberate_faults_show_as_differences() -> io::Result<()> {
    for mutant in ["swapped-replies", "wrong-gather-order", "double-send"] {
        let instances = Instance::start_many(4)?;
        let proxy = Launch::new("redis", &addresses(&instances)).placement("slots").mutant(mutant).start()?;
        let mut trial = trial(&Server::redis(), proxy.address(), &instances)?;
        let differs = |seed| trial.run(&sequence(seed, &Setting::default())).map_or(true, |found| found.is_some());
        assert!((1..500).any(differs), "{mutant} is not noticed");
    }
    Ok(())
}

#[test]
fn one_redis_does_not_differ_from_another() -> io::Result<()> {
    let instances = Instance::start_many(1)?;
    let mut trial = trial(&Server::redis(), instances[0].address(), &instances)?;
    // What one Redis carries out and a proxy has to refuse.
    let left_out = ["WATCH", "BLPOP", "SUBSCRIBE", "MOVE", "SWAPDB", "COPY", "HELLO", "SELECT", "CLIENT", "AUTH"];
    let found = differences(&mut trial, 300, &left_out)?;
    assert!(found.is_empty(), "{}", found.join("\n"));
    Ok(())
}

#[test]
fn nutcracker_differs_and_the_difference_is_small() -> io::Result<()> {
    let instances = Instance::start_many(1)?;
    let Some(nutcracker) = Nutcracker::start(&addresses(&instances))? else {
        skipped("nutcracker is not installed");
        return Ok(());
    };
    let mut trial = trial(&Server::redis(), nutcracker.address(), &instances)?;
    let steps = sequence(1, &Setting::default());
    let difference = trial.run(&steps)?.ok_or_else(|| io::Error::other("no difference found"))?;
    let (small, _) = shrink(&mut trial, &steps, difference)?;
    assert!(small.len() <= 6, "not shrunk: {small:?}");
    Ok(())
}
