//! One member of the watchdog's, an instance or a proxy: its command line, its first answer, its last words.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{ExitCode, Stdio};
use std::time::Duration;

use rustix::process::{Signal, getppid, set_parent_process_death_signal};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::process::{Child, Command};

use super::{INSTANCE_ROLE, Setup, socket_path};

/// Servers that will do, the first one found on PATH wins.
const SERVERS: [&str; 2] = ["redis-server", "valkey-server"];
/// Pause between two attempts to get a first answer.
const PING_PAUSE: Duration = Duration::from_millis(5);
/// Lines of the log that are worth repeating when an instance has died.
const LAST_LINES: usize = 4;

/// The server's executable, from PATH.
pub(super) fn find_server() -> Option<PathBuf> {
    find_in(&std::env::var_os("PATH")?)
}

fn find_in(path: &std::ffi::OsStr) -> Option<PathBuf> {
    let folders: Vec<PathBuf> = std::env::split_paths(path).collect();
    let candidates = SERVERS.iter().flat_map(|name| folders.iter().map(move |folder| folder.join(name)));
    candidates.into_iter().find(|file| is_executable(file))
}

fn is_executable(file: &Path) -> bool {
    file.is_file() && rustix::fs::access(file, rustix::fs::Access::EXEC_OK).is_ok()
}

/// What one member needs to be started.
#[derive(Debug)]
pub(super) struct Member {
    program: PathBuf,
    args: Vec<OsString>,
    folder: PathBuf,
    /// Its position: the instances come first.
    pub(super) index: usize,
}

impl Member {
    /// Every member of `setup`.
    pub(super) fn all(setup: &Setup) -> impl Iterator<Item = Self> + '_ {
        let instances = (0..setup.count).map(|index| (setup.server.clone(), server_args(setup, index)));
        // Not by the binary's path, where an upgrade may have put another version by now.
        let proxies = setup.proxies.iter().map(|args| (PathBuf::from("/proc/self/exe"), args.clone()));
        let member = |(index, (program, args))| Self { program, args, folder: setup.folder.clone(), index };
        instances.chain(proxies).enumerate().map(member)
    }

    /// Starts the program as a child that dies with the calling thread's process.
    ///
    /// The child begins as this binary ([`become_server`]), since the parent death signal can only be
    /// set by the process it is for.
    pub(super) fn spawn(&self) -> io::Result<Child> {
        let log = File::create(self.log_path())?;
        Command::new("/proc/self/exe")
            .arg(INSTANCE_ROLE)
            .arg(std::process::id().to_string())
            .arg(&self.program)
            .args(&self.args)
            .stdin(Stdio::null())
            .stderr(log.try_clone()?)
            .stdout(log)
            .kill_on_drop(true)
            .spawn()
    }

    fn log_path(&self) -> PathBuf {
        self.folder.join(format!("{}.log", self.index))
    }

    /// Returns when the member has answered PING.
    pub(super) async fn ready(&self) {
        let socket = socket_path(&self.folder, self.index);
        while !answers_ping(&socket).await.unwrap_or(false) {
            tokio::time::sleep(PING_PAUSE).await;
        }
    }

    /// Bytes that the log holds now.
    pub(super) fn log_length(&self) -> usize {
        self.log().len()
    }

    /// The last lines of the log from byte `start` on, on one line.
    pub(super) fn last_words(&self, start: usize) -> String {
        let log = self.log();
        last_lines(&String::from_utf8_lossy(log.get(start..).unwrap_or_default()))
    }

    /// An unreadable log has nothing to say.
    fn log(&self) -> Vec<u8> {
        std::fs::read(self.log_path()).unwrap_or_default()
    }
}

/// No TCP port, no persistence, nothing outside the folder.
fn server_args(setup: &Setup, index: usize) -> Vec<OsString> {
    let socket = socket_path(&setup.folder, index).into_os_string();
    let mut args: Vec<OsString> = ["--port", "0", "--unixsocketperm", "700"].map(OsString::from).to_vec();
    args.extend(["--save", "", "--appendonly", "no", "--daemonize", "no"].map(OsString::from));
    args.extend(["--loglevel", "warning", "--logfile", ""].map(OsString::from));
    args.extend(["--dir".into(), setup.folder.clone().into_os_string(), "--unixsocket".into(), socket]);
    args
}

async fn answers_ping(socket: &Path) -> io::Result<bool> {
    let mut stream = UnixStream::connect(socket).await?;
    stream.write_all(b"PING\r\n").await?;
    let mut reply = [0; 7];
    stream.read_exact(&mut reply).await?;
    Ok(reply == *b"+PONG\r\n")
}

fn last_lines(log: &str) -> String {
    let lines: Vec<&str> = log.lines().filter(|line| !line.trim().is_empty()).collect();
    lines[lines.len().saturating_sub(LAST_LINES)..].join(" | ")
}

/// The role `embedded-instance PARENT SERVER ARG...`: becomes the server, tied to its parent's life.
pub(super) fn become_server(mut args: impl Iterator<Item = OsString>) -> ExitCode {
    let (Some(parent), Some(server)) = (args.next(), args.next()) else { return ExitCode::FAILURE };
    let error = match die_with(&parent) {
        Ok(()) => std::process::Command::new(&server).args(args).exec(),
        Err(error) => error,
    };
    // Standard error is the instance's log: the watchdog repeats it.
    let _ = writeln!(io::stderr(), "cannot run {}: {error}", server.display());
    ExitCode::FAILURE
}

/// Asks for SIGKILL when the parent dies; it stays asked for across exec (prctl(2), PR_SET_PDEATHSIG).
fn die_with(parent: &OsString) -> io::Result<()> {
    set_parent_process_death_signal(Some(Signal::KILL))?;
    // A parent that died before that call sends no signal any more.
    let alive = getppid().is_some_and(|pid| parent.to_str() == Some(&pid.as_raw_nonzero().to_string()));
    if alive { Ok(()) } else { Err(io::Error::other("the watchdog is gone")) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::OsStr;
    use std::os::unix::fs::PermissionsExt;

    fn executable(file: &Path) {
        std::fs::write(file, "#!/bin/sh\n").unwrap();
        std::fs::set_permissions(file, std::fs::Permissions::from_mode(0o755)).unwrap();
    }

    #[test]
    fn redis_is_preferred_and_what_cannot_be_executed_is_passed_over() {
        let base = tempfile::tempdir().unwrap();
        let path = base.path().as_os_str();
        assert_eq!(find_in(path), None);
        executable(&base.path().join("valkey-server"));
        std::fs::write(base.path().join("redis-server"), "text").unwrap();
        assert_eq!(find_in(path), Some(base.path().join("valkey-server")));
        executable(&base.path().join("redis-server"));
        assert_eq!(find_in(path), Some(base.path().join("redis-server")));
    }

    #[test]
    fn an_empty_path_has_no_server() {
        assert_eq!(find_in(OsStr::new("")), None);
    }

    #[test]
    fn last_words_are_the_last_lines_of_the_log() {
        assert_eq!(last_lines("1\n2\n\n3\n4\n5\n"), "2 | 3 | 4 | 5");
        assert_eq!(last_lines(""), "");
    }

    #[test]
    fn an_instance_whose_parent_is_gone_does_not_start() {
        let never = OsString::from("0");
        assert!(die_with(&never).is_err());
        set_parent_process_death_signal(None).unwrap();
    }
}
