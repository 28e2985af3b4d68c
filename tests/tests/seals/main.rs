//! Sealed listeners and links: who is let in, what passes, what breaks, and what peers do that should not.

#![allow(clippy::unwrap_used, reason = "what fails in a test's own tools fails the test")]

mod certified;
mod crowds;
mod handshakes;
mod hostile;
mod house;
mod kept;
mod shared_keys;
mod tampered;
mod tls;
mod tls_upstream;

use std::path::Path;
use std::time::Duration;

use pdw_tests::address::Address;
use pdw_tests::certificates::{Authority, Pair};
use pdw_tests::instance::{Instance, addresses};
use pdw_tests::proxy::{Launch, Proxy};

/// How long anything may take on a busy machine.
const LIMIT: Duration = Duration::from_secs(20);

/// A proxy with a plain and a TLS listener, and what it stands on.
struct Stage {
    authority: Authority,
    _instances: Vec<Instance>,
    proxy: Proxy,
    sealed: Address,
}

impl Stage {
    /// `entries`: further entries of the TLS listener's table; `options`: further options of the file.
    fn new(entries: &str, options: &str) -> Stage {
        let authority = Authority::new().unwrap();
        let pair = authority.sign("server", "localhost", &["localhost", "127.0.0.1"]).unwrap();
        let instances = Instance::start_many(2).unwrap();
        let (plain, sealed) = (Address::free_loopback().unwrap(), Address::free_loopback().unwrap());
        let entries = entries.replace("CA", &authority.file().display().to_string());
        let config = format!("{}\n{options}\n", listeners(&plain, &sealed, &pair, &entries));
        let launch = Launch::new("redis", &addresses(&instances)).config(&config).listens_by_file(&plain).with_admin();
        Stage { authority, _instances: instances, proxy: launch.start().unwrap(), sealed }
    }

    /// Waits until the log has a text.
    fn wait_log(&mut self, text: &str) {
        self.proxy.wait_log(text).unwrap();
    }
}

fn listeners(plain: &Address, sealed: &Address, pair: &Pair, entries: &str) -> String {
    format!(
        "listen = [\"{plain}\", {{ address = \"{sealed}\", seal = \"tls\", certificate = {}, key = {}{entries} }}]",
        quoted(&pair.certificate),
        quoted(&pair.key)
    )
}

/// Bytes that nothing can shorten, the same for the same seed.
fn noise(seed: u64, size: usize) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut bytes = vec![0; size];
    random.fill(&mut bytes);
    bytes
}

fn quoted(path: &Path) -> String {
    format!("\"{}\"", path.display())
}

#[test]
fn each_row_fails_with_its_mechanism_switched_off() -> std::io::Result<()> {
    let rows = pdw_proxy::MECHANISMS.map(|row| (row.test, row.switched_off));
    pdw_tests::switched_off::demand_failures("seals", rows)
}
