//! The key hashes of twemproxy, bit for bit, for placement `ketama`.
//!
//! Source: the files `nc_*.c` of twemproxy 0.5.0's hashkit, and the running program (`tests/tests/placement`).
//! Several of them read the key as `char`, which is signed on x86: bytes above 127 are sign-extended. On a platform
//! with an unsigned `char` twemproxy itself would place such keys elsewhere; this is its behaviour on x86.

use std::fmt;
use std::str::FromStr;

use md5::{Digest, Md5};

use super::crc16;

/// How placement `ketama` turns a key into a point of the ring; the names are those of twemproxy's option `hash`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum KeyHash {
    /// Bob Jenkins's one-at-a-time hash.
    OneAtATime,
    /// The first four bytes of the MD5 digest, little-endian.
    Md5,
    /// CRC-16/XMODEM with a 32-bit register whose upper half is kept.
    Crc16,
    /// Fifteen bits of the CRC-32, as libmemcached computes it: all keys fall on a tiny part of the ring.
    Crc32,
    /// CRC-32/IEEE.
    Crc32a,
    /// The low half of FNV-1 64.
    Fnv1_64,
    /// FNV-1a with the low halves of the 64-bit offset and prime: twemproxy's default.
    #[default]
    Fnv1a64,
    /// FNV-1 32.
    Fnv1_32,
    /// FNV-1a 32.
    Fnv1a32,
    /// Paul Hsieh's SuperFastHash.
    Hsieh,
    /// MurmurHash2, seeded with the key's length.
    Murmur,
    /// Bob Jenkins's lookup3, as libmemcached seeds it.
    Jenkins,
}

const NAMES: [(KeyHash, &str); 12] = [
    (KeyHash::OneAtATime, "one_at_a_time"),
    (KeyHash::Md5, "md5"),
    (KeyHash::Crc16, "crc16"),
    (KeyHash::Crc32, "crc32"),
    (KeyHash::Crc32a, "crc32a"),
    (KeyHash::Fnv1_64, "fnv1_64"),
    (KeyHash::Fnv1a64, "fnv1a_64"),
    (KeyHash::Fnv1_32, "fnv1_32"),
    (KeyHash::Fnv1a32, "fnv1a_32"),
    (KeyHash::Hsieh, "hsieh"),
    (KeyHash::Murmur, "murmur"),
    (KeyHash::Jenkins, "jenkins"),
];

impl KeyHash {
    /// Every hash, in twemproxy's order.
    pub fn all() -> impl Iterator<Item = KeyHash> {
        NAMES.iter().map(|(hash, _)| *hash)
    }

    /// The hash of `bytes`. An empty key has hash 0, as in twemproxy.
    pub(super) fn digest(self, bytes: &[u8]) -> u32 {
        if bytes.is_empty() {
            return 0;
        }
        match self {
            Self::OneAtATime => one_at_a_time(bytes),
            Self::Md5 => md5_word(bytes, 0),
            Self::Crc16 => crc16::register(bytes),
            Self::Crc32 => (crc32fast::hash(bytes) >> 16) & 0x7FFF,
            Self::Crc32a => crc32fast::hash(bytes),
            Self::Fnv1_64 => fnv1(bytes, FNV_64),
            Self::Fnv1a64 => fnv1a(bytes, FNV_64),
            Self::Fnv1_32 => fnv1(bytes, FNV_32),
            Self::Fnv1a32 => fnv1a(bytes, FNV_32),
            Self::Hsieh => hsieh(bytes),
            Self::Murmur => murmur(bytes),
            Self::Jenkins => jenkins(bytes),
        }
    }
}

impl fmt::Display for KeyHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = NAMES.iter().find(|(hash, _)| hash == self).map_or("", |(_, name)| name);
        f.write_str(name)
    }
}

