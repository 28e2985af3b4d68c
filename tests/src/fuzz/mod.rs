//! What the fuzzers run: any bytes at all must leave these functions without a panic.
//!
//! `make fuzz` drives them from `tests/fuzz`; `make test` replays the corpus that was found. Both
//! read a fuzz input the same way, so an input that fails in one fails in the other.
//! `PDW_INPUT=FILE cargo test -p pdw-tests --test fuzz_corpus one_input -- --nocapture` tells what a session input does.

mod carried;
mod carrier;
mod client;
mod instance;
mod oracle;
mod pump;
mod request;
mod scanner;
mod script;
mod seals;
mod session;
mod setup;
mod story;
mod tls;
mod wire;
mod world;

pub use carrier::carrier;
pub use scanner::scanner;
pub use seals::{noise, spiped};
pub use session::{session, session_with};
pub use tls::tls;
