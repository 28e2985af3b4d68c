//! The driver of `pdw-proxy`: arguments, configuration, workers, sockets.
//!
//! What the proxy decides is in `pdw-router`; here is what waits.

mod admin;
mod bind;
pub mod cli;
pub mod config;
mod embedded;
mod failures;
pub mod log;
mod mutant;
mod plain_file;
mod seal;
pub mod serve;
pub mod up;
mod worker;

pub use embedded::run_helper;
pub use failures::{MECHANISMS, Mechanism};
pub use seal::{LoadError, Seal};
