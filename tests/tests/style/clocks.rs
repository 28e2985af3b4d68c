//! A rule on clocks: what is measured is measured with one that does not jump.

use crate::Violation;
use crate::source::Source;

/// Words for the time of day, which an operator or a time server may set at any moment.
const TIME_OF_DAY: [&str; 4] = ["SystemTime", "UNIX_EPOCH", "Realtime", "CLOCK_REALTIME"];

/// Files that tell people or Prometheus what time it was, or need a number that no other run has.
pub(crate) const TELL_THE_TIME: [(&str, &str); 4] = [
    ("proxy/src/admin/mod.rs", "when the configuration was read"),
    ("proxy/src/admin/process.rs", "when the process started"),
    ("proxy/src/serve/service.rs", "when the configuration was read"),
    ("proxy/src/serve/crew.rs", "the incarnation in the links' names"),
];

/// Uses of the time of day outside tests, where none is expected.
pub(crate) fn time_of_day(source: &Source) -> Vec<Violation> {
    if TELL_THE_TIME.iter().any(|(path, _)| *path == source.path) {
        return Vec::new();
    }
    let tokens = source.product_tokens();
    let found = tokens.iter().filter(|token| TIME_OF_DAY.contains(&token.text.as_str()));
    found.map(|token| format!("{}:{}: {} may jump: use Instant", source.path, token.line, token.text)).collect()
}

#[test]
fn the_time_of_day_is_seen_but_where_it_is_told() {
    let parse = |path: &str| Source::parse(path, "fn now() -> SystemTime { SystemTime::now() }");
    assert_eq!(time_of_day(&parse("proxy/src/worker/mod.rs")).len(), 2);
    assert_eq!(time_of_day(&parse("proxy/src/admin/process.rs")), Vec::<Violation>::new());
}
