//! A connected socket and the seal on it: what the worker reads and writes is always plaintext.

use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};

use mio::event::Source;
use mio::net::{TcpStream, UnixStream};
use mio::{Interest, Registry, Token};
use nix::sys::socket::setsockopt;
use nix::{libc, setsockopt_impl, sockopt_impl};

sockopt_impl!(
    /// How many bytes have to be there before a socket counts as readable.
    ReceiveLowWater,
    SetOnly,
    libc::SOL_SOCKET,
    libc::SO_RCVLOWAT,
    u32
);

/// How a connection is protected. Below the core: the router never sees anything but plaintext.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Seal {
    /// Not at all.
    #[default]
    Plain,
}

/// A connected socket.
#[derive(Debug)]
pub(crate) struct Socket {
    stream: Stream,
    seal: Seal,
}

#[derive(Debug)]
enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl From<TcpStream> for Socket {
    fn from(stream: TcpStream) -> Self {
        Self { stream: Stream::Tcp(stream), seal: Seal::Plain }
    }
}

impl From<UnixStream> for Socket {
    fn from(stream: UnixStream) -> Self {
        Self { stream: Stream::Unix(stream), seal: Seal::Plain }
    }
}

impl Socket {
    /// Has the worker told of everything that happens to this socket.
    pub(crate) fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        self.source().register(registry, token, Interest::READABLE | Interest::WRITABLE)
    }

    /// Whether the worker is told of bytes that arrive, those that are there included.
    pub(crate) fn listen(&mut self, registry: &Registry, token: Token, listens: bool) -> io::Result<()> {
        let reads = listens.then_some(Interest::READABLE);
        self.source().reregister(registry, token, reads.map_or(Interest::WRITABLE, |reads| reads | Interest::WRITABLE))
    }

    /// Has the worker told of bytes once so many are there, or when no more will come (SO_RCVLOWAT of socket(7)).
    pub(crate) fn wake_at(&self, bytes: u32) {
        if let Stream::Tcp(stream) = &self.stream {
            // Without it there are only more events.
            let _ = setsockopt(stream, ReceiveLowWater, &bytes);
        }
    }

    fn source(&mut self) -> &mut dyn Source {
        match &mut self.stream {
            Stream::Tcp(stream) => stream,
            Stream::Unix(stream) => stream,
        }
    }

    /// The error that made connecting fail, if one did.
    pub(crate) fn connect_error(&self) -> io::Result<()> {
        let error = match &self.stream {
            Stream::Tcp(stream) => stream.take_error()?,
            Stream::Unix(stream) => stream.take_error()?,
        };
        error.map_or(Ok(()), Err)
    }

    /// Reads once. `Ok(None)`: nothing is there now.
    pub(crate) fn read(&mut self, buffer: &mut [u8]) -> io::Result<Option<usize>> {
        match (self.seal, &mut self.stream) {
            (Seal::Plain, Stream::Tcp(stream)) => unless_blocked(|| stream.read(buffer)),
            (Seal::Plain, Stream::Unix(stream)) => unless_blocked(|| stream.read(buffer)),
        }
    }

    /// Writes once. `Ok(None)`: the socket takes nothing now.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> io::Result<Option<usize>> {
        match (self.seal, &mut self.stream) {
            (Seal::Plain, Stream::Tcp(stream)) => unless_blocked(|| stream.write(bytes)),
            (Seal::Plain, Stream::Unix(stream)) => unless_blocked(|| stream.write(bytes)),
        }
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match &self.stream {
            Stream::Tcp(stream) => stream.as_fd(),
            Stream::Unix(stream) => stream.as_fd(),
        }
    }
}

fn unless_blocked(mut act: impl FnMut() -> io::Result<usize>) -> io::Result<Option<usize>> {
    loop {
        match act() {
            Ok(count) => return Ok(Some(count)),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}
