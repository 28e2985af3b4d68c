//! Programs that do not outlive their test.

use std::fs::File;
use std::net::Ipv4Addr;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// A started program; killed and reaped when dropped, also by a panic.
pub(crate) struct Running {
    child: Child,
    log: PathBuf,
}

impl Running {
    /// Starts `command` with its output in `log`.
    pub(crate) fn start(mut command: Command, log: PathBuf) -> Self {
        let output = File::create(&log).unwrap();
        let spawned = command.stdout(output.try_clone().unwrap()).stderr(output).spawn();
        let child = spawned.unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"));
        Self { child, log }
    }

    /// Waits until the program accepts connections at `socket`.
    pub(crate) fn wait_for(&mut self, socket: &Path) {
        let deadline = Instant::now() + Duration::from_secs(20);
        while UnixStream::connect(socket).is_err() {
            let ended = self.child.try_wait().unwrap();
            if ended.is_some() || Instant::now() > deadline {
                let log = std::fs::read_to_string(&self.log).unwrap_or_default();
                panic!("nothing answers at {}, {ended:?}:\n{log}", socket.display());
            }
            sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Neither can fail in a way a test could mend: the child is ours and not yet reaped.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A loopback address that no other test is likely to use, so that fixed ports never collide.
pub(crate) fn own_loopback() -> Ipv4Addr {
    Ipv4Addr::new(127, fastrand::u8(1..), fastrand::u8(..), fastrand::u8(1..255))
}

/// A running redis-server.
pub(crate) struct Instance {
    pub(crate) address: String,
    pub(crate) socket: PathBuf,
    _process: Running,
}

impl Instance {
    pub(crate) fn connect(&self) -> redis::Connection {
        redis::Client::open(format!("unix://{}", self.socket.display())).unwrap().get_connection().unwrap()
    }
}

/// Starts a redis-server per port, all at one address, without persistence.
pub(crate) fn start_instances(folder: &Path, ports: impl IntoIterator<Item = u16>, options: &[&str]) -> Vec<Instance> {
    let host = own_loopback().to_string();
    let start = |port: u16| {
        let (home, socket) = (folder.join(port.to_string()), folder.join(format!("{port}.sock")));
        std::fs::create_dir(&home).unwrap();
        let mut command = Command::new("redis-server");
        command.args(["--bind", &host, "--port", &port.to_string(), "--save", "", "--dir"]).arg(&home);
        command.arg("--unixsocket").arg(&socket).args(options);
        let process = Running::start(command, folder.join(format!("{port}.log")));
        Instance { address: format!("{host}:{port}"), socket, _process: process }
    };
    let mut instances: Vec<_> = ports.into_iter().map(start).collect();
    instances.iter_mut().for_each(|instance| instance._process.wait_for(&instance.socket.clone()));
    instances
}
