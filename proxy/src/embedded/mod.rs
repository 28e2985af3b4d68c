//! Real local instances for a proxy that was given no upstream.
//!
//! ```text
//!   pdw-proxy ──stdin───► watchdog ──parent of──► redis-server  FOLDER/0.sock
//!             ◄──stdout──          ──parent of──► redis-server  FOLDER/1.sock
//! ```
//!
//! The watchdog is this same binary under another role. It makes the folder, starts the instances,
//! restarts those that die, and reports all of it as lines ([`event`]). Nothing outlives the proxy:
//!
//! | who dies                | who notices, and how                             | what follows |
//! |-------------------------|--------------------------------------------------|--------------|
//! | proxy, however          | watchdog: end of file on its stdin               | it kills the instances, removes the folder, exits |
//! | watchdog, however       | instances: parent death signal ([`instance`])    | they die with it |
//! |                         | proxy: end of file on the watchdog's stdout      | it removes the folder and starts another watchdog |
//! | both at the same moment | instances: parent death signal                   | the folder stays until the next start sweeps it ([`folder`]) |
//!
//! `pdw-proxy up` has the watchdog start proxies in front of the instances as well ([`tier`]), and gives it orders
//! ([`order`]) over the pipe that otherwise only ends.
//!
//! Ctrl-C reaches a whole foreground process group, so the watchdog and its instances have a group
//! of their own and are ended by the proxy's exit alone, after it has drained.

mod backoff;
mod event;
mod folder;
mod guard;
mod instance;
mod order;
mod tier;
mod watchdog;

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

pub(crate) use event::Event;
use guard::Guard;
pub(crate) use order::Order;
pub(crate) use tier::Tier;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// How long all instances together may take until each has answered its first PING.
const START_MAX: Duration = Duration::from_secs(20);

/// Why the embedded instances could not be started.
#[derive(Debug, thiserror::Error)]
pub(crate) enum EmbeddedError {
    /// PATH holds neither server.
    #[error(
        "neither redis-server nor valkey-server is on PATH: install one (Debian: apt-get install redis-server), or \
         name instances that run already: pdw-proxy serve --upstream ADDR"
    )]
    NoServer,
    /// The sockets' paths would not fit into a socket address.
    #[error("{0:?} is too long for UNIX sockets (107 bytes): set TMPDIR to a shorter folder")]
    PathTooLong(PathBuf),
    /// The watchdog process could not be started.
    #[error("cannot start the watchdog of the embedded instances ({0}): check the limits on processes (ulimit -u)")]
    Spawn(#[from] io::Error),
    /// An instance ended before it had answered.
    #[error("embedded instance {index} did not start, {how}: correct that, or name an instance with --upstream ADDR")]
    Exited {
        /// Position of the instance.
        index: usize,
        /// Exit status and last log lines.
        how: String,
    },
    /// The watchdog ended before all instances had answered; it has said why on standard error.
    #[error(
        "the watchdog of the embedded instances ended at its start: \
         look at its message above, and whether TMPDIR is a folder that can be written to"
    )]
    WatchdogEnded,
    /// Some instance did not answer in time.
    #[error("the embedded instances did not answer PING within {} s: is the machine overloaded?", .0.as_secs())]
    Silent(Duration),
}

/// What a set of embedded instances is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Setup {
    /// The server's executable.
    server: PathBuf,
    /// The private folder: sockets and logs. The watchdog makes it.
    folder: PathBuf,
    /// Number of instances.
    count: usize,
    /// Arguments of each proxy beside them. One of them makes it listen on its [`socket_path`].
    proxies: Vec<Vec<OsString>>,
}

/// Running embedded instances. They end when this is dropped or stopped.
#[derive(Debug)]
pub(crate) struct Embedded {
    addresses: Vec<PathBuf>,
    stop: oneshot::Sender<()>,
    supervision: JoinHandle<()>,
}

impl Setup {
    /// Number of instances and proxies.
    fn members(&self) -> usize {
        self.count + self.proxies.len()
    }
}

impl Embedded {
    /// Paths of the instances' UNIX sockets, by position. They stay the same over restarts.
    pub(crate) fn addresses(&self) -> &[PathBuf] {
        &self.addresses
    }

