//! A connected socket and the seal on it: what the worker reads and writes is always plaintext.

use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};

use mio::event::Source;
use mio::net::{TcpStream, UnixStream};
use mio::{Interest, Registry, Token};

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
        let interest = Interest::READABLE | Interest::WRITABLE;
        match &mut self.stream {
            Stream::Tcp(stream) => stream.register(registry, token, interest),
            Stream::Unix(stream) => stream.register(registry, token, interest),
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
