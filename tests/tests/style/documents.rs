//! What documents must and must not name.

use syn::visit::{self, Visit};

use crate::Violation;
use crate::repository::Repository;
use crate::source::Source;

/// Hosts of package registries, and folders of a machine on which this was built. Cut in two, or this
/// file would break its own rule.
const MACHINE_NAMES: [(&str, &str); 12] = [
    ("crates", ".io"),
    ("py", "pi.org"),
    ("python", "hosted.org"),
    ("registry.", "npmjs"),
    ("proxy.golang", ".org"),
    ("deb.", "debian.org"),
    ("archive.", "ubuntu.com"),
    ("/ro", "ot/"),
    ("/ho", "me/"),
    ("/tmp/w", "t/"),
    ("/work/ma", "in"),
    ("/work/sh", "ared"),
];

/// Lock files are cargo's own, with the index that cargo writes.
const EXEMPT: [&str; 2] = ["Cargo.lock", "tests/fuzz/Cargo.lock"];

/// Registry hosts and build paths in the file.
pub(crate) fn machine_names(path: &str, repository: &Repository) -> Vec<Violation> {
    if EXEMPT.contains(&path) {
        return Vec::new();
    }
    machine_names_in(path, &repository.text(path).unwrap_or_default())
}

fn machine_names_in(path: &str, text: &str) -> Vec<Violation> {
    let names = MACHINE_NAMES.map(|(head, tail)| format!("{head}{tail}"));
    let found = names.iter().filter(|name| text.contains(name.as_str()));
    found.map(|name| format!("{path}: names {name}")).collect()
}

/// Every metric's name.
pub(crate) fn metric_names() -> Vec<String> {
    pdw_metrics::table::rows().map(|row| row.name.to_owned()).collect()
}

/// The source of the option table.
pub(crate) const OPTION_TABLE: &str = "proxy/src/config/options.rs";

/// Names in the option table's source: the string in the `name` field of each row.
pub(crate) fn option_names(table: &Source) -> Vec<String> {
    let mut rows = Rows::default();
    rows.visit_file(&table.product);
    rows.0
}

#[derive(Default)]
struct Rows(Vec<String>);

impl<'a> Visit<'a> for Rows {
    fn visit_field_value(&mut self, field: &'a syn::FieldValue) {
        if let (syn::Member::Named(name), syn::Expr::Lit(value)) = (&field.member, &field.expr)
            && name == "name"
            && let syn::Lit::Str(text) = &value.lit
        {
            self.0.push(text.value());
        }
        visit::visit_field_value(self, field);
    }
}

/// Names that the page does not set in code type. No names at all is a broken reader, not a clean page.
pub(crate) fn missing(names: &[String], page: &str, path: &str) -> Vec<Violation> {
    assert!(!names.is_empty(), "found no name for {path}");
    let missing = names.iter().filter(|name| !page.contains(&format!("`{name}`")));
    missing.map(|name| format!("{path}: lacks `{name}`, make docs writes it")).collect()
}

#[test]
fn hosts_and_build_paths_are_seen() {
    for (head, tail) in MACHINE_NAMES {
        assert_eq!(machine_names_in("x", &format!("see {head}{tail}")).len(), 1, "{head}");
    }
}

#[test]
fn a_missing_name_is_seen() {
    let names = ["workers", "listen"].map(str::to_owned);
    assert_eq!(missing(&names, "| `workers` | listen |", "x").len(), 1);
}

#[test]
fn option_names_are_read_from_rows() {
    let table = Source::parse(OPTION_TABLE, "const A: [Row; 1] = [Row { name: \"workers\", other: \"x\" }];");
    assert_eq!(option_names(&table), ["workers"]);
}
