//! Proxies before proxies: framed links, streams, who may be whose upstream, what holds up whom.
//!
//! That everything else works through several levels as through one, the other suites show: they have tests for trees
//! of their own, and with `PDW_LEVELS=2` (or 3) all their proxies become trees; `make matrix` runs them so.
//!
//! With `PDW_FULL` a leaf has a thousand clients, and a spine is stopped for 30 s.

mod circles;
mod fan_in;
mod isolation;
mod resumed;
mod spines;
mod strangers;

use std::io;
use std::time::Duration;

use pdw_tests::address::Address;
use pdw_tests::connection::{Connection, until};
use pdw_tests::instance::Instance;
use pdw_tests::proxy::{Launch, Proxy};

/// How long anything may take on a busy machine.
const LIMIT: Duration = Duration::from_secs(30);

/// What an operator is to be told is told within this time, on a busy machine.
const TOLD: Duration = Duration::from_secs(10);

/// A proxy before instances.
fn spine(profile: &'static str, instances: &[Instance], name: &str) -> io::Result<Proxy> {
    launch_spine(profile, instances, name).start()
}

fn launch_spine(profile: &'static str, instances: &[Instance], name: &str) -> Launch {
    let addresses = pdw_tests::instance::addresses(instances);
    Launch::new(profile, &addresses).levels(1).placement("pdwfs").argument("--name").argument(name).with_admin()
}

/// A proxy before others.
fn leaf(profile: &'static str, peers: &[&Proxy], name: &str) -> io::Result<Proxy> {
    let addresses: Vec<Address> = peers.iter().map(|peer| peer.address().clone()).collect();
    Launch::new(profile, &[]).before_peers(&addresses).argument("--name").argument(name).with_admin().start()
}

/// Waits until a proxy carries out requests.
fn wait_served(proxy: &Proxy) -> io::Result<()> {
    until("a request is carried out", LIMIT, || {
        let mut client = Connection::open_with(proxy.address(), LIMIT)?;
        client.demand(&["SET", "served", "1"]).map(drop)
    })
}

#[test]
fn each_row_fails_with_its_mechanism_switched_off() -> io::Result<()> {
    let rows = pdw_proxy::MECHANISMS.map(|row| (row.test, row.switched_off));
    pdw_tests::switched_off::demand_failures("trees", rows)
}
