//! Diffie-Hellman on Curve25519 (RFC 7748).

use aws_lc_rs::agreement::{PrivateKey, UnparsedPublicKey, X25519, agree};
use zeroize::Zeroizing;

/// The public key of a secret one.
pub(crate) fn public(secret: &[u8; 32]) -> Option<[u8; 32]> {
    let key = PrivateKey::from_private_key(&X25519, secret).ok()?;
    key.compute_public_key().ok()?.as_ref().try_into().ok()
}

/// What two keys agree on. `None` if the far end chose its key so that this is known to everybody.
pub(crate) fn shared(secret: &[u8; 32], far: &[u8; 32]) -> Option<Zeroizing<[u8; 32]>> {
    let key = PrivateKey::from_private_key(&X25519, secret).ok()?;
    agree(&key, UnparsedPublicKey::new(&X25519, far), (), |shared| {
        shared.try_into().map(Zeroizing::new).map_err(|_| ())
    })
    .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ends_agree_and_a_key_of_low_order_is_refused() {
        let [a, b] = [[3; 32], [5; 32]];
        let [public_a, public_b] = [a, b].map(|secret| public(&secret).unwrap());
        assert_eq!(shared(&a, &public_b), shared(&b, &public_a));
        assert!(shared(&a, &public_b).is_some());
        assert_eq!(shared(&a, &[0; 32]), None);
    }
}
