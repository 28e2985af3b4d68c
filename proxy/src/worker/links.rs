//! Sockets to upstreams: dial, read, write.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use mio::event::Event;
use mio::net::{TcpStream, UnixStream};
use pdw_router::{End, Input, LinkKey, LossReason, Notice};
use socket2::SockRef;

use super::Worker;
use super::listener::Liveness;
use super::socket::Socket;
use super::token::Source;

/// Where an upstream is reached.
#[derive(Clone, Debug)]
pub(crate) struct Dial {
    /// What the operator calls it.
    pub(crate) name: String,
    /// Its address, resolved.
    pub(crate) address: DialAddress,
}

/// A resolved address.
#[derive(Clone, Debug)]
pub(crate) enum DialAddress {
    /// TCP.
    Tcp(SocketAddr),
    /// A UNIX socket.
    Unix(PathBuf),
}

impl Dial {
    fn dial(&self, liveness: Liveness) -> io::Result<Socket> {
        match &self.address {
            DialAddress::Tcp(address) => {
                let stream = TcpStream::connect(*address)?;
                liveness.apply(SockRef::from(&stream))?;
                Ok(stream.into())
            }
            DialAddress::Unix(path) => UnixStream::connect(path).map(Socket::from),
        }
    }
}

/// A link's socket and where its writing stands.
#[derive(Debug)]
pub(super) struct LinkSocket {
    socket: Socket,
    connecting: bool,
    queued: bool,
    blocked: bool,
    /// The peer has closed its direction; what it sent before may still be unread.
    ending: bool,
    written: u32,
}

impl Worker {
    /// Opens a link.
    pub(super) fn connect(&mut self, key: LinkKey, upstream: usize) {
        let dialled = self.upstreams[upstream].dial(self.liveness).and_then(|mut socket| {
            socket.register(self.poll.registry(), Source::Link(key).token())?;
            Ok(socket)
        });
        match dialled {
            Ok(socket) => {
                let written = self.turn.wrapping_sub(1);
                let link =
                    LinkSocket { socket, connecting: true, queued: false, blocked: false, ending: false, written };
                self.links.insert(key, link);
            }
            Err(_) => self.router.handle(self.now, Input::LinkLost(key, LossReason::Unreachable)),
        }
    }

    /// Takes note of what a link's socket is ready for.
    pub(super) fn note_link(&mut self, key: LinkKey, event: &Event) {
        let Some(link) = self.links.get_mut(key) else { return };
        link.ending |= event.is_read_closed();
        if link.connecting && (event.is_writable() || event.is_error()) {
            link.connecting = false;
            if event.is_error() || link.socket.connect_error().is_err() {
                return self.lose_link(key, LossReason::Unreachable);
            }
            self.router.handle(self.now, Input::LinkConnected(key));
        } else if event.is_writable() && std::mem::take(&mut link.blocked) {
            self.unwritten.push(End::Link(key));
        }
        self.queue_link(key, event.is_readable());
    }

    fn queue_link(&mut self, key: LinkKey, readable: bool) {
        let Some(link) = self.links.get_mut(key) else { return };
        if readable && !link.queued {
            link.queued = true;
            self.ready.push(End::Link(key));
        }
    }

    /// Reads a link once.
    pub(super) fn read_link(&mut self, key: LinkKey) {
        let Some(link) = self.links.get_mut(key) else { return };
        link.queued = false;
        match link.socket.read(&mut self.buffer) {
            Ok(Some(0)) => self.lose_link(key, LossReason::Closed),
            Ok(Some(count)) => {
                if count == self.buffer.len() || link.ending {
                    link.queued = true;
                    self.unfinished.push(End::Link(key));
                }
                self.router.handle(self.now, Input::LinkBytes(key, &self.buffer[..count]));
            }
            Ok(None) => {}
            Err(_) => self.lose_link(key, LossReason::Failed),
        }
    }

    /// Writes a link's batch, at most once in a turn.
    pub(super) fn write_link(&mut self, key: LinkKey) {
        let Some(link) = self.links.get_mut(key) else { return };
        if link.blocked || link.connecting {
            return;
        }
        if link.written == self.turn {
            return self.unwritten.push(End::Link(key));
        }
        let bytes = self.router.link_output(self.now, key);
        if bytes.is_empty() {
            return;
        }
        link.written = self.turn;
        match link.socket.write(bytes) {
            Ok(count) => {
                let count = count.unwrap_or(0);
                link.blocked = count < bytes.len();
                self.router.handle(self.now, Input::LinkWritten(key, count));
            }
            Err(_) => self.lose_link(key, LossReason::Failed),
        }
    }

    fn lose_link(&mut self, key: LinkKey, why: LossReason) {
        self.links.remove(key);
        self.router.handle(self.now, Input::LinkLost(key, why));
    }

    /// Tells the operator.
    pub(super) fn tell(&self, notice: &Notice) {
        let name = |index: &usize| self.upstreams.get(*index).map_or("?", |dial| dial.name.as_str());
        match notice {
            Notice::UpstreamReady(index) => tracing::info!(upstream = name(index), "{notice}"),
            Notice::UpstreamDown(index, _) | Notice::TransactionsForbidden(index) => {
                tracing::warn!(upstream = name(index), "{notice}");
            }
            Notice::UpstreamIsSelf(index) => tracing::error!(upstream = name(index), "{notice}"),
        }
    }
}
