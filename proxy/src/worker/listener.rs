//! Listeners: one of its own per worker on TCP (`SO_REUSEPORT`), a shared one on a UNIX socket.

use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::FileTypeExt;
use std::path::Path;
use std::time::Duration;

use mio::event::Source;
use mio::net::{TcpListener, UnixListener};
use mio::{Interest, Registry, Token};
use socket2::{Domain, Protocol, SockRef, Socket as RawSocket, TcpKeepalive, Type};

use super::socket::Socket;

/// Connections that may wait to be accepted. The kernel lowers it to `net.core.somaxconn`.
const BACKLOG: i32 = 4096;

/// How dead peers are found: sessions are never closed for being idle.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Liveness {
    /// After this long without a byte the kernel asks whether the peer is there.
    pub(crate) keepalive: Duration,
    /// So long may sent bytes stay unacknowledged.
    pub(crate) user_timeout: Duration,
}

impl Liveness {
    /// Sets a TCP socket up: no delay, and the two times. Accepted sockets inherit all of it from their listener.
    pub(super) fn apply(self, socket: SockRef<'_>) -> io::Result<()> {
        let keepalive = TcpKeepalive::new().with_time(self.keepalive).with_interval(self.keepalive / 4);
        socket.set_tcp_nodelay(true)?;
        socket.set_tcp_keepalive(&keepalive)?;
        socket.set_tcp_user_timeout(Some(self.user_timeout))
    }
}

/// A listening socket.
#[derive(Debug)]
pub(crate) enum Listener {
    /// TCP.
    Tcp(TcpListener),
    /// A UNIX socket.
    Unix(UnixListener),
}

impl Listener {
    /// Where to listen for a TCP address: the same, with a free port in place of port 0.
    ///
    /// # Errors
    /// Somebody listens there. Listeners with `SO_REUSEPORT` would not notice, and share the clients
    /// with another proxy that knows nothing of their keys.
    pub(crate) fn claim(address: SocketAddr) -> io::Result<SocketAddr> {
        let socket = RawSocket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
        socket.set_reuse_address(true)?;
        socket.bind(&address.into())?;
        Ok(socket.local_addr()?.as_socket().unwrap_or(address))
    }

    /// Listens on a TCP address, beside other listeners of the same user on it.
    pub(crate) fn tcp(address: SocketAddr, liveness: Liveness) -> io::Result<Self> {
        let socket = RawSocket::new(Domain::for_address(address), Type::STREAM.nonblocking(), Some(Protocol::TCP))?;
        socket.set_reuse_address(true)?;
        socket.set_reuse_port(true)?;
        liveness.apply(SockRef::from(&socket))?;
        socket.bind(&address.into())?;
        socket.listen(BACKLOG)?;
        Ok(Self::Tcp(TcpListener::from_std(socket.into())))
    }

    /// Listens on a UNIX socket, taking the place of one that nobody listens on any more.
    pub(crate) fn unix(path: &Path) -> io::Result<std::os::unix::net::UnixListener> {
        let stale = std::fs::symlink_metadata(path).is_ok_and(|data| data.file_type().is_socket())
            && std::os::unix::net::UnixStream::connect(path).is_err();
        if stale {
            std::fs::remove_file(path)?;
        }
        let listener = std::os::unix::net::UnixListener::bind(path)?;
        listener.set_nonblocking(true)?;
        Ok(listener)
    }

    /// Has the worker told when somebody connects.
    pub(super) fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        match self {
            Self::Tcp(listener) => listener.register(registry, token, Interest::READABLE),
            Self::Unix(listener) => listener.register(registry, token, Interest::READABLE),
        }
    }

    /// Accepts one connection. `Ok(None)`: nobody waits.
    pub(super) fn accept(&self) -> io::Result<Option<Socket>> {
        let accepted = match self {
            Self::Tcp(listener) => listener.accept().map(|(stream, _)| Socket::from(stream)),
            Self::Unix(listener) => listener.accept().map(|(stream, _)| Socket::from(stream)),
        };
        match accepted {
            Ok(socket) => Ok(Some(socket)),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_process_cannot_listen_beside_this_one_but_another_worker_can() {
        let liveness = Liveness { keepalive: Duration::from_secs(60), user_timeout: Duration::from_secs(30) };
        let address = Listener::claim(([127, 0, 0, 1], 0).into()).unwrap();
        assert_ne!(address.port(), 0);
        let _first = Listener::tcp(address, liveness).unwrap();
        let _second = Listener::tcp(address, liveness).unwrap();
        assert_eq!(Listener::claim(address).unwrap_err().kind(), io::ErrorKind::AddrInUse);
    }
}
