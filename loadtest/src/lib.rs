//! Load generation, benchmarks beside peers, and the null proxy that marks the floor.
//!
//! Everything here measures; nothing of it runs in production. `README.md` says how to read the tables.

pub mod bench;
pub mod beside;
mod error;
mod figures;
pub mod idle;
pub mod interrupt;
pub mod load;
pub mod micro;
mod namespace;
pub mod net;
pub mod null_proxy;
pub mod peers;
pub mod process;
mod report_file;
pub mod seals;
pub mod workload;

pub use error::Error;

/// What every fallible function of this crate returns.
pub type Result<T> = std::result::Result<T, Error>;
