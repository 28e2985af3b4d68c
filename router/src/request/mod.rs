//! One request: where it goes, who gets which part of it, how the replies are joined, and in which order they leave.

pub(crate) mod dispatch;
pub(crate) mod gather;
pub(crate) mod lookups;
pub(crate) mod pending;
pub(crate) mod plan;
pub(crate) mod split;
pub(crate) mod spread;
pub(crate) mod transaction;
