//! RESP2 and inline commands: incremental scanners that find where things are, and small writers.
//!
//! Source of the wire format: the Redis serialization protocol specification
//! (<https://redis.io/docs/latest/develop/reference/protocol-spec/>); where it is silent, what
//! `networking.c` of Redis 7.0 does.

mod inline;
mod number;
mod reply;
mod request;
mod scan;
pub mod write;

pub use number::parse_integer;
pub use reply::{LINE_END, ReplyError, ReplyScan, elements, integer, is_error, is_nil, line};
pub use request::{Request, Span, first_word};
pub use scan::{ProtocolError, RequestScan, ScanLimits, Scanned};
