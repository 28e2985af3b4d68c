//! Log lines on standard error.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

use crate::config::Config;

/// Starts logging with the configuration's filter, and tells its warnings first.
pub fn start(config: &Config) {
    let filter = EnvFilter::builder().parse_lossy(&config.log);
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal());
    // A second start, as tests may do, keeps the first subscriber.
    let _ = subscriber.try_init();
    for warning in &config.warnings {
        tracing::warn!("{warning}");
    }
}
