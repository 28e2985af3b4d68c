//! A replay of pdwfs: the commands of its operations, in its order, framed as its client library frames them.
//!
//! What it sends was measured with the real library; the table of operations is in the project's
//! notes on pdwfs, and the names here are its names. With several addresses a [`Process`] places
//! keys by pdwfs's own ring (a *direct* client); with one address, a proxy's, everything goes there.
//!
//! The replay is stricter than pdwfs: it reads the array of EXEC too, and takes every error in it for a failure.

pub mod framing;
mod pool;
pub mod ring;
mod store;
mod tree;
pub mod workload;

pub use store::{TRIM_SCRIPT, TRIM_SHA};
pub use tree::Process;
pub use workload::{Outcome, Step, Workload, run, run_together};

/// Connections that a process opens to one address at once, at most.
pub const CONNECTIONS_MAX: usize = 50;
