//! Key files: what is in them, and which are refused.

use std::fmt;

use sha2::{Digest, Sha256};
use thiserror::Error;
use zeroize::Zeroizing;

/// Bytes of a key file below which it is refused: 256 bits, since nothing stretches them (SPIPED.md section 3).
pub const KEY_FILE_MIN: usize = 32;

/// Bytes of a key file above which it is taken for some other file.
pub const KEY_FILE_MAX: usize = 64 * 1024;

/// Bits of a file's mode that let others than its owner do anything with it.
const OTHERS: u32 = 0o077;

/// Why a key file is refused. The text says what to do, and never what is in the file.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum KeyError {
    /// Others than the owner may read or write it.
    #[error(
        "its mode is {0:03o}: others than its owner have access; run `chmod 600` on it, and make a new key if they may have read it"
    )]
    Open(u32),
    /// There is nothing in it.
    #[error("it is empty; make a key with `pdw-proxy keygen`")]
    Empty,
    /// There is too little in it to be a secret.
    #[error("it has {0} bytes, a key needs {KEY_FILE_MIN} random ones; make one with `pdw-proxy keygen`")]
    Short(usize),
    /// There is too much in it.
    #[error("it has {0} bytes, a key file has at most {KEY_FILE_MAX}; is it the right file?")]
    Long(usize),
    /// It holds a node's identity, where a key that two ends share is wanted.
    #[error("it is an identity, which belongs to one node alone; name the key file that both ends have")]
    Identity,
    /// It holds something else, where a node's identity is wanted.
    #[error("it is no identity; make one with `pdw-proxy keygen identity`")]
    NoIdentity,
    /// What should be a public key is none.
    #[error("a public key has 64 hexadecimal digits, as `pdw-proxy keygen identity` prints them")]
    PublicKey,
}

/// Refuses a file that others may have read or written.
pub(crate) fn check_mode(mode: u32) -> Result<(), KeyError> {
    if mode & OTHERS == 0 { Ok(()) } else { Err(KeyError::Open(mode & 0o7777)) }
}

/// A secret that both ends of a connection have. It is wiped from memory when it is dropped, and never printed.
#[derive(Clone)]
pub struct Secret(Zeroizing<[u8; 32]>);

impl Secret {
    /// The secret in a key file with the content `bytes` and the permission bits `mode`. Every byte counts, a newline at
    /// the end too, as for spiped: `K = SHA256(file)`.
    ///
    /// # Errors
    /// Others have access to the file, or it is no key.
    pub fn from_file(bytes: &[u8], mode: u32) -> Result<Self, KeyError> {
        check_mode(mode)?;
        match bytes.len() {
            _ if bytes.starts_with(crate::identity::HEADER) => Err(KeyError::Identity),
            0 => Err(KeyError::Empty),
            few if few < KEY_FILE_MIN => Err(KeyError::Short(few)),
            many if many > KEY_FILE_MAX => Err(KeyError::Long(many)),
            _ => Ok(Self(Zeroizing::new(Sha256::digest(bytes).into()))),
        }
    }

    pub(crate) fn bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

/// The secrets of a connection. Two of them while one takes the other's place: the end that accepts is given the new key
/// as `current` and the old one as `previous` first, then the ends that open are given the new one.
#[derive(Clone, Debug)]
pub struct Keys {
    /// What the end that opens uses.
    pub current: Secret,
    /// What the end that accepts takes too.
    pub previous: Option<Secret>,
}

impl Keys {
    /// Both, the current one first.
    pub(crate) fn accepted(&self) -> impl Iterator<Item = &Secret> {
        std::iter::once(&self.current).chain(&self.previous)
    }
}

impl From<Secret> for Keys {
    fn from(current: Secret) -> Self {
        Self { current, previous: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_owner_may_have_access() {
        for mode in [0o640, 0o604, 0o620, 0o601, 0o100_644] {
            assert!(matches!(Secret::from_file(&[7; 32], mode), Err(KeyError::Open(_))), "{mode:o}");
        }
        for mode in [0o600, 0o400, 0o100_600] {
            assert!(Secret::from_file(&[7; 32], mode).is_ok(), "{mode:o}");
        }
    }

    #[test]
    fn a_file_that_cannot_be_a_key_is_refused() {
        let refused = |bytes: &[u8]| Secret::from_file(bytes, 0o600).unwrap_err();
        assert_eq!(refused(b""), KeyError::Empty);
        assert_eq!(refused(&[7; 31]), KeyError::Short(31));
        assert_eq!(refused(&[7; KEY_FILE_MAX + 1]), KeyError::Long(KEY_FILE_MAX + 1));
        assert_eq!(refused(crate::Identity::file_of(&[7; 32]).as_bytes()), KeyError::Identity);
    }

    #[test]
    fn every_byte_counts() {
        let of = |bytes: &[u8]| *Secret::from_file(bytes, 0o600).unwrap().bytes();
        assert_ne!(of(&[7; 32]), of(&[7; 33]));
        assert_ne!(of(b"a key that is long enough to be one"), of(b"a key that is long enough to be one\n"));
    }

    #[test]
    fn nothing_secret_is_printed() {
        let keys = Keys::from(Secret::from_file(&[7; 32], 0o600).unwrap());
        assert_eq!(format!("{keys:?}"), "Keys { current: Secret, previous: None }");
    }
}
