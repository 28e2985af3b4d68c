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
