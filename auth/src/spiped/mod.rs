//! The seal that Tarsnap's `spiped` puts on a connection, both roles, byte for byte.
//!
//! The wire is described in SPIPED.md (the sections named here are its); all releases from 1.0 to 1.6.4 speak it.
//! [`Role::Opens`](crate::Role) is `spiped -e`, [`Role::Accepts`](crate::Role) is `spiped -d`. Two round trips, 320 bytes each
//! way, then packets of 1,060 bytes for up to 1,024 of data. The far end's FIN is the end; nothing protects it, so
//! somebody on the way can cut the stream between two packets unnoticed (section 6).
//!
//! Everybody who has the key may be either end, and there are no identities: give every link a key of its own, or an
//! attacker can splice a link that was meant for B to C (section 9).

mod group;
mod handshake;
mod packet;
mod schedule;
#[cfg(test)]
mod vectors;

use std::fmt;
use std::sync::Arc;

use crate::{Handshake, Keys, Role};

pub use group::Pair;

/// Bytes of a nonce (section 2).
const NONCE: usize = 32;
/// Bytes with which the end that opens begins, and then waits (section 4).
pub const BEGINNING: usize = NONCE;
/// Bytes of a public number y (section 2).
const NUMBER: usize = 256;
/// Bytes of a MAC, of HMAC-SHA256 (section 2).
const MAC: usize = 32;
/// Data in a packet (section 2).
pub const PACKET_DATA: usize = 1024;
/// Bytes of a packet: data, padding, length, MAC (section 5).
pub const PACKET: usize = PACKET_DATA + 4 + MAC;
/// So many links to one daemon may be in their handshake at once: it listens with a backlog of 10, and connections
/// beyond that stall for seconds (sections 7 and 10).
pub const HANDSHAKES_MAX: usize = 8;

/// What a later thief of the key can read, and whom this end speaks to. The daemon's `-f` and `-g` exclude each other, so
/// this is one choice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Strength {
    /// This end takes no part in the key exchange, as `-f`: who has the key can read everything that was ever recorded.
    /// Costs no exponentiation. A watcher can see it.
    Weak,
    /// This end takes part; whether the far end does is its affair.
    #[default]
    Strong,
    /// This end takes part, and refuses a far end that does not, as `-g`.
    ///
    /// The daemon refuses y = 1 alone. Here 0 and p - 1 are refused too: an honest end never sends them, and the secret that
    /// comes of them is known to everybody.
    Strict,
}

/// How a listener or an upstream is sealed.
#[derive(Clone, Debug)]
pub struct Settings {
    /// What the far end has to have.
    pub keys: Keys,
    /// How strong the handshake is.
    pub strength: Strength,
}

/// Where handshakes take their half of the key exchange. It is asked within [`Work`](crate::Work), so it may compute, or
/// wait, and by the end that accepts only when the far end has shown that it has the key.
///
/// A pair does not depend on the connection, so a driver may keep some ready: half of a handshake's cost is off its path.
pub trait Pairs: fmt::Debug + Send + Sync {
    /// A pair that is given to nobody else. `None` if there is no entropy: the handshake fails.
    fn take(&self) -> Option<Pair>;
}

/// Begins a handshake. `nonce` is 32 random bytes that were never used before.
pub fn begin(role: Role, settings: Arc<Settings>, pairs: Arc<dyn Pairs>, nonce: [u8; NONCE]) -> Box<dyn Handshake> {
    Box::new(handshake::Spiped::new(role, settings, pairs, nonce))
}
