//! The fuzzers' corpus on the ordinary build: what was found once stays found.

#![allow(clippy::unwrap_used, reason = "a test that cannot read its corpus has failed")]

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use pdw_router::mutant::{Mutant, Mutation};
use pdw_tests::fuzz;

/// The committed inputs of a target, in the order of their names.
fn corpus(target: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let mut files: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

/// Inputs of a target that make `run` panic.
fn failing(target: &str, run: impl Fn(&[u8])) -> Vec<PathBuf> {
    let fails = |file: &PathBuf| {
        let input = fs::read(file).unwrap();
        catch_unwind(AssertUnwindSafe(|| run(&input))).is_err()
    };
    corpus(target).into_iter().filter(fails).collect()
}

#[test]
fn every_scanner_input_passes() {
    assert!(corpus("scanner").len() > 10, "the corpus is missing");
    assert_eq!(failing("scanner", fuzz::scanner), Vec::<PathBuf>::new());
}

#[test]
fn every_session_input_passes() {
    assert!(corpus("session").len() > 20, "the corpus is missing");
    assert_eq!(failing("session", fuzz::session), Vec::<PathBuf>::new());
}

#[test]
fn every_carrier_input_passes() {
    assert!(corpus("carrier").len() > 10, "the corpus is missing");
    assert_eq!(failing("carrier", fuzz::carrier), Vec::<PathBuf>::new());
}

#[test]
fn every_input_of_the_seals_passes() {
    for (target, run) in [("spiped", fuzz::spiped as fn(&[u8])), ("noise", fuzz::noise), ("tls", fuzz::tls)] {
        assert!(corpus(target).len() > 10, "the corpus is missing");
        assert_eq!(failing(target, run), Vec::<PathBuf>::new(), "{target}");
    }
}

#[test]
fn one_input() {
    let Some(file) = std::env::var_os("PDW_INPUT") else { return };
    fuzz::session(&fs::read(file).unwrap());
}

/// Faults that a script shows without knowing what the instances hold.
const SHOWN: [&str; 7] = [
    "lost-reply",
    "swapped-replies",
    "double-send",
    "split-multi",
    "leaked-slot",
    "wrong-gather-order",
    "miscounted-skip",
];

#[test]
fn the_session_corpus_finds_deliberate_faults() {
    for name in SHOWN {
        let mutation = Mutation::of(Some(name.parse::<Mutant>().unwrap()));
        let found = failing("session", |input| fuzz::session_with(input, mutation));
        assert!(!found.is_empty(), "{name} is not found");
    }
}
