//! Listeners: one of its own per worker on TCP (`SO_REUSEPORT`), a shared one on a UNIX socket.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use mio::event::Source;
use mio::net::{TcpListener, UnixListener};
use mio::{Interest, Registry, Token};
use socket2::{SockRef, TcpKeepalive};

use super::socket::Socket;
use crate::bind::{self, Stance};
use crate::seal::{Peer, Seal};

/// The kernel counts whole seconds.
const INTERVAL_MIN: Duration = Duration::from_secs(1);

/// How dead peers are found: sessions are never closed for being idle.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Liveness {
    /// After this long without a byte the kernel asks whether the peer is there.
    pub(crate) keepalive: Duration,
    /// So long may sent bytes stay unacknowledged, or the peer have no room for more.
    pub(crate) user_timeout: Duration,
}

impl Liveness {
    /// Sets a TCP socket up: no delay, and the two times. Accepted sockets inherit all of it from their listener.
    pub(super) fn apply(self, socket: SockRef<'_>) -> io::Result<()> {
        let interval = (self.keepalive / 4).max(INTERVAL_MIN);
        let keepalive = TcpKeepalive::new().with_time(self.keepalive).with_interval(interval);
        socket.set_tcp_nodelay(true)?;
        socket.set_tcp_keepalive(&keepalive)?;
        socket.set_tcp_user_timeout(Some(self.user_timeout))
    }
}

/// A listening socket, and the seal of its connections.
#[derive(Debug)]
pub(crate) struct Listener {
    socket: Listening,
    seal: Option<Seal>,
}

/// The kernel's listening socket.
#[derive(Debug)]
enum Listening {
    /// TCP.
    Tcp(TcpListener),
    /// A UNIX socket.
    Unix(UnixListener),
}

impl Listener {
    /// Listens on a TCP address; also says which, of port 0 with the port that the kernel chose.
    pub(crate) fn tcp(address: SocketAddr, stance: Stance, liveness: Liveness) -> io::Result<(Self, SocketAddr)> {
        let listener = bind::listen(address, stance, |socket| liveness.apply(socket))?;
        let address = listener.local_addr()?;
        Ok((Self { socket: Listening::Tcp(TcpListener::from_std(listener)), seal: None }, address))
    }

    /// Listens on a UNIX socket.
    pub(crate) fn unix(listener: UnixListener) -> Self {
        Self { socket: Listening::Unix(listener), seal: None }
    }

    /// The same with a seal on its connections.
    pub(crate) fn sealed(self, seal: Option<Seal>) -> Self {
        Self { seal, ..self }
    }

    /// The seal of its connections.
    pub(super) fn seal(&self) -> Option<&Seal> {
        self.seal.as_ref()
    }

    /// Has connections that are accepted from now on found dead after these times.
    pub(super) fn apply(&self, liveness: Liveness) -> io::Result<()> {
        match &self.socket {
            Listening::Tcp(listener) => liveness.apply(SockRef::from(listener)),
            Listening::Unix(_) => Ok(()),
        }
    }

    /// Has new connections go to the `workers` that listen here, not to the `elder` ones. A UNIX socket has only one.
    pub(crate) fn steer(&self, elder: usize, workers: usize) -> io::Result<()> {
        match &self.socket {
            Listening::Tcp(listener) => bind::to_newest(listener, elder, workers),
            Listening::Unix(_) => Ok(()),
        }
    }

    /// Lets nobody begin to connect any more, without refusing anybody. Who has begun is accepted as before.
    pub(super) fn turn_away(&self) -> io::Result<()> {
        match &self.socket {
            Listening::Tcp(listener) => bind::turn_away(SockRef::from(listener)),
            // The path leads elsewhere, or nowhere, already.
            Listening::Unix(_) => Ok(()),
        }
    }

    /// After this, who is accepted last is the last. TCP has no such thing: the time since
    /// [`turn_away`](Self::turn_away) has to do.
    pub(super) fn close_queue(&self) {
        if let Listening::Unix(listener) = &self.socket {
            // It fails if another worker did it before.
            let _ = rustix::net::shutdown(listener, rustix::net::Shutdown::Read);
        }
    }

    /// Has the worker told when somebody connects.
    pub(super) fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        match &mut self.socket {
            Listening::Tcp(listener) => listener.register(registry, token, Interest::READABLE),
            Listening::Unix(listener) => listener.register(registry, token, Interest::READABLE),
        }
    }

    /// Accepts one connection. `Ok(None)`: nobody waits.
    pub(super) fn accept(&self) -> io::Result<Option<(Socket, Peer)>> {
        let accepted = match &self.socket {
            Listening::Tcp(listener) => {
                listener.accept().map(|(stream, from)| (Socket::from(stream), Peer::Address(from.ip())))
            }
            Listening::Unix(listener) => listener.accept().map(|(stream, _)| (Socket::from(stream), Peer::Local)),
        };
        match accepted {
            Ok(accepted) => Ok(Some(accepted)),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(error),
        }
    }
}
