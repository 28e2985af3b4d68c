//! kill -9 of an instance that persists every write, under load, again and again.
//!
//! With `PDW_FULL` twenty times for 3 s, and values up to 50 MiB; else twice for less.

use std::io;
use std::thread;
use std::time::Duration;

use pdw_tests::durable::{Durable, addresses};
use pdw_tests::latency::Load;
use pdw_tests::proxy::Launch;
use pdw_tests::scrape::Scrape;
use pdw_tests::skipped_in_a_tree;
use pdw_tests::versions::{Findings, Manner, Route, Setup};

use crate::scene::{UNKNOWN, launch};
use crate::spool::spooling;
use pdw_tests::full_or;

const INSTANCES: usize = 3;

/// Sizes and manners of what is written.
type Keys = &'static [(usize, usize, Manner)];

/// Up to what is retained.
const RETAINED: Keys = &[
    (4, 1, Manner::Plain),
    (6, 300, Manner::Stripe),
    (6, 5000, Manner::Range),
    (2, 100_000, Manner::Stripe),
    (2, 1_000_000, Manner::Range),
];

const STRIPES: Keys = &[(3, 1 << 20, Manner::Stripe), (2, 8 << 20, Manner::Stripe), (1, 50 << 20, Manner::Stripe)];
const STRIPES_SHORT: Keys = &[(2, 1 << 20, Manner::Stripe), (2, 4 << 20, Manner::Stripe)];

/// What came of it: the verifier's findings, and what the proxies say: how many sessions they have closed for an
/// upstream's sake, how many bytes they have kept in files, and how many requests they have sent again.
fn crashes(launch: &Launch, keys: Keys) -> io::Result<(Findings, [f64; 3])> {
    let mut instances = Durable::start_many(INSTANCES)?;
    let launch = launch.clone().upstreams(&addresses(&instances));
    let (proxy, other) = (launch.start()?, launch.start()?);
    let direct = Route::Direct(addresses(&instances));
    let [ours, theirs] = [&proxy, &other].map(|proxy| Route::Through(proxy.address().clone()));
    let setup = Setup::new(&ours).reader(&ours).reader(&theirs).reader(&direct);
    let setup = keys.iter().fold(setup, |setup, (count, size, manner)| setup.keys(*count, *size, *manner));
    let verifier = setup.start();
    for round in 0..full_or(20, 2) {
        thread::sleep(Duration::from_millis(full_or(1500, 500)));
        let instance = &mut instances[round % INSTANCES];
        instance.kill();
        thread::sleep(Duration::from_millis(full_or(3000, 700)));
        instance.restart()?;
    }
    thread::sleep(Duration::from_millis(full_or(3000, 1000)));
    let findings = verifier.finish(&direct)?;
    // Sessions are a leaf's, the rest is done by who is before the instances.
    let leaves = [proxy.scrape()?, other.scrape()?];
    let nearest = [proxy.nearest().scrape()?, other.nearest().scrape()?];
    let sum = |of: &[Scrape], name| of.iter().map(|scrape| scrape.sum(name)).sum();
    let closed = sum(&leaves, "pdw_sessions_closed_total{reason=\"upstream\"}");
    Ok((findings, [closed, sum(&nearest, "pdw_spooled_bytes_total"), sum(&nearest, "pdw_repeats_total")]))
}

#[test]
fn under_pdwfs_no_client_sees_that_an_instance_was_killed() -> io::Result<()> {
    let (findings, _) = crashes(&launch("pdwfs", &[]), RETAINED)?;
    assert!(findings.answers > 300, "{findings}");
    findings.demand_flawless()
}

#[test]
fn under_redis_every_request_is_answered_once_and_in_time() -> io::Result<()> {
    let patience = Duration::from_secs(5);
    let (findings, _) = crashes(&launch("redis", &["patience = '5s'"]), RETAINED)?;
    findings.demand_consistent()?;
    assert!(findings.closed.is_empty(), "{findings}");
    assert!(findings.longest < patience + Duration::from_secs(2), "{findings}");
    let known = ["was not sent", "may or may not", "LOADING"];
    let other = |text: &&String| known.iter().all(|known| !text.contains(known));
    assert_eq!(findings.errors.iter().find(other), None);
    Ok(())
}

#[test]
fn stripes_are_never_wrong_and_every_broken_session_is_counted() -> io::Result<()> {
    let (findings, [counted, ..]) = crashes(&launch("pdwfs", &[]), full_or(STRIPES, STRIPES_SHORT))?;
    findings.demand_consistent()?;
    // Of a stripe whose bytes were all sent before its link was lost.
    assert!(findings.errors.iter().all(|text| text.ends_with(UNKNOWN)), "{findings}");
    assert_eq!(findings.closed.len() as f64, counted, "{findings}");
    Ok(())
}

#[test]
fn with_a_spool_no_writer_sees_that_an_instance_was_killed_in_the_middle_of_a_stripe() -> io::Result<()> {
    if skipped_in_a_tree(crate::spool::NO_TREE) {
        return Ok(());
    }
    let spool = tempfile::tempdir()?;
    let (findings, [closed, spooled, repeats]) = crashes(&spooling(spool.path(), ""), full_or(STRIPES, STRIPES_SHORT))?;
    println!("{findings}\n{spooled} bytes were kept in files, {repeats} requests sent again");
    assert!(spooled > 0.0 && repeats > 0.0, "{spooled}, {repeats}: the kills met nobody");
    assert_eq!(findings.closed.len() as f64, closed, "{findings}");
    findings.demand_no_write_harmed()
}

#[test]
fn requests_to_other_instances_keep_their_pace() -> io::Result<()> {
    let mut instances = Durable::start_many(INSTANCES)?;
    let proxy = launch("pdwfs", &[]).upstreams(&addresses(&instances)).start()?;
    let load = Load::start(proxy.address(), INSTANCES)?;
    let before = load.watch(Duration::from_secs(full_or(5, 2)));
    drop(load.take());
    for _ in 0..full_or(10, 2) {
        instances[0].kill();
        thread::sleep(Duration::from_millis(full_or(3000, 700)));
        instances[0].restart()?;
        thread::sleep(Duration::from_millis(500));
    }
    let during = load.take();
    assert!(during[0].errors.is_empty(), "{}", during[0]);
    let after = load.watch(Duration::from_secs(full_or(5, 1)));
    (1..INSTANCES).try_for_each(|at| during[at].demand_unharmed(&[&before[at], &after[at]], 3.0))
}
