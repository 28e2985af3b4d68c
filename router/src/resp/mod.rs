//! RESP2 and inline commands: incremental scanners that find where things are, and small writers.
//!
//! Source of the wire format: the Redis serialization protocol specification; where it is silent,
//! what `networking.c` of Redis 7.0 does.

mod request;

pub use request::{Request, Span};
