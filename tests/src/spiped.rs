//! The real `spiped`, either end.

use std::io;
use std::net::TcpStream;
use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;

use crate::address::Address;
use crate::guard::Guard;
use crate::instance::on_path;

const START_LIMIT: Duration = Duration::from_secs(10);

/// Which end of a sealed connection a daemon is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// `-e`: takes plain connections, and opens sealed ones to its target.
    Encrypts,
    /// `-d`: takes sealed connections, and opens plain ones to its target.
    Decrypts,
}

/// A running `spiped`.
#[derive(Debug)]
pub struct Spiped {
    address: Address,
    command: Command,
    guard: Guard,
    folder: TempDir,
}

impl Spiped {
    /// Starts it before `target` with the key file's content and further flags, as `-f`; `None` when it is not installed.
    ///
    /// # Errors
    /// When it does not listen in time.
    pub fn start(way: Way, target: &Address, key: &[u8], flags: &[&str]) -> io::Result<Option<Spiped>> {
        Spiped::listen(way, &Address::free_loopback()?, target, key, flags)
    }

    /// The same, listening at an address.
    ///
    /// # Errors
    /// As [`Spiped::start`].
    pub fn listen(
        way: Way,
        address: &Address,
        target: &Address,
        key: &[u8],
        flags: &[&str],
    ) -> io::Result<Option<Spiped>> {
        let Some(program) = on_path("spiped") else { return Ok(None) };
        let folder = tempfile::Builder::new().prefix("pdw-spiped-").tempdir()?;
        let address = address.clone();
        let file = folder.path().join("key");
        std::fs::write(&file, key)?;
        let mut command = Command::new(program);
        command.arg(if way == Way::Encrypts { "-e" } else { "-d" }).args(["-F", "-s", &written(&address)]);
        command.args(["-t", &written(target), "-k"]).arg(&file).args(flags).current_dir(folder.path());
        let mut guard = Guard::start(&mut command, &folder.path().join("log"))?;
        wait(&mut guard, &address)?;
        Ok(Some(Spiped { address, command, guard, folder }))
    }

    /// Kills it and starts it again in the same place.
    ///
    /// # Errors
    /// As [`Spiped::start`].
    pub fn restart(&mut self) -> io::Result<()> {
        self.guard.signal(rustix::process::Signal::KILL)?;
        self.guard.wait_end(START_LIMIT)?;
        self.guard = Guard::start(&mut self.command, &self.folder.path().join("log"))?;
        wait(&mut self.guard, &self.address)
    }

    /// Where it listens.
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// Its process.
    pub fn guard(&mut self) -> &mut Guard {
        &mut self.guard
    }
}

fn wait(guard: &mut Guard, address: &Address) -> io::Result<()> {
    guard.wait_ready(START_LIMIT, || TcpStream::connect(address.to_string()).map(drop))
}

/// As it takes addresses.
fn written(address: &Address) -> String {
    match address {
        Address::Tcp(address) => format!("[{}]:{}", address.ip(), address.port()),
        Address::Unix(path) => path.display().to_string(),
    }
}
