//! Sizes: files of at most [`FILE_MAX`] lines, functions of at most [`FUNCTION_MAX`], half of them under
//! [`MEDIAN_MAX`].

use crate::Violation;
use crate::functions::{Function, functions};
use crate::repository::Repository;
use crate::source::Source;

/// Lines of a file, tests in it included.
const FILE_MAX: usize = 450;
/// Lines of a function, in tests too.
const FUNCTION_MAX: usize = 60;
/// The median of a crate's functions outside tests stays below this.
const MEDIAN_MAX: usize = 10;

/// Files that may be longer, each with a reason: tables, where a reader looks up a row and reads nothing else.
pub(crate) const LONG_TABLES: &[(&str, &str)] = &[
    ("metrics/src/table.rs", "every metric is a row of it"),
    ("proxy/src/config/options.rs", "every option is a row of it"),
];

/// The file, if it is too long.
pub(crate) fn long_file(source: &Source) -> Option<Violation> {
    let lines = source.text.lines().count();
    let allowed = lines <= FILE_MAX || LONG_TABLES.iter().any(|(path, _)| *path == source.path);
    (!allowed).then(|| format!("{}: {lines} lines, at most {FILE_MAX}: divide it by subject", source.path))
}

/// The exception for `path`, if the file is short enough to need none.
pub(crate) fn stale_exception(path: &str, text: Option<&str>) -> Option<Violation> {
    let needed = text.is_some_and(|text| text.lines().count() > FILE_MAX);
    (!needed).then(|| format!("{path}: needs no exception, remove it from LONG_TABLES"))
}

/// Functions that are too long.
pub(crate) fn long_functions(source: &Source) -> Vec<Violation> {
    let long = functions(&source.tree).into_iter().filter(|function| function.length > FUNCTION_MAX);
    let describe = |Function { name, line, length }| {
        format!("{}:{line}: fn {name} has {length} lines, at most {FUNCTION_MAX}: name its steps", source.path)
    };
    long.map(describe).collect()
}

/// The crate, if its median function is too long.
pub(crate) fn long_median(name: &str, repository: &Repository) -> Option<Violation> {
    let sources = repository.sources().iter().filter(|source| source.crate_name() == name);
    let median = median(sources.flat_map(|source| functions(&source.product)).map(|function| function.length))?;
    (median >= MEDIAN_MAX).then(|| format!("{name}: the median function has {median} lines, {MEDIAN_MAX} are too many"))
}

fn median(numbers: impl Iterator<Item = usize>) -> Option<usize> {
    let mut numbers: Vec<usize> = numbers.collect();
    numbers.sort_unstable();
    numbers.get(numbers.len() / 2).copied()
}

#[cfg(test)]
fn function_of(lines: usize) -> Source {
    Source::parse("proxy/src/x.rs", &format!("fn a() {{{}}}", "\n".repeat(lines - 1)))
}

#[test]
fn a_line_too_many_is_seen() {
    let file = |lines: usize| Source::parse("proxy/src/x.rs", &"\n".repeat(lines));
    assert_eq!(long_file(&file(FILE_MAX)), None);
    assert!(long_file(&file(FILE_MAX + 1)).is_some());
    assert_eq!(long_functions(&function_of(FUNCTION_MAX)), Vec::<Violation>::new());
    assert_eq!(long_functions(&function_of(FUNCTION_MAX + 1)).len(), 1);
}

#[test]
fn the_median_counts_half_of_the_functions() {
    assert_eq!(median([1, 30, 2].into_iter()), Some(2));
    assert_eq!(median([1, 30, 40].into_iter()), Some(30));
    assert_eq!(median(std::iter::empty()), None);
}

#[test]
fn an_exception_for_a_short_or_missing_file_is_stale() {
    assert!(stale_exception("x", None).is_some());
    assert!(stale_exception("x", Some(&"\n".repeat(FILE_MAX))).is_some());
    assert_eq!(stale_exception("x", Some(&"\n".repeat(FILE_MAX + 1))), None);
}
