//! What is remembered over restarts.

use pdw_tests::instance::{Instance, addresses};
use pdw_tests::proxy::Launch;
use rustix::process::Signal;

use crate::{LIMIT, signal};

#[test]
fn a_start_with_another_order_is_refused_until_it_is_accepted() {
    let folder = tempfile::tempdir().unwrap();
    let config = format!("state_dir = {:?}\n", folder.path().join("state"));
    let instances = Instance::start_many(2).unwrap();
    let mut upstreams = addresses(&instances);
    let launch = |upstreams: &[_]| Launch::new("pdwfs", upstreams).config(&config);
    let mut proxy = launch(&upstreams).start().unwrap();
    signal(proxy.guard(), Signal::TERM);
    assert!(proxy.guard().wait_end(LIMIT).unwrap().success());
    drop(launch(&upstreams).start().unwrap());
    upstreams.reverse();
    let refused = launch(&upstreams).start().unwrap_err().to_string();
    assert!(refused.contains("number 0 of upstreams was") && refused.contains("--accept-upstreams"), "{refused}");
    drop(launch(&upstreams).argument("--accept-upstreams").start().unwrap());
    drop(launch(&upstreams).start().unwrap());
}

#[test]
fn who_gets_no_listener_leaves_the_state_of_the_living_alone() {
    let folder = tempfile::tempdir().unwrap();
    let instances = Instance::start_many(2).unwrap();
    let mut upstreams = addresses(&instances);
    let config = format!("state_dir = {:?}\n", folder.path());
    let living = Launch::new("pdwfs", &upstreams).config(&config).start().unwrap();
    let state = || std::fs::read_to_string(folder.path().join("placement.toml")).unwrap();
    let before = state();
    upstreams.reverse();
    let by_mistake = Launch::new("pdwfs", &upstreams).config(&config).listen(living.address());
    let mut refused = by_mistake.argument("--accept-upstreams").spawn().unwrap();
    assert!(!refused.guard().wait_end(LIMIT).unwrap().success());
    assert!(refused.guard().output().contains("cannot listen on"), "{}", refused.guard().output());
    assert_eq!(state(), before);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left beside it");
}
