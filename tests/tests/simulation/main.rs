//! A seeded simulation of clients, routers, links and instances.
//!
//! ```text
//!  client ══ pipe ══► ┌ tier ───────────────┐ ══ pipe, sealed, framed ══► tier ══► instance
//!   script, judge     │ Router + a driver   │
//!                     │ that obeys it       │        history: everything the instances carried out
//!                     └─────────────────────┘
//! ```
//!
//! A seed decides everything: who there is, what breaks, in which pieces bytes arrive, when time
//! passes. One seed again: `PDW_SEED=17 cargo test -p pdw-tests --test simulation one_seed -- --nocapture`,
//! with `PDW_MUTANT=lost-reply` for a router with that fault. More of them: `PDW_SEEDS=100000`.

#![allow(clippy::unwrap_used, reason = "a simulation that cannot go on has failed")]

mod client;
mod history;
mod instance;
mod judge;
mod net;
mod resp;
mod scenario;
mod script;
mod seeds;
mod store;
mod tier;
mod trace;
mod wire;
mod world;
