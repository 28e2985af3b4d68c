//! Harness of the end to end suites: real instances, a real proxy, clients that count bytes.
//!
//! But for [`fuzz`], [`lone_router`] and [`sealed`], nothing here knows how the proxy works inside: it is started as an
//! operator would start it and spoken to over sockets. Everything started is killed by its own process id when its guard is
//! dropped, by a panic too, and every wait has an end.

use std::io::Write;

pub mod address;
pub mod certificates;
pub mod clients;
pub mod connection;
pub mod contents;
pub mod differential;
pub mod durable;
pub mod fault;
pub mod fuzz;
pub mod guard;
pub mod hop;
pub mod instance;
pub mod latency;
pub mod lone_router;
pub mod nutcracker;
pub mod pdwfs;
pub mod proxy;
pub mod reply;
pub mod scrape;
pub mod sealed;
pub mod small_requests;
pub mod spiped;
pub mod switched_off;
pub mod tls_client;
pub mod tls_end;
pub mod trouble;
pub mod tunnel;
pub mod versions;

/// Whether tests take the sizes and times of production: with `PDW_FULL`.
pub fn is_full() -> bool {
    std::env::var_os("PDW_FULL").is_some()
}

/// The first for a run with `PDW_FULL`, else the second.
pub fn full_or<T>(full: T, short: T) -> T {
    if is_full() { full } else { short }
}

/// Whether the running test is not made because the proxies are trees (`PDW_LEVELS`); says so, and why.
pub fn skipped_in_a_tree(why: &str) -> bool {
    let in_a_tree = proxy::chosen_levels() > 1;
    if in_a_tree {
        skipped(&format!("{}: {why}", std::thread::current().name().unwrap_or("a test")));
    }
    in_a_tree
}

/// Says that a test is not made here, and why, past the capture of a passing test's output.
pub fn skipped(why: &str) {
    // Nothing is left to do if even standard error is gone.
    let _ = writeln!(std::io::stderr(), "SKIPPED: {why}");
}
