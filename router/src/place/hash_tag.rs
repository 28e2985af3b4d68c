//! Hash tags: the part of a key that decides its home.

use memchr::memchr;

/// The delimiters of Redis Cluster and of pdwfs.
pub(super) const BRACES: [u8; 2] = *b"{}";

/// The bytes between the first opening delimiter and the first closing one after it, or the whole key
/// when there is no such pair or nothing in between.
///
/// Redis Cluster, pdwfs (PDWFS.md section 2) and twemproxy (`hash_tag`) agree on this rule; twemproxy lets
/// the operator choose the delimiters, which may be equal.
pub(super) fn hashed_part(key: &[u8], [open, close]: [u8; 2]) -> &[u8] {
    let Some(opening) = memchr(open, key) else { return key };
    let rest = &key[opening + 1..];
    match memchr(close, rest) {
        None | Some(0) => key,
        Some(length) => &rest[..length],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_pair_with_something_in_it_decides() {
        for (key, part) in [
            ("{/m/d/f}:children", "/m/d/f"),
            ("/m/{a}/f:7", "a"),
            ("{/m/x}y}:mode", "/m/x"),
            ("a{{b}c", "{b"),
            ("}a{b}c", "b"),
            ("{a}{b}", "a"),
        ] {
            assert_eq!(hashed_part(key.as_bytes(), BRACES), part.as_bytes(), "{key}");
        }
    }

    #[test]
    fn without_a_pair_or_with_an_empty_first_one_the_whole_key_counts() {
        for key in ["", "{", "}", "{}", "/m/{}/f:7", "{}{a}", "a}b{c", "{abc", "abc}"] {
            assert_eq!(hashed_part(key.as_bytes(), BRACES), key.as_bytes(), "{key}");
        }
    }

    #[test]
    fn delimiters_may_be_any_two_bytes_even_equal_ones() {
        assert_eq!(hashed_part(b"a|tag|b", *b"||"), b"tag");
        assert_eq!(hashed_part(b"a||b|c", *b"||"), b"a||b|c");
        assert_eq!(hashed_part(b"<{x}>", *b"<>"), b"{x}");
    }
}
