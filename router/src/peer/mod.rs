//! Framed links, between two proxies: what both ends have, the end that opened one and the end that accepted it.

pub(crate) mod accept;
pub(crate) mod carrier;
pub(crate) mod demand;
pub(crate) mod entry;
pub(crate) mod fence;
pub mod frame;
pub(crate) mod framed;
pub(crate) mod greeting;
pub(crate) mod hello;
pub(crate) mod lease;
pub(crate) mod ledger;
pub(crate) mod pass;
pub(crate) mod resume;
pub(crate) mod severed;
pub(crate) mod streams;
pub(crate) mod ways;
pub(crate) mod window;
