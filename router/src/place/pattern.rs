//! The rule language: patterns that recognise keys, and templates that make keys.
//!
//! A pattern is literal text with one `*`, which stands for any bytes (also none), and at most one `#` after it,
//! which stands for a decimal number. A template is literal text with `$1` (what `*` stood for) and `$member`.
//! A backslash in a pattern, or a `$` before a `$` in a template, takes the next character literally.

/// Why a pattern cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// Nothing in it varies.
    #[error("it has no *: put one where keys of the family differ, as in *:stripes")]
    NoStar,
    /// Two stars could divide a key in more than one way.
    #[error("it has a second *: one is all a pattern can have; write \\* for the character")]
    SecondStar,
    /// A number before the star, or a second one.
    #[error(
        "it has a # that is the second one or stands before the *: write one # after the *, or \\# for the character"
    )]
    MisplacedNumber,
    /// A number that touches the star or a digit could begin anywhere.
    #[error(
        "its # touches the * or a digit, so that where the number begins is open: put a separator between, as in *:#"
    )]
    TouchingNumber,
    /// A backslash before a character that needs none.
    #[error("it has a backslash that is not before *, # or a backslash: remove it or double it")]
    Escape,
}

/// A compiled pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pattern {
    prefix: Box<[u8]>,
    /// With a `#`: the literal between `*` and the number.
    separator: Option<Box<[u8]>>,
    suffix: Box<[u8]>,
}

/// What the variable parts of a pattern stood for in a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Captured<'k> {
    pub(super) star: &'k [u8],
    pub(super) number: Option<u64>,
}

impl Pattern {
    pub(super) fn parse(text: &str) -> Result<Self, PatternError> {
        let mut pieces = vec![(None, Vec::new())];
        let mut bytes = text.bytes();
        while let Some(byte) = bytes.next() {
            match byte {
                b'*' | b'#' => pieces.push((Some(byte), Vec::new())),
                b'\\' => push_literal(&mut pieces, escaped(bytes.next())?),
                byte => push_literal(&mut pieces, byte),
            }
        }
        Self::from_pieces(pieces)
    }

    /// From the literals, each with the variable part that precedes it.
    fn from_pieces(pieces: Vec<(Option<u8>, Vec<u8>)>) -> Result<Self, PatternError> {
        let variables: Vec<u8> = pieces.iter().filter_map(|(variable, _)| *variable).collect();
        let mut literals = pieces.into_iter().map(|(_, literal)| literal.into_boxed_slice());
        let mut next = || literals.next().unwrap_or_default();
        match variables[..] {
            [b'*'] => Ok(Self { prefix: next(), separator: None, suffix: next() }),
            [b'*', b'#'] => Self { prefix: next(), separator: Some(next()), suffix: next() }.with_clear_number(),
            _ if !variables.contains(&b'*') => Err(PatternError::NoStar),
            _ if variables.iter().filter(|variable| **variable == b'*').count() > 1 => Err(PatternError::SecondStar),
            _ => Err(PatternError::MisplacedNumber),
        }
    }

    fn with_clear_number(self) -> Result<Self, PatternError> {
        let before = self.separator.as_ref().and_then(|separator| separator.last());
        let clear = before.is_some_and(|byte| !byte.is_ascii_digit());
        let after = self.suffix.first().is_some_and(u8::is_ascii_digit);
        if clear && !after { Ok(self) } else { Err(PatternError::TouchingNumber) }
    }

    /// Whether keys carry a number.
    pub(super) fn has_number(&self) -> bool {
        self.separator.is_some()
    }

    /// The variable parts of `key`, or `None` if it is not of this family.
    #[inline]
    pub(super) fn capture<'k>(&self, key: &'k [u8]) -> Option<Captured<'k>> {
        let middle = before_suffix(key, &self.suffix).and_then(|rest| after_prefix(rest, &self.prefix))?;
        match &self.separator {
            None => Some(Captured { star: middle, number: None }),
            Some(separator) => capture_number(middle, separator),
        }
    }

    /// Whether every key of `other` is a key of this pattern too.
    pub(super) fn covers(&self, other: &Pattern) -> bool {
        let ends = other.prefix.starts_with(&self.prefix) && other.suffix.ends_with(&self.suffix);
        match (&self.separator, &other.separator) {
            (None, _) => ends,
            (Some(_), None) => false,
            (Some(own), Some(others)) => ends && self.suffix == other.suffix && others.ends_with(own),
        }
    }
}

