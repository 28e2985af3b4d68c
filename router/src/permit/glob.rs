//! Redis's glob patterns, as access control and `KEYS` know them.
//!
//! Source: `stringmatchlen` of Redis 7.0, oddities included: no pattern but the empty one matches the empty text,
//! an unclosed `[` ends with the pattern, a backwards range is turned round, bytes of a range are signed.
//!
//! A pattern is compiled into how a text has to begin, compared as one word, and what has to follow.

use super::tokens::{Set, Token, tokens};
use crate::resp::first_word;

/// How many bytes are compared at once.
const WORD: usize = size_of::<u64>();

/// How a text has to begin, and how long it has to be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Start {
    /// Its first bytes, as far as `mask` has ones,
    word: u64,
    mask: u64,
    /// and those behind them.
    next: u64,
    next_mask: u64,
    /// How many bytes these are.
    length: usize,
    /// It has at least so many bytes,
    least: usize,
    /// and at most so many more.
    more: usize,
}

impl Start {
    /// Any number of bytes more.
    const OPEN: usize = usize::MAX / 2;

    /// What the first of some elements say of a text's first bytes.
    fn of(tokens: &[Token]) -> Self {
        let mut start = Self::default();
        for (at, token) in tokens.iter().take(2 * WORD).enumerate() {
            let (word, mask) = match at {
                0..WORD => (&mut start.word, &mut start.mask),
                _ => (&mut start.next, &mut start.next_mask),
            };
            match token {
                Token::Byte(byte) => {
                    *word |= u64::from(*byte) << (8 * (at % WORD));
                    *mask |= 0xff << (8 * (at % WORD));
                }
                Token::One => {}
                Token::Set(_) if at < WORD => {}
                Token::Set(_) | Token::Star => break,
            }
            start.length = at + 1;
        }
        start
    }

    #[inline]
    fn fits(&self, length: usize, word: u64, next: impl FnOnce() -> u64) -> bool {
        (word ^ self.word) & self.mask == 0
            && length.wrapping_sub(self.least) <= self.more
            && (self.next_mask == 0 || (next() ^ self.next) & self.next_mask == 0)
    }
}

/// What has to follow a text's first bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Rest {
    /// Anything, if only the length is right.
    Anything,
    /// Something that begins so.
    Begins(Box<[u8]>),
    /// Something that ends so.
    Ends(Box<[u8]>),
    /// Something that has this in it.
    Has(Box<[u8]>),
    /// What these elements fit.
    Tokens(Box<[Token]>),
}

impl Rest {
    /// Of a pattern's elements behind its start, whose length is worked out by the way.
    fn of(tokens: &[Token], start: &mut Start) -> Self {
        let stars = tokens.iter().take_while(|token| token.is_star()).count();
        let bytes: Vec<u8> = tokens[stars..].iter().map_while(Token::byte).collect();
        let after = &tokens[stars + bytes.len()..];
        let open = !after.is_empty();
        if !after.iter().all(Token::is_star) {
            (start.least, start.more) = (start.length, Start::OPEN);
            return Self::Tokens(tokens.into());
        }
        start.least = start.length + bytes.len();
        start.more = if stars > 0 || open { Start::OPEN } else { 0 };
        if start.more > 0 {
            // The empty text fits no star.
            start.least = start.least.max(1);
        }
        match (bytes.is_empty(), stars > 0, open) {
            (true, ..) => Self::Anything,
            (_, false, _) => Self::Begins(bytes.into()),
            (_, _, false) => Self::Ends(bytes.into()),
            (_, _, true) => Self::Has(bytes.into()),
        }
    }

    #[inline(never)]
    fn fits(&self, text: &[u8]) -> bool {
        match self {
            Self::Anything => true,
            Self::Begins(wanted) => text.starts_with(wanted),
            Self::Ends(wanted) => text.ends_with(wanted),
            Self::Has(wanted) => has(text, wanted),
            Self::Tokens(tokens) => fits(tokens, text, &mut false),
        }
    }
}

/// A glob pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Glob {
    start: Start,
    /// Which bytes may stand at some places of the start: how far the first word is shifted for it, and they.
    sets: Box<[(u32, Set)]>,
    rest: Rest,
    text: Box<[u8]>,
}

