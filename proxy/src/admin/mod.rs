//! The admin address: an HTTP server on the main thread, for Prometheus, for liveness and for readiness.
//!
//! It must never hurt the data path, whoever asks it: connections, sizes and times are bounded ([`Bounds`]), and
//! workers are asked for their numbers at most ten times a second ([`Workers`]).

mod answer;
mod listener;
mod process;
mod server;
#[cfg(test)]
mod tests;
mod workers;

use std::future::Future;
use std::time::SystemTime;

use pdw_metrics::WorkerSet;

use crate::config::Config;

pub(crate) use listener::{AdminError, Listener};
pub(crate) use process::{ProcessReader, resident_bytes};
pub(crate) use server::{Bounds, serve};
pub(crate) use workers::{Answer, Ask, Workers};

/// Where the server's answers come from.
pub(crate) trait Source: Send + Sync + 'static {
    /// What the workers say now, or said a moment ago. Must not take longer than a second or two.
    fn snapshot(&self) -> impl Future<Output = Snapshot> + Send;
}

impl<S: Source> Source for std::sync::Arc<S> {
    fn snapshot(&self) -> impl Future<Output = Snapshot> + Send {
        S::snapshot(self)
    }
}

/// How the process as a whole stands.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Standing {
    /// It takes no new sessions and ends when the last one is gone.
    pub(crate) draining: bool,
    /// The configured ceiling on resident memory in bytes.
    pub(crate) memory_limit: Option<u64>,
    /// The configuration was read again last, and not taken.
    pub(crate) reload_refused: bool,
    /// When the configuration in force was read.
    pub(crate) config_read: Option<SystemTime>,
}

impl Standing {
    /// What a configuration says of it.
    pub(crate) fn of(config: &Config) -> Self {
        Self { memory_limit: Some(config.limits.memory_max as u64), ..Self::default() }
    }
}

/// What the workers said.
#[derive(Clone, Debug)]
pub(crate) struct Snapshot {
    /// Their numbers, summed.
    pub(crate) metrics: WorkerSet,
    /// Every configured upstream; empty as long as no worker has answered.
    pub(crate) upstreams: Vec<UpstreamState>,
}

/// Whether an upstream can be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct UpstreamState {
    /// Its name in the configuration and in metrics.
    pub(crate) name: String,
    /// Whether at least one link to it takes requests.
    pub(crate) ready: bool,
}
