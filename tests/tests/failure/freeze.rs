//! An instance or the proxy stands still (SIGSTOP) for a while, under writers and readers of versions.
//!
//! With `PDW_FULL` for 5, 30 and 90 s; else for two, and longer than a patience made shorter.

use std::io;
use std::thread;
use std::time::Duration;

use pdw_tests::connection::encode;
use pdw_tests::durable::{Durable, addresses};
use pdw_tests::proxy::{Launch, Proxy};
use pdw_tests::versions::{Findings, Manner, Route, Setup};

use crate::scene::{Scene, launch};
use pdw_tests::full_or;

/// Who stands still.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Frozen {
    Instance,
    Proxy,
}

fn seconds(full: &[u64], short: &[u64]) -> Vec<Duration> {
    full_or(full, short).iter().copied().map(Duration::from_secs).collect()
}

fn freeze(frozen: Frozen, launch: &Launch, time: Duration) -> io::Result<Findings> {
    let mut instances = Durable::start_many(2)?;
    let launch = launch.clone().upstreams(&addresses(&instances));
    let (mut proxy, other) = (launch.start()?, launch.start()?);
    let ways = [&proxy, &other].map(|proxy: &Proxy| Route::Through(proxy.address().clone()));
    let direct = Route::Direct(addresses(&instances));
    let setup = Setup::new(&ways[0]).reader(&ways[0]).reader(&ways[1]).reader(&direct);
    let setup = setup.keys(6, 1, Manner::Plain).keys(6, 3000, Manner::Stripe).keys(6, 500, Manner::Range);
    let verifier =
        setup.keys(2, full_or(50 << 20, 2 << 20), Manner::Stripe).limit(time + Duration::from_secs(100)).start();
    thread::sleep(Duration::from_millis(500));
    let guard = if frozen == Frozen::Proxy { proxy.guard() } else { instances[0].guard()? };
    guard.freeze()?;
    thread::sleep(time);
    guard.thaw()?;
    thread::sleep(Duration::from_secs(full_or(5, 1)));
    verifier.finish(&direct)
}

#[test]
fn an_instance_that_stands_still_costs_time_and_nothing_else() -> io::Result<()> {
    for time in seconds(&[5, 30], &[2]) {
        freeze(Frozen::Instance, &launch("pdwfs", &[]), time)?.demand_flawless()?;
    }
    Ok(())
}

#[test]
fn a_proxy_that_stands_still_costs_time_and_nothing_else() -> io::Result<()> {
    for time in seconds(&[5, 30], &[2]) {
        freeze(Frozen::Proxy, &launch("pdwfs", &[]), time)?.demand_flawless()?;
    }
    Ok(())
}

/// Beyond the patience clients are told; but no session is closed, and no value is wrong.
fn beyond_the_patience(frozen: Frozen) -> io::Result<()> {
    let times: &[&str] = full_or(&[], &["patience = '1s'", "connect_timeout = '1s'"]);
    for time in seconds(&[90], &[2]) {
        let findings = freeze(frozen, &launch("pdwfs", times), time)?;
        findings.demand_consistent()?;
        assert!(findings.closed.is_empty(), "{findings}");
        let told = |text: &&String| !text.contains("was not sent") && !text.contains("may or may not");
        assert_eq!(findings.errors.iter().find(told), None);
        // What was with the instances when the proxy stood still is answered when it goes on.
        assert!(frozen == Frozen::Proxy || !findings.errors.is_empty(), "nobody was told: {findings}");
    }
    Ok(())
}

/// With `PDW_FULL` for longer than any other limit, so that what the kernel gives up by default would show.
#[test]
fn a_client_that_stands_still_gets_the_rest_of_its_reply() -> io::Result<()> {
    let scene = Scene::start("pdwfs", 1, &[])?;
    let mut client = scene.session()?;
    let value = vec![b'x'; 20 << 20];
    client.demand(&[b"SET".as_slice(), b"k", &value])?;
    client.send(&encode(&["GET", "k"]))?;
    thread::sleep(Duration::from_secs(full_or(90, 2)));
    assert_eq!(client.receive()?.value.bytes().len(), value.len());
    Ok(())
}

#[test]
fn an_instance_that_stands_still_beyond_the_patience_costs_no_session() -> io::Result<()> {
    beyond_the_patience(Frozen::Instance)
}

#[test]
fn a_proxy_that_stands_still_beyond_the_patience_costs_no_session() -> io::Result<()> {
    beyond_the_patience(Frozen::Proxy)
}
