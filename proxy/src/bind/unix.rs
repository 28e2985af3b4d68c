//! UNIX sockets: whose path it is.

use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use super::Stance;

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

/// Listens on a UNIX socket, taking the place of one that nobody listens on any more; beside another, also of one
/// that somebody listens on. `mode`: permissions of its file, other than the umask leaves.
///
/// # Errors
/// What the kernel says; `AlreadyExists` if something that is no socket is there.
pub(crate) fn listen_at(path: &Path, mode: Option<u32>, stance: Stance) -> io::Result<(UnixListener, SocketFile)> {
    let listener = match std::fs::symlink_metadata(path) {
        Ok(data) if !data.file_type().is_socket() => {
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, "a file that is not a socket is there"));
        }
        Ok(_) if stance == Stance::Beside || UnixStream::connect(path).is_err() => listen_over(path, mode)?,
        // Whoever may not connect shall find no moment at which it is possible.
        Err(_) if mode.is_some() => listen_over(path, mode)?,
        _ => UnixListener::bind(path)?,
    };
    listener.set_nonblocking(true)?;
    Ok((listener, SocketFile::of(path)?))
}

/// In one step, so that there is no moment at which nobody can connect.
fn listen_over(path: &Path, mode: Option<u32>) -> io::Result<UnixListener> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(format!(".{}", std::process::id()));
    let beside = PathBuf::from(beside);
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
}
