//! UNIX sockets: whose path it is.
//!
//! The kernel gives a path to one process, but only while nothing is there. To take the place of what is left of an earlier
//! process is to look and then to replace; so that nobody else does the same in between, a lock file stands beside it
//! meanwhile.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{FlockOperation, OFlags, flock};
use socket2::{Domain, SockAddr, Socket, Type};

use super::Stance;

/// So often the lock of a path is asked for,
const TRIES: usize = 200;

/// and so long is waited in between. It is held for a few system calls.
const PAUSE: Duration = Duration::from_millis(10);

/// The file of a UNIX socket that this process made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SocketFile {
    path: PathBuf,
    /// Device and inode. No other file gets them as long as the socket is open, whatever its path.
    identity: (u64, u64),
}

impl SocketFile {
    fn of(path: &Path) -> io::Result<Self> {
        Ok(Self { path: path.to_owned(), identity: identity(path)? })
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Removes the file, unless another socket has taken its path.
    pub(crate) fn remove(&self) {
        let _locked = Lock::take(&self.path);
        if identity(&self.path).is_ok_and(|found| found == self.identity) {
            // Somebody may have been faster; there is nothing to do about it then.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

fn identity(path: &Path) -> io::Result<(u64, u64)> {
    let data = std::fs::symlink_metadata(path)?;
    Ok((data.dev(), data.ino()))
}

/// Nobody else takes or leaves a path.
struct Lock {
    /// Locked as long as it is open; another process's lock ends with that process.
    file: File,
    path: PathBuf,
}

impl Lock {
    fn take(path: &Path) -> io::Result<Self> {
        let path = beside(path, "pdw-lock");
        for _ in 0..TRIES {
            let file = open_lock(&path)?;
            match flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Err(rustix::io::Errno::WOULDBLOCK) => std::thread::sleep(PAUSE),
                Err(error) => return Err(error.into()),
                // Who had it before may have removed it in between.
                Ok(()) if is_at(&file, &path) => return Ok(Self { file, path }),
                Ok(()) => {}
            }
        }
        let held = format!("another process keeps {} locked; end that process, or wait for it", path.display());
        Err(io::Error::new(io::ErrorKind::TimedOut, held))
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // While it is locked: who waits for it sees then that it is gone.
        if is_at(&self.file, &self.path) {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

fn open_lock(path: &Path) -> io::Result<File> {
    let flags = (OFlags::NOFOLLOW | OFlags::CLOEXEC).bits() as i32;
    OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).custom_flags(flags).open(path)
}

/// Whether a file is still what a path leads to.
fn is_at(file: &File, path: &Path) -> bool {
    let open = file.metadata().map(|data| (data.dev(), data.ino()));
    open.is_ok_and(|open| identity(path).is_ok_and(|found| found == open))
}

/// A path with something appended to its name.
fn beside(path: &Path, what: impl std::fmt::Display) -> PathBuf {
    let mut beside = path.as_os_str().to_owned();
    beside.push(format!(".{what}"));
    PathBuf::from(beside)
}

/// Listens on a UNIX socket, taking the place of one that nobody listens on any more; beside another, also of one
/// that somebody listens on. `mode`: permissions of its file, other than the umask leaves.
///
/// # Errors
/// What the kernel says; `AddrInUse` if somebody listens there or begins to at this very moment, `AlreadyExists` if
/// something that is no socket is there, `TimedOut` if another process keeps it locked.
pub(crate) fn listen_at(path: &Path, mode: Option<u32>, stance: Stance) -> io::Result<(UnixListener, SocketFile)> {
    let _locked = Lock::take(path)?;
    let listener = match std::fs::symlink_metadata(path) {
        Ok(data) if !data.file_type().is_socket() => {
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, "a file that is not a socket is there"));
        }
        Ok(_) if stance == Stance::Beside || !has_listener(path)? => listen_over(path, mode)?,
        // Whoever may not connect shall find no moment at which it is possible.
        Err(_) if mode.is_some() => listen_over(path, mode)?,
        _ => UnixListener::bind(path)?,
    };
    listener.set_nonblocking(true)?;
    Ok((listener, SocketFile::of(path)?))
}

/// Whether somebody listens on a socket. Only who is refused knows that nobody does; who waits for room, may not connect
/// or speaks otherwise has found somebody.
fn has_listener(path: &Path) -> io::Result<bool> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM.nonblocking(), None)?;
    let refused = |error: io::Error| error.kind() == io::ErrorKind::ConnectionRefused;
    Ok(!socket.connect(&SockAddr::unix(path)?).is_err_and(refused))
}

/// In one step, so that there is no moment at which nobody can connect.
fn listen_over(path: &Path, mode: Option<u32>) -> io::Result<UnixListener> {
    let beside = beside(path, std::process::id());
    // Of a process with the same number, long ago; if something else is there, binding says so.
    let _ = std::fs::remove_file(&beside);
    let listener = UnixListener::bind(&beside)?;
    if let Some(mode) = mode {
        std::fs::set_permissions(&beside, std::fs::Permissions::from_mode(mode))?;
    }
    std::fs::rename(&beside, path).inspect_err(|_| drop(std::fs::remove_file(&beside)))?;
    Ok(listener)
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::{UnixDatagram, UnixStream};
    use std::sync::Barrier;

    use super::*;

    #[test]
    fn only_a_socket_that_is_still_ones_own_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s");
        let (_elder, elders) = listen_at(&path, None, Stance::Alone).unwrap();
        assert_eq!(listen_at(&path, None, Stance::Alone).unwrap_err().kind(), io::ErrorKind::AddrInUse);
        let (newer, newers) = listen_at(&path, None, Stance::Beside).unwrap();
        elders.remove();
        let _client = UnixStream::connect(&path).unwrap();
        assert!(newer.accept().is_ok(), "the path leads to the newer");
        newers.remove();
        assert!(!path.exists());
    }

