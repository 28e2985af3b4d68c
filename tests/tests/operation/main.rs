//! What an operator does to a running proxy, and what becomes of its upstreams' names meanwhile.

#![allow(clippy::unwrap_used, reason = "what fails in a test's own tools fails the test")]

mod crowds;
mod descriptors;
mod names;
mod reload;
mod state;

use std::io::Write;
use std::net::TcpStream;
use std::time::Duration;

use pdw_tests::address::Address;
use pdw_tests::connection::until;
use pdw_tests::guard::Guard;
use pdw_tests::proxy::Proxy;
use rustix::process::{Pid, Signal, kill_process};

/// How long anything may take on a busy machine.
const LIMIT: Duration = Duration::from_secs(20);

/// Waits until the log has a text.
fn wait_log(proxy: &mut Proxy, text: &str) {
    until(text, LIMIT, || {
        let log = proxy.guard().output();
        if log.contains(text) { Ok(()) } else { Err(std::io::Error::other(log)) }
    })
    .unwrap();
}

fn signal(guard: &Guard, signal: Signal) {
    let pid = Pid::from_raw(guard.pid() as i32).unwrap();
    kill_process(pid, signal).unwrap();
}

/// Expects a line in the metrics.
fn metric(admin: &Address, line: &str) -> std::io::Result<()> {
    let mut stream = TcpStream::connect(admin.to_string())?;
    stream.set_read_timeout(Some(LIMIT))?;
    write!(stream, "GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")?;
    let response = std::io::read_to_string(stream)?;
    let found = response.lines().any(|found| found == line);
    if found { Ok(()) } else { Err(std::io::Error::other(response)) }
}

#[test]
fn each_row_fails_with_its_mechanism_switched_off() -> std::io::Result<()> {
    let rows = pdw_proxy::MECHANISMS.map(|row| (row.test, row.switched_off));
    pdw_tests::switched_off::demand_failures("operation", rows)
}
