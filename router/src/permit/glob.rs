//! Redis's glob patterns, as access control and `KEYS` know them.
//!
//! Source: `stringmatchlen` of Redis 7.0, oddities included: no pattern but the empty one matches the empty text,
//! an unclosed `[` ends with the pattern, a backwards range is turned round, bytes of a range are signed.
//!
//! A pattern is compiled into how a text has to begin, compared as one or two words, and what has to follow.

use super::inside::Inside;
use super::tokens::{Set, Token, tokens};
use crate::resp::first_word;

/// How many bytes are compared at once.
pub(super) const WORD: usize = size_of::<u64>();

/// Some bytes of a pattern, to be compared at once.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Word {
    bytes: u64,
    /// Ones where it matters what a text has.
    mask: u64,
}

impl Word {
    /// Of the first elements; where they are no bytes, anything will do.
    pub(super) fn of(tokens: &[Token]) -> Self {
        let mut word = Self::default();
        for (at, byte) in tokens.iter().take(WORD).enumerate().filter_map(|(at, token)| Some((at, token.byte()?))) {
            word.bytes |= u64::from(byte) << (8 * at);
            word.mask |= 0xff << (8 * at);
        }
        word
    }

    /// Of the last of some bytes, at the word's end; before them anything will do.
    pub(super) fn ending(bytes: &[u8]) -> Self {
        let mut word = Self::default();
        for (at, byte) in (0..WORD).rev().zip(bytes.iter().rev()) {
            word.bytes |= u64::from(*byte) << (8 * at);
            word.mask |= 0xff << (8 * at);
        }
        word
    }

    #[inline]
    pub(super) fn fits(&self, word: u64) -> bool {
        (word ^ self.bytes) & self.mask == 0
    }
}

/// How a text has to begin, and how long it has to be.
#[derive(Clone, Copy, Debug, Default)]
struct Start {
    /// Its first bytes,
    first: Word,
    /// and those up to `length`, if these are more. Both words overlap, so that no text is too short for the second.
    second: Word,
    second_at: usize,
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

    /// What the first of some elements say of a text's first bytes. A set has to be in the first word.
    fn of(tokens: &[Token]) -> Self {
        let in_word = |(at, token): &(usize, &Token)| match token {
            Token::Byte(_) | Token::One => true,
            Token::Set(_) => *at < WORD,
            Token::Star => false,
        };
        let length = tokens.iter().enumerate().take(2 * WORD).take_while(in_word).count();
        let second_at = length.saturating_sub(WORD);
        let second = if second_at > 0 { Word::of(&tokens[second_at..length]) } else { Word::default() };
        Self { first: Word::of(&tokens[..length]), second, second_at, length, ..Self::default() }
    }

    #[inline]
    fn has_length(&self, length: usize) -> bool {
        length.wrapping_sub(self.least) <= self.more
    }
}

/// What has to follow a text's first bytes.
#[derive(Clone, Debug)]
enum Rest {
    /// Anything, if only the length is right.
    Anything,
    /// Something that begins so.
    Begins(Box<[u8]>),
    /// Something that ends so.
    Ends(Box<[u8]>),
    /// Something that has this in it.
    Has(Box<Inside>),
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
            (_, _, true) => Self::Has(Box::new(Inside::of(&bytes))),
        }
    }

    fn fits(&self, text: &[u8]) -> bool {
        match self {
            Self::Anything => true,
            Self::Begins(wanted) => text.starts_with(wanted),
            Self::Ends(wanted) => text.ends_with(wanted),
            Self::Has(inside) => inside.is_in(text),
            Self::Tokens(tokens) => fits(tokens, text, &mut false),
        }
    }
}

/// A glob pattern.
#[derive(Clone, Debug)]
pub struct Glob {
    start: Start,
    /// It says nothing of what follows the start.
    plain: bool,
    /// Which bytes may stand at some places of the start: how far the first word is shifted for it, and they.
    sets: Box<[(u32, Set)]>,
    rest: Rest,
    text: Box<[u8]>,
}

impl PartialEq for Glob {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Glob {}

impl Glob {
    /// Reads a pattern; every text is one.
    pub fn new(text: &[u8]) -> Self {
        let tokens = tokens(text);
        let mut start = Start::of(&tokens);
        let (begin, behind) = tokens.split_at(start.length);
        let set =
            |(at, token): (u32, &Token)| if let Token::Set(set) = token { Some((8 * at, set.clone())) } else { None };
        let sets: Box<[_]> = (0..).zip(begin).filter_map(set).collect();
        let rest = Rest::of(behind, &mut start);
        Self { start, plain: matches!(rest, Rest::Anything), sets, rest, text: text.into() }
    }

