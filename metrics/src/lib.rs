//! Every metric of `pdw-proxy` in one table, and the Prometheus text of it.
//!
//! A worker owns a [`WorkerSet`]: plain integers that only its thread touches, so that counting costs an
//! addition. On a scrape the admin server asks every worker for a copy, sums the copies with
//! [`WorkerSet::merge`] and writes them with [`text`]. What exists is in [`table`], from which
//! [`reference`] makes the page `docs/metrics.md`.

mod histogram;
mod names;
mod process;
mod reference;
mod set;
pub mod table;
mod text;

pub use histogram::{BOUNDS, BUCKETS, LogHistogram, bucket_of};
pub use names::Names;
pub use process::Process;
pub use reference::reference;
pub use set::WorkerSet;
pub use table::{
    Buffer, Counter, Family, Gauge, Handshake, Histogram, Lane, Limit, LinkState, ProcessNumber, RequestLimit, Seal,
    Side,
};
pub use text::{CONTENT_TYPE, TextError, text};
