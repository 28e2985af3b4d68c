//! Sockets to upstreams: dial, read, write.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use mio::event::Event;
use mio::net::{TcpStream, UnixStream};
use pdw_router::{End, Input, LinkKey, LossReason, Notice};
use socket2::SockRef;
use tokio::sync::Notify;

use super::ends::Line;
use super::listener::Liveness;
use super::socket::Socket;
use super::token::Source;
use super::{Ahead, Worker};

/// Where an upstream is reached.
#[derive(Clone, Debug)]
pub(crate) struct Dial {
    /// What the operator calls it.
    pub(crate) name: String,
    /// Its address, resolved.
    pub(crate) address: DialAddress,
    /// Rung whenever a link to it is opened, so that a name is looked up again; see `serve/names.rs`.
    pub(crate) opened: Option<Arc<Notify>>,
}

/// A resolved address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum DialAddress {
    /// TCP.
    Tcp(SocketAddr),
    /// A UNIX socket.
    Unix(PathBuf),
}

impl Dial {
    /// An upstream whose address does not change.
    pub(crate) fn new(name: String, address: DialAddress) -> Self {
        Self { name, address, opened: None }
    }

    fn dial(&self, liveness: Liveness) -> io::Result<Socket> {
        self.opened.iter().for_each(|bell| bell.notify_one());
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

/// A link's socket.
#[derive(Debug)]
pub(super) struct LinkSocket {
    pub(super) line: Line,
    connecting: bool,
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
                let line = Line::new(socket, self.turn.wrapping_sub(1));
                self.links.insert(key, LinkSocket { line, connecting: true });
            }
            Err(_) => self.router.handle(self.now, Input::LinkLost(key, LossReason::Unreachable)),
        }
    }

    /// An upstream is somewhere else from now on.
    pub(super) fn redial(&mut self, index: usize, dial: Dial) {
        if let Some(old) = self.upstreams.get_mut(index) {
            let address = dial.address.clone();
            *old = Dial { address: old.address.clone(), ..dial };
            self.redirect(index, address);
        }
    }

    /// An upstream's name leads elsewhere from now on.
    pub(super) fn redirect(&mut self, index: usize, address: DialAddress) {
        let Some(dial) = self.upstreams.get_mut(index).filter(|dial| dial.address != address) else { return };
        dial.address = address;
        self.router.handle(self.now, Input::UpstreamMoved(index));
    }

    /// Takes note of what a link's socket is ready for.
    pub(super) fn note_link(&mut self, key: LinkKey, event: &Event) {
        let Some(link) = self.links.get_mut(key) else { return };
        link.line.ending |= event.is_read_closed();
        if link.connecting && (event.is_writable() || event.is_error()) {
            link.connecting = false;
            if event.is_error() || link.line.socket.connect_error().is_err() {
                return self.lose_link(key, LossReason::Unreachable);
            }
            self.router.handle(self.now, Input::LinkConnected(key));
        } else if event.is_writable() && (std::mem::take(&mut link.line.blocked) || link.line.feeder.is_some()) {
            self.unwritten.push(End::Link(key));
        }
        if event.is_readable() {
            self.queue(End::Link(key), Ahead::ThisTurn);
        }
    }

    /// Reads a link once, if the router wants its bytes.
    pub(super) fn read_link(&mut self, key: LinkKey) {
        let Some(link) = self.links.get_mut(key) else { return };
        let line = &mut link.line;
        line.queued = false;
        if line.pump.is_some() {
            return self.pump(End::Link(key));
        }
        if !self.router.wants_link_bytes(key) {
            line.unread = true;
            return;
        }
        match line.socket.read(&mut self.buffer) {
            Ok(Some(0)) => self.lose_link(key, LossReason::Closed),
            Ok(Some(count)) => {
                let skipped = line.skipped(count);
                if count == self.buffer.len() || line.ending {
                    line.queued = true;
                    self.unfinished.push(End::Link(key));
                }
                if skipped < count {
                    self.router.handle(self.now, Input::LinkBytes(key, &self.buffer[skipped..count]));
                }
            }
            Ok(None) => {}
            Err(_) => self.lose_link(key, LossReason::Failed),
        }
    }

    /// Writes a link's batch, at most once in a turn.
    pub(super) fn write_link(&mut self, key: LinkKey) {
        let Some(link) = self.links.get_mut(key) else { return };
        let line = &mut link.line;
        if line.blocked || link.connecting {
            return;
        }
        if line.written == self.turn {
            return self.unwritten.push(End::Link(key));
        }
        let bytes = self.router.link_output(self.now, key);
        if bytes.is_empty() {
            return;
        }
        line.written = self.turn;
        match line.socket.write(bytes) {
            Ok(count) => {
                let count = count.unwrap_or(0);
                line.blocked = count < bytes.len();
                self.router.handle(self.now, Input::LinkWritten(key, count));
            }
            Err(_) => self.lose_link(key, LossReason::Failed),
        }
    }

    /// Closes a link's connection, if it is not closed.
    pub(super) fn close_link(&mut self, key: LinkKey) {
        self.stop_spool(End::Link(key));
        self.links.remove(key);
    }

    /// A link's connection is gone.
    pub(super) fn lose_link(&mut self, key: LinkKey, why: LossReason) {
        self.close_link(key);
        self.router.handle(self.now, Input::LinkLost(key, why));
    }

    /// Tells the operator.
    pub(super) fn tell(&self, notice: &Notice) {
        let name = |index: &usize| self.upstreams.get(*index).map_or("?", |dial| dial.name.as_str());
        match notice {
            Notice::UpstreamReady(index) => tracing::info!(upstream = name(index), "{notice}"),
            Notice::UpstreamDown(index, _) | Notice::TransactionsForbidden(index) | Notice::Unfenced(index) => {
                tracing::warn!(upstream = name(index), "{notice}");
            }
            Notice::UpstreamIsSelf(index) => tracing::error!(upstream = name(index), "{notice}"),
        }
    }
}
