//! The core of `pdw-proxy`: what the proxy decides, without any I/O.
//!
//! Buffers come in, orders go out; time is an argument. Nothing here knows a socket, a clock, a
//! thread or a source of entropy, so a simulation owns as many routers as it likes.
//!
//! The map of the crate is in `ARCHITECTURE.md`; the door is [`Router`].

pub mod command;
mod drain;
mod large;
pub mod limits;
mod link;
mod local;
mod loss;
mod memory;
pub mod mutant;
mod order;
mod peer;
pub mod permit;
pub mod place;
mod pool;
mod random;
mod refusal;
mod request;
pub mod resp;
#[cfg(test)]
mod rig;
mod router;
mod session;
pub mod stats;
mod time;
mod traffic;

pub use link::Lane;
pub use link::credentials::{Credentials, Secret};
pub use loss::repeat::TROUBLES;
pub use order::{
    Buffered, End, FenceCall, Input, LinkKey, LossReason, Notice, Order, Output, SessionKey, SpoolKey, Wait,
};
pub use peer::frame;
pub use peer::severed::HandOver;
pub use peer::ways::Peers;
pub use refusal::{REFUSAL_KINDS, Refusal};
pub use router::{Profile, Router, Setup};
pub use session::attempts::Attempts;
pub use session::gate::{Entrance, Gate, Login, Open, PasswordHash, Question};
pub use time::Time;
