//! The pure crates: buffers in, buffers out, time and randomness as arguments.

use syn::UseTree;
use syn::visit::{self, Visit};

use crate::Violation;
use crate::source::{Source, Token};

/// Paths that bring I/O, time, threads, global state or entropy.
const IMPURE_PATHS: [&str; 21] = [
    "async_std",
    "aws_lc_rs::rand",
    "fastrand",
    "getrandom",
    "hyper",
    "libc",
    "mio",
    "nix",
    "rand",
    "ring::rand",
    "rustix",
    "socket2",
    "tempfile",
    "tokio",
    "std::env",
    "std::fs",
    "std::net",
    "std::os",
    "std::process",
    "std::thread",
    "std::hash::RandomState",
];

/// Names that do so wherever they were imported from.
const IMPURE_NAMES: [&str; 12] = [
    "Instant",
    "OsRng",
    "RandomizedNonceKey",
    "SystemRandom",
    "SystemTime",
    "RandomState",
    "TcpListener",
    "TcpStream",
    "UdpSocket",
    "UnixListener",
    "UnixStream",
    "thread_rng",
];

/// Crates that a pure crate may not have in `[dependencies]`.
const IMPURE_CRATES: [&str; 16] = [
    "async-std",
    "fastrand",
    "getrandom",
    "hyper",
    "hyper-util",
    "libc",
    "mio",
    "nix",
    "rand",
    "redis",
    "rustix",
    "smol",
    "socket2",
    "tempfile",
    "tokio",
    "tracing-subscriber",
];

/// Uses of what a pure crate must not know, outside its tests.
pub(crate) fn impure_paths(source: &Source) -> Vec<Violation> {
    let mut paths = imported_paths(source);
    paths.extend(written_paths(&source.product_tokens()));
    let impure = paths.into_iter().filter(|(_, path)| is_impure(path));
    impure.map(|(line, path)| format!("{}:{line}: {path} in a pure crate: make it an argument", source.path)).collect()
}

fn is_impure(path: &str) -> bool {
    let is_below = |root: &str| path.strip_prefix(root).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"));
    IMPURE_PATHS.into_iter().any(is_below) || path.split("::").any(|name| IMPURE_NAMES.contains(&name))
}

/// `a::b` as written anywhere, macros included.
fn written_paths(tokens: &[Token]) -> Vec<(usize, String)> {
    let mut paths: Vec<(usize, String)> = Vec::new();
    for (index, token) in tokens.iter().enumerate().filter(|(_, token)| is_word(token)) {
        let goes_on = matches!(&tokens[..index], [.., head, a, b] if is_word(head) && a.text == ":" && b.text == ":");
        match paths.last_mut() {
            Some((_, path)) if goes_on => *path = format!("{path}::{}", token.text),
            _ => paths.push((token.line, token.text.clone())),
        }
    }
    paths
}

fn is_word(token: &Token) -> bool {
    token.text.starts_with(|first: char| first.is_alphabetic() || first == '_')
}

/// What `use` brings in, with groups taken apart.
fn imported_paths(source: &Source) -> Vec<(usize, String)> {
    let mut imports = Imports::default();
    imports.visit_file(&source.product);
    imports.0
}

#[derive(Default)]
struct Imports(Vec<(usize, String)>);

impl<'a> Visit<'a> for Imports {
    fn visit_item_use(&mut self, item: &'a syn::ItemUse) {
        let line = item.use_token.span.start().line;
        let mut paths = Vec::new();
        take_apart(&item.tree, "", &mut paths);
        self.0.extend(paths.into_iter().filter(|path| path.contains("::")).map(|path| (line, path)));
        visit::visit_item_use(self, item);
    }
}

fn take_apart(tree: &UseTree, prefix: &str, paths: &mut Vec<String>) {
    match tree {
        UseTree::Path(path) => take_apart(&path.tree, &format!("{prefix}{}::", path.ident), paths),
        UseTree::Name(name) => paths.push(format!("{prefix}{}", name.ident)),
        UseTree::Rename(rename) => paths.push(format!("{prefix}{}", rename.ident)),
        UseTree::Group(group) => group.items.iter().for_each(|tree| take_apart(tree, prefix, paths)),
        _ => paths.push(prefix.trim_end_matches(':').to_owned()),
    }
}

/// Dependencies of a pure crate's manifest that bring I/O, time or entropy. Those of its tests may.
pub(crate) fn impure_dependencies(manifest: &str) -> Vec<Violation> {
    let manifest: toml::Table = manifest.parse().unwrap();
    let tables = ["dependencies", "build-dependencies"].into_iter().filter_map(|key| manifest.get(key)?.as_table());
    let names = tables.flat_map(|table| table.keys()).filter(|name| IMPURE_CRATES.contains(&name.as_str()));
    names.map(|name| format!("{name} is a dependency of pure crate {:?}", manifest["package"]["name"])).collect()
}

#[cfg(test)]
fn is_flagged(text: &str) -> bool {
    !impure_paths(&Source::parse("router/src/x.rs", text)).is_empty()
}

#[test]
fn impurity_is_seen_however_it_is_written() {
    for text in [
        "use tokio::net::TcpStream;",
        "use std::{collections::BTreeMap, fs};",
        "use std::{self, net::{IpAddr, Ipv4Addr}};",
        "use std::time as clock; fn a() { clock::Instant::now(); }",
        "fn a() { std::thread::sleep(b); }",
        "fn a(now: std::time::SystemTime) {}",
        "fn a() { log!(\"{}\", std::env::var(\"X\")); }",
        "use std::net::*;",
        "mod b { fn c() -> fastrand::Rng {} }",
        "use aws_lc_rs::{aead, rand};",
        "fn a() { b::fill(&c::SystemRandom::new()); }",
    ] {
        assert!(is_flagged(text), "{text}");
    }
}

#[test]
fn the_pure_is_left_alone() {
    for text in [
        "use std::time::Duration;",
        "use crate::tokio_like::x; fn fs() {} fn a() { fs(); self.net.b(); }",
        "#[cfg(test)] mod tests { use std::fs; }",
        "//! tokio::net\nfn a() { \"std::fs\"; }",
        "use std::io::IoSlice;",
    ] {
        assert!(!is_flagged(text), "{text}");
    }
}

#[test]
fn impure_dependencies_are_seen_but_not_those_of_tests() {
    let manifest =
        "[package]\nname = 'x'\n[dependencies]\nbytes = '1'\ntokio.workspace = true\n[dev-dependencies]\nmio = '1'";
    assert_eq!(impure_dependencies(manifest).len(), 1);
}
