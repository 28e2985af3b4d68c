//! Running the proxy.

use crate::config::Config;

/// Why the proxy cannot run.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The part that serves is not there.
    #[error("this build has no server yet; use `check` or `route`")]
    NotBuilt,
}

/// Serves until told to stop.
///
/// # Errors
/// Why serving could not begin, or had to end.
pub fn run(_config: Config) -> Result<(), ServeError> {
    Err(ServeError::NotBuilt)
}