/// What precedes `suffix` at the end of `key`. Byte by byte from the end: most keys differ in the last one, and a call
/// to memcmp for some eight bytes costs several times this loop.
#[inline]
fn before_suffix<'k>(key: &'k [u8], suffix: &[u8]) -> Option<&'k [u8]> {
    let (rest, end) = key.split_at_checked(key.len().checked_sub(suffix.len())?)?;
    end.iter().rev().eq(suffix.iter().rev()).then_some(rest)
}

/// What follows `prefix` at the start of `key`.
#[inline]
fn after_prefix<'k>(key: &'k [u8], prefix: &[u8]) -> Option<&'k [u8]> {
    let (start, rest) = key.split_at_checked(prefix.len())?;
    start.iter().eq(prefix).then_some(rest)
}

fn push_literal(pieces: &mut [(Option<u8>, Vec<u8>)], byte: u8) {
    if let Some((_, literal)) = pieces.last_mut() {
        literal.push(byte);
    }
}

fn escaped(byte: Option<u8>) -> Result<u8, PatternError> {
    byte.filter(|byte| b"*#\\".contains(byte)).ok_or(PatternError::Escape)
}

/// The number is all the digits at the end of `middle`; one past 64 bits is none.
fn capture_number<'k>(middle: &'k [u8], separator: &[u8]) -> Option<Captured<'k>> {
    let digits = middle.iter().rev().take_while(|byte| byte.is_ascii_digit()).count();
    let (rest, digits) = middle.split_at(middle.len() - digits);
    let star = before_suffix(rest, separator)?;
    let number = str::from_utf8(digits).ok()?.parse().ok()?;
    Some(Captured { star, number: Some(number) })
}

/// Why a template cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// All members would live in one place.
    #[error("it has no $member, so that all members would live on one shard: use for example $1:$member")]
    NoMember,
    /// A `$` before something else than `1`, `member` or `$`.
    #[error("it has a $ that begins neither $1 nor $member: write $$ for the character")]
    UnknownVariable,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Literal(Box<[u8]>),
    Star,
    Member,
}

/// A compiled template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Template(Box<[Piece]>);

/// Keys up to this length are put together on the stack.
const SHORT_KEY: usize = 256;

impl Template {
    pub(super) fn parse(text: &str) -> Result<Self, TemplateError> {
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some(at) = rest.find('$') {
            let (literal, variable) = rest.split_at(at);
            push_text(&mut pieces, literal);
            rest = push_variable(&mut pieces, variable)?;
        }
        push_text(&mut pieces, rest);
        let has_member = pieces.contains(&Piece::Member);
        has_member.then_some(Self(pieces.into())).ok_or(TemplateError::NoMember)
    }

    /// Calls `use_key` with the key the template makes; on the heap only past 256 bytes.
    pub(super) fn expand<T>(&self, star: &[u8], member: &[u8], use_key: impl FnOnce(&[u8]) -> T) -> T {
        let parts = || self.0.iter().map(|piece| piece.bytes(star, member));
        let length: usize = parts().map(<[u8]>::len).sum();
        let mut buffer = [0; SHORT_KEY];
        let Some(key) = buffer.get_mut(..length) else {
            return use_key(&parts().collect::<Vec<_>>().concat());
        };
        let mut at = 0;
        for part in parts() {
            key[at..at + part.len()].copy_from_slice(part);
            at += part.len();
        }
        use_key(key)
    }
}

impl Piece {
    fn bytes<'p>(&'p self, star: &'p [u8], member: &'p [u8]) -> &'p [u8] {
        match self {
            Self::Literal(text) => text,
            Self::Star => star,
            Self::Member => member,
        }
    }
}

fn push_text(pieces: &mut Vec<Piece>, text: &str) {
    if !text.is_empty() {
        pieces.push(Piece::Literal(text.as_bytes().into()));
    }
}

