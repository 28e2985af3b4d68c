//! What `snow` computes with: AWS-LC for numbers and ciphers, which is faster than what it brings and wipes its keys, and
//! a secret of the driver's instead of entropy.

use blake2::{Blake2s256, Digest};
use snow::Error;
use snow::params::{CipherChoice, DHChoice, HashChoice};
use snow::resolvers::CryptoResolver;
use snow::types::{Cipher, Dh, Hash, Random};
use zeroize::Zeroizing;

use super::aead::{Aead, TAG};
use super::x25519;

/// For one handshake: `ephemeral` is handed out once.
pub(super) struct Resolver {
    pub(super) ephemeral: Zeroizing<[u8; 32]>,
}

impl CryptoResolver for Resolver {
    fn resolve_rng(&self) -> Option<Box<dyn Random>> {
        Some(Box::new(Once(Some(self.ephemeral.clone()))))
    }

    fn resolve_dh(&self, choice: &DHChoice) -> Option<Box<dyn Dh>> {
        matches!(choice, DHChoice::Curve25519).then(|| Box::<Curve25519>::default() as Box<dyn Dh>)
    }

    fn resolve_hash(&self, choice: &HashChoice) -> Option<Box<dyn Hash>> {
        matches!(choice, HashChoice::Blake2s).then(|| Box::<Blake2s>::default() as Box<dyn Hash>)
    }

    fn resolve_cipher(&self, choice: &CipherChoice) -> Option<Box<dyn Cipher>> {
        let cipher = match choice {
            CipherChoice::ChaChaPoly => super::Cipher::ChaChaPoly,
            CipherChoice::AESGCM => super::Cipher::AesGcm,
        };
        Some(Box::new(HandshakeCipher { cipher, aead: None }))
    }
}

/// Randomness for exactly one secret key.
struct Once(Option<Zeroizing<[u8; 32]>>);

impl Random for Once {
    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Error> {
        let bytes = self.0.take().filter(|bytes| bytes.len() == out.len()).ok_or(Error::Rng)?;
        out.copy_from_slice(&*bytes);
        Ok(())
    }
}

/// A key pair.
#[derive(Default)]
struct Curve25519 {
    secret: Zeroizing<[u8; 32]>,
    public: [u8; 32],
}

impl Dh for Curve25519 {
    fn name(&self) -> &'static str {
        "25519"
    }

    fn pub_len(&self) -> usize {
        32
    }

    fn priv_len(&self) -> usize {
        32
    }

    /// Of a secret that is none the public half stays 0, with which nobody agrees on anything.
    fn set(&mut self, secret: &[u8]) {
        if let Ok(secret) = secret.try_into() {
            self.secret = Zeroizing::new(secret);
            self.public = x25519::public(&self.secret).unwrap_or_default();
        }
    }

    fn generate(&mut self, random: &mut dyn Random) -> Result<(), Error> {
        random.try_fill_bytes(&mut *self.secret)?;
        self.public = x25519::public(&self.secret).ok_or(Error::Dh)?;
        Ok(())
    }

    fn pubkey(&self) -> &[u8] {
        &self.public
    }

    fn privkey(&self) -> &[u8] {
        &*self.secret
    }

    fn dh(&self, far: &[u8], out: &mut [u8]) -> Result<(), Error> {
        let far = far.first_chunk().ok_or(Error::Dh)?;
        let shared = x25519::shared(&self.secret, far).ok_or(Error::Dh)?;
        out.get_mut(..shared.len()).ok_or(Error::Dh)?.copy_from_slice(&*shared);
        Ok(())
    }
}

/// A cipher that encrypts nothing but a handshake's tags.
struct HandshakeCipher {
    cipher: super::Cipher,
    aead: Option<Aead>,
}

impl Cipher for HandshakeCipher {
    fn name(&self) -> &'static str {
        match self.cipher {
            super::Cipher::ChaChaPoly => "ChaChaPoly",
            super::Cipher::AesGcm => "AESGCM",
        }
    }

    fn set(&mut self, key: &[u8; 32]) {
        self.aead = Aead::new(self.cipher, key).ok();
    }

    /// Should it fail, zeros are sent, which open nowhere.
    fn encrypt(&self, nonce: u64, ad: &[u8], text: &[u8], out: &mut [u8]) -> usize {
        let (body, tail) = out.split_at_mut(text.len());
        body.copy_from_slice(text);
        let tag = self.aead.as_ref().and_then(|aead| aead.seal(nonce, ad, body).ok());
        if tag.is_none() {
            body.fill(0);
        }
        tail[..TAG].copy_from_slice(&tag.unwrap_or_default());
        text.len() + TAG
    }

    fn decrypt(&self, nonce: u64, ad: &[u8], sealed: &[u8], out: &mut [u8]) -> Result<usize, Error> {
        let mut sealed = Zeroizing::new(sealed.to_vec());
        let aead = self.aead.as_ref().ok_or(Error::Decrypt)?;
        let text = aead.open(nonce, ad, &mut sealed).map_err(|_| Error::Decrypt)?;
        out.get_mut(..text.len()).ok_or(Error::Decrypt)?.copy_from_slice(text);
        Ok(text.len())
    }
}

/// The hash BLAKE2s.
#[derive(Default)]
struct Blake2s(Blake2s256);

impl Hash for Blake2s {
    fn name(&self) -> &'static str {
        "BLAKE2s"
    }

    fn block_len(&self) -> usize {
        64
    }

    fn hash_len(&self) -> usize {
        32
    }

    fn reset(&mut self) {
        self.0.reset();
    }

    fn input(&mut self, data: &[u8]) {
        self.0.update(data);
    }

    fn result(&mut self, out: &mut [u8]) {
        let hash = self.0.finalize_reset();
        out[..hash.len()].copy_from_slice(&hash);
    }
}
