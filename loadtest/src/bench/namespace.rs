//! Large values are measured in a network namespace of their own.

use super::Options;
use super::rows::Row;
use crate::{Result, namespace};
use std::path::{Path, PathBuf};

/// Measures `rows` in another process of this program, inside a new namespace that ends with it.
pub(super) fn measure(rows: &[&Row], options: &Options) -> Result<()> {
    namespace::run_inside(arguments(rows, options))
}

fn arguments(rows: &[&Row], options: &Options) -> Vec<String> {
    let only: Vec<&str> = rows.iter().map(|row| row.name).collect();
    let against: Vec<String> = options.against.iter().map(|peer| peer.argument()).collect();
    let values = [
        ("--rounds", options.rounds.to_string()),
        ("--seconds", options.seconds.to_string()),
        ("--only", only.join(",")),
        ("--against", against.join(",")),
        ("--proxy-bin", options.proxy_bin.to_string_lossy().into_owned()),
        ("--json", beside(&options.json).to_string_lossy().into_owned()),
        ("--proxy-core", options.proxy_core.to_string()),
        ("--load-core", options.load_core.to_string()),
        ("--nice", options.nice.to_string()),
    ];
    let pairs = values.into_iter().map(|(name, value)| format!("{name}={value}"));
    ["bench".to_owned(), "--namespaced".to_owned()].into_iter().chain(pairs).collect()
}

/// The report of the rows of large values: `bench.json` becomes `bench-large.json`.
fn beside(json: &Path) -> PathBuf {
    let stem = json.file_stem().unwrap_or_default().to_string_lossy();
    json.with_file_name(format!("{stem}-large.json"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_report_of_large_values_lies_beside_the_other() {
        assert_eq!(beside(Path::new("target/bench.json")), Path::new("target/bench-large.json"));
    }
}
