//! The style rules of CONTRIBUTING.md, held against the repository's own files.
//!
//! Each rule is a function from source to violations, with a test beside it that shows it fail. Here
//! they meet the whole repository.

#![allow(clippy::unwrap_used, reason = "a test that cannot read the repository has failed")]

mod clocks;
mod documents;
mod functions;
mod layout;
mod purity;
mod repository;
mod sizes;
mod source;
mod tokens;

use repository::Repository;

/// A broken rule: where, and what to do.
type Violation = String;

/// The crates that must not know I/O, clocks, threads and entropy.
const PURE_CRATES: [&str; 3] = ["router", "auth", "metrics"];

fn assert_none(violations: Vec<Violation>) {
    assert!(violations.is_empty(), "{} violations:\n{}", violations.len(), violations.join("\n"));
}

#[test]
fn pure_crates_know_no_io_no_clock_no_entropy() {
    let repository = Repository::load();
    let pure = |path: &str| PURE_CRATES.iter().any(|name| path.starts_with(&format!("{name}/src/")));
    let sources = repository.sources().iter().filter(|source| pure(&source.path));
    assert_none(sources.flat_map(purity::impure_paths).collect());
}

#[test]
fn pure_crates_depend_on_nothing_impure() {
    let repository = Repository::load();
    let manifests = PURE_CRATES.iter().filter_map(|name| repository.text(&format!("{name}/Cargo.toml")));
    assert_none(manifests.flat_map(|manifest| purity::impure_dependencies(&manifest)).collect());
}

#[test]
fn nothing_is_measured_with_a_clock_that_jumps() {
    let repository = Repository::load();
    let product =
        |path: &str| ["proxy/src/", "router/src/", "metrics/src/", "auth/src/"].iter().any(|at| path.starts_with(at));
    let sources = repository.sources().iter().filter(|source| product(&source.path));
    assert_none(sources.flat_map(clocks::time_of_day).collect());
    let needed = |path: &str| repository.text(path).is_some_and(|text| text.contains("SystemTime"));
    let stale: Vec<_> = clocks::TELL_THE_TIME.iter().filter(|(path, _)| !needed(path)).collect();
    assert!(stale.is_empty(), "{stale:?}");
}

#[test]
fn files_are_short() {
    assert_none(Repository::load().sources().iter().filter_map(sizes::long_file).collect());
}

#[test]
fn every_exception_for_a_long_table_is_needed() {
    let repository = Repository::load();
    let stale = |(path, _): &(&str, &str)| sizes::stale_exception(path, repository.text(path).as_deref());
    assert_none(sizes::LONG_TABLES.iter().filter_map(stale).collect());
}

#[test]
fn functions_are_short() {
    assert_none(Repository::load().sources().iter().flat_map(sizes::long_functions).collect());
}

#[test]
fn the_median_function_of_each_crate_is_short() {
    let repository = Repository::load();
    assert_none(repository.crate_names().iter().filter_map(|name| sizes::long_median(name, &repository)).collect());
}

#[test]
fn nothing_panics_on_purpose_outside_tests() {
    assert_none(Repository::load().sources().iter().flat_map(tokens::panics).collect());
}

#[test]
fn unsafe_code_says_why_it_is_sound() {
    assert_none(Repository::load().sources().iter().flat_map(tokens::unexplained_unsafe).collect());
}

#[test]
fn modules_are_named_for_what_they_hold() {
    assert_none(Repository::load().sources().iter().flat_map(layout::vague_modules).collect());
}

#[test]
fn test_modules_are_not_built_into_the_product() {
    assert_none(Repository::load().sources().iter().flat_map(layout::shipped_tests).collect());
}

#[test]
fn the_top_level_holds_what_the_design_allows() {
    assert_none(layout::stray_top_level(Repository::load().files()));
}

#[test]
fn no_file_names_a_registry_or_a_build_machine() {
    let repository = Repository::load();
    assert_none(repository.files().iter().flat_map(|path| documents::machine_names(path, &repository)).collect());
}

#[test]
fn every_metric_is_in_its_reference_page() {
    let page = Repository::load().text("docs/metrics.md").unwrap_or_default();
    assert_none(documents::missing(&documents::metric_names(), &page, "docs/metrics.md"));
}

#[test]
fn every_option_is_in_its_reference_page() {
    let repository = Repository::load();
    let table = repository.sources().iter().find(|source| source.path == documents::OPTION_TABLE);
    let Some(table) = table else { return };
    let page = repository.text("docs/configuration.md").unwrap_or_default();
    assert_none(documents::missing(&documents::option_names(table), &page, "docs/configuration.md"));
}
