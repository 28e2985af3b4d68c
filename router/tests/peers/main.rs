//! Framed links: a router before another one, and the wire between them in the test's hands.

#![allow(clippy::unwrap_used, reason = "tests may")]

mod crowds;
mod demands;
mod fences;
mod links;
mod refused;
mod resume;
mod rig;
mod streams;
