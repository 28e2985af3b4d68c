//! Where the admin server listens.

use std::io;
use std::path::{Path, PathBuf};

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener, lookup_host};

use crate::bind::{self, SocketFile, Stance};

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
    /// A UNIX socket and its file.
    Unix(UnixListener, SocketFile),
}

impl Listener {
    /// Binds `address`: `host:port`, or the path of a UNIX socket, which has a `/`. A socket that an earlier process
    /// left there is replaced. Beside another proxy, this one is asked from now on.
    ///
    /// # Errors
    /// [`AdminError`] if the kernel refuses, somebody listens there who is not to be replaced, or the path is taken by
    /// another kind of file.
    pub(crate) async fn bind(address: &str, stance: Stance) -> Result<Listener, AdminError> {
        let bound = match address.contains('/') {
            true => bind_unix(Path::new(address), stance),
            false => bind_tcp(address, stance).await,
        };
        bound.map_err(|source| match source.kind() {
            io::ErrorKind::AlreadyExists => AdminError::NotASocket(PathBuf::from(address)),
            _ => AdminError::Listen { address: address.to_owned(), source },
        })
    }

    /// The address as a client would write it; of port 0 the port that the kernel chose.
    pub(crate) fn address(&self) -> String {
        match self {
            Listener::Tcp(listener) => listener.local_addr().map_or_else(|_| "?".to_owned(), |addr| addr.to_string()),
            Listener::Unix(_, file) => file.path().display().to_string(),
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
        if let Listener::Unix(_, file) = self {
            file.remove();
        }
    }
}

/// The first of the name's addresses that can be had.
async fn bind_tcp(address: &str, stance: Stance) -> io::Result<Listener> {
    let mut outcome = Err(io::Error::other("the name has no address"));
    for address in lookup_host(address).await? {
        let elder = bind::listening(address);
        outcome = bind::listen(address, stance, |_| Ok(())).and_then(|listener| {
            if let (Stance::Beside, Ok(elder)) = (stance, elder) {
                // Without it the kernel spreads: some ask the one that is being replaced.
                let _ = bind::to_newest(&listener, elder, 1);
            }
            TcpListener::from_std(listener).map(Listener::Tcp)
        });
        if outcome.is_ok() {
            break;
        }
    }
    outcome
}

fn bind_unix(path: &Path, stance: Stance) -> io::Result<Listener> {
    let (listener, file) = bind::listen_at(path, None, stance)?;
    Ok(Listener::Unix(UnixListener::from_std(listener)?, file))
}
