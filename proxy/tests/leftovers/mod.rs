//! Processes and folders that a proxy may have left behind.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::process::Pid;

/// How long anything may take to be gone (or back).
pub(crate) const SOON: Duration = Duration::from_secs(2);

/// The private folder of a watchdog whose TMPDIR is `tmp`.
pub(crate) fn folder(tmp: &Path) -> Option<PathBuf> {
    let mut entries = fs::read_dir(tmp).unwrap().flatten().map(|entry| entry.path());
    entries.find(|path| path.file_name().unwrap().to_string_lossy().starts_with("pdw-embedded-"))
}

/// Watchdog and members: living processes whose command line names the folder.
pub(crate) fn helpers(tmp: &Path) -> Vec<Pid> {
    let prefix = format!("{}/pdw-embedded-", tmp.display());
    let entries = fs::read_dir("/proc").unwrap().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok().and_then(Pid::from_raw));
    pids.filter(|pid| command_line(*pid).contains(&prefix)).collect()
}

/// Empty for a process that is gone, or dead and not yet waited for.
pub(crate) fn command_line(pid: Pid) -> String {
    let line = fs::read(format!("/proc/{}/cmdline", pid.as_raw_nonzero())).unwrap_or_default();
    String::from_utf8_lossy(&line).replace('\0', " ")
}

/// Shows that neither folder nor process is left.
pub(crate) fn assert_none(tmp: &Path) {
    let gone = within(SOON, || helpers(tmp).is_empty() && folder(tmp).is_none());
    assert!(gone, "{}", told(tmp));
}

/// What is there.
pub(crate) fn told(tmp: &Path) -> String {
    let lines: Vec<String> = helpers(tmp).iter().map(|pid| command_line(*pid)).collect();
    format!("left behind: {lines:?}, {:?}", folder(tmp))
}

/// Whether the condition comes true in time.
pub(crate) fn within(limit: Duration, condition: impl Fn() -> bool) -> bool {
    let start = Instant::now();
    while start.elapsed() < limit {
        if condition() {
            return true;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    condition()
}
