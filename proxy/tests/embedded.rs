//! `pdw-proxy serve` without an upstream: its embedded instances live with it and never outlive it.

#![allow(clippy::unwrap_used, reason = "what fails in a test's own tools fails the test")]

mod leftovers;

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use leftovers::{SOON, command_line, within};
use rustix::process::{Pid, Signal, getpgid, kill_process};
use tempfile::TempDir;

/// How long a start may take on a loaded machine.
const START: Duration = Duration::from_secs(20);

/// A proxy with a temporary folder of its own.
struct Proxy {
    child: Child,
    tmp: TempDir,
}

impl Proxy {
    /// Starts it and returns at once.
    fn spawn() -> Self {
        let tmp = tempfile::tempdir().unwrap();
        let child = serve(tmp.path()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        Self { child, tmp }
    }

    /// Starts it and waits until it listens, which it does when all its instances have answered.
    fn start() -> Self {
        let proxy = Self::spawn();
        let listens = || UnixStream::connect(listener(proxy.tmp.path())).is_ok();
        assert!(within(START, listens), "it does not listen");
        assert!(proxy.all_answer(), "it listens before its instances answer");
        proxy
    }

    fn folder(&self) -> Option<PathBuf> {
        leftovers::folder(self.tmp.path())
    }

    fn sockets(&self) -> Vec<PathBuf> {
        let entries = self.folder().and_then(|folder| fs::read_dir(folder).ok());
        let paths = entries.into_iter().flatten().flatten().map(|entry| entry.path());
        paths.filter(|path| path.extension().is_some_and(|extension| extension == "sock")).collect()
    }

    fn all_answer(&self) -> bool {
        let sockets = self.sockets();
        let instances = self.helpers().len().saturating_sub(1);
        instances > 0 && sockets.len() == instances && sockets.iter().all(|socket| answers(socket))
    }

    fn helpers(&self) -> Vec<Pid> {
        leftovers::helpers(self.tmp.path())
    }

    fn helper(&self, name: &str) -> Pid {
        *self.helpers().iter().find(|pid| command_line(**pid).contains(name)).unwrap()
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    fn assert_leaves_nothing(&self) {
        leftovers::assert_none(self.tmp.path());
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn serve(tmp: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pdw-proxy"));
    command.arg("serve").arg("--listen").arg(listener(tmp)).env("TMPDIR", tmp);
    command
}

fn listener(tmp: &Path) -> PathBuf {
    tmp.join("proxy.sock")
}

fn ask(socket: &Path, command: &str) -> std::io::Result<String> {
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(SOON))?;
    stream.write_all(format!("{command}\r\nQUIT\r\n").as_bytes())?;
    let mut reply = String::new();
    stream.read_to_string(&mut reply)?;
    Ok(reply)
}

fn answers(socket: &Path) -> bool {
    ask(socket, "PING").is_ok_and(|reply| reply.starts_with("+PONG"))
}

#[test]
fn instances_are_private_and_keep_nothing_on_disk() {
    let proxy = Proxy::start();
    let mode = fs::metadata(proxy.folder().unwrap()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
    for socket in proxy.sockets() {
        let settings = ask(&socket, "CONFIG GET port save appendonly").unwrap();
        assert!(settings.contains("port\r\n$1\r\n0\r\n"), "{settings}");
        assert!(settings.contains("save\r\n$0\r\n\r\n"), "{settings}");
        assert!(settings.contains("appendonly\r\n$2\r\nno\r\n"), "{settings}");
    }
}

#[test]
fn a_killed_instance_comes_back_at_its_address() {
    let proxy = Proxy::start();
    let victim = proxy.helper("/0.sock");
    kill_process(victim, Signal::KILL).unwrap();
    let back = || proxy.all_answer() && proxy.helper("/0.sock") != victim;
    assert!(within(SOON, back), "{}", leftovers::told(proxy.tmp.path()));
}

#[test]
fn an_interrupted_proxy_leaves_nothing() {
    for signal in [Signal::INT, Signal::TERM] {
        let mut proxy = Proxy::start();
        proxy.signal(signal);
        proxy.child.wait().unwrap();
        assert!(proxy.helpers().is_empty() && proxy.folder().is_none(), "{}", leftovers::told(proxy.tmp.path()));
    }
}

#[test]
fn a_killed_proxy_leaves_nothing() {
    let proxy = Proxy::start();
    proxy.signal(Signal::KILL);
    proxy.assert_leaves_nothing();
}

#[test]
fn a_proxy_killed_at_any_moment_of_its_start_leaves_nothing() {
    for millis in [0, 1, 2, 4, 6, 8, 12, 16, 24, 32, 48, 64, 100] {
        let proxy = Proxy::spawn();
        std::thread::sleep(Duration::from_millis(millis));
        proxy.signal(Signal::KILL);
        // The watchdog may not have begun yet: give it time to leave something.
        std::thread::sleep(Duration::from_millis(100));
        proxy.assert_leaves_nothing();
    }
}

#[test]
fn a_killed_watchdog_takes_its_instances_along_and_is_replaced() {
    let proxy = Proxy::start();
    let before = proxy.helpers();
    kill_process(proxy.helper("pdw-watchdog"), Signal::KILL).unwrap();
    let replaced = || proxy.helpers().iter().all(|pid| !before.contains(pid)) && proxy.all_answer();
    assert!(within(SOON, replaced), "{}", leftovers::told(proxy.tmp.path()));
    proxy.signal(Signal::KILL);
    proxy.assert_leaves_nothing();
}

#[test]
fn only_the_proxy_ends_the_watchdog() {
    let proxy = Proxy::start();
    let watchdog = proxy.helper("pdw-watchdog");
    for signal in [Signal::INT, Signal::TERM, Signal::HUP, Signal::QUIT] {
        kill_process(watchdog, signal).unwrap();
    }
    std::thread::sleep(Duration::from_millis(200));
    assert_eq!(proxy.helper("pdw-watchdog"), watchdog);
    assert!(proxy.all_answer());
}

#[test]
fn a_terminal_signals_the_proxy_alone() {
    let proxy = Proxy::start();
    let group = getpgid(Some(Pid::from_child(&proxy.child))).unwrap();
    for pid in proxy.helpers() {
        assert_ne!(getpgid(Some(pid)).unwrap(), group, "{}", command_line(pid));
    }
}

/// Runs `serve` to its end with `path` as PATH.
fn failing(tmp: &TempDir, path: &Path) -> (Output, String) {
    let output = serve(tmp.path()).env("PATH", path).output().unwrap();
    let text = String::from_utf8_lossy(&[output.stdout.clone(), output.stderr.clone()].concat()).into_owned();
    (output, text)
}

#[test]
fn without_a_server_it_says_what_to_install() {
    let tmp = tempfile::tempdir().unwrap();
    let (output, text) = failing(&tmp, tmp.path());
    assert!(!output.status.success());
    assert!(text.contains("apt-get install redis-server"), "{text}");
}

#[test]
fn a_server_that_exits_is_quoted() {
    let tmp = tempfile::tempdir().unwrap();
    let server = tmp.path().join("redis-server");
    fs::write(&server, "#!/bin/sh\necho Fatal: no more hamsters\nexit 3\n").unwrap();
    fs::set_permissions(&server, fs::Permissions::from_mode(0o755)).unwrap();
    let (output, text) = failing(&tmp, tmp.path());
    assert!(!output.status.success());
    assert!(text.contains("no more hamsters") && text.contains("exit status: 3"), "{text}");
}
