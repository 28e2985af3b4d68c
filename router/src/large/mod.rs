//! Large values: the lanes and files through which they pass, and the bytes that are moved without being held.

pub(crate) mod bulk;
pub(crate) mod discard;
pub(crate) mod files;
pub(crate) mod lanes;
pub(crate) mod relay;
pub(crate) mod relays;
pub(crate) mod room;
pub(crate) mod spare;
pub(crate) mod spool;
pub(crate) mod spooled;
pub(crate) mod stream;
pub(crate) mod weave;
