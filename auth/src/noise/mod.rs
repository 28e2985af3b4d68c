//! The seal between proxies: the Noise protocol framework, revision 34, with a key that both ends have.
//!
//! `Noise_NNpsk0_25519_ChaChaPoly_BLAKE2s`, or `KKpsk0` where nodes have identities, or `AESGCM` where both machines do
//! AES in wide registers. One round trip: two messages of 48 bytes without a length, then records (see `record.rs` and
//! [`RECORD`]). Nothing is negotiated, so nothing can be talked down: both ends are configured alike.
//!
//! The pre-shared key is `HKDF-SHA256(ikm = SHA256(key file), info = "pdw-proxy/noise-psk/1")`: one key file can serve a
//! spiped link too without the one telling anything of the other.

mod aead;
mod handshake;
mod record;
mod resolver;
#[cfg(test)]
mod stock;
pub(crate) mod x25519;

use std::num::NonZeroU16;
use std::sync::Arc;

use crate::{Handshake, Identity, Keys, PublicKey, Role};

/// Bytes of a full record as this end sends it, its length included; four of them fill a read of 64 KiB. A record of the
/// far end may have up to 65,537.
///
/// A record is `length ‖ ciphertext ‖ tag`: the length of what follows, in two bytes, big-endian; then a transport message
/// of Noise, without associated data, whose plaintext is `data ‖ zeros ‖ length of data in two bytes, big-endian`.
///
/// The first record of the end that opens is without data: it shows the other end, which could have been answering a
/// repeated first message, that somebody with the key is there now. Any later record without data is the end of the
/// stream; a connection that closes without it was cut.
pub const RECORD: usize = 16 * 1024;

/// Bytes of the first message, with which the end that opens begins, and then waits: a public key and a tag.
pub const BEGINNING: usize = 48;

/// A direction's key is replaced (`REKEY` of Noise, section 4.2; the nonce goes on) behind each record with which so many
/// were sealed under it. Both ends count.
pub const REKEY_RECORDS: u64 = 1 << 16;

/// As [`REKEY_RECORDS`], but for bytes of ciphertext and tags, whichever comes first.
pub const REKEY_BYTES: u64 = 1 << 30;

/// The far ends that one end with an identity may know: a stranger costs it two Diffie-Hellmans for each.
pub const PEERS_MAX: usize = 16;

/// What encrypts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Cipher {
    /// ChaCha20-Poly1305: fast everywhere.
    #[default]
    ChaChaPoly,
    /// AES-256-GCM: several times faster where the processor has VAES, slow where it has no AES at all.
    AesGcm,
}

/// Names that both ends have to give alike, bound into the handshake: a connection that was meant for another link or
/// another node is refused, even where one key serves many. Empty ones are alike too.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names {
    /// The link.
    pub link: String,
    /// The node that opens it; left empty where many nodes open to one address with one key.
    pub opener: String,
    /// The node that accepts it.
    pub accepter: String,
}

/// Which nodes speak to each other, where a shared key is not enough.
#[derive(Clone, Debug)]
pub struct Peers {
    /// This node.
    pub own: Identity,
    /// The far node; for an end that accepts any of these, at most [`PEERS_MAX`]. An end that opens uses the first.
    pub far: Vec<PublicKey>,
}

/// How a listener or an upstream is sealed.
#[derive(Clone, Debug)]
pub struct Settings {
    /// What the far end has to have.
    pub keys: Keys,
    /// What encrypts.
    pub cipher: Cipher,
    /// With it `KKpsk0`, without it `NNpsk0`.
    pub peers: Option<Peers>,
    /// What is bound into the handshake.
    pub names: Names,
    /// Records are padded to a multiple of this, as far as [`RECORD`] allows, so that a watcher learns less of what is
    /// inside. The far end need not do it too.
    pub pad_to: Option<NonZeroU16>,
}

impl Settings {
    /// The defaults, with these keys.
    pub fn new(keys: Keys) -> Self {
        Self { keys, cipher: Cipher::default(), peers: None, names: Names::default(), pad_to: None }
    }
}

/// Begins a handshake. `ephemeral` is 32 random bytes that were never used before.
pub fn begin(role: Role, settings: Arc<Settings>, ephemeral: [u8; 32]) -> Box<dyn Handshake> {
    Box::new(handshake::Noise::new(role, settings, ephemeral))
}
