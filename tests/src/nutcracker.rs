//! twemproxy as a subject that is known to differ from Redis: shows that a suite can find differences.

use std::io;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;

use crate::address::Address;
use crate::connection::Connection;
use crate::guard::Guard;
use crate::instance::on_path;

/// A running `nutcracker`.
#[derive(Debug)]
pub struct Nutcracker {
    address: Address,
    _guard: Guard,
    _folder: TempDir,
}

impl Nutcracker {
    /// Starts it in front of UNIX socket `upstreams`; `None` when it is not installed.
    ///
    /// # Errors
    /// When it does not answer in time.
    pub fn start(upstreams: &[Address]) -> io::Result<Option<Nutcracker>> {
        let Some(program) = on_path("nutcracker").or_else(debian_place) else {
            return Ok(None);
        };
        let folder = tempfile::Builder::new().prefix("pdw-nutcracker-").tempdir()?;
        let address = Address::free_loopback()?;
        let statistics = Address::free_loopback()?.port().to_string();
        let file = folder.path().join("nutcracker.yml");
        std::fs::write(&file, configuration(&address, upstreams))?;
        let mut command = Command::new(program);
        command.arg("-c").arg(&file).args(["-s", &statistics, "-a", "127.0.0.1"]);
        let mut guard = Guard::start(&mut command, &folder.path().join("log"))?;
        guard.wait_ready(Duration::from_secs(10), || Connection::open(&address)?.demand(&["PING"]).map(drop))?;
        Ok(Some(Nutcracker { address, _guard: guard, _folder: folder }))
    }

    /// Where it listens.
    pub fn address(&self) -> &Address {
        &self.address
    }
}

/// Debian keeps it where users' search paths do not lead.
fn debian_place() -> Option<PathBuf> {
    Some(PathBuf::from("/usr/sbin/nutcracker")).filter(|file| file.is_file())
}

fn configuration(listen: &Address, upstreams: &[Address]) -> String {
    let servers: String = upstreams.iter().enumerate().map(|(n, at)| format!("    - {at}:1 s{n}\n")).collect();
    format!("subject:\n  listen: {listen}\n  redis: true\n  servers:\n{servers}")
}
