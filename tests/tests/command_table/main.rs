//! The command table against real servers: what they publish, how they find keys, how they word errors.
//!
//! Redis 7.0 is `redis-server` from PATH; Valkey 9 is `valkey-server` from PATH or from `PDW_VALKEY`,
//! and what concerns it is skipped where there is none.

#![allow(clippy::unwrap_used, reason = "tests may; clippy knows only #[test] functions as such")]

mod differences;
mod errors;
mod getkeys;
mod published;
mod server;
