//! Where things lie and what they are called.

use std::collections::BTreeSet;

use syn::Item;

use crate::Violation;
use crate::source::{Source, is_test_only};

/// Names that say nothing of what is inside.
const VAGUE: [&str; 8] = ["common", "helper", "helpers", "misc", "stuff", "tools", "util", "utils"];

/// Folders of the design, and what every repository has.
const TOP_LEVEL: [&str; 24] = [
    ".cargo",
    ".ci",
    ".config",
    ".github",
    ".gitignore",
    "ARCHITECTURE.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "Cargo.lock",
    "Cargo.toml",
    "LICENSE",
    "Makefile",
    "README.md",
    "auth",
    "clippy.toml",
    "deny.toml",
    "deploy",
    "docs",
    "loadtest",
    "metrics",
    "proxy",
    "router",
    "rustfmt.toml",
    "tests",
];

/// Modules with a vague name, as file, folder or inline module.
pub(crate) fn vague_modules(source: &Source) -> Vec<Violation> {
    let mut names: Vec<String> = source.path.split(['/', '.']).map(str::to_owned).collect();
    names.extend(source.tree.items.iter().filter_map(|item| match item {
        Item::Mod(module) => Some(module.ident.to_string()),
        _ => None,
    }));
    let vague: BTreeSet<String> = names.into_iter().filter(|name| VAGUE.contains(&name.as_str())).collect();
    vague.into_iter().map(|name| format!("{}: {name} says nothing of what is inside", source.path)).collect()
}

/// Modules named like tests that are not conditional on `test`.
pub(crate) fn shipped_tests(source: &Source) -> Vec<Violation> {
    let shipped = source.product.items.iter().filter_map(|item| match item {
        Item::Mod(module) if is_test_name(&module.ident.to_string()) && !is_test_only(&module.attrs) => Some(module),
        _ => None,
    });
    shipped.map(|module| format!("{}: mod {} needs #[cfg(test)]", source.path, module.ident)).collect()
}

fn is_test_name(name: &str) -> bool {
    name == "test" || name == "tests" || name.ends_with("_tests")
}

/// Files and folders at the top that the design does not name.
pub(crate) fn stray_top_level(files: &[String]) -> Vec<Violation> {
    let top: BTreeSet<&str> = files.iter().filter_map(|path| path.split('/').next()).collect();
    let strays = top.into_iter().filter(|name| !TOP_LEVEL.contains(name));
    strays.map(|name| format!("{name}: not one of the top-level folders and files of the design")).collect()
}

#[test]
fn vague_names_are_seen_as_file_folder_and_module() {
    for (path, text) in
        [("proxy/src/utils.rs", ""), ("tests/tests/common/mod.rs", ""), ("proxy/src/x.rs", "mod helpers {}")]
    {
        assert_eq!(vague_modules(&Source::parse(path, text)).len(), 1, "{path}");
    }
    assert_eq!(vague_modules(&Source::parse("proxy/src/commonplace.rs", "mod utility {}")), Vec::<Violation>::new());
}

#[test]
fn a_test_module_in_the_product_is_seen() {
    assert_eq!(shipped_tests(&Source::parse("router/src/x.rs", "mod scan_tests;")).len(), 1);
    assert_eq!(shipped_tests(&Source::parse("router/src/x.rs", "#[cfg(test)] mod tests {}")), Vec::<Violation>::new());
}

#[test]
fn strays_are_seen() {
    let files = ["router/src/lib.rs", "scripts/x.sh", "NOTES.txt"].map(str::to_owned);
    assert_eq!(stray_top_level(&files).len(), 2);
}
