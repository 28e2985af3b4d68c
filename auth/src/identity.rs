//! A node's identity: a Diffie-Hellman key of its own, whose public half others know it by.

use std::fmt;

use zeroize::Zeroizing;

use crate::key::{KeyError, check_mode};
use crate::noise::x25519;

/// How the file of an identity begins, so that it is not taken for a key that two ends share.
pub(crate) const HEADER: &[u8] = b"pdw-proxy identity 1\n";

/// The public half of a node's [`Identity`].
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct PublicKey([u8; 32]);

impl PublicKey {
    pub(crate) fn bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({self})")
    }
}

impl std::str::FromStr for PublicKey {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        let bytes = hexadecimal(text.as_bytes()).ok_or(KeyError::PublicKey)?;
        Ok(Self(*bytes))
    }
}

/// The secret half of a node's identity. It is wiped from memory when it is dropped, and never printed.
#[derive(Clone)]
pub struct Identity {
    secret: Zeroizing<[u8; 32]>,
    public: PublicKey,
}

impl Identity {
    /// What to write into the file of a new identity, from 32 random bytes.
    pub fn file_of(random: &[u8; 32]) -> Zeroizing<String> {
        let mut text = Zeroizing::new(String::with_capacity(HEADER.len() + 65));
        text.extend(HEADER.iter().map(|byte| char::from(*byte)));
        let digits = random.iter().flat_map(|byte| [byte >> 4, byte & 15]);
        text.extend(digits.filter_map(|digit| char::from_digit(digit.into(), 16)));
        text.push('\n');
        text
    }

    /// The identity in a file with the content `bytes` and the permission bits `mode`.
    ///
    /// # Errors
    /// Others have access to the file, or it holds no identity.
    pub fn from_file(bytes: &[u8], mode: u32) -> Result<Self, KeyError> {
        check_mode(mode)?;
        let digits = bytes.strip_prefix(HEADER).map(<[u8]>::trim_ascii_end);
        let secret = digits.and_then(hexadecimal).ok_or(KeyError::NoIdentity)?;
        let public = x25519::public(&secret).ok_or(KeyError::NoIdentity)?;
        Ok(Self { secret, public: PublicKey(public) })
    }

    /// The half that other nodes are given.
    pub fn public(&self) -> PublicKey {
        self.public
    }

    pub(crate) fn secret(&self) -> &[u8; 32] {
        &self.secret
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Identity({})", self.public)
    }
}

/// 32 bytes from 64 digits.
fn hexadecimal(digits: &[u8]) -> Option<Zeroizing<[u8; 32]>> {
    let mut bytes = Zeroizing::new([0; 32]);
    let (pairs, odd) = digits.as_chunks::<2>();
    if pairs.len() != bytes.len() || !odd.is_empty() {
        return None;
    }
    let value = |digit: u8| char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok());
    for (byte, [high, low]) in bytes.iter_mut().zip(pairs) {
        *byte = value(*high)? << 4 | value(*low)?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identity_outlives_its_file() {
        let file = Identity::file_of(&[0xa7; 32]);
        let identity = Identity::from_file(file.as_bytes(), 0o600).unwrap();
        assert_eq!(*identity.secret(), [0xa7; 32]);
        assert_eq!(identity.public().to_string().parse(), Ok(identity.public()));
    }

    /// RFC 7748, section 6.1: Alice's keys.
    #[test]
    fn the_public_half_is_that_of_x25519() {
        let secret = b"77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a";
        let identity = Identity::from_file(&[HEADER, secret].concat(), 0o600).unwrap();
        let public = "8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a";
        assert_eq!(identity.public().to_string(), public);
        assert_eq!(format!("{identity:?}"), format!("Identity({public})"));
    }

    #[test]
    fn what_is_no_identity_is_refused() {
        let file = Identity::file_of(&[0xa7; 32]);
        let refused = |bytes: &[u8], mode| Identity::from_file(bytes, mode).unwrap_err();
        assert_eq!(refused(file.as_bytes(), 0o640), KeyError::Open(0o640));
        for bytes in
            [&b""[..], &[7; 32], &file.as_bytes()[..file.len() - 2], &file.replace("a7a7", "a7x7").into_bytes()]
        {
            assert_eq!(refused(bytes, 0o600), KeyError::NoIdentity);
        }
        assert_eq!("a7".parse::<PublicKey>(), Err(KeyError::PublicKey));
    }
}
