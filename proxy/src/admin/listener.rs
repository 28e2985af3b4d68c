//! Where the admin server listens.

use std::io;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener, UnixStream};

/// Why there is no admin server.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AdminError {
    /// The kernel refused the address.
    #[error("cannot listen on the admin address {address} ({source}): give another one with --admin")]
    Listen {
        /// The address as it was given.
        address: String,
        /// What the kernel said.
        source: io::Error,
    },
    /// Something that is no socket lies where the socket should be.
    #[error("cannot listen on the admin address {}: a file that is not a socket is there; remove it or give another path with --admin", .0.display())]
    NotASocket(PathBuf),
}

/// A connection that was accepted.
pub(crate) type Socket = Box<dyn Connection>;

/// What the server needs of a connection.
pub(crate) trait Connection: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Connection for T {}

/// A bound TCP or UNIX socket. A UNIX socket's file is removed when this is dropped.
#[derive(Debug)]
pub(crate) enum Listener {
    /// A TCP port.
    Tcp(TcpListener),
    /// A UNIX socket and its path.
    Unix(UnixListener, PathBuf),
}

impl Listener {
    /// Binds `address`: `host:port`, or the path of a UNIX socket, which has a `/`. A socket that an earlier process
    /// left there is replaced.
    ///
    /// # Errors
    /// [`AdminError`] if the kernel refuses, somebody listens there, or the path is taken by another kind of file.
    pub(crate) async fn bind(address: &str) -> Result<Listener, AdminError> {
        let refused = |source| AdminError::Listen { address: address.to_owned(), source };
        if !address.contains('/') {
            return TcpListener::bind(address).await.map(Listener::Tcp).map_err(refused);
        }
        let path = Path::new(address);
        remove_stale(path).await?;
        let listener = UnixListener::bind(path).map_err(refused)?;
        Ok(Listener::Unix(listener, path.to_owned()))
    }

    /// The address as a client would write it; of port 0 the port that the kernel chose.
    pub(crate) fn address(&self) -> String {
        match self {
            Listener::Tcp(listener) => listener.local_addr().map_or_else(|_| "?".to_owned(), |addr| addr.to_string()),
            Listener::Unix(_, path) => path.display().to_string(),
        }
    }

    /// Waits for the next connection.
    pub(crate) async fn accept(&self) -> io::Result<Socket> {
        Ok(match self {
            Listener::Tcp(listener) => Box::new(listener.accept().await?.0),
            Listener::Unix(listener, _) => Box::new(listener.accept().await?.0),
        })
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        if let Listener::Unix(_, path) = self {
            // Nothing to be done if somebody else was faster.
            let _ = std::fs::remove_file(path);
        }
    }
}

/// Removes the socket at `path` if nobody listens on it any more.
async fn remove_stale(path: &Path) -> Result<(), AdminError> {
    let Ok(found) = std::fs::symlink_metadata(path) else { return Ok(()) };
    if !found.file_type().is_socket() {
        return Err(AdminError::NotASocket(path.to_owned()));
    }
    match UnixStream::connect(path).await {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            // If this fails, binding says why.
            let _ = std::fs::remove_file(path);
            Ok(())
        }
        // It is alive: binding will say that the address is in use.
        _ => Ok(()),
    }
}
