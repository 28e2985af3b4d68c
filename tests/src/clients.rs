//! Other people's clients, run as programs with an end.

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::address::Address;
use crate::guard::Guard;
use crate::skipped;

/// How long a client program may run.
const LIMIT: Duration = Duration::from_secs(120);

/// Runs a program to its end with `input`, and returns what it wrote to both its outputs.
///
/// # Errors
/// When it cannot be started, does not end in time, or reports failure; the text holds its output.
pub fn run(program: &str, arguments: &[&str], environment: &[(&str, &str)], input: &str) -> io::Result<String> {
    let folder = tempfile::tempdir()?;
    let given = folder.path().join("input");
    std::fs::File::create(&given)?.write_all(input.as_bytes())?;
    let mut command = Command::new(program);
    command.args(arguments).envs(environment.iter().copied());
    let mut guard =
        Guard::start_with_input(&mut command, Stdio::from(std::fs::File::open(&given)?), &folder.path().join("log"))?;
    let status =
        guard.wait_end(LIMIT).map_err(|error| io::Error::other(format!("{program}: {error}: {}", guard.output())))?;
    if !status.success() {
        return Err(io::Error::other(format!("{program} {arguments:?}: {status}: {}", guard.output())));
    }
    Ok(guard.output())
}

/// `redis-cli` against `address`.
///
/// # Errors
/// As [`run`].
pub fn redis_cli(address: &Address, arguments: &[&str], input: &str) -> io::Result<String> {
    let port = address.port().to_string();
    run("redis-cli", &[&["-h", "127.0.0.1", "-p", &port], arguments].concat(), &[], input)
}

/// Python's redis-py with its hiredis parser below the build folder; `None`, and a line that says so, if it cannot be had.
pub fn redis_py() -> Option<PathBuf> {
    let test = std::env::current_exe().ok()?;
    let folder = test.ancestors().nth(3)?.join("tools").join("redis-py");
    let complete = folder.join("complete");
    if complete.is_file() {
        return Some(folder);
    }
    let target = folder.to_string_lossy().into_owned();
    let arguments = ["-m", "pip", "install", "--quiet", "--upgrade", "--target", &target, "redis", "hiredis"];
    let installed = run("python3", &arguments, &[], "").and_then(|_| std::fs::write(&complete, ""));
    if let Err(error) = installed {
        skipped(&format!("redis-py is not available: {error}"));
        return None;
    }
    Some(folder)
}
