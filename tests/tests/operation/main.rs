//! What an operator does to a running proxy, and what becomes of its upstreams' names meanwhile.

#![allow(clippy::unwrap_used, reason = "what fails in a test's own tools fails the test")]

mod names;

use std::time::Duration;

use pdw_tests::connection::until;
use pdw_tests::proxy::Proxy;

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
