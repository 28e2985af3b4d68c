//! Child processes that cannot outlive the measurement, and what they cost.

use crate::{Error, Result};
use rustix::process::{Pid, Resource, Rlimit, getrlimit, setpriority_process, setrlimit};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A child process. Dropping it kills it; so does the kernel, when the measuring process ends in any other way.
#[derive(Debug)]
pub struct Child {
    process: std::process::Child,
    log: PathBuf,
}

impl Child {
    /// Starts `program` on one core if one is named, its output in `log`. `setpriv` of util-linux has the kernel kill it with us.
    pub fn start(program: &Path, arguments: &[String], core: Option<usize>, log: PathBuf) -> Result<Self> {
        let output = File::create(&log).map_err(Error::system("create a log file"))?;
        let errors = output.try_clone().map_err(Error::system("create a log file"))?;
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "--"]).arg(program).args(arguments);
        command.stdin(Stdio::null()).stdout(output).stderr(errors);
        let mut spawn = || command.spawn().map_err(Error::system("start setpriv (package util-linux)"));
        let process = match core {
            Some(core) => on_core(core, spawn)?,
            None => spawn()?,
        };
        Ok(Self { process, log })
    }

    /// Whether it still runs.
    pub fn alive(&mut self) -> bool {
        matches!(self.process.try_wait(), Ok(None))
    }

    /// The last lines of its output, on one line.
    pub fn log_tail(&self) -> String {
        let text = fs::read(&self.log).unwrap_or_default();
        let text = String::from_utf8_lossy(&text[text.len().saturating_sub(600)..]).into_owned();
        text.lines().filter(|line| !line.trim().is_empty()).collect::<Vec<_>>().join(" | ")
    }

    /// CPU time of all its threads so far, nanoseconds (`/proc/PID/task/TID/schedstat`, first column).
    pub fn cpu_ns(&self) -> u64 {
        let tasks = fs::read_dir(self.proc("task")).into_iter().flatten().flatten();
        tasks.filter_map(|task| first_number(&fs::read_to_string(task.path().join("schedstat")).ok()?)).sum()
    }

    /// Resident memory now and at its highest, KiB.
    pub fn memory_kib(&self) -> Memory {
        let status = fs::read_to_string(self.proc("status")).unwrap_or_default();
        let field = |name: &str| status.lines().find_map(|line| first_number(line.strip_prefix(name)?)).unwrap_or(0);
        Memory { now: field("VmRSS:"), peak: field("VmHWM:") }
    }

    fn proc(&self, entry: &str) -> PathBuf {
        PathBuf::from(format!("/proc/{}/{entry}", self.process.id()))
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // It may have ended by itself; either way it is gone after this.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Resident memory of a process, KiB.
#[derive(Clone, Copy, Debug)]
pub struct Memory {
    /// Now.
    pub now: u64,
    /// At its highest since the start.
    pub peak: u64,
}

fn first_number(text: &str) -> Option<u64> {
    text.split_whitespace().next()?.parse().ok()
}

/// Runs `spawn` with this thread on `core`, so that the child inherits it from its first instruction.
fn on_core<T>(core: usize, spawn: impl FnOnce() -> Result<T>) -> Result<T> {
    let before = sched_getaffinity(None).map_err(Error::errno("read the CPU affinity"))?;
    pin(core)?;
    let spawned = spawn();
    sched_setaffinity(None::<Pid>, &before).map_err(Error::errno("restore the CPU affinity"))?;
    spawned
}

/// Keeps this thread on one core.
pub fn pin(core: usize) -> Result<()> {
    let mut set = CpuSet::new();
    set.set(core);
    sched_setaffinity(None, &set)
        .map_err(Error::errno("pin to a core (is there a second one? see --proxy-core, --load-core)"))
}

/// Raises the limit of open files to what the system allows, for this process and its children.
pub fn raise_file_limit() -> Result<()> {
    let maximum = getrlimit(Resource::Nofile).maximum;
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum })
        .map_err(Error::errno("raise the limit of open files"))
}

/// Sets the priority of this process and of the children it will start; below 0 needs root.
pub fn set_nice(nice: i32) -> Result<()> {
    setpriority_process(None, nice).map_err(Error::errno("set the priority (a negative --nice needs root)"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dropped_child_is_gone_and_its_cost_was_visible() {
        let dir = tempfile::tempdir().unwrap();
        let arguments =
            ["-c".to_owned(), "i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done; echo spent; sleep 60".to_owned()];
        let child = Child::start(Path::new("sh"), &arguments, Some(0), dir.path().join("log")).unwrap();
        assert!(crate::net::wait_until(|| child.log_tail() == "spent").unwrap());
        assert!(child.cpu_ns() > 1_000_000 && child.memory_kib().peak > 100);
        let pid = child.process.id();
        drop(child);
        assert!(!Path::new(&format!("/proc/{pid}")).exists());
    }
}
