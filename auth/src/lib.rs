//! The seals of `pdw-proxy`: how a connection is protected; and its [`users`]: who may do what. Without any I/O.
//!
//! Buffers come in, buffers go out. Nothing here knows a socket, a clock, a thread, a file or a source of entropy:
//! nonces and secret numbers are arguments, a key file is its bytes and its mode, and what costs much (an
//! exponentiation, a Diffie-Hellman) is handed out as [`Work`] that the driver may carry to another thread.
//!
//! A connection begins as a [`Handshake`] and becomes [`Sealed`].

mod error;
mod foreign;
mod handshake;
mod identity;
mod join;
mod key;
pub mod noise;
mod sealed;
pub mod spiped;
mod steps;
pub mod users;

pub use error::SealError;
pub use handshake::{Advanced, Ending, HANDSHAKE_MAX, Handshake, Progress, Role, Work};
pub use identity::{Identity, PublicKey};
pub use join::join;
pub use key::{KEY_FILE_MAX, KEY_FILE_MIN, KeyError, Keys, Secret};
pub use sealed::{Opened, Sealed};
