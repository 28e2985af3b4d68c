//! A proxy is ended while another takes its place on the same address, under load.

use pdw_tests::address::Address;
use pdw_tests::instance::{Instance, addresses};
use pdw_tests::proxy::Launch;
use rustix::process::Signal;

use crate::load::Load;
use crate::{LIMIT, replace, signal};

/// How often a proxy is replaced; `PDW_DRAIN_ROUNDS=100` for the full measure.
fn rounds() -> usize {
    std::env::var("PDW_DRAIN_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(6)
}

fn replaced_under_load(profile: &'static str, address: &Address) {
    let instances = Instance::start_many(2).unwrap();
    let launch = Launch::new(profile, &addresses(&instances)).workers(2);
    let mut proxy = launch.clone().listen(address).start().unwrap();
    let load = Load::start(address, 12, 40);
    for _ in 0..rounds() {
        let next = replace(&launch, address).unwrap();
        signal(proxy.guard(), Signal::TERM);
        let status = proxy.guard().wait_end(LIMIT).unwrap();
        assert!(status.success(), "{status}: {}", proxy.guard().output());
        proxy = next;
    }
    let seen = load.stop();
    // Shown with --nocapture.
    println!(
        "{} SIGTERMs at {address}: {} connections ({} tried twice by the kernel), {} requests, {} failures",
        rounds(),
        seen.connections,
        seen.late,
        2 * seen.requests,
        seen.failures.len()
    );
    assert!(seen.failures.is_empty(), "{:#?}", &seen.failures[..seen.failures.len().min(10)]);
    assert!(seen.connections > 20 * rounds() as u64, "too little load to show anything: {seen:?}");
}

#[test]
fn no_request_fails_when_a_proxy_is_replaced_on_its_port() {
    replaced_under_load("redis", &Address::free_loopback().unwrap());
}

#[test]
fn no_request_fails_when_a_proxy_is_replaced_on_its_unix_socket() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("proxy.sock");
    replaced_under_load("pdwfs", &Address::Unix(path.clone()));
    assert!(path.exists(), "the last one is killed and cannot remove it");
}
