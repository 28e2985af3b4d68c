//! Rules on words in the code: no deliberate panic outside tests, no unexplained `unsafe`.

use crate::Violation;
use crate::source::{Source, Token};

/// Three tokens in a row that end a process or leave work undone.
const PANICS: [[&str; 3]; 5] =
    [[".", "unwrap", "("], [".", "expect", "("], ["panic", "!", "("], ["todo", "!", "("], ["unimplemented", "!", "("]];

/// Calls outside tests that panic.
pub(crate) fn panics(source: &Source) -> Vec<Violation> {
    let tokens = source.product_tokens();
    let found = tokens.windows(3).filter(|window| PANICS.iter().any(|words| is(window, words)));
    found.map(|window| format!("{}:{}: {}", source.path, window[1].line, words(window))).collect()
}

fn is(window: &[Token], words: &[&str; 3]) -> bool {
    window.iter().zip(words).all(|(token, word)| token.text == *word)
}

fn words(window: &[Token]) -> String {
    format!("{}{}{} outside tests: return an error", window[0].text, window[1].text, window[2].text)
}

/// Uses of `unsafe`, in tests too, without a `// SAFETY: reason` in the comment right above.
pub(crate) fn unexplained_unsafe(source: &Source) -> Vec<Violation> {
    let lines: Vec<&str> = source.text.lines().collect();
    let tokens = source.all_tokens();
    let uses = tokens.iter().filter(|token| token.text == "unsafe");
    let unexplained = uses.filter(|token| !is_explained(&lines, token.line));
    unexplained.map(|token| format!("{}:{}: unsafe without // SAFETY: reason", source.path, token.line)).collect()
}

fn is_explained(lines: &[&str], line: usize) -> bool {
    let above = lines[..line - 1].iter().rev().map(|line| line.trim_start());
    let mut comment = above.take_while(|line| line.starts_with("//") || line.starts_with("#["));
    comment.any(|line| line.split_once("// SAFETY:").is_some_and(|(_, reason)| !reason.trim().is_empty()))
}

#[cfg(test)]
fn parse(text: &str) -> Source {
    Source::parse("proxy/src/x.rs", text)
}

#[test]
fn every_way_to_panic_is_seen() {
    for call in
        ["x.unwrap()", "x.expect(\"y\")", "panic!(\"y\")", "todo!()", "unimplemented!()", "info!(\"{}\", x.unwrap())"]
    {
        assert_eq!(panics(&parse(&format!("fn a() {{ {call}; }}"))).len(), 1, "{call}");
    }
}

#[test]
fn what_does_not_panic_may_stay() {
    let text = "/// x.unwrap()\nfn a() { x.unwrap_or(1); y.expect_err; \"x.unwrap()\"; } // z.unwrap()\n\
                #[cfg(test)] mod tests { fn b() { x.unwrap(); } }";
    assert_eq!(panics(&parse(text)), Vec::<Violation>::new());
}

#[test]
fn unsafe_needs_a_reason_right_above() {
    for text in
        ["fn a() { unsafe { b() } }", "// SAFETY:\nunsafe fn a() {}", "// SAFETY: x\n\nfn a() {}\nunsafe fn b() {}"]
    {
        assert_eq!(unexplained_unsafe(&parse(text)).len(), 1, "{text}");
    }
    let explained = "// SAFETY: it is\n// really.\n#[inline]\nunsafe fn a() {}\nfn b() { \"unsafe\"; }";
    assert_eq!(unexplained_unsafe(&parse(explained)), Vec::<Violation>::new());
}
