//! Instances that keep every write they acknowledge, and that a test may kill, start again and bring into trouble.

use std::io;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;

use crate::address::Address;
use crate::connection::{Connection, encode};
use crate::guard::Guard;
use crate::instance::Server;

const START_LIMIT: Duration = Duration::from_secs(60);

/// Arguments of an instance that lets nobody close other people's connections.
pub const NO_CLIENT_KILL: [&str; 8] = ["--user", "default", "on", "nopass", "~*", "&*", "+@all", "-client|kill"];

/// Bytes of the file system of an instance with a small disk.
const SMALL_DISK: usize = 8 << 20;

/// Mounts a file system of its own for the instance alone, then becomes the instance.
const ON_SMALL_DISK: &str = r#"mount -t tmpfs -o size="$1" tmpfs . && cd "$PWD" && shift && exec "$@""#;

/// One instance at a TCP port and a data folder of its own, which outlive its process.
#[derive(Debug)]
pub struct Durable {
    server: Server,
    address: Address,
    folder: TempDir,
    arguments: Vec<String>,
    small_disk: bool,
    guard: Option<Guard>,
}

impl Durable {
    /// A `redis-server` with `appendfsync always`.
    ///
    /// # Errors
    /// When it does not answer in time; the text holds its log.
    pub fn start() -> io::Result<Durable> {
        Durable::start_with(&Server::redis(), &[])
    }

    /// As many of them as asked for.
    ///
    /// # Errors
    /// As [`Durable::start`].
    pub fn start_many(count: usize) -> io::Result<Vec<Durable>> {
        (0..count).map(|_| Durable::start()).collect()
    }

    /// Of `server`, with further arguments, as [`NO_CLIENT_KILL`].
    ///
    /// # Errors
    /// As [`Durable::start`].
    pub fn start_with(server: &Server, arguments: &[&str]) -> io::Result<Durable> {
        let mut durable = Durable::prepare(server, arguments)?;
        durable.restart()?;
        Ok(durable)
    }

    /// On a file system of 8 MiB, which [`Durable::fill_disk`] fills. It writes its file without waiting for the disk,
    /// because with `appendfsync always` a full disk ends Redis at once.
    ///
    /// # Errors
    /// As [`Durable::start`]; it needs the right to mount.
    pub fn start_on_small_disk() -> io::Result<Durable> {
        let mut durable = Durable::prepare(&Server::redis(), &["--appendfsync", "everysec"])?;
        durable.small_disk = true;
        durable.restart()?;
        Ok(durable)
    }

    /// An address and a folder for an instance that does not run yet.
    ///
    /// # Errors
    /// When there is no free port.
    pub fn prepare(server: &Server, arguments: &[&str]) -> io::Result<Durable> {
        let folder = tempfile::Builder::new().prefix("pdw-durable-").tempdir()?;
        let arguments = arguments.iter().map(|argument| (*argument).to_owned()).collect();
        let (server, address) = (server.clone(), Address::free_loopback()?);
        Ok(Durable { server, address, folder, arguments, small_disk: false, guard: None })
    }

    /// Where it listens, running or not.
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// A connection past every proxy.
    ///
    /// # Errors
    /// What the socket reports.
    pub fn connect(&self) -> io::Result<Connection> {
        Connection::open(&self.address)
    }

    /// Its process.
    ///
    /// # Errors
    /// When it does not run.
    pub fn guard(&mut self) -> io::Result<&mut Guard> {
        self.guard.as_mut().ok_or_else(|| io::Error::other("the instance does not run"))
    }

    /// `kill -9`.
    pub fn kill(&mut self) {
        self.guard = None;
    }

    /// Starts it again on what it had kept, and waits until it answers, be it `LOADING`.
    ///
    /// # Errors
    /// As [`Durable::start`].
    pub fn restart(&mut self) -> io::Result<()> {
        self.spawn(&[])?;
        let address = self.address.clone();
        self.guard()?.wait_ready(START_LIMIT, || Connection::open(&address)?.call(&["PING"]).map(drop))
    }

    /// Starts it again with nothing in it.
    ///
    /// # Errors
    /// As [`Durable::start`].
    pub fn restart_empty(&mut self) -> io::Result<()> {
        self.kill();
        std::fs::remove_dir_all(self.data())?;
        self.restart()
    }

