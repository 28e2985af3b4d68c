//! The core of `pdw-proxy`: what the proxy decides, without any I/O.
//!
//! Buffers come in, orders go out; time is an argument. Nothing here knows a socket, a clock, a
//! thread or a source of entropy, so a simulation owns as many routers as it likes.
//!
//! The map of the crate is in `ARCHITECTURE.md`; the door is [`Router`](crate::router::Router).

pub mod command;
pub mod place;
pub mod resp;
