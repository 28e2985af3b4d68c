//! Inline commands: a line of words, with quotes.

/// Splits a line into words as Redis's `sdssplitargs` does: double quotes with escapes (`\xHH`,
/// `\n`, `\r`, `\t`, `\b`, `\a`), single quotes with `\'`. `None`: quotes are not balanced, or a
/// closing quote is not followed by a blank.
pub(super) fn split(line: &[u8]) -> Option<Vec<Vec<u8>>> {
    let mut words = Vec::new();
    let mut rest = line;
    loop {
        rest = rest.trim_ascii_start();
        // Redis sees a C string here: a NUL ends the line.
        if matches!(rest.first(), None | Some(0)) {
            return Some(words);
        }
        let (word, after) = take_word(rest)?;
        words.push(word);
        rest = after;
    }
}

fn take_word(mut rest: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let mut word = Vec::new();
    loop {
        match rest {
            [] | [b' ' | b'\n' | b'\r' | b'\t' | 0, ..] => return Some((word, rest)),
            [b'"', after @ ..] => return double_quoted(word, after),
            [b'\'', after @ ..] => return single_quoted(word, after),
            [byte, after @ ..] => {
                word.push(*byte);
                rest = after;
            }
        }
    }
}

fn double_quoted(mut word: Vec<u8>, mut rest: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    loop {
        let (byte, after) = match rest {
            [] | [0, ..] => return None,
            [b'"', after @ ..] => return closed(word, after),
            [b'\\', b'x', high, low, after @ ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                (hex(*high) << 4 | hex(*low), after)
            }
            [b'\\', escaped, after @ ..] => (unescape(*escaped), after),
            [byte, after @ ..] => (*byte, after),
        };
        word.push(byte);
        rest = after;
    }
}

fn single_quoted(mut word: Vec<u8>, mut rest: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    loop {
        let (byte, after) = match rest {
            [] | [0, ..] => return None,
            [b'\'', after @ ..] => return closed(word, after),
            [b'\\', b'\'', after @ ..] => (b'\'', after),
            [byte, after @ ..] => (*byte, after),
        };
        word.push(byte);
        rest = after;
    }
}

fn closed(word: Vec<u8>, rest: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    match rest {
        [] | [0, ..] => Some((word, rest)),
        // C's isspace, which counts the vertical tab too.
        [next, ..] if next.is_ascii_whitespace() || *next == 0x0b => Some((word, rest)),
        _ => None,
    }
}

fn unescape(byte: u8) -> u8 {
    match byte {
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'b' => 8,
        b'a' => 7,
        other => other,
    }
}

fn hex(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        _ => (digit | 0x20) - b'a' + 10,
    }
}

#[cfg(test)]
mod tests {
    use super::split;

    fn words(line: &str) -> Option<Vec<String>> {
        split(line.as_bytes()).map(|words| words.iter().map(|w| String::from_utf8_lossy(w).into_owned()).collect())
    }

    #[test]
    fn words_and_quotes() {
        let some = |list: &[&str]| Some(list.iter().map(|w| (*w).to_owned()).collect::<Vec<_>>());
        assert_eq!(words("  SET a  b "), some(&["SET", "a", "b"]));
        assert_eq!(words(r#"SET "a b" 'c\'d'"#), some(&["SET", "a b", "c'd"]));
        assert_eq!(words(r#"ECHO "\x41\n""#), some(&["ECHO", "A\n"]));
        assert_eq!(words(r#"ECHO ab"cd""#), some(&["ECHO", "abcd"]));
        assert_eq!(words(""), some(&[]));
    }

    #[test]
    fn unbalanced_quotes_are_refused() {
        assert_eq!(words(r#"SET "a"#), None);
        assert_eq!(words(r#"SET "a"b"#), None);
        assert_eq!(words("SET 'a"), None);
    }
}
