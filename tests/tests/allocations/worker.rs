//! A whole proxy in this process, between real sockets.

use std::time::Duration;

use pdw_proxy::cli::ServeArgs;
use pdw_proxy::config::Config;
use pdw_proxy::serve;
use pdw_tests::address::Address;
use pdw_tests::connection::{Connection, until};
use pdw_tests::instance::Instance;
use pdw_tests::small_requests::Crowd;

use crate::counter::Threads;
use crate::{REQUESTS, SESSIONS};

/// Batches are as large as the clock and the kernel make them, so how large buffers have to be
/// shows only with time: one of so many windows has to be clean.
const WINDOWS: usize = 5;

/// How long an instance stands still, so that all that can wait for it does.
const STANDSTILL: Duration = Duration::from_millis(50);

/// Serves from this process; returns when a PING is answered.
fn start(address: &Address, instances: &[Instance]) {
    let args = ServeArgs {
        listen: vec![address.to_string()],
        upstream: instances.iter().map(|instance| instance.address().to_string()).collect(),
        workers: Some(1),
        ..ServeArgs::default()
    };
    let config = Config::from_args(&args).unwrap();
    std::thread::spawn(move || serve::run(&args, config));
    until("the proxy", Duration::from_secs(20), || Connection::open(address)?.demand(&["SET", "a", "b"])).unwrap();
}

/// As many buffers are wanted at once as ever can be: all instances, and then each in turn, keep everybody waiting, as
/// they do now and then on a busy machine.
fn hold_up(instances: &mut [Instance], crowd: &mut Crowd, pipeline: usize) {
    stand_still(instances, crowd, pipeline);
    instances.chunks_mut(1).for_each(|one| stand_still(one, crowd, pipeline));
}

fn stand_still(instances: &mut [Instance], crowd: &mut Crowd, pipeline: usize) {
    instances.iter_mut().for_each(|instance| instance.guard().freeze().unwrap());
    std::thread::scope(|scope| {
        scope.spawn(|| {
            std::thread::sleep(STANDSTILL);
            instances.iter_mut().for_each(|instance| instance.guard().thaw().unwrap());
        });
        crowd.round(pipeline).unwrap();
    });
}

/// Allocations of all the proxy's threads in each window.
fn allocations(threads: &Threads, crowd: &mut Crowd, pipeline: usize) -> Vec<u64> {
    let mut seen = Vec::new();
    while seen.len() < WINDOWS && seen.last() != Some(&0) {
        crowd.requests(REQUESTS / 10, pipeline).unwrap();
        seen.push(threads.allocations(|| crowd.requests(REQUESTS, pipeline).unwrap()));
    }
    seen
}

#[test]
fn requests_cost_the_worker_none() {
    let mut instances = Instance::start_many(3).unwrap();
    let address = Address::free_loopback().unwrap();
    let (threads, ()) = Threads::started_by(|| start(&address, &instances));
    assert!(!threads.is_empty());
    let mut crowd = Crowd::connect(&address, SESSIONS).unwrap();
    for pipeline in [1, 16] {
        hold_up(&mut instances, &mut crowd, pipeline);
        let seen = allocations(&threads, &mut crowd, pipeline);
        assert_eq!(seen.last(), Some(&0), "pipeline {pipeline}: {seen:?}; PDW_ALLOCATION_TRACE=1 shows where");
    }
}
