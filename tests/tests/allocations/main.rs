//! Small requests cost no allocation once everything is warm: neither in the router nor in the
//! worker around it.

#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a test that cannot go on has failed")]

mod counter;
mod router;
mod worker;

/// So many requests are watched.
const REQUESTS: usize = 100_000;
/// Their senders.
const SESSIONS: usize = 50;
