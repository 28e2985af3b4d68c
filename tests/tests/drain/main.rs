//! A proxy that is told to end: nobody is refused, nobody is cut off, nobody waits for ever.

#![allow(clippy::unwrap_used, reason = "what fails in a test's own tools fails the test")]

mod ends;
mod load;
mod replaced;

use std::io;
use std::time::Duration;

use pdw_tests::address::Address;
use pdw_tests::connection::until;
use pdw_tests::guard::Guard;
use pdw_tests::proxy::{Launch, Proxy};
use rustix::process::{Pid, Signal, kill_process};

/// How long anything may take on a busy machine.
const LIMIT: Duration = Duration::from_secs(20);

fn signal(guard: &Guard, signal: Signal) {
    let pid = Pid::from_raw(guard.pid() as i32).unwrap();
    kill_process(pid, signal).unwrap();
}

/// Starts a proxy beside another on the same address, and waits until new connections come to it.
fn replace(launch: &Launch, address: &Address) -> io::Result<Proxy> {
    let mut proxy = launch.clone().listen(address).argument("--replace").spawn()?;
    let log = until("the line that says ready", LIMIT, || {
        let ended = proxy.guard().ended()?.is_some();
        let output = proxy.guard().output();
        if ended || output.contains("ready:") { Ok((ended, output)) } else { Err(io::Error::other(output)) }
    })?;
    if log.0 { Err(io::Error::other(log.1)) } else { Ok(proxy) }
}

#[test]
fn each_row_fails_with_its_mechanism_switched_off() -> std::io::Result<()> {
    let rows = pdw_proxy::MECHANISMS.map(|row| (row.test, row.switched_off));
    pdw_tests::switched_off::demand_failures("drain", rows)
}
