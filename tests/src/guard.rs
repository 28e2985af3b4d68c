//! Child processes that do not outlive the test that started them.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::connection::until;

/// How long a process may take to stand still.
const STOP_LIMIT: Duration = Duration::from_secs(10);

/// A child process, killed by its id when dropped, a panic included.
#[derive(Debug)]
pub struct Guard {
    child: Child,
    log: PathBuf,
}

impl Guard {
    /// Starts `command` with its output in `log`.
    ///
    /// # Errors
    /// When the program cannot be started or the log not be made.
    pub fn start(command: &mut Command, log: &Path) -> io::Result<Guard> {
        Guard::start_with_input(command, Stdio::null(), log)
    }

    /// As [`Guard::start`], reading `input`.
    ///
    /// # Errors
    /// As [`Guard::start`].
    pub fn start_with_input(command: &mut Command, input: Stdio, log: &Path) -> io::Result<Guard> {
        let output = File::create(log)?;
        command.stdin(input).stdout(output.try_clone()?).stderr(output);
        let child = command.spawn().map_err(|error| {
            io::Error::new(error.kind(), format!("{}: {error}", command.get_program().to_string_lossy()))
        })?;
        Ok(Guard { child, log: log.to_owned() })
    }

    /// The child's process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// SIGSTOP; returns when it stands still.
    ///
    /// # Errors
    /// When the process is gone.
    pub fn freeze(&self) -> io::Result<()> {
        self.signal(Signal::STOP)?;
        until("standstill", STOP_LIMIT, || match self.state()? {
            'T' => Ok(()),
            other => Err(io::Error::other(format!("its state is {other}"))),
        })
    }

    /// SIGCONT.
    ///
    /// # Errors
    /// When the process is gone.
    pub fn thaw(&self) -> io::Result<()> {
        self.signal(Signal::CONT)
    }

    /// Sends it a signal.
    ///
    /// # Errors
    /// When the process is gone.
    pub fn signal(&self, signal: Signal) -> io::Result<()> {
        let pid = i32::try_from(self.pid()).ok().and_then(Pid::from_raw);
        Ok(kill_process(pid.ok_or_else(|| io::Error::other("no process id"))?, signal)?)
    }

    /// Its state, a letter as in proc(5).
    fn state(&self) -> io::Result<char> {
        let line = fs::read_to_string(format!("/proc/{}/stat", self.pid()))?;
        let after_name = line.rsplit_once(") ").and_then(|(_, rest)| rest.chars().next());
        after_name.ok_or_else(|| io::Error::other("no state"))
    }

    /// What the child has written so far.
    pub fn output(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// The exit status, once the child has ended by itself.
    ///
    /// # Errors
    /// What the operating system reports.
    pub fn ended(&mut self) -> io::Result<Option<ExitStatus>> {
        self.child.try_wait()
    }

    /// Waits for the child to end by itself.
    ///
    /// # Errors
    /// `TimedOut` when it still runs after `limit`.
    pub fn wait_end(&mut self, limit: Duration) -> io::Result<ExitStatus> {
        until("end of the process", limit, || {
            self.ended()?.ok_or_else(|| io::Error::new(io::ErrorKind::TimedOut, "still running"))
        })
    }

    /// Resident memory, in KiB (`VmRSS` of `/proc/PID/status`).
    ///
    /// # Errors
    /// When the process is gone.
    pub fn resident_kib(&self) -> io::Result<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let number = line.and_then(|rest| rest.split_whitespace().next()).and_then(|text| text.parse().ok());
        number.ok_or_else(|| io::Error::other("no VmRSS"))
    }

    /// Processor time used so far, in seconds (`utime` and `stime` of `/proc/PID/stat`, in ticks of 10 ms).
    ///
    /// # Errors
    /// When the process is gone.
    pub fn cpu_seconds(&self) -> io::Result<f64> {
        let line = fs::read_to_string(format!("/proc/{}/stat", self.pid()))?;
        let after_name = line.rsplit_once(") ").map_or("", |(_, rest)| rest);
        let ticks = after_name.split(' ').skip(11).take(2).filter_map(|field| field.parse::<f64>().ok());
        Ok(ticks.sum::<f64>() / 100.0)
    }

    /// Waits until `attempt` succeeds, and gives up at once when the child has ended.
    ///
    /// # Errors
    /// With the child's output, when it ended or `attempt` never succeeded.
    pub fn wait_ready(&mut self, limit: Duration, mut attempt: impl FnMut() -> io::Result<()>) -> io::Result<()> {
        let outcome = until("readiness", limit, || match (attempt(), self.child.try_wait()?) {
            (Err(_), Some(status)) => Ok(Err(status)),
            (attempted, _) => attempted.map(Ok),
        });
        match outcome {
            Ok(Ok(())) => Ok(()),
            Ok(Err(status)) => Err(io::Error::other(format!("ended at once ({status}): {}", self.output()))),
            Err(error) => Err(io::Error::new(error.kind(), format!("{error}: {}", self.output()))),
        }
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        // Both fail only when the child is gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dropped_guard_leaves_no_process() {
        let folder = tempfile::tempdir().unwrap();
        let guard = Guard::start(Command::new("sleep").arg("60"), &folder.path().join("log")).unwrap();
        let process = PathBuf::from(format!("/proc/{}", guard.pid()));
        assert!(process.exists());
        drop(guard);
        assert!(!process.exists());
    }
}
