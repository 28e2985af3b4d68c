//! Each row of "what happens when" has a test that fails with the row's mechanism switched off.
//!
//! The row's own test is run again, in a process of its own, in whose environment a deliberate fault is named that every
//! proxy it launches then has. It has to fail.

use std::ffi::OsString;
use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};

/// Names the fault that proxies have which are launched without one.
const FAULT: &str = "PDW_SWITCHED_OFF";

/// How long a test may take to fail: longer than any of them takes to pass.
const LIMIT: Duration = Duration::from_secs(60);

/// How often a test may pass: some faults show only if something was in flight at one moment.
const TRIES: usize = 3;

/// Tests at once: most of them wait.
const AT_ONCE: usize = 4;

/// The fault that is switched on for this process's proxies, if one is.
#[must_use]
pub fn fault() -> Option<OsString> {
    std::env::var_os(FAULT)
}

/// What became of a test.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Failed,
    Passed,
    /// It says that it cannot be made here.
    Skipped,
}

/// Runs those of `rows`, tests and faults, whose tests are in the running binary, called `binary`: each fails.
///
/// # Errors
/// Those that pass all the same; or a test that cannot be started.
pub fn demand_failures(binary: &str, rows: impl IntoIterator<Item = (&'static str, &'static str)>) -> io::Result<()> {
    let own = |(test, _): &(&'static str, &'static str)| test.starts_with(&format!("{binary}::"));
    let rows: Vec<_> = rows.into_iter().filter(own).collect();
    assert!(!rows.is_empty(), "no row's test is in {binary}");
    let (waiting, lives) = (Mutex::new(rows), Mutex::new(Vec::new()));
    let next = || waiting.lock().ok()?.pop();
    let work = || {
        while let Some((test, fault)) = next() {
            let started = Instant::now();
            let outcome = run_until_it_fails(test, fault)?;
            println!("{test} with {fault}: {outcome:?} after {:?}", started.elapsed());
            if outcome == Outcome::Passed {
                lives.lock().map_err(|_| io::ErrorKind::Other)?.push((test, fault));
            }
        }
        io::Result::Ok(())
    };
    thread::scope(|scope| {
        let threads: Vec<_> = (0..AT_ONCE).map(|_| scope.spawn(work)).collect();
        threads.into_iter().try_for_each(|thread| thread.join().map_err(|_| io::Error::other("a thread failed"))?)
    })?;
    let lives = lives.into_inner().unwrap_or_default();
    if lives.is_empty() { Ok(()) } else { Err(io::Error::other(format!("they pass all the same: {lives:#?}"))) }
}

fn run_until_it_fails(test: &str, fault: &str) -> io::Result<Outcome> {
    let mut outcome = Outcome::Passed;
    for _ in 0..TRIES {
        outcome = run(test, fault)?;
        if outcome != Outcome::Passed {
            break;
        }
    }
    Ok(outcome)
}

/// Runs one test of this binary with a deliberate fault.
fn run(test: &str, fault: &str) -> io::Result<Outcome> {
    let mut command = Command::new(std::env::current_exe()?);
    // A binary of one file has a module of its own name.
    let within = test.split_once("::").map_or(test, |(_, within)| within);
    command.args(["--exact", within, test, "--nocapture"]).env(FAULT, fault).process_group(0);
    let log = tempfile::NamedTempFile::new()?;
    let both = log.reopen()?;
    let mut child = command.stdout(both.try_clone()?).stderr(both).stdin(Stdio::null()).spawn()?;
    let passed = wait(&mut child)?;
    let said = String::from_utf8_lossy(&std::fs::read(log.path())?).into_owned();
    match passed {
        _ if !said.contains("running 1 test\n") => Err(io::Error::other(format!("no test {test}: {said}"))),
        _ if said.contains("SKIPPED") => Ok(Outcome::Skipped),
        true => Ok(Outcome::Passed),
        false => Ok(Outcome::Failed),
    }
}

/// Whether a test passes. One that waits for ever for what the mechanism would bring about does not.
fn wait(child: &mut Child) -> io::Result<bool> {
    let started = Instant::now();
    while started.elapsed() < LIMIT {
        if let Some(status) = child.try_wait()? {
            return Ok(status.success());
        }
        thread::sleep(Duration::from_millis(20));
    }
    // With whatever it has started.
    if let Some(group) = Pid::from_raw(child.id() as i32) {
        kill_process_group(group, Signal::KILL)?;
    }
    child.wait().map(|_| false)
}
