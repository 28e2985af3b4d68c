//! Links between proxies that are cut under load while both ends live: every request is carried out once, and has its reply.

use std::collections::HashSet;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use pdw_tests::address::Address;
use pdw_tests::connection::{Connection, until};
use pdw_tests::fault::{End, FaultProxy, Way};
use pdw_tests::instance::Instance;
use pdw_tests::latency::keys_at;
use pdw_tests::proxy::{Launch, Proxy};
use pdw_tests::scrape::Scrape;

use super::{LIMIT, launch_spine, wait_served};

const CLIENTS: usize = 50;
const CUTS: usize = 16;
const BETWEEN: Duration = Duration::from_millis(120);
/// Links of the leaf's workers.
const LINKS: f64 = 2.0;

/// A proxy before one other, of several workers as that is.
fn before(profile: &'static str, peer: &Address, name: &str) -> io::Result<Proxy> {
    let launch = Launch::new(profile, &[]).before_peers(std::slice::from_ref(peer)).workers(2);
    launch.argument("--name").argument(name).with_admin().start()
}

fn integer(client: &mut Connection, request: &[&str]) -> io::Result<i64> {
    let reply = client.demand(request)?;
    reply.integer().ok_or_else(|| io::Error::other(format!("{request:?}: {reply:?}")))
}

/// What one client was told: the numbers that it was given, and how many members it has added.
fn count(leaf: &Address, client: usize, over: &AtomicBool) -> io::Result<(Vec<i64>, usize)> {
    let mut connection = Connection::open_with(leaf, LIMIT)?;
    let (mut numbers, mut members) = (Vec::new(), 0);
    while !over.load(Ordering::Relaxed) {
        numbers.push(integer(&mut connection, &["INCR", "n"])?);
        // Of other instances, too.
        let key = &keys_at(client % 4, 4)[0];
        let added = integer(&mut connection, &["SADD", key, &format!("{client}.{members}")])?;
        if added != 1 {
            return Err(io::Error::other(format!("client {client} adds member {members}, and it is there")));
        }
        members += 1;
    }
    Ok((numbers, members))
}

/// Has clients count while the links behind these fault proxies are cut, at any byte.
fn count_over_cuts(leaf: &Proxy, faults: &[&FaultProxy]) -> io::Result<(Vec<i64>, usize)> {
    let over = AtomicBool::new(false);
    let (leaf, over) = (leaf.address(), &over);
    thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS).map(|client| scope.spawn(move || count(leaf, client, over))).collect();
        let cut = (0..CUTS).try_for_each(|round| {
            thread::sleep(BETWEEN);
            let fault = faults[round % faults.len()];
            match round % 4 {
                0 => fault.end(End::Reset),
                1 => fault.cut_after(Way::Back, 500 + 7 * round as u64, End::Reset),
                2 => fault.end(End::Fin),
                _ => fault.cut_after(Way::Forth, 500 + 11 * round as u64, End::Fin),
            }
        });
        thread::sleep(BETWEEN);
        over.store(true, Ordering::Relaxed);
        let mut all = (Vec::new(), 0);
        for client in clients {
            let (numbers, members) = client.join().map_err(|_| io::Error::other("a client failed"))??;
            all.0.extend(numbers);
            all.1 += members;
        }
        cut.map(|()| all)
    })
}

/// Whether every number was given once, and all that was added is there.
fn demand_once(leaf: &Proxy, (numbers, members): &(Vec<i64>, usize)) -> io::Result<()> {
    let distinct: HashSet<i64> = numbers.iter().copied().collect();
    assert_eq!(distinct.len(), numbers.len(), "a number was given twice");
    let mut client = Connection::open_with(leaf.address(), LIMIT)?;
    assert_eq!(client.demand(&["GET", "n"])?.text(), numbers.len().to_string());
    let cards: io::Result<usize> =
        (0..4).try_fold(0, |sum, shard| Ok(sum + integer(&mut client, &["SCARD", &keys_at(shard, 4)[0]])? as usize));
    assert_eq!(cards?, *members);
    Ok(())
}

/// Whether links were resumed, nothing was sent again, and no more was kept for that than may be.
fn demand_resumed(numbers: &Scrape) {
    assert!(numbers.value("pdw_links_resumed_total") >= CUTS as f64 / 4.0, "the cuts met nobody");
    assert_eq!(numbers.sum("pdw_repeats_total"), 0.0);
    assert_eq!(numbers.sum("pdw_refusals_total"), 0.0);
    let kept = |metric: &str| numbers.value(&format!("{metric}{{limit=\"resume_max\"}}"));
    assert!(kept("pdw_limit_used") <= kept("pdw_limit"));
}

fn two_levels(profile: &'static str) -> io::Result<()> {
    let instances = Instance::start_many(4)?;
    let spine = launch_spine(profile, &instances, "spine").workers(3).start()?;
    let fault = FaultProxy::start(spine.address())?;
    let leaf = before(profile, fault.address(), "leaf")?;
    wait_served(&leaf)?;
    demand_once(&leaf, &count_over_cuts(&leaf, &[&fault])?)?;
    demand_resumed(&leaf.scrape()?);
    until("the spine has the links again, and nothing else", LIMIT, || match spine.scrape()?.sum("pdw_peer_links") {
        LINKS => Ok(()),
        links => Err(io::Error::other(format!("{links} links"))),
    })
}

#[test]
fn what_is_on_a_link_that_is_cut_is_done_once_and_clients_that_handle_errors_see_none() -> io::Result<()> {
    two_levels("redis")
}

#[test]
fn what_is_on_a_link_that_is_cut_is_done_once_and_nothing_is_repeated_under_pdwfs() -> io::Result<()> {
    two_levels("pdwfs")
}

#[test]
fn the_links_on_both_sides_of_a_proxy_in_the_middle_are_cut_and_all_is_done_once() -> io::Result<()> {
    let instances = Instance::start_many(4)?;
    let spine = launch_spine("redis", &instances, "spine").workers(2).start()?;
    let upper = FaultProxy::start(spine.address())?;
    let middle = before("redis", upper.address(), "middle")?;
    let lower = FaultProxy::start(middle.address())?;
    let leaf = before("redis", lower.address(), "leaf")?;
    wait_served(&leaf)?;
    demand_once(&leaf, &count_over_cuts(&leaf, &[&lower, &upper])?)?;
    demand_resumed(&leaf.scrape()?);
    demand_resumed(&middle.scrape()?);
    Ok(())
}
