//! The private folder of sockets and logs.
//!
//! Its maker holds a lock on it (flock(2), which a dying process cannot keep), so that a later start
//! can tell a folder in use from one left behind when proxy and watchdog were killed together.

use std::fs::{self, DirBuilder, File};
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{FlockOperation, flock};

/// Names of our folders begin with this.
const PREFIX: &str = "pdw-embedded-";
/// A folder younger than this may not be locked yet by the one who just made it.
const SETTLED: Duration = Duration::from_secs(60);

/// A path in `base` that nobody can have foreseen; nothing is made there yet.
pub(super) fn fresh_path(base: &Path) -> PathBuf {
    // RandomState's keys come from the system's entropy; what is hashed does not matter.
    let random = RandomState::new().hash_one(std::process::id());
    base.join(format!("{PREFIX}{random:016x}"))
}

/// A folder that only its owner can enter. It is removed with all it holds when this is dropped.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    /// Holds the lock.
    _lock: File,
}

impl Folder {
    /// Makes and locks the folder. Fails if anything is at `path` already.
    pub(super) fn create(path: &Path) -> io::Result<Self> {
        DirBuilder::new().mode(0o700).create(path)?;
        let lock = File::open(path)?;
        flock(&lock, FlockOperation::NonBlockingLockExclusive)?;
        Ok(Self { path: path.to_owned(), _lock: lock })
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        remove(&self.path);
    }
}

/// Removes the folder if it is there. What cannot be removed stays: there is nobody to tell.
pub(super) fn remove(path: &Path) {
    let _ = fs::remove_dir_all(path);
}

/// Removes the folders in `base` that were left behind.
pub(super) fn sweep(base: &Path) {
    let Ok(entries) = fs::read_dir(base) else { return };
    let ours = entries.flatten().filter(|entry| entry.file_name().as_encoded_bytes().starts_with(PREFIX.as_bytes()));
    for path in ours.map(|entry| entry.path()) {
        if is_left_behind(&path).unwrap_or(false) {
            remove(&path);
        }
    }
}

fn is_left_behind(path: &Path) -> io::Result<bool> {
    let metadata = fs::symlink_metadata(path)?;
    let own = metadata.is_dir() && metadata.uid() == rustix::process::geteuid().as_raw();
    let settled = metadata.modified()?.elapsed().is_ok_and(|age| age >= SETTLED);
    Ok(own && settled && flock(File::open(path)?, FlockOperation::NonBlockingLockShared).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;
    use std::time::SystemTime;

    fn age(path: &Path) {
        File::open(path).unwrap().set_modified(SystemTime::now() - 2 * SETTLED).unwrap();
    }

    #[test]
    fn a_folder_is_private_and_goes_with_its_owner() {
        let base = tempfile::tempdir().unwrap();
        let path = fresh_path(base.path());
        let folder = Folder::create(&path).unwrap();
        fs::write(path.join("0.log"), "x").unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o700);
        assert!(Folder::create(&path).is_err(), "a foreign folder is never taken over");
        drop(folder);
        assert!(!path.exists());
    }

    #[test]
    fn fresh_paths_differ() {
        assert_ne!(fresh_path(Path::new("/")), fresh_path(Path::new("/")));
    }

    #[test]
    fn the_sweep_takes_only_settled_folders_that_nobody_holds() {
        let base = tempfile::tempdir().unwrap();
        let [held, young, left, foreign] = ["a", "b", "c", "d"].map(|name| base.path().join(format!("{PREFIX}{name}")));
        let foreign = foreign.with_file_name("other");
        let _holder = Folder::create(&held).unwrap();
        for path in [&young, &left, &foreign] {
            fs::create_dir(path).unwrap();
        }
        for path in [&held, &left, &foreign] {
            age(path);
        }
        sweep(base.path());
        let rest = [&held, &young, &left, &foreign].map(|path| path.exists());
        assert_eq!(rest, [true, true, false, true]);
    }
}
