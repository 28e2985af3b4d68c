//! What can go wrong while measuring, in words for whoever started the measurement.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

/// Why a measurement could not be made.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A socket could not be opened, bound or connected.
    #[error("{doing} {address}: {source} (is the address right, and the limit of open files high enough?)")]
    Socket {
        /// What was being done, as "connect to".
        doing: &'static str,
        /// With which address.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// Any other system call failed.
    #[error("{doing}: {source}")]
    System {
        /// What was being done.
        doing: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// A peer's program is not there.
    #[error("{name} is not installed: {remedy}")]
    NotInstalled {
        /// The peer.
        name: &'static str,
        /// How to get it.
        remedy: &'static str,
    },
    /// A peer could not be started, or died.
    #[error("{name} {what}; the end of its log: {log}")]
    Peer {
        /// The peer.
        name: &'static str,
        /// What it did, as "did not answer PING within 10 s".
        what: String,
        /// Last lines of its output.
        log: String,
    },
    /// Replies were wrong, or connections were lost: the figures of such a cell mean nothing.
    #[error("{errors} of {requests} requests failed, first: {first}")]
    Replies {
        /// How many.
        errors: u64,
        /// Of how many.
        requests: u64,
        /// What the first one was.
        first: String,
    },
    /// A selection on the command line matches nothing.
    #[error("--only {filter} matches no row; there are: {rows}")]
    NoSuchRow {
        /// What was asked for.
        filter: String,
        /// What there is.
        rows: String,
    },
    /// The router refused what a microbenchmark asked of it.
    #[error("the router refuses this group: {0} (see --shards)")]
    Router(String),
    /// A key or a seal did not do what a microbenchmark asked of it.
    #[error("the seals cannot be measured: {0}")]
    Auth(String),
    /// Some cells of a run failed; the table names them.
    #[error("{0} of the cells failed: the table says which and why")]
    FailedCells(usize),
    /// Rows of large values could not be measured in a network namespace, or failed there.
    #[error("measuring large values in a network namespace: {0} (it needs root, unshare and ip)")]
    Namespace(String),
    /// A report could not be written.
    #[error("cannot write {path}: {source} (choose another with --json)")]
    Report {
        /// Where to.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Somebody pressed Ctrl-C.
    #[error("interrupted")]
    Interrupted,
}

impl Error {
    /// For `map_err`: names what was being done when a system call failed.
    pub fn system(doing: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::System { doing, source }
    }

    /// The same for what the router refuses.
    pub fn router(refusal: impl std::fmt::Display) -> Self {
        Self::Router(refusal.to_string())
    }

    /// The same for what keys and seals refuse.
    pub fn auth(refusal: impl std::fmt::Display) -> Self {
        Self::Auth(refusal.to_string())
    }

    /// The same for rustix's error numbers.
    pub fn errno(doing: &'static str) -> impl FnOnce(rustix::io::Errno) -> Self {
        move |source| Self::System { doing, source: source.into() }
    }
}
