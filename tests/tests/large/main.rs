//!
//! `PDW_FULL=1` runs the sizes of production: stripes of 50 MiB.

mod kernel;
mod memory;
mod order;
mod script;
mod standing;
mod stream;
mod stripe;
mod witness;
