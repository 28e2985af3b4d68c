//! Keys derived of the shared secret (sections 4.2 and 4.8).

use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use zeroize::Zeroizing;

use super::group::Number;
use super::packet::Direction;
use super::{MAC, NONCE};
use crate::{Role, Secret};

/// HMAC-SHA256 under a key that is given once. It is wiped when it is dropped.
pub(super) type Authenticator = Hmac<Sha256>;

/// An authenticator with the key `key`.
pub(super) fn authenticator(key: &[u8; MAC]) -> Authenticator {
    let mut block = Zeroizing::new([0; 64]);
    block[..MAC].copy_from_slice(key);
    Authenticator::new((&*block).into())
}

/// PBKDF2-HMAC-SHA256 with one iteration: H(K; salt, 1), H(K; salt, 2) ... in as many pieces as are wanted.
fn derive<const PIECES: usize>(secret: &Secret, salt: &[&[u8]]) -> [Zeroizing<[u8; MAC]>; PIECES] {
    let mut salted = authenticator(secret.bytes());
    salt.iter().for_each(|part| salted.update(part));
    let mut block = 0_u32;
    std::array::from_fn(|_| {
        block += 1;
        Zeroizing::new(salted.clone().chain_update(block.to_be_bytes()).finalize().into_bytes().into())
    })
}

/// Both nonces, the one of the end that opens first.
#[derive(Clone, Copy, Debug)]
pub(super) struct Nonces {
    opener: [u8; NONCE],
    accepter: [u8; NONCE],
}

impl Nonces {
    pub(super) fn new(role: Role, near: [u8; NONCE], far: [u8; NONCE]) -> Self {
        match role {
            Role::Opens => Self { opener: near, accepter: far },
            Role::Accepts => Self { opener: far, accepter: near },
        }
    }
}

/// What one secret makes of the nonces: which MACs the two ends put on their numbers.
pub(super) struct Introduction {
    secret: Secret,
    nonces: Nonces,
    near: Authenticator,
    far: Authenticator,
}

impl Introduction {
    pub(super) fn new(role: Role, secret: &Secret, nonces: Nonces) -> Self {
        let [opener, accepter] = derive(secret, &[&nonces.opener, &nonces.accepter]);
        let [opener, accepter] = [opener, accepter].map(|key| authenticator(&key));
        let (near, far) = by_role(role, opener, accepter);
        Self { secret: secret.clone(), nonces, near, far }
    }

    /// The MAC of this end's number.
    pub(super) fn sign(&self, y: &Number) -> [u8; MAC] {
        self.near.clone().chain_update(y).finalize().into_bytes().into()
    }

    /// Whether the far end has the secret, in constant time.
    pub(super) fn is_signed(&self, y: &Number, mac: &[u8; MAC]) -> bool {
        self.far.clone().chain_update(y).verify(mac.into()).is_ok()
    }

    /// What seals this end's packets, and what opens the far end's. `agreed` is y_SC.
    pub(super) fn directions(&self, role: Role, agreed: &Number) -> (Direction, Direction) {
        let salt: [&[u8]; 3] = [&self.nonces.opener, &self.nonces.accepter, agreed];
        let [e_opener, h_opener, e_accepter, h_accepter] = derive(&self.secret, &salt);
        let [opener, accepter] = [(e_opener, h_opener), (e_accepter, h_accepter)];
        let [opener, accepter] = [opener, accepter].map(|(e, h)| Direction::new(&e, &h));
        by_role(role, opener, accepter)
    }
}

impl fmt::Debug for Introduction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Introduction")
    }
}

/// Near and far of what belongs to the two ends.
fn by_role<T>(role: Role, opener: T, accepter: T) -> (T, T) {
    match role {
        Role::Opens => (opener, accepter),
        Role::Accepts => (accepter, opener),
    }
}

#[cfg(test)]
mod tests {
    use zeroize::ZeroizeOnDrop;

    use super::*;

    /// Compiles only with feature `zeroize` of each of the crates.
    #[test]
    fn keys_are_wiped_when_they_are_dropped() {
        fn wiped<T: ZeroizeOnDrop>() {}
        // An authenticator is two of these, begun.
        wiped::<Sha256>();
        wiped::<aes::Aes256>();
        wiped::<Zeroizing<Number>>();
    }
}