    /// The pattern as it was written.
    pub fn text(&self) -> &[u8] {
        &self.text
    }

    /// Whether a text matches.
    pub fn matches(&self, text: &[u8]) -> bool {
        let (first, second) = (first_word(text), text.get(self.start.second_at..).map_or(0, first_word));
        self.start.has_length(text.len())
            && self.start.first.fits(first)
            && self.start.second.fits(second)
            && self.sets_fit(first)
            && self.rest.fits(&text[self.start.length..])
    }

    /// The same by few instructions, for most patterns and texts; it is not seen of the others. `bytes` begin with the text
    /// and go on behind it.
    #[inline]
    pub(super) fn surely_matches(&self, bytes: &[u8], length: usize) -> bool {
        let word = |bytes: &[u8]| bytes.first_chunk().map(|word| u64::from_le_bytes(*word));
        let fits_second = |second: u64| self.start.second.fits(second);
        self.plain
            && self.begins(bytes, length)
            && (self.start.second.mask == 0
                || bytes.get(self.start.second_at..).and_then(word).is_some_and(fits_second))
            && word(bytes).is_some_and(|first| self.sets_fit(first))
    }

    /// The same as far as the first word and the length tell: all, of a pattern [that is simple](Self::is_simple).
    #[inline]
    pub(super) fn begins(&self, bytes: &[u8], length: usize) -> bool {
        let Some(first) = bytes.first_chunk() else { return false };
        self.start.first.fits(u64::from_le_bytes(*first)) && self.start.has_length(length)
    }

    /// Whether it says nothing but what a text's first word is.
    pub(super) fn is_simple(&self) -> bool {
        self.plain && self.start.second.mask == 0 && self.sets.is_empty()
    }

    #[inline]
    fn sets_fit(&self, first: u64) -> bool {
        self.sets.iter().all(|(shift, set)| set.has((first >> shift) as u8))
    }

    /// Whether it says nothing of what follows a text's first bytes.
    pub(super) fn is_plain(&self) -> bool {
        self.plain
    }

    /// What is looked for anywhere in a text, if it says nothing else and that is short.
    pub(super) fn inside(&self) -> Option<&Inside> {
        match &self.rest {
            Rest::Has(inside) if self.start.length == 0 && inside.is_one_word() => Some(inside),
            _ => None,
        }
    }

    /// How much work a text is that begins rightly, in no unit.
    pub(super) fn cost(&self) -> u8 {
        match self.rest {
            Rest::Anything => 0,
            Rest::Begins(_) | Rest::Ends(_) => 1,
            Rest::Tokens(_) if self.start.first.mask != 0 => 2,
            Rest::Has(_) => 3,
            Rest::Tokens(_) => 4,
        }
    }
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
    use crate::permit::inside::SHORT;

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
        let glob = Glob::new(pattern.as_bytes());
        let fits = glob.matches(text.as_bytes());
        assert_eq!(fits, matches(pattern.as_bytes(), text.as_bytes(), &mut false), "{pattern} {text}");
        let followed = format!("{text}aaaaaaaab");
        let surely = glob.surely_matches(followed.as_bytes(), text.len());
        assert_eq!(surely, fits && glob.plain, "{pattern} {text}, and more behind it");
        assert!(fits || !glob.surely_matches(text.as_bytes(), text.len()), "{pattern} {text}, and nothing behind it");
        if let Some(inside) = glob.inside() {
            let led = format!("aaaaaaabaaaaaaab{text}");
            let surely = inside.is_surely_in(led.as_bytes(), 16, led.len());
            assert_eq!(surely, fits && text.len() <= SHORT, "{pattern} {text}, and more before it");
            assert!(
                fits || !inside.is_surely_in(text.as_bytes(), 0, text.len()),
                "{pattern} {text}, and nothing before it"
            );
        }
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
    fn what_is_looked_for_is_found_wherever_it_is() {
        let text = "abcdefghijklmnopqrstuvwxyz".repeat(3);
        for length in [1, 2, 5, 7, 8, 9, 12, 15, 16, 17, 25, 40, SHORT, SHORT + 1, 70] {
            let text = &text[..length];
            for (begin, end) in (0..length).flat_map(|begin| (begin + 1..=length).map(move |end| (begin, end))) {
                assert!(fits(&format!("*{}*", &text[begin..end]), text));
                assert!(!fits(&format!("*{}A*", &text[begin..end]), text));
            }
            assert!(!fits(&format!("*{text}a*"), text), "longer than the text");
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