    #[test]
    fn a_socket_has_its_mode_from_the_start() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s");
        for stance in [Stance::Alone, Stance::Beside] {
            let (_listener, _) = listen_at(&path, Some(0o620), stance).unwrap();
            assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o777, 0o620);
        }
        assert_eq!(listen_at(&path, Some(0o600), Stance::Alone).map(drop).map_err(|error| error.kind()), Ok(()));
    }

    #[test]
    fn a_socket_that_nobody_listens_on_is_replaced_and_another_file_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s");
        drop(UnixListener::bind(&path).unwrap());
        let (listener, _) = listen_at(&path, None, Stance::Alone).unwrap();
        drop(listener);
        let other = folder.path().join("other");
        std::fs::write(&other, "text").unwrap();
        for stance in [Stance::Alone, Stance::Beside] {
            assert_eq!(listen_at(&other, None, stance).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        }
        assert_eq!(std::fs::read(&other).unwrap(), b"text");
    }

    #[test]
    fn of_several_that_begin_at_the_same_moment_on_what_is_left_of_another_one_listens() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s");
        for (round, mode) in (0..100).flat_map(|round| [(round, None), (round, Some(0o600))]) {
            drop(UnixListener::bind(&path).unwrap());
            let gate = Barrier::new(4);
            let begin = || {
                gate.wait();
                listen_at(&path, mode, Stance::Alone)
            };
            let outcomes = std::thread::scope(|scope| {
                let all: Vec<_> = (0..4).map(|_| scope.spawn(begin)).collect();
                all.into_iter().map(|one| one.join().unwrap()).collect::<Vec<_>>()
            });
            let (one, others): (Vec<_>, Vec<_>) = outcomes.into_iter().partition(Result::is_ok);
            assert_eq!(one.len(), 1, "round {round}: {others:?}");
            assert!(others.iter().all(|other| other.as_ref().unwrap_err().kind() == io::ErrorKind::AddrInUse));
            one[0].as_ref().unwrap().1.remove();
        }
    }

    #[test]
    fn who_has_no_room_for_another_client_or_speaks_otherwise_is_there_all_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s");
        let full = Socket::new(Domain::UNIX, Type::STREAM, None).unwrap();
        full.bind(&SockAddr::unix(&path).unwrap()).unwrap();
        full.listen(0).unwrap();
        let _waiting = UnixStream::connect(&path).unwrap();
        let other = folder.path().join("other");
        let _other = UnixDatagram::bind(&other).unwrap();
        for path in [path, other] {
            assert_eq!(listen_at(&path, None, Stance::Alone).unwrap_err().kind(), io::ErrorKind::AddrInUse);
        }
    }

    #[test]
    fn a_path_that_another_process_keeps_locked_is_an_error_that_says_so() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s");
        let locked = Lock::take(&path).unwrap();
        let error = listen_at(&path, None, Stance::Alone).unwrap_err();
        assert!(error.to_string().contains("s.pdw-lock locked"), "{error}");
        drop(locked);
        // What a process left that was killed is in nobody's way, and nothing stays.
        std::fs::write(beside(&path, "pdw-lock"), "").unwrap();
        listen_at(&path, None, Stance::Alone).unwrap();
        assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 1);
    }
}