impl Glob {
    /// Reads a pattern; every text is one.
    pub fn new(text: &[u8]) -> Self {
        let tokens = tokens(text);
        let mut start = Start::of(&tokens);
        let (begin, behind) = tokens.split_at(start.length);
        let set =
            |(at, token): (u32, &Token)| if let Token::Set(set) = token { Some((8 * at, set.clone())) } else { None };
        let sets = (0..).zip(begin).filter_map(set).collect();
        Self { rest: Rest::of(behind, &mut start), start, sets, text: text.into() }
    }

    /// The pattern as it was written.
    pub fn text(&self) -> &[u8] {
        &self.text
    }

    /// Whether a text matches.
    pub fn matches(&self, text: &[u8]) -> bool {
        let next = || text.get(WORD..).map_or(0, first_word);
        self.may_match(text.len(), first_word(text), next) && self.rest_matches(|| text)
    }

    /// Whether a text of this length matches that begins with these two words, but for its rest.
    #[inline]
    pub(super) fn may_match(&self, length: usize, word: u64, next: impl FnOnce() -> u64) -> bool {
        self.start.fits(length, word, next) && self.sets.iter().all(|(shift, set)| set.has((word >> shift) as u8))
    }

    /// Whether a text matches of which [`may_match`](Self::may_match) is true.
    #[inline]
    pub(super) fn rest_matches<'t>(&self, text: impl FnOnce() -> &'t [u8]) -> bool {
        matches!(self.rest, Rest::Anything) || self.rest.fits(&text()[self.start.length..])
    }

    /// How much work a text is that begins rightly, in no unit.
    pub(super) fn cost(&self) -> u8 {
        match self.rest {
            Rest::Anything => 0,
            Rest::Begins(_) | Rest::Ends(_) => 1,
            Rest::Tokens(_) if self.start.mask != 0 => 2,
            Rest::Has(_) => 3,
            Rest::Tokens(_) => 4,
        }
    }
}

/// Whether a text is somewhere in another.
fn has(text: &[u8], inside: &[u8]) -> bool {
    let Some(first) = inside.first() else { return true };
    memchr::memchr_iter(*first, text).any(|at| text[at..].starts_with(inside))
}

/// `enough`: a longer match of an earlier `*` would find no more than has been tried already.
fn fits(mut tokens: &[Token], mut text: &[u8], enough: &mut bool) -> bool {
    while let ([token, tokens_after @ ..], [byte, text_after @ ..]) = (tokens, text) {
        if token.is_star() {
            return fits_star(tokens_after, text, enough);
        }
        if !token.fits(*byte) {
            return false;
        }
        (tokens, text) = (tokens_after, text_after);
        if text.is_empty() {
            return tokens.iter().all(Token::is_star);
        }
    }
    tokens.is_empty() && text.is_empty()
}

