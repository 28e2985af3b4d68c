//! Two spines, one of which is lost or stands still: the other serves.

use std::io;
use std::thread;
use std::time::{Duration, Instant};

use pdw_tests::address::Address;
use pdw_tests::connection::Connection;
use pdw_tests::instance::{Instance, addresses};
use pdw_tests::latency::keys_at;
use pdw_tests::proxy::Proxy;
use pdw_tests::reply::Value;
use pdw_tests::versions::{Manner, Route, Setup};

use super::{LIMIT, leaf, spine, wait_served};

/// For how long a spine is stopped: for half of the patience in full.
fn stopped() -> Duration {
    Duration::from_secs(pdw_tests::full_or(30, 6))
}

/// A share that has moved over is served within this time.
const MOVED: Duration = Duration::from_secs(3);

/// Requests for all four shards together.
const ASKED: usize = 40;
const EVEN: [f64; 2] = [ASKED as f64 / 2.0; 2];

fn spines(instances: &[Instance]) -> io::Result<(Proxy, Proxy, Proxy)> {
    let (one, other) = (spine("pdwfs", instances, "spine-0")?, spine("pdwfs", instances, "spine-1")?);
    let leaf = leaf("pdwfs", &[&one, &other], "leaf")?;
    wait_served(&leaf)?;
    Ok((one, other, leaf))
}

/// Requests that each of the spines has had.
fn shares(spines: [&Proxy; 2]) -> io::Result<[f64; 2]> {
    let count = |proxy: &Proxy| Ok::<_, io::Error>(proxy.scrape()?.sum("pdw_requests_total"));
    Ok([count(spines[0])?, count(spines[1])?])
}

/// Asks for every shard; how many requests each spine has had of it.
fn ask_all(leaf: &Address, spines: [&Proxy; 2]) -> io::Result<[f64; 2]> {
    let before = shares(spines)?;
    let mut client = Connection::open_with(leaf, LIMIT)?;
    for shard in 0..4 {
        for key in keys_at(shard, 4).iter().take(ASKED / 4) {
            client.demand(&["SET", key, "x"])?;
        }
    }
    let after = shares(spines)?;
    Ok([after[0] - before[0], after[1] - before[1]])
}

#[test]
fn each_shard_has_its_spine_and_they_share_evenly() -> io::Result<()> {
    let instances = Instance::start_many(4)?;
    let (one, other, leaf) = spines(&instances)?;
    assert_eq!(ask_all(leaf.address(), [&one, &other])?, EVEN);
    Ok(())
}

#[test]
fn the_share_of_a_spine_that_is_killed_moves_over_and_comes_back() -> io::Result<()> {
    let instances = Instance::start_many(4)?;
    let (mut one, other, leaf) = spines(&instances)?;
    let mut client = Connection::open_with(leaf.address(), LIMIT)?;
    client.demand(&["SET", &keys_at(0, 4)[0], "x"])?;
    let place = one.address().clone();
    one.guard().signal(rustix::process::Signal::KILL)?;
    // What it takes with it has to wait for its fence; what comes later has not. On a busy machine the leaf's kernel may
    // tell of the end when it is over already.
    one.guard().wait_end(LIMIT)?;
    let killed = Instant::now();
    pdw_tests::connection::until("the leaf sees it", MOVED, || match leaf.scrape()?.sum("pdw_upstream_up") {
        1.0 => Ok(()),
        up => Err(io::Error::other(format!("{up} peers are up"))),
    })?;
    client.set_timeout(MOVED)?;
    for shard in 0..4 {
        client.demand(&["SET", &keys_at(shard, 4)[0], "y"])?;
    }
    assert!(killed.elapsed() < MOVED, "{:?}", killed.elapsed());
    drop(one);
    let one = super::launch_spine("pdwfs", &instances, "spine-0").listen(&place).start()?;
    pdw_tests::connection::until("traffic comes back evenly", LIMIT, || {
        let shares = ask_all(leaf.address(), [&one, &other])?;
        if shares == EVEN { Ok(()) } else { Err(io::Error::other(format!("{shares:?}"))) }
    })
}