/// A hash name that twemproxy does not have.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "unknown hash {0:?}: use one of one_at_a_time, md5, crc16, crc32, crc32a, fnv1_64, fnv1a_64, fnv1_32, fnv1a_32, hsieh, murmur, jenkins (twemproxy's default is fnv1a_64)"
)]
pub struct UnknownKeyHash(pub String);

impl FromStr for KeyHash {
    type Err = UnknownKeyHash;

    fn from_str(text: &str) -> Result<Self, UnknownKeyHash> {
        let row = NAMES.iter().find(|(_, name)| *name == text);
        row.map(|(hash, _)| *hash).ok_or_else(|| UnknownKeyHash(text.to_owned()))
    }
}

/// A byte as C's signed `char`, converted to an unsigned word.
fn signed(byte: u8) -> u32 {
    byte as i8 as u32
}

fn word16(bytes: &[u8]) -> u32 {
    bytes.iter().take(2).rev().fold(0, |word, byte| word << 8 | u32::from(*byte))
}

/// Up to four bytes, little-endian.
fn word32(bytes: &[u8]) -> u32 {
    bytes.iter().take(4).rev().fold(0, |word, byte| word << 8 | u32::from(*byte))
}

/// Word number `index` (0 to 3) of the MD5 digest, little-endian: the key hash is word 0, a ketama label gives four points.
pub(super) fn md5_word(bytes: &[u8], index: usize) -> u32 {
    word32(&Md5::digest(bytes)[index * 4..])
}

fn one_at_a_time(bytes: &[u8]) -> u32 {
    let mixed = bytes.iter().fold(0u32, |hash, byte| {
        let hash = hash.wrapping_add(signed(*byte));
        let hash = hash.wrapping_add(hash << 10);
        hash ^ (hash >> 6)
    });
    let hash = mixed.wrapping_add(mixed << 3);
    let hash = hash ^ (hash >> 11);
    hash.wrapping_add(hash << 15)
}

/// Offset basis and prime.
type Fnv = (u32, u32);

/// The low halves of the 64-bit constants suffice: twemproxy keeps only the low half of the result.
const FNV_64: Fnv = (0x8422_2325, 0x0000_01B3);
const FNV_32: Fnv = (0x811C_9DC5, 0x0100_0193);

fn fnv1(bytes: &[u8], (basis, prime): Fnv) -> u32 {
    bytes.iter().fold(basis, |hash, byte| hash.wrapping_mul(prime) ^ signed(*byte))
}

fn fnv1a(bytes: &[u8], (basis, prime): Fnv) -> u32 {
    bytes.iter().fold(basis, |hash, byte| (hash ^ signed(*byte)).wrapping_mul(prime))
}

fn hsieh(bytes: &[u8]) -> u32 {
    let (words, tail) = bytes.as_chunks::<4>();
    let mut hash = words.iter().fold(0u32, |hash, word| {
        let hash = hash.wrapping_add(word16(word));
        let hash = (hash << 16) ^ (word16(&word[2..]) << 11) ^ hash;
        hash.wrapping_add(hash >> 11)
    });
    hash = hsieh_tail(hash, tail);
    hash ^= hash << 3;
    hash = hash.wrapping_add(hash >> 5);
    hash ^= hash << 4;
    hash = hash.wrapping_add(hash >> 17);
    hash ^= hash << 25;
    hash.wrapping_add(hash >> 6)
}

fn hsieh_tail(hash: u32, tail: &[u8]) -> u32 {
    let sum = hash.wrapping_add(word16(tail));
    match tail {
        [_] => halved(sum ^ (sum << 10), 1),
        [_, _] => halved(sum ^ (sum << 11), 17),
        [_, _, last] => halved(sum ^ (sum << 16) ^ (signed(*last) << 18), 11),
        _ => hash,
    }
}

fn halved(hash: u32, bits: u32) -> u32 {
    hash.wrapping_add(hash >> bits)
}

