//! The driver of `pdw-proxy`: arguments, configuration, workers, sockets.
//!
//! What the proxy decides is in `pdw-router`; here is what waits.

#[allow(dead_code, unused_imports, reason = "`serve` will start it")]
mod admin;
pub mod cli;
pub mod config;
pub mod log;
pub mod serve;