/// Reads the variable at the start of `text` and returns what follows it.
fn push_variable<'t>(pieces: &mut Vec<Piece>, text: &'t str) -> Result<&'t str, TemplateError> {
    let variables = [("$1", Piece::Star), ("$member", Piece::Member), ("$$", Piece::Literal(b"$"[..].into()))];
    for (name, piece) in variables {
        if let Some(rest) = text.strip_prefix(name) {
            pieces.push(piece);
            return Ok(rest);
        }
    }
    Err(TemplateError::UnknownVariable)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn capture<'k>(pattern: &str, key: &'k str) -> Option<(&'k str, Option<u64>)> {
        let captured = Pattern::parse(pattern).unwrap().capture(key.as_bytes())?;
        Some((str::from_utf8(captured.star).unwrap(), captured.number))
    }

    #[test]
    fn a_star_stands_for_any_bytes_between_the_literals() {
        assert_eq!(capture("*:stripes", "/m/f:stripes"), Some(("/m/f", None)));
        assert_eq!(capture("*:stripes", ":stripes"), Some(("", None)));
        assert_eq!(capture("*:stripes", "a:stripes:stripes"), Some(("a:stripes", None)));
        assert_eq!(capture("{*}:children", "{/m/x}y}:children"), Some(("/m/x}y", None)));
        assert_eq!(capture("{*", "{"), Some(("", None)));
        assert_eq!(capture("*", ""), Some(("", None)));
        for (pattern, key) in
            [("*:stripes", "/m/f:stripe"), ("*:stripes", "stripes"), ("{*}:x", "{:x"), ("aa*aa", "aaa")]
        {
            assert_eq!(capture(pattern, key), None, "{pattern} {key}");
        }
    }

    #[test]
    fn a_number_is_all_the_digits_and_nothing_else() {
        assert_eq!(capture("*:#", "/m/f:12"), Some(("/m/f", Some(12))));
        assert_eq!(capture("*:#", "a:1:2"), Some(("a:1", Some(2))));
        assert_eq!(capture("*:#", ":007"), Some(("", Some(7))));
        assert_eq!(capture("f.*.#.part", "f.a.b.3.part"), Some(("a.b", Some(3))));
        assert_eq!(capture("*:#", "/m/f:18446744073709551615"), Some(("/m/f", Some(u64::MAX))));
        for key in ["/m/f:-1", "/m/f:+1", "/m/f:", "/m/f:1x", "12", "/m/f:18446744073709551616", "/m/f:\u{661}"] {
            assert_eq!(capture("*:#", key), None, "{key}");
        }
    }

    #[test]
    fn a_backslash_takes_variables_literally() {
        assert_eq!(capture(r"\#\*\\*", r"#*\x"), Some(("x", None)));
    }

    #[test]
    fn patterns_that_could_match_in_two_ways_are_refused() {
        for (text, error) in [
            ("", PatternError::NoStar),
            ("#", PatternError::NoStar),
            ("a*b*", PatternError::SecondStar),
            ("#:*", PatternError::MisplacedNumber),
            ("*:#:#", PatternError::MisplacedNumber),
            ("*#", PatternError::TouchingNumber),
            ("*:1#", PatternError::TouchingNumber),
            ("*:#1", PatternError::TouchingNumber),
            ("*\\", PatternError::Escape),
            ("*\\n", PatternError::Escape),
        ] {
            assert_eq!(Pattern::parse(text), Err(error), "{text}");
        }
    }

    #[test]
    fn a_pattern_covers_those_with_longer_literals() {
        let covers = |one: &str, other: &str| Pattern::parse(one).unwrap().covers(&Pattern::parse(other).unwrap());
        for (one, other) in [("*", "*:#"), ("*s", "a*:stripes"), ("*:#", "/m/*:#"), ("*:#", "*::#"), ("*", "*")] {
            assert!(covers(one, other), "{one} {other}");
        }
        for (one, other) in [("*:#", "*"), ("a*", "*"), ("*:stripes", "*:#"), ("*::#", "*:#"), ("*:#", "*:#x")] {
            assert!(!covers(one, other), "{one} {other}");
        }
    }

    #[test]
    fn a_template_joins_the_captured_text_and_the_member() {
        let expand = |text: &str, star: &str, member: &str| {
            Template::parse(text)
                .unwrap()
                .expand(star.as_bytes(), member.as_bytes(), |key| str::from_utf8(key).unwrap().to_owned())
        };
        assert_eq!(expand("$1:$member", "/m/f", "-1"), "/m/f:-1");
        assert_eq!(expand("{$member}:mode", "ignored", "/m/d"), "{/m/d}:mode");
        assert_eq!(expand("$$1$member$1", "a", ""), "$1a");
        for length in [253, 254, 255, 70_000] {
            let star = "x".repeat(length);
            assert_eq!(expand("$1:$member", &star, "1"), format!("{star}:1"));
        }
    }

    #[test]
    fn templates_without_a_member_or_with_other_variables_are_refused() {
        assert_eq!(Template::parse("$1:x"), Err(TemplateError::NoMember));
        assert_eq!(Template::parse("$$member"), Err(TemplateError::NoMember));
        assert_eq!(Template::parse("$2:$member"), Err(TemplateError::UnknownVariable));
        assert_eq!(Template::parse("$member$"), Err(TemplateError::UnknownVariable));
    }
}
