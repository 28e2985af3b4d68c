//! A connected socket and the seal on it: what the worker reads and writes is always plaintext.

use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};

use mio::event::Source;
use mio::net::{TcpStream, UnixStream};
use mio::{Interest, Registry, Token};
use nix::sys::socket::setsockopt;
use nix::{libc, setsockopt_impl, sockopt_impl};
use pdw_auth::SealError;
use pdw_router::Buffered;

use super::wire::{Scratch, Wire};
use crate::seal::Peer;

sockopt_impl!(
    /// How many bytes have to be there before a socket counts as readable.
    ReceiveLowWater,
    SetOnly,
    libc::SOL_SOCKET,
    libc::SO_RCVLOWAT,
    u32
);

/// A connected socket.
#[derive(Debug)]
pub(crate) struct Socket {
    stream: Stream,
    /// What a sealed one has besides; a plain one is no larger for it.
    wire: Option<Box<Wire>>,
}

/// The kernel's socket.
#[derive(Debug)]
pub(super) enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

/// When plaintext that was sealed counts as written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Written {
    /// When the kernel has all of it: as long as it has not, the same bytes are given again.
    Sent,
    /// When it is sealed: the socket keeps it until the kernel takes it. It cannot be taken back.
    Sealed,
}

impl From<TcpStream> for Socket {
    fn from(stream: TcpStream) -> Self {
        Self { stream: Stream::Tcp(stream), wire: None }
    }
}

impl From<UnixStream> for Socket {
    fn from(stream: UnixStream) -> Self {
        Self { stream: Stream::Unix(stream), wire: None }
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

    /// Has the worker told of nothing any more.
    pub(crate) fn deregister(&mut self, registry: &Registry) -> io::Result<()> {
        self.source().deregister(registry)
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

    /// Who is at the far end.
    pub(super) fn peer_address(&self) -> Peer {
        match &self.stream {
            Stream::Tcp(stream) => stream.peer_addr().map_or(Peer::Many, |address| Peer::Address(address.ip())),
            Stream::Unix(_) => Peer::Local,
        }
    }

    /// The bare socket, for a handshake.
    pub(super) fn stream(&mut self) -> &mut Stream {
        &mut self.stream
    }

    /// Puts a seal on it.
    pub(super) fn seal(&mut self, wire: Wire) {
        self.wire = Some(Box::new(wire));
    }

    /// Whether there is a seal on it.
    pub(super) fn is_sealed(&self) -> bool {
        self.wire.is_some()
    }

    /// Whether there is more to read of which the kernel will not tell.
    pub(super) fn has_more(&self) -> bool {
        self.wire.as_ref().is_some_and(|wire| wire.has_more())
    }

    /// Whether bytes wait for the kernel to take them.
    pub(super) fn has_unsent(&self) -> bool {
        self.wire.as_ref().is_some_and(|wire| wire.has_unsent())
    }

    /// Which seal is on it; 0 for none.
    pub(super) fn seal_kind(&self) -> usize {
        self.wire.as_ref().map_or(0, |wire| wire.kind())
    }

    /// Bytes that have arrived at its seal and are not opened.
    pub(super) fn unopened(&self) -> usize {
        self.wire.as_ref().map_or(0, |wire| wire.unopened())
    }

    /// Bytes that its seal holds, if they are others than when this was asked last.
    pub(super) fn news(&mut self) -> Option<Buffered> {
        self.wire.as_mut()?.news()
    }

    /// A relay to or from here carries so many bytes; whether that is this socket's affair.
    pub(super) fn set_carried(&mut self, bytes: usize) -> bool {
        self.wire.as_mut().map(|wire| wire.set_carried(bytes)).is_some()
    }

    /// Reads once. `Ok(None)`: nothing is there now.
    pub(super) fn read(&mut self, buffer: &mut [u8], scratch: &mut Scratch) -> io::Result<Option<usize>> {
        match &mut self.wire {
            None => self.stream.receive(buffer),
            Some(wire) => wire.read(&mut self.stream, buffer, scratch),
        }
    }

    /// Writes once. `Ok(None)`: the socket takes nothing now.
    pub(super) fn write(&mut self, bytes: &[u8], scratch: &mut Scratch, when: Written) -> io::Result<Option<usize>> {
        match &mut self.wire {
            None => self.stream.send(bytes),
            Some(wire) => wire.write(&mut self.stream, bytes, scratch, when),
        }
    }

    /// Gives the kernel what waits for it, as far as it takes it.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        match &mut self.wire {
            None => Ok(()),
            Some(wire) => wire.flush(&mut self.stream).map(drop),
        }
    }

    /// Tells the far end that nothing follows, if the seal has a word for that and the kernel takes it.
    pub(super) fn say_end(&mut self, scratch: &mut Scratch) {
        if let Some(wire) = &mut self.wire {
            wire.say_end(&mut self.stream, scratch);
        }
    }

    /// Why the seal broke, if that is why reading or writing failed.
    pub(super) fn broken(&mut self) -> Option<SealError> {
        self.wire.as_mut()?.take_broken()
    }
}

impl Stream {
    /// Reads once. `Ok(None)`: nothing is there now.
    pub(super) fn receive(&mut self, buffer: &mut [u8]) -> io::Result<Option<usize>> {
        match self {
            Self::Tcp(stream) => unless_blocked(|| stream.read(buffer)),
            Self::Unix(stream) => unless_blocked(|| stream.read(buffer)),
        }
    }

    /// Writes once. `Ok(None)`: the socket takes nothing now.
    pub(super) fn send(&mut self, bytes: &[u8]) -> io::Result<Option<usize>> {
        match self {
            Self::Tcp(stream) => unless_blocked(|| stream.write(bytes)),
            Self::Unix(stream) => unless_blocked(|| stream.write(bytes)),
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
