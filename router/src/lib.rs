//! The core of `pdw-proxy`: what the proxy decides, without any I/O.
//!
//! Buffers come in, orders go out; time is an argument. Nothing here knows a socket, a clock, a
//! thread or a source of entropy, so a simulation owns as many routers as it likes.
//!
//! The map of the crate is in `ARCHITECTURE.md`; the door is [`Router`].

mod accept;
mod admission;
mod attempts;
mod batch;
mod bulk;
mod carrier;
mod circuit;
pub mod command;
mod credentials;
mod denials;
mod discard;
mod dispatch;
mod drain;
mod fence;
pub mod frame;
mod framed;
mod gate;
mod gather;
mod greeting;
mod hello;
mod large_files;
mod lease;
mod ledger;
pub mod limits;
mod link;
mod links;
mod local;
mod loss;
mod memory;
mod moved;
pub mod mutant;
mod order;
mod part;
mod pass;
mod peer_fence;
mod pending;
pub mod permit;
pub mod place;
mod plan;
mod pool;
mod proof;
mod random;
mod refusal;
mod relay;
mod relays;
mod repeat;
mod replies;
pub mod resp;
mod resume;
#[cfg(test)]
mod rig;
mod room;
mod router;
mod session;
mod severed;
mod split;
mod spool;
mod spooled;
mod spread;
pub mod stats;
mod stream;
mod streams;
mod time;
mod timers;
mod traffic;
mod transaction;
mod upstream;
mod ways;
mod weave;
mod window;

pub use credentials::{Credentials, Secret};
pub use gate::{Entrance, Gate, Login, Open, PasswordHash, Question};
pub use link::Lane;
pub use order::{
    Buffered, End, FenceCall, Input, LinkKey, LossReason, Notice, Order, Output, SessionKey, SpoolKey, Wait,
};
pub use refusal::{REFUSAL_KINDS, Refusal};
pub use repeat::TROUBLES;
pub use router::{Profile, Router, Setup};
pub use severed::HandOver;
pub use time::Time;
pub use ways::Peers;
