//! How connections are protected, as configured: entries of a listener's or an upstream's table.

use super::mistakes::Problem;
use super::value::Value;

/// Names of the seals.
const SEALS: &[&str] = &["plain"];

/// How a listener's or an upstream's connections are protected.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum SealConfig {
    /// Not at all.
    #[default]
    Plain,
}

/// Reads the entry `seal`.
pub(super) fn read(value: &Value) -> Result<SealConfig, Problem> {
    value.as_choice(SEALS).map(|_| SealConfig::Plain)
}
