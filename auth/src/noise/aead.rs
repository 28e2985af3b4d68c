//! The two ciphers, with nonces as Noise counts them (section 12 of the specification).

use std::fmt;

use aws_lc_rs::aead::{AES_256_GCM, Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};
use zeroize::Zeroizing;

use super::Cipher;
use crate::SealError;

/// Bytes of a tag.
pub(super) const TAG: usize = 16;

const FAILED: SealError = SealError::Broken("the cipher");

/// A key of one of the ciphers. AWS-LC wipes it when it is dropped.
pub(super) struct Aead {
    cipher: Cipher,
    key: LessSafeKey,
}

impl Aead {
    pub(super) fn new(cipher: Cipher, key: &[u8; 32]) -> Result<Self, SealError> {
        let algorithm = match cipher {
            Cipher::ChaChaPoly => &CHACHA20_POLY1305,
            Cipher::AesGcm => &AES_256_GCM,
        };
        let key = UnboundKey::new(algorithm, key).map_err(|_| FAILED)?;
        Ok(Self { cipher, key: LessSafeKey::new(key) })
    }

    /// Encrypts in place; the tag belongs behind it.
    pub(super) fn seal(&self, number: u64, ad: &[u8], text: &mut [u8]) -> Result<[u8; TAG], SealError> {
        let tag = self.key.seal_in_place_separate_tag(self.nonce(number), Aad::from(ad), text);
        tag.ok().and_then(|tag| tag.as_ref().try_into().ok()).ok_or(FAILED)
    }

    /// Decrypts in place, the tag at the end, and returns what was inside. In constant time.
    pub(super) fn open<'a>(&self, number: u64, ad: &[u8], text: &'a mut [u8]) -> Result<&'a mut [u8], SealError> {
        self.key.open_in_place(self.nonce(number), Aad::from(ad), text).map_err(|_| SealError::Forged)
    }

    /// Noise's `REKEY`: the first 32 bytes of what encrypting 32 zeros with the last nonce gives.
    pub(super) fn rekey(&mut self) -> Result<(), SealError> {
        let mut key = Zeroizing::new([0; 32]);
        self.seal(u64::MAX, &[], &mut *key)?;
        *self = Self::new(self.cipher, &key)?;
        Ok(())
    }

    fn nonce(&self, number: u64) -> Nonce {
        let mut nonce = [0; 12];
        nonce[4..].copy_from_slice(&match self.cipher {
            Cipher::ChaChaPoly => number.to_le_bytes(),
            Cipher::AesGcm => number.to_be_bytes(),
        });
        Nonce::assume_unique_for_key(nonce)
    }
}

impl fmt::Debug for Aead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Aead({:?})", self.cipher)
    }
}
