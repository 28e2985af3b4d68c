//! When things fail: links, instances and the proxy itself, one fault at a time.
//!
//! `PDW_FULL=1` runs the lengths of the specification: freezes of 90 s, values of 50 MiB, twenty kills.

mod connections;
mod instances;
mod scene;
mod transactions;
