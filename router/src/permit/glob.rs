//! Redis's glob patterns, as access control and `KEYS` know them.
//!
//! Source: `stringmatchlen` of Redis 7.0, oddities included: no pattern but the empty one matches the empty text,
//! an unclosed `[` ends with the pattern, a backwards range is turned round, bytes of a range are signed.

/// A pattern, sorted by how much work it is.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Kind {
    /// `*`: everything but the empty text.
    Any,
    /// No special character.
    Literal,
    /// `text*`: holds the length before the stars.
    Prefix(usize),
    /// `*text`: where the stars end.
    Suffix(usize),
    /// `*text*`: where the one ends and the others begin.
    Inside(usize, usize),
    /// Anything else: how many bytes before the first special character.
    Pattern(usize),
}

impl Kind {
    fn of(text: &[u8]) -> Self {
        let is_star = |byte: &&u8| **byte == b'*';
        let (start, end) = (text.iter().take_while(is_star).count(), text.iter().rev().take_while(is_star).count());
        let end = text.len() - end;
        if start == text.len() {
            return if text.is_empty() { Self::Literal } else { Self::Any };
        }
        let special = |byte: &u8| b"*?[\\".contains(byte);
        if text[start..end].iter().any(special) {
            return Self::Pattern(text.iter().take_while(|byte| !special(byte)).count());
        }
        match (start, end) {
            (0, end) if end == text.len() => Self::Literal,
            (0, end) => Self::Prefix(end),
            (start, end) if end == text.len() => Self::Suffix(start),
            (start, end) => Self::Inside(start, end),
        }
    }
}

/// A glob pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Glob {
    text: Box<[u8]>,
    kind: Kind,
}

impl Glob {
    /// Reads a pattern; every text is one.
    pub fn new(text: &[u8]) -> Self {
        let kind = Kind::of(text);
        Self { text: text.into(), kind }
    }

    /// The pattern as it was written.
    pub fn text(&self) -> &[u8] {
        &self.text
    }

    /// Whether a text matches.
    pub fn matches(&self, text: &[u8]) -> bool {
        match self.kind {
            Kind::Any => !text.is_empty(),
            Kind::Literal => *self.text == *text,
            Kind::Prefix(stem) => text.starts_with(&self.text[..stem]),
            Kind::Suffix(start) => text.ends_with(&self.text[start..]),
            Kind::Inside(start, end) => has(text, &self.text[start..end]),
            Kind::Pattern(stem) => {
                text.starts_with(&self.text[..stem]) && matches(&self.text[stem..], &text[stem..], &mut false)
            }
        }
    }
}

/// Whether a text is somewhere in another.
fn has(text: &[u8], inside: &[u8]) -> bool {
    let Some(first) = inside.first() else { return true };
    memchr::memchr_iter(*first, text).any(|at| text[at..].starts_with(inside))
}

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

#[cfg(test)]
mod tests {
    use super::*;

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
