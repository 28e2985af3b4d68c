//! What the page names exists.

use std::fs;
use std::path::{Path, PathBuf};

use pdw_metrics::table::rows;
use pdw_router::REFUSAL_KINDS;
use pdw_router::stats::{CLOSE_REASONS, ERROR_WORDS};

use super::*;
use crate::config::options;

fn faults() -> impl Iterator<Item = &'static Fault> {
    SECTIONS.iter().flat_map(|(_, faults)| *faults)
}

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

#[test]
fn the_committed_page_is_the_tables() {
    let committed = fs::read_to_string(repository().join("docs/failures.md")).unwrap_or_default();
    assert!(committed == failures_page(), "docs/failures.md is stale: make docs");
}

/// Whether there is a series `name{label="value",...}`, as far as its labels' values are known.
fn is_series(series: &str) -> bool {
    let (name, labels) = series.strip_suffix('}').and_then(|series| series.split_once('{')).unwrap_or((series, ""));
    let Some(row) = rows().find(|row| row.name == name) else { return false };
    labels.split(',').filter(|pair| !pair.is_empty()).all(|pair| {
        let Some((label, value)) = pair.split_once('=') else { return false };
        let value = value.trim_matches('"');
        let Some(label) = row.labels.iter().find(|own| own.name() == label) else { return false };
        match (label.fixed(), label.name()) {
            (Some(values), _) => values.contains(&value),
            (None, "reason") => CLOSE_REASONS.contains(&value),
            (None, "kind") => REFUSAL_KINDS.contains(&value) || ERROR_WORDS.contains(&value),
            _ => false,
        }
    })
}

#[test]
fn what_is_no_series_is_seen() {
    let wrong =
        ["pdw_sheds", "pdw_links{stage=\"silent\"}", "pdw_links{state=\"quiet\"}", "pdw_refusals_total{kind=\"x\"}"];
    assert!(!wrong.iter().any(|series| is_series(series)));
    assert!(is_series("pdw_links{lane=\"shared\",state=\"silent\"}"));
}

/// What the page sets in code type, and begins so.
fn quoted(start: &str) -> Vec<String> {
    let page = failures_page();
    let spans = page.lines().flat_map(|line| line.split('`').skip(1).step_by(2));
    spans.filter(|span| span.starts_with(start) && !span.contains(' ')).map(str::to_owned).collect()
}

#[test]
fn every_metric_exists() {
    let unknown: Vec<_> = quoted("pdw_").into_iter().filter(|series| !is_series(series)).collect();
    assert!(unknown.is_empty(), "{unknown:?}");
    assert!(faults().all(|fault| fault.metrics.iter().all(|series| series.starts_with("pdw_"))));
}

#[test]
fn every_option_exists() {
    let named: Vec<_> = quoted("times.")
        .into_iter()
        .chain(quoted("limits."))
        .chain(quoted("state_dir"))
        .chain(quoted("spool"))
        .collect();
    let unknown: Vec<_> = named.iter().filter(|name| options::find(name).is_none()).collect();
    assert!(named.len() > 20 && unknown.is_empty(), "{unknown:?}");
}

/// Where a test may be: `binary::module::name`, or `binary::name` in the binary's one or main file.
fn places(test: &str) -> Vec<PathBuf> {
    let path = test.rsplit_once("::").map_or("", |(path, _)| path).replace("::", "/");
    let folders = ["tests/tests", "proxy/tests", "router/tests"].map(|folder| repository().join(folder));
    folders
        .iter()
        .flat_map(|folder| [format!("{path}.rs"), format!("{path}/main.rs")].map(|file| folder.join(file)))
        .collect()
}

fn is_test(test: &str) -> bool {
    let name = test.rsplit("::").next().unwrap_or_default();
    places(test)
        .iter()
        .filter_map(|place| fs::read_to_string(place).ok())
        .any(|text| text.split("#[test]\n").skip(1).any(|rest| rest.trim_start().starts_with(&format!("fn {name}("))))
}

#[test]
fn every_test_exists() {
    let unknown: Vec<_> = faults().flat_map(|fault| fault.tests).filter(|test| !is_test(test)).collect();
    assert!(unknown.is_empty(), "{unknown:?}");
    assert!(!is_test("failure::fence::late_write"), "it is no test");
}

#[test]
fn every_fault_has_a_mechanism_that_can_be_switched_off_or_says_why_not() {
    let named = |name: &str| MECHANISMS.iter().any(|row| row.fault == name);
    let excused = |name: &str| WITHOUT.iter().any(|(fault, _)| *fault == name);
    let open: Vec<_> = faults().map(|fault| fault.name).filter(|name| named(name) == excused(name)).collect();
    assert!(open.is_empty(), "{open:?}");
    let stray = |row: &&Mechanism| !faults().any(|fault| fault.name == row.fault && fault.tests.contains(&row.test));
    assert_eq!(MECHANISMS.iter().filter(stray).map(|row| row.test).collect::<Vec<_>>(), Vec::<&str>::new());
}

fn sources(folder: &Path, text: &mut String) {
    for entry in fs::read_dir(folder).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() && !path.ends_with("failures") {
            sources(&path, text);
        } else if path.extension().is_some_and(|end| end == "rs") {
            text.push_str(&fs::read_to_string(&path).unwrap());
        }
    }
}

#[test]
fn every_line_of_the_log_is_somewhere_in_the_code() {
    let mut text = String::new();
    ["proxy/src", "router/src"].iter().for_each(|folder| sources(&repository().join(folder), &mut text));
    let unknown: Vec<_> = faults().flat_map(|fault| fault.log).filter(|words| !text.contains(**words)).collect();
    assert!(unknown.is_empty(), "{unknown:?}");
}