/// The same behind a star.
fn fits_star(tokens: &[Token], mut text: &[u8], enough: &mut bool) -> bool {
    if tokens.is_empty() {
        return true;
    }
    while !text.is_empty() {
        if fits(tokens, text, enough) {
            return true;
        }
        if *enough {
            return false;
        }
        text = &text[1..];
    }
    *enough = true;
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `stringmatchlen`, word for word.
    ///
    /// `enough`: a longer match of an earlier `*` would find no more than has been tried already.
    fn matches(mut pattern: &[u8], mut text: &[u8], enough: &mut bool) -> bool {
        while let (Some(&first), [byte, rest @ ..]) = (pattern.first(), text) {
            match first {
                b'*' => return matches_star(pattern, text, enough),
                b'?' => pattern = &pattern[1..],
                b'[' => match set(&pattern[1..], *byte) {
                    (true, after) => pattern = after,
                    (false, _) => return false,
                },
                _ => {
                    let escaped = usize::from(first == b'\\' && pattern.len() >= 2);
                    if pattern[escaped] != *byte {
                        return false;
                    }
                    pattern = &pattern[escaped + 1..];
                }
            }
            text = rest;
            if text.is_empty() {
                return pattern.iter().all(|byte| *byte == b'*');
            }
        }
        pattern.is_empty() && text.is_empty()
    }

    fn matches_star(pattern: &[u8], mut text: &[u8], enough: &mut bool) -> bool {
        let stars = pattern.iter().take_while(|byte| **byte == b'*').count();
        let after = &pattern[stars..];
        if after.is_empty() {
            return true;
        }
        while !text.is_empty() {
            if matches(after, text, enough) {
                return true;
            }
            if *enough {
                return false;
            }
            text = &text[1..];
        }
        *enough = true;
        false
    }

    /// Whether a byte is in the set that begins here, and what follows the set.
    fn set(mut pattern: &[u8], byte: u8) -> (bool, &[u8]) {
        let negated = pattern.first() == Some(&b'^');
        pattern = &pattern[usize::from(negated)..];
        let mut found = false;
        loop {
            match *pattern {
                [] => return (found != negated, pattern),
                [b'\\', escaped, ..] => {
                    found |= escaped == byte;
                    pattern = &pattern[2..];
                }
                [b']', ..] => return (found != negated, &pattern[1..]),
                [low, b'-', high, ..] => {
                    let (low, high, byte) = (low as i8, high as i8, byte as i8);
                    found |= (low.min(high)..=low.max(high)).contains(&byte);
                    pattern = &pattern[3..];
                }
                [other, ..] => {
                    found |= other == byte;
                    pattern = &pattern[1..];
                }
            }
        }
    }

    fn fits(pattern: &str, text: &str) -> bool {
        let fits = Glob::new(pattern.as_bytes()).matches(text.as_bytes());
        assert_eq!(fits, matches(pattern.as_bytes(), text.as_bytes(), &mut false), "{pattern} {text}");
        fits
    }

    /// Every text of at most so many of these characters.
    fn texts(characters: &str, length: usize) -> Vec<String> {
        let mut texts = vec![String::new()];
        let mut last = texts.clone();
        for _ in 0..length {
            let longer = |text: &String| characters.chars().map(|next| format!("{text}{next}")).collect::<Vec<_>>();
            last = last.iter().flat_map(longer).collect();
            texts.extend_from_slice(&last);
        }
        texts
    }

    #[test]
    fn short_ways_and_the_long_way_agree() {
        let texts_of = [texts("ab*[\\", 3), texts("ab", 5)].concat();
        for pattern in texts("ab*?[\\", 5) {
            texts_of.iter().for_each(|text| _ = fits(&pattern, text));
        }
    }

    #[test]
    fn the_border_of_the_first_word_makes_no_difference() {
        let ends = texts("ab", 4);
        for stem in
            ["aaaaaaa", "aaaaaaaa", "aaaaaaaaaaaaaaa", "aaaaaaaaaaaaaaaa", "a??aa\\a?aaa[ab]", "a[^a]aaaaaaaaaaaaaaaab"]
        {
            let start = stem.replace('?', "b").replace('\\', "").replace("[ab]", "a").replace("[^a]", "b");
            for pattern in texts("ab*?", 4).iter().map(|end| format!("{stem}{end}")) {
                ends.iter().for_each(|end| _ = fits(&pattern, &format!("{start}{end}")));
                (0..=start.len()).for_each(|at| _ = fits(&pattern, &start[at..]));
                (0..=start.len()).for_each(|at| _ = fits(&pattern, &start[..at]));
            }
        }
    }

    #[test]
    fn sets_hold_what_redis_says() {
        for inside in texts("a-^]\\\u{7f}z", 3) {
            (0..=0x7f).for_each(|byte| _ = fits(&format!("[{inside}x"), &format!("{}x", char::from(byte))));
        }
        let glob = Glob::new(b"[\x01-\xfe]");
        assert!(glob.matches(b"\x00") && glob.matches(b"\xff") && !glob.matches(b"\x80"), "bytes are signed");
    }

    #[test]
    fn oddities_are_those_of_redis() {
        assert!(!fits("*", "") && fits("", "") && fits("a*", "a"));
        assert!(fits("[c-a]", "b") && fits("[^a]", "b") && !fits("[^a]", "a"));
        assert!(fits("[abc", "b") && fits("a[\\]]", "a]") && fits("[]", "x") == fits("[^^]", "^"));
        assert!(fits("h?llo*w[ao]rld", "hello, world") && !fits("h?llo", "hllo"));
        assert!(fits("\\*x", "*x") && !fits("\\*x", "ax") && fits("\\", "\\"));
    }

    #[test]
    fn many_stars_take_no_long_time() {
        let pattern = "a*".repeat(30) + "b";
        assert!(!fits(&pattern, &"a".repeat(4000)));
    }
}