    /// Starts it again with further arguments, and waits for nothing.
    ///
    /// # Errors
    /// When the program cannot be started.
    pub fn spawn(&mut self, more: &[&str]) -> io::Result<()> {
        self.kill();
        std::fs::create_dir_all(self.data())?;
        let mut command = self.command();
        command.current_dir(self.data()).args(["--port", &self.address.port().to_string(), "--save", ""]);
        command.args(["--databases", "1", "--appendonly", "yes", "--appendfsync", "always"]);
        command.args(&self.arguments).args(more);
        self.guard = Some(Guard::start(&mut command, &self.folder.path().join("log"))?);
        Ok(())
    }

    /// Fills its small disk to the last byte.
    ///
    /// # Errors
    /// When the instance does not run.
    pub fn fill_disk(&mut self) -> io::Result<()> {
        let ballast = self.ballast()?;
        // That there is no room for all of it is the purpose.
        let _ = std::fs::write(ballast, vec![7; SMALL_DISK]);
        Ok(())
    }

    /// Makes room on it again.
    ///
    /// # Errors
    /// When it was not filled.
    pub fn free_disk(&mut self) -> io::Result<()> {
        let ballast = self.ballast()?;
        std::fs::remove_file(ballast)
    }

    /// Where it keeps its data.
    pub(crate) fn data(&self) -> std::path::PathBuf {
        self.folder.path().join("data")
    }

    /// A file on the disk that only the instance's process has mounted.
    fn ballast(&mut self) -> io::Result<std::path::PathBuf> {
        let root = format!("/proc/{}/root", self.guard()?.pid());
        let folder = self.data();
        let inside = folder.strip_prefix("/").map_err(io::Error::other)?;
        Ok(Path::new(&root).join(inside).join("ballast"))
    }

    fn command(&self) -> Command {
        if !self.small_disk {
            return Command::new(self.server.program());
        }
        let mut command = Command::new("unshare");
        command.args(["--mount", "sh", "-c", ON_SMALL_DISK, "sh", &SMALL_DISK.to_string()]);
        command.arg(self.server.program());
        command
    }

    /// Writes so many small keys in one go.
    ///
    /// # Errors
    /// What the instance or the socket reports.
    pub fn fill(&self, keys: usize) -> io::Result<()> {
        let mut connection = self.connect()?;
        let requests = (0..keys).flat_map(|key| encode(&["SET", &format!("filler:{key}:x"), "x"]));
        connection.send(&requests.collect::<Vec<u8>>())?;
        connection.receive_many(keys).map(drop)
    }
}

/// The addresses of `instances`, in order.
pub fn addresses(instances: &[Durable]) -> Vec<Address> {
    instances.iter().map(|instance| instance.address().clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connection::until;

    #[test]
    fn what_was_acknowledged_outlives_a_kill() {
        // It answers while it still loads, too.
        let loaded = |instance: &Durable| {
            until("loaded", Duration::from_secs(10), || instance.connect()?.demand(&["GET", "k"])).unwrap()
        };
        let mut instance = Durable::start().unwrap();
        instance.connect().unwrap().demand(&["SET", "k", "v"]).unwrap();
        instance.kill();
        assert!(instance.connect().is_err());
        instance.restart().unwrap();
        assert_eq!(loaded(&instance).bytes(), b"v");
        instance.restart_empty().unwrap();
        assert_eq!(loaded(&instance).bytes(), b"");
    }

    #[test]
    fn a_frozen_instance_answers_nothing_until_it_is_thawed() {
        let mut instance = Durable::start().unwrap();
        let mut connection = instance.connect().unwrap();
        instance.guard().unwrap().freeze().unwrap();
        connection.set_timeout(Duration::from_millis(200)).unwrap();
        assert!(connection.call(&["PING"]).is_err());
        instance.guard().unwrap().thaw().unwrap();
        connection.set_timeout(Duration::from_secs(10)).unwrap();
        assert_eq!(connection.receive().unwrap().raw, b"+PONG\r\n");
    }

    #[test]
    fn whoever_may_not_kill_clients_is_told_so() {
        let instance = Durable::start_with(&Server::redis(), &NO_CLIENT_KILL).unwrap();
        let mut connection = instance.connect().unwrap();
        let refused = connection.call(&["CLIENT", "KILL", "ID", "12345"]).unwrap();
        assert!(refused.error().unwrap().starts_with("NOPERM"));
        assert_eq!(connection.demand(&["SET", "k", "v"]).unwrap().bytes(), b"OK");
    }
}