fn murmur(bytes: &[u8]) -> u32 {
    const MULTIPLIER: u32 = 0x5BD1_E995;
    let length = bytes.len() as u32;
    let seed = 0xDEAD_BEEFu32.wrapping_mul(length) ^ length;
    let (words, tail) = bytes.as_chunks::<4>();
    let mut hash = words.iter().fold(seed, |hash, word| {
        let word = word32(word).wrapping_mul(MULTIPLIER);
        let word = (word ^ (word >> 24)).wrapping_mul(MULTIPLIER);
        hash.wrapping_mul(MULTIPLIER) ^ word
    });
    if !tail.is_empty() {
        hash = (hash ^ word32(tail)).wrapping_mul(MULTIPLIER);
    }
    hash = (hash ^ (hash >> 13)).wrapping_mul(MULTIPLIER);
    hash ^ (hash >> 15)
}

fn jenkins(bytes: &[u8]) -> u32 {
    let start = 0xDEAD_BEEFu32.wrapping_add(bytes.len() as u32).wrapping_add(13);
    let mut state = [start; 3];
    let mut rest = bytes;
    // The last block, even a full one, takes the final mixing instead.
    while let Some((block, after)) = rest.split_at_checked(12).filter(|(_, after)| !after.is_empty()) {
        state = jenkins_mix(jenkins_add(state, block));
        rest = after;
    }
    jenkins_final(jenkins_add(state, rest))
}

fn jenkins_add(state: [u32; 3], block: &[u8]) -> [u32; 3] {
    let word = |at: usize| word32(block.get(at..).unwrap_or_default());
    [state[0].wrapping_add(word(0)), state[1].wrapping_add(word(4)), state[2].wrapping_add(word(8))]
}

fn jenkins_mix([mut a, mut b, mut c]: [u32; 3]) -> [u32; 3] {
    for (first, second, third) in [(4, 6, 8), (16, 19, 4)] {
        a = a.wrapping_sub(c) ^ c.rotate_left(first);
        c = c.wrapping_add(b);
        b = b.wrapping_sub(a) ^ a.rotate_left(second);
        a = a.wrapping_add(c);
        c = c.wrapping_sub(b) ^ b.rotate_left(third);
        b = b.wrapping_add(a);
    }
    [a, b, c]
}

fn jenkins_final([mut a, mut b, mut c]: [u32; 3]) -> u32 {
    let step = |target: u32, source: u32, bits: u32| (target ^ source).wrapping_sub(source.rotate_left(bits));
    c = step(c, b, 14);
    a = step(a, c, 11);
    b = step(b, a, 25);
    c = step(c, b, 16);
    a = step(a, c, 4);
    b = step(b, a, 14);
    step(c, b, 24)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn published_check_values_hold() {
        for (hash, input, digest) in [
            (KeyHash::Crc32a, "123456789", 0xCBF4_3926),
            (KeyHash::Fnv1a32, "foobar", 0xBF9C_F968),
            (KeyHash::Fnv1_32, "foobar", 0x31F0_B262),
            (KeyHash::Fnv1_64, "foobar", 0x340D_8765_A4DD_A9C2u64 as u32),
            (KeyHash::Fnv1a64, "foobar", 0x8594_4171_F739_67E8u64 as u32),
            (KeyHash::OneAtATime, "The quick brown fox jumps over the lazy dog", 0x519E_91F5),
            (KeyHash::Md5, "abc", 0x9850_0190),
        ] {
            assert_eq!(hash.digest(input.as_bytes()), digest, "{hash} {input}");
        }
    }

    #[test]
    fn names_are_twemproxys_and_read_back() {
        for hash in KeyHash::all() {
            assert_eq!(hash.to_string().parse(), Ok(hash));
        }
        assert_eq!(KeyHash::default().to_string(), "fnv1a_64");
        let error = "sha1".parse::<KeyHash>().unwrap_err().to_string();
        assert!(error.contains("sha1") && error.contains("murmur"), "{error}");
    }

    #[test]
    fn an_empty_key_has_hash_zero() {
        assert!(KeyHash::all().all(|hash| hash.digest(b"") == 0));
    }
}