    /// Ends all instances and waits until they and their folder are gone.
    pub(crate) async fn stop(self) {
        drop(self.stop);
        // It fails only if the task was cancelled with its runtime; dropping it has closed the pipe then.
        let _ = self.supervision.await;
    }
}

/// Starts `count` instances, and returns when each has answered PING.
///
/// Must be called on a runtime that lives as long as the instances shall: a task there restarts
/// the watchdog if it dies.
pub(crate) async fn start(count: usize) -> Result<Embedded, EmbeddedError> {
    let base = std::env::temp_dir();
    folder::sweep(&base);
    let server = instance::find_server().ok_or(EmbeddedError::NoServer)?;
    let setup = Setup { server, folder: folder::fresh_path(&base), count, proxies: Vec::new() };
    let addresses = addresses(&setup)?;
    let guard = start_guard(&setup).await?;
    let (stop, stopped) = oneshot::channel();
    let supervision = tokio::spawn(guard::supervise(setup, guard, stopped));
    Ok(Embedded { addresses, stop, supervision })
}

async fn start_guard(setup: &Setup) -> Result<Guard, EmbeddedError> {
    let mut guard = Guard::spawn(setup)?;
    let started = match tokio::time::timeout(START_MAX, guard.all_ready(setup.members())).await {
        Ok(outcome) => outcome,
        Err(_) => Err(EmbeddedError::Silent(START_MAX)),
    };
    if let Err(error) = started {
        guard.end(&setup.folder).await;
        return Err(error);
    }
    Ok(guard)
}

/// Longest path that fits into `sockaddr_un` with its terminating zero (unix(7)).
const SOCKET_PATH_MAX: usize = 107;

fn addresses(setup: &Setup) -> Result<Vec<PathBuf>, EmbeddedError> {
    let paths: Vec<PathBuf> = (0..setup.members()).map(|index| socket_path(&setup.folder, index)).collect();
    match paths.iter().find(|path| path.as_os_str().len() > SOCKET_PATH_MAX) {
        Some(long) => Err(EmbeddedError::PathTooLong(long.clone())),
        None => Ok(paths),
    }
}

fn socket_path(folder: &Path, index: usize) -> PathBuf {
    folder.join(format!("{index}.sock"))
}

/// First argument of the watchdog's command line.
const WATCHDOG_ROLE: &str = "embedded-watchdog";
/// First argument of an instance's command line, until it has become the server.
const INSTANCE_ROLE: &str = "embedded-instance";

/// Plays a helper's role to its end, if `args` (without the program's name) ask for one.
///
/// To be called before anything else in `main`: a helper has no use for arguments, configuration or
/// logs of the proxy.
pub fn run_helper(mut args: impl Iterator<Item = OsString>) -> Option<ExitCode> {
    match args.next()?.to_str()? {
        WATCHDOG_ROLE => Some(watchdog::main(args)),
        INSTANCE_ROLE => Some(instance::become_server(args)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn setup(folder: &str) -> Setup {
        Setup { server: PathBuf::from("redis-server"), folder: PathBuf::from(folder), count: 2, proxies: Vec::new() }
    }

    #[test]
    fn addresses_are_numbered_sockets_in_the_folder() {
        let paths = addresses(&setup("/run/x")).unwrap();
        assert_eq!(paths, [PathBuf::from("/run/x/0.sock"), PathBuf::from("/run/x/1.sock")]);
    }

    #[test]
    fn a_folder_too_deep_for_sockets_is_refused_with_the_remedy() {
        let longest = format!("/{}", "d".repeat(SOCKET_PATH_MAX - "//0.sock".len()));
        assert!(addresses(&setup(&longest)).is_ok());
        let error = addresses(&setup(&format!("{longest}d"))).unwrap_err();
        assert!(error.to_string().contains("TMPDIR"), "{error}");
    }

    #[test]
    fn ordinary_arguments_ask_for_no_helper() {
        assert!(run_helper(["serve", WATCHDOG_ROLE].into_iter().map(OsString::from)).is_none());
        assert!(run_helper(std::iter::empty()).is_none());
    }
}
