//! A proxy that leads back to itself is no upstream, through however many others; whoever is in no circle is served.

use std::io;

use pdw_tests::address::Address;
use pdw_tests::instance::Instance;
use pdw_tests::proxy::{Launch, Proxy};

use super::{spine, wait_served};

/// `count` proxies, each before the next, the last before the first; `beside`: a peer that all have besides.
fn circle(count: usize, beside: Option<&Proxy>) -> io::Result<Vec<Proxy>> {
    let addresses: Vec<Address> = (0..count).map(|_| Address::free_loopback()).collect::<io::Result<_>>()?;
    let proxy = |at: usize| {
        let mut peers = vec![addresses[(at + 1) % count].clone()];
        peers.extend(beside.map(|beside| beside.address().clone()));
        let name = format!("proxy-{at}");
        let launch = Launch::new("redis", &[]).before_peers(&peers).listen(&addresses[at]);
        launch.argument("--name").argument(&name).argument("--log").argument("info").spawn()
    };
    (0..count).map(proxy).collect()
}

/// Whether any of them says that there is a circle, and what to do.
fn wait_told(proxies: &mut [Proxy]) -> io::Result<()> {
    pdw_tests::connection::until("the circle is told", super::TOLD, || {
        let logs: Vec<String> = proxies.iter_mut().map(|proxy| proxy.guard().output()).collect();
        let told = |log: &String| log.contains("leads back to this proxy") && log.contains("correct the upstreams");
        if logs.iter().any(told) { Ok(()) } else { Err(io::Error::other(logs.join("\n"))) }
    })
}

#[test]
fn a_proxy_that_is_its_own_peer_is_told() -> io::Result<()> {
    let folder = tempfile::tempdir()?;
    let (address, other) = (folder.path().join("listener"), folder.path().join("link"));
    // By another name than the listener's, or the configuration would be refused.
    std::os::unix::fs::symlink(&address, &other)?;
    let launch = Launch::new("redis", &[]).levels(1).listen(&Address::Unix(address));
    let launch = launch.argument("--upstream").argument(&other.display().to_string());
    let proxy = launch.argument("--group").argument("peers").argument("--log").argument("info").spawn()?;
    proxy.wait_log("is this proxy itself")
}

#[test]
fn a_circle_of_two_is_told() -> io::Result<()> {
    wait_told(&mut circle(2, None)?)
}

#[test]
fn a_circle_of_three_is_told() -> io::Result<()> {
    wait_told(&mut circle(3, None)?)
}

#[test]
fn who_is_in_a_circle_is_served_by_another_peer() -> io::Result<()> {
    let instances = Instance::start_many(2)?;
    let way_out = spine("redis", &instances, "way-out")?;
    let mut proxies = circle(3, Some(&way_out))?;
    wait_told(&mut proxies)?;
    proxies.iter().try_for_each(wait_served)
}
