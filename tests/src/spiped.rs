//! The real `spiped` daemon, in either role.

use std::io;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;

use crate::address::Address;
use crate::guard::Guard;
use crate::instance::on_path;
use crate::skipped;

const START_LIMIT: Duration = Duration::from_secs(20);

/// A running daemon. It is killed when dropped.
#[derive(Debug)]
pub struct Daemon {
    address: Address,
    words: Vec<String>,
    guard: Guard,
    folder: TempDir,
}

/// Whether the daemon is installed; says so on standard error if it is not.
pub fn is_installed() -> bool {
    let found = on_path("spiped").is_some();
    if !found {
        skipped("spiped is not on PATH");
    }
    found
}

impl Daemon {
    /// Starts the daemon: `role` is `-e` or `-d`, `flags` as `-f`.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(role: &str, target: &Address, key: &Path, flags: &[&str]) -> io::Result<Daemon> {
        let (address, folder) = (Address::free_loopback()?, tempfile::tempdir()?);
        let key = key.display().to_string();
        let (source, target) = (bracketed(&address), bracketed(target));
        let words = [&[role, "-F", "-s", &source, "-t", &target, "-k", &key], flags].concat();
        let words: Vec<String> = words.into_iter().map(str::to_owned).collect();
        let guard = launch(&words, &folder)?;
        let mut daemon = Daemon { address, words, guard, folder };
        daemon.wait()?;
        Ok(daemon)
    }

    /// Where it listens.
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// Its process.
    pub fn guard(&mut self) -> &mut Guard {
        &mut self.guard
    }

    /// Kills it and starts it again in the same place.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn restart(&mut self) -> io::Result<()> {
        self.guard.signal(rustix::process::Signal::KILL)?;
        self.guard.wait_end(START_LIMIT)?;
        self.guard = launch(&self.words, &self.folder)?;
        self.wait()
    }

    fn wait(&mut self) -> io::Result<()> {
        let address = self.address.to_string();
        self.guard.wait_ready(START_LIMIT, || std::net::TcpStream::connect(&address).map(drop))
    }
}

fn launch(words: &[String], folder: &TempDir) -> io::Result<Guard> {
    Guard::start(Command::new("spiped").args(words), &folder.path().join("log"))
}

/// As the daemon wants addresses.
fn bracketed(address: &Address) -> String {
    match address {
        Address::Tcp(address) => format!("[{}]:{}", address.ip(), address.port()),
        Address::Unix(path) => path.display().to_string(),
    }
}
