//! System calls of a worker under small requests: one wait for a turn, and in it at most one read
//! and one write of each socket in each slice of it. Everything else is work that nobody asked for.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod trace;

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use pdw_tests::connection::{Connection, until};
use pdw_tests::instance::{Instance, addresses};
use pdw_tests::proxy::Launch;
use pdw_tests::small_requests::Crowd;

use trace::{BEGIN, END, Trace};

const SESSIONS: usize = 50;
/// In each of them every session sends once; as many go before, until all buffers have their size.
const ROUNDS: usize = 150;

/// Whether a process may be traced here.
fn can_trace() -> bool {
    let probe = Command::new("strace").args(["-o", "/dev/null", "true"]).stderr(Stdio::null()).status();
    probe.is_ok_and(|status| status.success())
}

/// What a proxy called during [`ROUNDS`] of a crowd.
fn traced(file: &Path, pipeline: usize) -> Trace {
    let instances = Instance::start_many(3).unwrap();
    let file_name = file.to_str().unwrap();
    let strace = ["strace", "-D", "-f", "-ttt", "-qq", "-s", "64", "-e", "signal=none", "-o", file_name];
    let proxy = Launch::new("pdwfs", &addresses(&instances)).under(&strace).start().unwrap();
    let mut crowd = Crowd::connect(proxy.address(), SESSIONS).unwrap();
    // Open while the trace is watched: accepting and closing is no work of small requests.
    let mut idle = Connection::open(proxy.address()).unwrap();
    crowd.requests(ROUNDS * SESSIONS * pipeline, pipeline).unwrap();
    idle.demand(&["ECHO", BEGIN]).unwrap();
    crowd.requests(ROUNDS * SESSIONS * pipeline, pipeline).unwrap();
    idle.demand(&["ECHO", END]).unwrap();
    let whole = || Trace::between_marks(&std::fs::read_to_string(file)?);
    until("the trace", Duration::from_secs(20), whole).unwrap()
}

fn assert_frugal(pipeline: usize) {
    if !can_trace() {
        return pdw_tests::skipped("strace is missing or may trace nothing here");
    }
    let folder = tempfile::tempdir().unwrap();
    let trace = traced(&folder.path().join("trace"), pipeline);
    assert!(trace.turns() > 10 && trace.reads() > ROUNDS * SESSIONS, "too little was seen: {trace:?}");
    assert_eq!(trace.violations(), Vec::<String>::new());
}

#[test]
fn single_requests_take_one_read_and_one_write_of_a_socket_in_a_turn() {
    assert_frugal(1);
}

#[test]
fn pipelined_requests_take_one_read_and_one_write_of_a_socket_in_a_turn() {
    assert_frugal(16);
}
