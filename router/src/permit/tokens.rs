//! What Redis's glob patterns consist of.

/// Some bytes, a bit for each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Set(Box<[u64; 4]>);

impl Set {
    /// Whether a byte is one of them.
    pub(super) fn has(&self, byte: u8) -> bool {
        self.0[usize::from(byte / 64)] >> (byte % 64) & 1 == 1
    }
}

/// One element of a pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Token {
    /// This byte.
    Byte(u8),
    /// `?`: any byte.
    One,
    /// `[...]`: one of these bytes.
    Set(Set),
    /// `*`: any number of bytes.
    Star,
}

impl Token {
    /// The first element of a pattern that is not empty, and what follows it.
    fn read(pattern: &[u8]) -> (Self, &[u8]) {
        match *pattern {
            [b'*', ref after @ ..] => (Self::Star, after),
            [b'?', ref after @ ..] => (Self::One, after),
            [b'[', ref inside @ ..] => read_set(inside),
            [b'\\', byte, ref after @ ..] | [byte, ref after @ ..] => (Self::Byte(byte), after),
            [] => (Self::Star, pattern),
        }
    }

    /// Whether it takes this byte.
    pub(super) fn fits(&self, byte: u8) -> bool {
        match self {
            Self::Byte(wanted) => *wanted == byte,
            Self::Set(set) => set.has(byte),
            Self::One | Self::Star => true,
        }
    }

    pub(super) fn is_star(&self) -> bool {
        *self == Self::Star
    }

    /// The only byte that it takes, if there is just one.
    pub(super) fn byte(&self) -> Option<u8> {
        if let Self::Byte(byte) = self { Some(*byte) } else { None }
    }
}

/// The elements of a pattern.
pub(super) fn tokens(mut pattern: &[u8]) -> Vec<Token> {
    let mut tokens = Vec::new();
    while !pattern.is_empty() {
        let (token, after) = Token::read(pattern);
        pattern = after;
        // Two stars fit what one does.
        if !token.is_star() || tokens.last() != Some(&Token::Star) {
            tokens.push(token);
        }
    }
    tokens
}

/// The set whose inside begins here, and what follows it.
fn read_set(mut inside: &[u8]) -> (Token, &[u8]) {
    let negated = inside.first() == Some(&b'^');
    inside = &inside[usize::from(negated)..];
    let mut bits = [if negated { u64::MAX } else { 0 }; 4];
    let mut found = Vec::new();
    let after = loop {
        match *inside {
            [] => break inside,
            [b']', ..] => break &inside[1..],
            [b'\\', escaped, ..] => {
                found.push(escaped);
                inside = &inside[2..];
            }
            [low, b'-', high, ..] => {
                let (low, high) = (low as i8, high as i8);
                found.extend((low.min(high)..=low.max(high)).map(|byte| byte as u8));
                inside = &inside[3..];
            }
            [other, ..] => {
                found.push(other);
                inside = &inside[1..];
            }
        }
    };
    for byte in found {
        let (word, bit) = (&mut bits[usize::from(byte / 64)], 1 << (byte % 64));
        *word = if negated { *word & !bit } else { *word | bit };
    }
    (Token::Set(Set(Box::new(bits))), after)
}
