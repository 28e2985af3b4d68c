//! `pdw-proxy up`: driven by words without a terminal, by keys on one; it leaves nothing behind.

#![allow(clippy::unwrap_used, reason = "what fails in a test's own tools fails the test")]

mod leftovers;

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use leftovers::within;
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

/// How long anything may take on a loaded machine.
const LIMIT: Duration = Duration::from_secs(30);

/// A running `up`, its output in a file.
struct Up {
    child: Child,
    tmp: TempDir,
    listen: SocketAddr,
}

fn free() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

impl Up {
    /// `terminal`: on one, which script(1) makes.
    fn spawn(listen: SocketAddr, terminal: bool) -> Up {
        let tmp = tempfile::tempdir().unwrap();
        let words =
            [env!("CARGO_BIN_EXE_pdw-proxy"), "up", "--listen", &listen.to_string(), "--admin", &free().to_string()]
                .map(str::to_owned);
        let mut command = match terminal {
            true => Command::new("script"),
            false => Command::new(&words[0]),
        };
        match terminal {
            true => command.args([
                "--quiet",
                "--return",
                "--command",
                &format!("stty cols 100 rows 40; exec {}", words.join(" ")),
                "/dev/null",
            ]),
            false => command.args(&words[1..]),
        };
        let output = File::create(tmp.path().join("output")).unwrap();
        command.stdout(output.try_clone().unwrap()).stderr(output).stdin(Stdio::piped());
        let child = command.env("TMPDIR", tmp.path()).env("TERM", "xterm").spawn().unwrap();
        Up { child, tmp, listen }
    }

    fn output(&self) -> String {
        String::from_utf8_lossy(&fs::read(self.tmp.path().join("output")).unwrap()).into_owned()
    }

    fn wait(&self, text: &str) {
        assert!(within(LIMIT, || self.output().contains(text)), "no `{text}` in:\n{}", self.output());
    }

    /// Waits for a text behind what was written until now.
    fn wait_anew(&self, text: &str) {
        let before = self.output().len();
        let new = || self.output().get(before..).is_some_and(|new| new.contains(text));
        assert!(within(LIMIT, new), "no new `{text}` in:\n{}", self.output());
    }

    /// Waits for a text on the screen, which gets only what has changed: blanks are passed over by moving the cursor.
    fn wait_drawn(&self, text: &str) {
        let text = text.replace(' ', "");
        let drawn = || drawn(&self.output()).contains(&text);
        assert!(within(LIMIT, drawn), "no `{text}` in:\n{}", self.output());
    }

    fn say(&mut self, text: &str) {
        self.child.stdin.as_mut().unwrap().write_all(text.as_bytes()).unwrap();
    }

    fn ask(&self, request: &str) -> String {
        let mut stream = TcpStream::connect(self.listen).unwrap();
        stream.set_read_timeout(Some(LIMIT)).unwrap();
        stream.write_all(format!("{request}\r\nQUIT\r\n").as_bytes()).unwrap();
        let mut reply = String::new();
        stream.read_to_string(&mut reply).unwrap();
        reply
    }

    fn ended(&mut self) -> ExitStatus {
        let start = std::time::Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(start.elapsed() < LIMIT, "it does not end: {}", self.output());
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

/// What was written without the terminal's own sequences (ESC [ ... letter) and without blanks.
fn drawn(output: &str) -> String {
    let mut text = String::new();
    for (index, part) in output.split("\x1b[").enumerate() {
        let skipped =
            if index == 0 { 0 } else { part.find(|c: char| c.is_ascii_alphabetic()).map_or(part.len(), |at| at + 1) };
        text.extend(part[skipped..].chars().filter(|c| *c != ' '));
    }
    text
}

impl Drop for Up {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn without_a_terminal_words_break_and_mend_and_lines_tell_of_it() {
    let mut up = Up::spawn(free(), false);
    up.wait("serves on");
    assert!(up.ask("SET greeting hello").starts_with("+OK"), "{}", up.output());
    up.say("load\n");
    up.wait("load: good");
    up.say("kill 1\n");
    up.wait("instance-1 is down");
    up.wait_anew("instances 2/3");
    up.say("restart 1\n");
    up.wait_anew("instances 3/3");
    up.say("stop 0\nnonsense\n");
    up.wait("`nonsense` is none of");
    up.wait_anew("instances 2/3");
    up.say("continue 0\n");
    up.wait_anew("instances 3/3");
    up.say("kill 3\n");
    up.wait_anew("proxies 0/1");
    up.say("restart 3\n");
    up.wait_anew("proxies 1/1");
    assert!(up.ask("PING").starts_with("+PONG"));
    up.say("quit\n");
    assert!(up.ended().success(), "{}", up.output());
    leftovers::assert_none(up.tmp.path());
}

#[test]
fn whatever_ends_it_nothing_is_left() {
    for signal in [Signal::INT, Signal::TERM, Signal::HUP, Signal::KILL] {
        let mut up = Up::spawn(free(), false);
        up.wait("serves on");
        assert_eq!(leftovers::helpers(up.tmp.path()).len(), 5, "a watchdog, three instances, a proxy");
        kill_process(Pid::from_child(&up.child), signal).unwrap();
        assert_eq!(up.ended().success(), signal != Signal::KILL);
        leftovers::assert_none(up.tmp.path());
    }
}

#[test]
fn a_process_that_dies_by_itself_is_started_again() {
    let up = Up::spawn(free(), false);
    up.wait("serves on");
    let proxy = leftovers::helpers(up.tmp.path())
        .into_iter()
        .find(|pid| leftovers::command_line(*pid).starts_with("/proc/self/exe serve"));
    kill_process(proxy.unwrap(), Signal::KILL).unwrap();
    up.wait("proxy-0 died");
    up.wait_anew("proxies 1/1");
    assert!(up.ask("PING").starts_with("+PONG"));
}

#[test]
fn an_address_that_is_taken_is_told_and_everything_ends() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut up = Up::spawn(taken.local_addr().unwrap(), false);
    assert!(!up.ended().success());
    let output = up.output();
    assert!(output.contains("the proxy did not start") && output.contains("is another program there"), "{output}");
    leftovers::assert_none(up.tmp.path());
}

#[test]
fn on_a_terminal_keys_break_and_mend_and_the_screen_shows_it() {
    let mut up = Up::spawn(free(), true);
    up.wait_drawn("proxy-0 answers");
    up.say("l");
    up.wait_drawn("load on");
    up.say("1k");
    up.wait_drawn("instance-1 is down");
    up.say("r");
    up.wait_drawn("restart instance-1");
    up.say("\x03");
    assert!(up.ended().success(), "{}", up.output());
    assert!(up.output().contains("\x1b[?1049l"), "the terminal is given back");
    leftovers::assert_none(up.tmp.path());
}
