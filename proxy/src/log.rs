//! Log lines on standard error.

use std::io::IsTerminal;
use std::sync::OnceLock;

use tracing_subscriber::EnvFilter;

use crate::config::Config;

/// What changes the filter, once logging has begun.
static FILTER: OnceLock<Box<dyn Fn(EnvFilter) + Send + Sync>> = OnceLock::new();

/// Starts logging with the configuration's filter, and tells its warnings first.
pub fn start(config: &Config) {
    let builder = tracing_subscriber::fmt()
        .with_env_filter(parse(&config.log))
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_filter_reloading();
    let handle = builder.reload_handle();
    // A second start, as tests may do, keeps the first subscriber.
    if builder.try_init().is_ok() {
        // It fails only if the subscriber is gone.
        let _ = FILTER.set(Box::new(move |filter| drop(handle.reload(filter))));
    }
    for warning in &config.warnings {
        tracing::warn!("{warning}");
    }
}

/// Changes the filter while the program runs.
pub(crate) fn filter(text: &str) {
    if let Some(set) = FILTER.get() {
        set(parse(text));
    }
}

fn parse(text: &str) -> EnvFilter {
    EnvFilter::builder().parse_lossy(text)
}
