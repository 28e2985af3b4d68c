//! Numbers of this process, from `/proc/self` (proc(5)).

use std::fs;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::time::{SystemTime, UNIX_EPOCH};

use pdw_metrics::{Process, ProcessNumber};
use rustix::process::{Resource, getrlimit};
use tokio::sync::watch;

use super::Standing;

/// Unit of the times in `/proc/self/stat`: Linux shows 100 ticks a second on every architecture that Rust's standard
/// library supports, whatever its own clock does.
const TICKS_PER_SECOND: f64 = 100.0;

/// Reads the process's numbers anew for every scrape.
#[derive(Clone, Debug)]
pub(crate) struct ProcessReader {
    started: SystemTime,
    standing: watch::Receiver<Standing>,
}

impl ProcessReader {
    /// Takes now as the start of the process.
    pub(crate) fn new(standing: watch::Receiver<Standing>) -> ProcessReader {
        ProcessReader { started: SystemTime::now(), standing }
    }

    /// What the process is doing.
    pub(super) fn standing(&self) -> Standing {
        *self.standing.borrow()
    }

    /// The numbers as they are now; those that the kernel does not tell are left out.
    pub(crate) fn read(&self) -> Process {
        let mut process = Process::new(env!("CARGO_PKG_VERSION"));
        let standing = self.standing();
        let numbers = [
            (ProcessNumber::ReloadSuccessful, Some(f64::from(!standing.reload_refused))),
            (ProcessNumber::ConfigTime, standing.config_read.and_then(since_1970)),
            (ProcessNumber::StartTimeSeconds, since_1970(self.started)),
            (ProcessNumber::MemoryLimitBytes, standing.memory_limit.map(|bytes| bytes as f64)),
            (ProcessNumber::Draining, Some(f64::from(standing.draining))),
            (ProcessNumber::CpuSeconds, cpu_seconds()),
            (ProcessNumber::ResidentMemoryBytes, resident_bytes()),
            (ProcessNumber::OpenFds, open_fds()),
            (ProcessNumber::MaxFds, getrlimit(Resource::Nofile).current.map(|fds| fds as f64)),
        ];
        for (number, value) in numbers {
            if let Some(value) = value {
                process.set(number, value);
            }
        }
        process
    }
}

fn since_1970(time: SystemTime) -> Option<f64> {
    time.duration_since(UNIX_EPOCH).ok().map(|since| since.as_secs_f64())
}

/// Fields 14 and 15 of `stat`: user and system time. Field 2, the program's name, may hold spaces; it ends at the
/// last parenthesis.
fn cpu_seconds() -> Option<f64> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    let (_, after_name) = stat.rsplit_once(')')?;
    let mut times = after_name.split_ascii_whitespace().skip(11);
    let user: f64 = times.next()?.parse().ok()?;
    let system: f64 = times.next()?.parse().ok()?;
    Some((user + system) / TICKS_PER_SECOND)
}

/// The line is in the first half of the file's some 1,500 bytes.
const STATUS_MAX: usize = 4096;

/// Resident memory of this process, bytes: the line `VmRSS` of `status`, in KiB. It costs no memory itself.
pub(crate) fn resident_bytes() -> Option<f64> {
    let mut status = [0; STATUS_MAX];
    let len = fs::File::open("/proc/self/status").ok()?.read(&mut status).ok()?;
    let line = str::from_utf8(&status[..len]).ok()?.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: f64 = line.split_ascii_whitespace().next()?.parse().ok()?;
    Some(kib * 1024.0)
}

/// Since Linux 6.2 the size of `/proc/self/fd` is the number of its entries; listing 100,000 of them takes long.
fn open_fds() -> Option<f64> {
    let size = fs::metadata("/proc/self/fd").ok()?.size();
    if size > 0 {
        return Some(size as f64);
    }
    Some(fs::read_dir("/proc/self/fd").ok()?.count() as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_has_plausible_numbers() {
        let standing = Standing { memory_limit: Some(1 << 30), ..Standing::default() };
        let process = ProcessReader::new(watch::channel(standing).1).read();
        let number = |number| process.get(number).unwrap();
        assert!((1e6..1e12).contains(&number(ProcessNumber::ResidentMemoryBytes)));
        assert!((3.0..1e6).contains(&number(ProcessNumber::OpenFds)));
        assert!(number(ProcessNumber::MaxFds) >= number(ProcessNumber::OpenFds));
        assert!(number(ProcessNumber::StartTimeSeconds) > 1.7e9);
        assert_eq!(number(ProcessNumber::MemoryLimitBytes), 1_073_741_824.0);
    }

    #[test]
    fn processor_time_grows_with_work() {
        let before = cpu_seconds().unwrap();
        let begun = std::time::Instant::now();
        while cpu_seconds().unwrap() < before + 0.02 {
            assert!(begun.elapsed().as_secs() < 20, "no processor time after 20 s of work");
        }
    }
}
