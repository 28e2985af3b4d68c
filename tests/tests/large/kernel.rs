//! What a process costs: resident memory, and what the kernel holds for its sockets and pipes.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rustix::pipe::fcntl_getpipe_size;

/// Memory of one process, bytes.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Cost {
    /// Highest resident memory less what it was before.
    pub(crate) resident: u64,
    /// Highest sum over its sockets (`ss -m`: received, queued, reserved) and of the capacity of its pipes.
    pub(crate) kernel: u64,
}

/// Watches a process until it is asked for the result.
#[derive(Debug)]
pub(crate) struct Watch {
    pid: u32,
    before: u64,
    stop: Arc<AtomicBool>,
    sampler: JoinHandle<u64>,
}

impl Watch {
    /// Begins; the peak of resident memory starts anew.
    pub(crate) fn start(pid: u32) -> io::Result<Watch> {
        // proc(5): 5 resets the peak resident set size.
        fs::write(format!("/proc/{pid}/clear_refs"), "5")?;
        let before = status_bytes(pid, "VmRSS:")?;
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let sampler = thread::spawn(move || {
            let mut peak = 0;
            while !stopped.load(Ordering::Relaxed) {
                peak = peak.max(kernel_bytes(pid).unwrap_or(0));
                thread::sleep(Duration::from_millis(100));
            }
            peak
        });
        Ok(Watch { pid, before, stop, sampler })
    }

    /// The highest since the start.
    pub(crate) fn finish(self) -> io::Result<Cost> {
        self.stop.store(true, Ordering::Relaxed);
        let kernel = self.sampler.join().map_err(|_| io::Error::other("the sampler failed"))?;
        let peak = status_bytes(self.pid, "VmHWM:")?;
        Ok(Cost { resident: peak.saturating_sub(self.before), kernel })
    }
}

/// A size of `/proc/PID/status`.
pub(crate) fn status_bytes(pid: u32, field: &str) -> io::Result<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix(field));
    let kib: Option<u64> = line.and_then(|rest| rest.split_whitespace().next()?.parse().ok());
    kib.map(|kib| kib << 10).ok_or_else(|| io::Error::other(format!("no {field}")))
}

/// Kernel memory of the sockets and pipes of a process.
fn kernel_bytes(pid: u32) -> io::Result<u64> {
    let output = Command::new("ss").args(["-tmnpHO"]).output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    let own = format!("pid={pid},");
    let sockets: u64 = text.lines().filter(|line| line.contains(&own)).filter_map(socket_bytes).sum();
    Ok(sockets + pipe_bytes(pid)?)
}

/// From `skmem:(r0,rb131072,t0,tb87040,f0,w0,o0,bl0,d0)` all that is memory and no limit; see ss(8).
fn socket_bytes(line: &str) -> Option<u64> {
    let fields = line.split_once("skmem:(")?.1.split_once(')')?.0;
    let size = |field: &str| {
        let digits = field.trim_start_matches(|letter: char| letter.is_ascii_alphabetic());
        let name = &field[..field.len() - digits.len()];
        ["r", "t", "f", "w", "o", "bl"].contains(&name).then(|| digits.parse().unwrap_or(0_u64))
    };
    Some(fields.split(',').filter_map(size).sum())
}

fn pipe_bytes(pid: u32) -> io::Result<u64> {
    let (mut seen, mut bytes) = (BTreeSet::new(), 0);
    for entry in fs::read_dir(format!("/proc/{pid}/fd"))? {
        let path = entry?.path();
        // A descriptor may be closed meanwhile.
        let Ok(target) = fs::read_link(&path) else { continue };
        if target.to_string_lossy().starts_with("pipe:") && seen.insert(target) {
            let size = File::open(&path).ok().and_then(|pipe| fcntl_getpipe_size(&pipe).ok());
            bytes += size.unwrap_or(0) as u64;
        }
    }
    Ok(bytes)
}

#[test]
fn only_memory_counts_of_what_ss_tells() {
    let line = "ESTAB 0 0 a b users:((\"x\",pid=1,fd=2)) skmem:(r10,rb131072,t1,tb87040,f100,w1000,o0,bl5,d7)";
    assert_eq!(socket_bytes(line), Some(1116));
}
