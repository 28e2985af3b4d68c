//! Large values between a router's sessions and its links: lanes, stalls, long and gathered replies.

#![allow(clippy::unwrap_used, reason = "tests may")]

mod excess;
mod forbidden;
mod lanes;
mod long_replies;
mod pressure;
mod requests;
mod spool;
mod stalls;
mod world;
mod woven;