#[test]
fn no_version_goes_back_while_a_spine_is_stopped_and_nobody_is_told() -> io::Result<()> {
    let instances = Instance::start_many(4)?;
    let (mut one, other, leaf) = spines(&instances)?;
    let through = Route::Through(leaf.address().clone());
    let direct = Route::Direct(addresses(&instances));
    let setup = Setup::new(&through).reader(&through).reader(&direct).keys(6, 100, Manner::Plain);
    let verifier = setup.keys(4, 3_000, Manner::Stripe).start();
    thread::sleep(Duration::from_millis(500));
    one.guard().freeze()?;
    thread::sleep(MOVED);
    // Whoever has nothing at the one that is stopped is served by the other.
    let mut client = Connection::open_with(leaf.address(), MOVED)?;
    let asked = Instant::now();
    for shard in 0..4 {
        client.demand(&["SET", &keys_at(shard, 4)[1], "y"])?;
    }
    assert!(asked.elapsed() < MOVED, "{:?}", asked.elapsed());
    thread::sleep(stopped().saturating_sub(MOVED));
    one.guard().thaw()?;
    thread::sleep(Duration::from_secs(1));
    let findings = verifier.finish(&through)?;
    println!("{findings}");
    findings.demand_flawless()?;
    assert_eq!(ask_all(leaf.address(), [&one, &other])?, EVEN);
    Ok(())
}

#[test]
fn nobody_is_told_that_a_spine_was_killed_and_no_version_goes_back() -> io::Result<()> {
    let instances = Instance::start_many(4)?;
    let (one, _other, leaf) = spines(&instances)?;
    let through = Route::Through(leaf.address().clone());
    let direct = Route::Direct(addresses(&instances));
    let setup = Setup::new(&through).reader(&through).reader(&direct).keys(6, 100, Manner::Plain);
    let verifier = setup.keys(4, 3_000, Manner::Stripe).start();
    let (place, mut one) = (one.address().clone(), one);
    for _ in 0..3 {
        thread::sleep(Duration::from_millis(700));
        one.guard().signal(rustix::process::Signal::KILL)?;
        drop(one);
        thread::sleep(Duration::from_millis(700));
        one = super::launch_spine("pdwfs", &instances, "spine-0").listen(&place).start()?;
    }
    thread::sleep(Duration::from_secs(1));
    let findings = verifier.finish(&through)?;
    println!("{findings}");
    findings.demand_flawless()
}

/// A write that its spine has sent to an instance that stands still, and that spine, killed.
fn written_to_a_spine_that_dies(profile: &'static str) -> io::Result<Value> {
    let mut instances = Instance::start_many(4)?;
    let (mut one, other) = (spine(profile, &instances, "spine-0")?, spine(profile, &instances, "spine-1")?);
    let leaf = leaf(profile, &[&one, &other], "leaf")?;
    wait_served(&leaf)?;
    let key = &keys_at(0, 4)[0];
    instances[0].guard().freeze()?;
    let mut client = Connection::open_with(leaf.address(), LIMIT)?;
    client.send(&pdw_tests::connection::encode(&["SET", key, "once"]))?;
    thread::sleep(Duration::from_millis(300));
    one.guard().signal(rustix::process::Signal::KILL)?;
    thread::sleep(Duration::from_millis(300));
    instances[0].guard().thaw()?;
    Ok(client.receive()?.value)
}

#[test]
fn what_a_spine_took_with_it_is_sent_again_behind_a_fence() -> io::Result<()> {
    assert_eq!(written_to_a_spine_that_dies("pdwfs")?.text(), "OK");
    Ok(())
}

#[test]
fn what_a_spine_took_with_it_is_unknown_to_clients_that_handle_errors() -> io::Result<()> {
    let answer = written_to_a_spine_that_dies("redis")?.error().unwrap_or_default();
    assert!(answer.contains("may or may not have been carried out"), "{answer}");
    Ok(())
}
