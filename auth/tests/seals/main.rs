//! Both seals between two ends of ours: that they fit, that nothing but what was sent is opened, and that whoever does
//! not fit is refused. That the bytes are those of the specification is shown beside the code.

#![allow(clippy::unwrap_used, reason = "helpers of tests may unwrap as the tests do")]

mod ends;
mod refused;
mod stream;
mod tampered;
