//! Log lines on standard error.

use std::io::IsTerminal;
use std::sync::OnceLock;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

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

/// Whether a text is a filter: levels, and targets with theirs.
///
/// # Errors
/// What is wrong with it. The parser would take any word for a target, and log nothing of others then: a level that
/// is misspelt would silence the program.
pub(crate) fn check(text: &str) -> Result<(), String> {
    let is_level = |word: &str| word.trim().parse::<LevelFilter>().is_ok();
    match text.split(',').find(|part| !part.contains(['=', '[']) && !is_level(part)) {
        Some(word) => Err(format!("`{}` is no level", word.trim())),
        None => EnvFilter::builder().parse(text).map(drop).map_err(|error| error.to_string()),
    }
}

fn parse(text: &str) -> EnvFilter {
    EnvFilter::builder().parse_lossy(text)
}
