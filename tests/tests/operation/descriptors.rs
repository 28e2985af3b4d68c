//! Room for very many connections.

use std::fs;

use pdw_tests::instance::{Instance, addresses};
use pdw_tests::proxy::Launch;
use rustix::process::{Resource, getrlimit};

#[test]
fn the_table_of_descriptors_does_not_grow_while_clients_come() {
    let instances = Instance::start_many(1).unwrap();
    let mut proxy = Launch::new("redis", &addresses(&instances)).start().unwrap();
    let status = fs::read_to_string(format!("/proc/{}/status", proxy.guard().pid())).unwrap();
    let size = status.lines().find_map(|line| line.strip_prefix("FDSize:")).unwrap();
    let room = getrlimit(Resource::Nofile).maximum.unwrap_or(u64::MAX).min(1 << 17);
    assert!(size.trim().parse::<u64>().unwrap() >= room, "room for {size} of {room}");
}
