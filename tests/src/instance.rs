//! Real Redis and Valkey instances on UNIX sockets, without persistence.

use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;

use crate::address::Address;
use crate::connection::Connection;
use crate::guard::Guard;
use crate::skipped;

const START_LIMIT: Duration = Duration::from_secs(60);

/// A server program that instances can be made of.
#[derive(Clone, Debug)]
pub struct Server {
    /// What the suites call it: `redis` or `valkey`.
    pub name: &'static str,
    program: PathBuf,
}

impl Server {
    /// `redis-server` from `PATH`.
    pub fn redis() -> Server {
        Server { name: "redis", program: PathBuf::from("redis-server") }
    }

    /// `valkey-server` named by `PDW_VALKEY` or found on `PATH`.
    pub fn valkey() -> Option<Server> {
        let program = std::env::var_os("PDW_VALKEY").map(PathBuf::from).or_else(|| on_path("valkey-server"))?;
        Some(Server { name: "valkey", program })
    }

    /// Its file, or its name on `PATH`.
    pub(crate) fn program(&self) -> &Path {
        &self.program
    }

    /// Every server found here, Redis first; says so on standard error when Valkey is missing.
    pub fn found() -> Vec<Server> {
        let mut servers = vec![Server::redis()];
        match Server::valkey() {
            Some(valkey) => servers.push(valkey),
            None => skipped("valkey-server is neither on PATH nor in PDW_VALKEY"),
        }
        servers
    }
}

/// The file of a program on `PATH`.
pub fn on_path(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(program)).find(|file| file.is_file())
}

/// A running instance with one database, as a client of a proxy sees it.
#[derive(Debug)]
pub struct Instance {
    address: Address,
    guard: Guard,
    _folder: TempDir,
}

impl Instance {
    /// Starts a `redis-server` on a UNIX socket.
    ///
    /// # Errors
    /// When it does not answer in time; the text holds its log.
    pub fn start() -> io::Result<Instance> {
        Instance::start_with(&Server::redis(), &[])
    }

    /// Starts `server` with further arguments, as `["--user", "default on nopass ~* +@all"]`.
    ///
    /// # Errors
    /// As [`Instance::start`].
    pub fn start_with(server: &Server, arguments: &[&str]) -> io::Result<Instance> {
        let folder = tempfile::Builder::new().prefix("pdw-instance-").tempdir()?;
        let socket = folder.path().join("socket");
        let mut command = Command::new(&server.program);
        command.current_dir(folder.path()).args(["--port", "0", "--unixsocket"]).arg(&socket);
        command.args(["--save", "", "--appendonly", "no", "--databases", "1"]).args(arguments);
        let mut guard = Guard::start(&mut command, &folder.path().join("log"))?;
        let address = Address::Unix(socket);
        // Any answer will do: an instance of some tests forbids PING.
        guard.wait_ready(START_LIMIT, || Connection::open(&address)?.call(&["PING"]).map(drop))?;
        Ok(Instance { address, guard, _folder: folder })
    }

    /// Starts `count` instances of `redis-server`.
    ///
    /// # Errors
    /// As [`Instance::start`].
    pub fn start_many(count: usize) -> io::Result<Vec<Instance>> {
        (0..count).map(|_| Instance::start()).collect()
    }

    /// Where it listens.
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// Its process.
    pub fn guard(&mut self) -> &mut Guard {
        &mut self.guard
    }

    /// A connection past every proxy.
    ///
    /// # Errors
    /// What the socket reports.
    pub fn connect(&self) -> io::Result<Connection> {
        Connection::open(&self.address)
    }

    /// Removes keys, scripts and functions.
    ///
    /// # Errors
    /// When the instance refuses.
    pub fn clear(&self) -> io::Result<()> {
        let mut connection = self.connect()?;
        connection.demand(&["FLUSHALL"])?;
        connection.demand(&["SCRIPT", "FLUSH"])?;
        connection.demand(&["FUNCTION", "FLUSH"]).map(drop)
    }
}

/// The addresses of `instances`, in order.
pub fn addresses(instances: &[Instance]) -> Vec<Address> {
    instances.iter().map(|instance| instance.address().clone()).collect()
}
