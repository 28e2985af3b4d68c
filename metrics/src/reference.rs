//! The reference page of all metrics.

use std::fmt::Write;

use crate::table::{Histogram, Label, Row, rows};

const OPENING: &str = "\
# Metrics

<!-- Made from the table in metrics/src/table.rs. After a change: PDW_WRITE_DOCS=1 cargo test -p pdw-metrics -->

What `/metrics` of the admin address shows, in the Prometheus text format. All numbers are those of the whole
process, summed over its workers.

| Name | Kind | Unit | Labels | Meaning |
|---|---|---|---|---|
";

const VALUES: &str = "
## Labels

| Label | Values |
|---|---|
";

const CLOSING: &str = "
What has no value in this list is shown with the value `other`, and only if there is any. Series of commands appear
with their first request; all others are there from the start.

## Histograms

";

/// The page `docs/metrics.md`.
pub fn reference() -> String {
    let mut page = OPENING.to_owned();
    for row in rows() {
        page.push_str(&line(row));
    }
    page.push_str(VALUES);
    for (label, values) in labels() {
        // Writing to a String cannot fail.
        let _ = writeln!(page, "| `{label}` | {values} |");
    }
    page.push_str(CLOSING);
    page.push_str(&histograms());
    page
}

fn line(row: &Row) -> String {
    let labels: Vec<String> = row.labels.iter().map(|label| format!("`{}`", label.name())).collect();
    let (kind, unit) = (row.kind.name(), row.unit.name());
    format!("| `{}` | {kind} | {unit} | {} | {} |\n", row.name, labels.join(", "), row.help)
}

/// Every label's name and a description of its values.
fn labels() -> Vec<(&'static str, String)> {
    let all = [
        (Label::Command, "commands, in lower case"),
        (Label::Upstream, "upstreams as they are configured"),
        (Label::Peer, "proxies above and below, as they call themselves (`name`)"),
        (Label::Refusal, "for `pdw_refusals_total`: why the proxy refused, as the refusals are named"),
        (
            Label::Error,
            "for `pdw_upstream_errors_total` and `pdw_retries_total`: the first word of the error reply, such as `WRONGTYPE`",
        ),
        (Label::Close, "why a session was closed"),
        (Label::Side, ""),
        (Label::Lane, ""),
        (Label::LinkState, ""),
        (Label::Buffer, ""),
        (Label::Repeat, ""),
        (Label::Fence, ""),
        (Label::Seal, ""),
        (Label::Handshake, ""),
        (Label::Limit, "for `pdw_limit` and `pdw_limit_used`: "),
        (Label::RequestLimit, "for `pdw_request_limit`: "),
        (Label::Version, "the program's version"),
    ];
    all.map(|(label, words)| (label.name(), format!("{words}{}", label.fixed().map_or_else(String::new, listed))))
        .to_vec()
}

fn listed(values: &[&str]) -> String {
    values.iter().map(|value| format!("`{value}`")).collect::<Vec<_>>().join(", ")
}

fn histograms() -> String {
    let mut text = String::new();
    for &histogram in Histogram::ALL {
        let bounds: Vec<String> = histogram.shown().map(|index| histogram.upper_bound(index).to_string()).collect();
        let _ = writeln!(text, "The buckets of `{}` end at {}.\n", histogram.row().name, bounds.join(", "));
    }
    text.truncate(text.trim_end().len() + 1);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/metrics.md");

    #[test]
    fn the_committed_page_is_the_tables() {
        if std::env::var_os("PDW_WRITE_DOCS").is_some() {
            std::fs::write(PAGE, reference()).unwrap();
        }
        let committed = std::fs::read_to_string(PAGE).unwrap_or_default();
        assert!(committed == reference(), "docs/metrics.md is stale: PDW_WRITE_DOCS=1 cargo test -p pdw-metrics");
    }

    #[test]
    fn every_label_of_the_table_is_explained() {
        let explained = labels();
        for label in rows().flat_map(|row| row.labels) {
            assert!(explained.iter().any(|(name, values)| *name == label.name() && !values.is_empty()), "{label:?}");
        }
    }
}
