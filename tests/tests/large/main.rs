//! Large values, and clients and instances that misbehave with them.
//!
//! `PDW_FULL=1` runs the sizes of production: stripes of 50 MiB, 10,000 clients.

mod broken_clients;
mod broken_instances;
mod greedy_clients;
mod kernel;
mod memory;
mod order;
mod script;
mod stage;
mod standing;
mod stream;
mod stripe;
mod witness;
