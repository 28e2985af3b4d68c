//! Passwords, of which only hashes are kept.

use pdw_router::PasswordHash;
use sha2::{Digest, Sha256};

/// SHA-256 of a password, as Redis hashes it.
pub(super) fn hash(password: &[u8]) -> PasswordHash {
    Sha256::digest(password).into()
}

/// A hash from its 64 lower-case hexadecimal digits.
pub(super) fn from_hex(text: &str) -> Option<PasswordHash> {
    let digits = text.as_bytes();
    let mut hash = PasswordHash::default();
    if digits.len() != 2 * hash.len() {
        return None;
    }
    for (byte, pair) in hash.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(hash)
}

fn digit(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    }
}

/// The 64 hexadecimal digits of a hash.
pub(super) fn to_hex(hash: &PasswordHash) -> String {
    hash.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Whether two hashes are equal, in a time that does not tell where they differ.
pub(super) fn are_equal(a: &PasswordHash, b: &PasswordHash) -> bool {
    let difference = a.iter().zip(b).fold(0, |all, (a, b)| all | (a ^ b));
    std::hint::black_box(difference) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_those_of_redis() {
        let digits = "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881";
        assert_eq!(to_hex(&hash(b"x")), digits);
        assert_eq!(from_hex(digits), Some(hash(b"x")));
        assert_eq!(from_hex(&digits.to_uppercase()), None);
        assert_eq!(from_hex(&digits[1..]), None);
        assert!(are_equal(&hash(b"x"), &hash(b"x")) && !are_equal(&hash(b"x"), &hash(b"y")));
    }
}
