//! Sockets to upstreams: dial, read, write.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use mio::event::Event;
use mio::net::{TcpStream, UnixStream};
use pdw_router::{End, Input, LinkKey, LossReason, Notice};
use socket2::SockRef;
use tokio::sync::Notify;

use super::Worker;
use super::ends::{Line, Unread};
use super::greeting::Greeting;
use super::listener::Liveness;
use super::reading::{Ahead, Sent};
use super::socket::{Socket, Written};
use super::token::Source;
use crate::mutant::Mutant;
use crate::seal::{Leave, Peer, Seal};

/// Where an upstream is reached.
#[derive(Clone, Debug)]
pub(crate) struct Dial {
    /// What the operator calls it.
    pub(crate) name: String,
    /// Its address, resolved.
    pub(crate) address: DialAddress,
    /// Rung whenever a link to it is opened, so that a name is looked up again; see `serve/names.rs`.
    pub(crate) opened: Option<Arc<Notify>>,
    /// How links to it are protected.
    pub(crate) seal: Option<Seal>,
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
        Self { name, address, opened: None, seal: None }
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
    pub(super) upstream: usize,
    connecting: bool,
    /// Its handshake; until that is done nothing else is said.
    pub(super) greeting: Option<Box<Greeting>>,
    /// Leave for that.
    pub(super) leave: Option<Leave>,
}

impl Worker {
    /// Opens a link.
    pub(super) fn connect(&mut self, key: LinkKey, upstream: usize) {
        let seal = self.upstreams[upstream].seal.as_ref();
        let leave = seal.and_then(Seal::leave);
        if seal.is_some() && leave.is_none() {
            return self.turned_away.push((key, upstream));
        }
        let dialled = self.upstreams[upstream].dial(self.liveness).and_then(|mut socket| {
            socket.register(self.poll.registry(), Source::Link(key).token())?;
            Ok(socket)
        });
        match dialled {
            Ok(socket) => {
                let line = Line::new(socket, self.turn.wrapping_sub(1));
                self.links.insert(key, LinkSocket { line, upstream, connecting: true, greeting: None, leave });
            }
            Err(_) => self.router.handle(self.now, Input::LinkLost(key, LossReason::Unreachable)),
        }
    }

    /// Tries again to open the links that would have been too many handshakes at a time.
    pub(super) fn open_turned_away(&mut self) -> bool {
        let links = std::mem::take(&mut self.turned_away);
        let some = !links.is_empty();
        links.into_iter().for_each(|(key, upstream)| self.connect(key, upstream));
        some
    }

    /// An upstream is somewhere else from now on.
    pub(super) fn redial(&mut self, index: usize, dial: Dial) {
        let Some(old) = self.upstreams.get_mut(index) else { return };
        let kind = |dial: &Dial| dial.seal.as_ref().map(Seal::kind);
        let moved = old.address != dial.address || kind(old) != kind(&dial);
        *old = dial;
        if moved {
            self.router.handle(self.now, Input::UpstreamMoved(index));
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
            self.link_connected(key);
        } else if link.greeting.is_some() {
            return self.greet_link(key);
        } else if event.is_writable() {
            let waits = std::mem::take(&mut link.line.blocked) || link.line.feeder.is_some();
            if waits || link.line.socket.has_unsent() {
                self.unwritten.push(End::Link(key));
            }
        }
        if event.is_readable() {
            self.queue(End::Link(key), Ahead::ThisTurn);
        }
    }

    /// A link's connection is there. What the router writes has to wait for the seal, which has as long as it gives
    /// the link to prove itself.
    fn link_connected(&mut self, key: LinkKey) {
        let Some(link) = self.links.get_mut(key) else { return };
        self.router.handle(self.now, Input::LinkConnected(key));
        let seal = self.upstreams[link.upstream].seal.as_ref();
        let Some(seal) = seal.filter(|_| !Mutant::LinksUnsealed.is_on()) else { return };
        match Greeting::begin(seal, Instant::now()) {
            Ok(greeting) => {
                link.greeting = Some(Box::new(greeting));
                seal.prepare().into_iter().for_each(|job| self.pool.give(job));
                self.greet_link(key);
            }
            Err(why) => {
                let name = &self.upstreams[link.upstream].name;
                tracing::error!(upstream = name, "not sealed: {why}");
                self.lose_link(key, LossReason::Unsealed);
            }
        }
    }

    /// Reads a link once, if the router wants its bytes.
    pub(super) fn read_link(&mut self, key: LinkKey) {
        let Some(link) = self.links.get_mut(key) else { return };
        let line = &mut link.line;
        line.queued = false;
        if link.greeting.is_some() {
            return;
        }
        if line.pump.is_some() {
            return self.list_relay(End::Link(key));
        }
        if !self.router.wants_link_bytes(key) {
            line.unread = Unread::Waiting;
            return;
        }
        let sealed = line.socket.is_sealed();
        match line.socket.read(&mut self.buffer, &mut self.scratch) {
            Ok(Some(0)) => self.lose_link(key, LossReason::Closed),
            Ok(Some(count)) => {
                let skipped = line.skipped(count);
                if count == self.buffer.len() || line.ending || line.socket.has_more() {
                    line.queued = true;
                    self.reading.add(End::Link(key), Sent::Little, Ahead::NextTurn);
                }
                if skipped < count {
                    self.router.handle(self.now, Input::LinkBytes(key, &self.buffer[skipped..count]));
                }
            }
            Ok(None) => self.read_on(End::Link(key)),
            Err(error) => self.lose(End::Link(key), &error),
        }
        if sealed {
            self.tell_buffered(End::Link(key));
        }
    }

    /// Writes a link's batch, at most once in a turn.
    pub(super) fn write_link(&mut self, key: LinkKey) {
        let Some(link) = self.links.get_mut(key) else { return };
        let line = &mut link.line;
        if line.blocked || link.connecting || link.greeting.is_some() {
            return;
        }
        if line.written == self.turn {
            return self.unwritten.push(End::Link(key));
        }
        let bytes = self.router.link_output(self.now, key);
        if bytes.is_empty() {
            // Sealed bytes may wait all the same. If they cannot be sent any more, reading fails, too.
            let _ = line.socket.flush();
            return self.tell_buffered(End::Link(key));
        }
        line.written = self.turn;
        let sealed = line.socket.is_sealed();
        match line.socket.write(bytes, &mut self.scratch, Written::Sealed) {
            Ok(count) => {
                let count = count.unwrap_or(0);
                line.blocked = count < bytes.len() || line.socket.has_unsent();
                self.router.handle(self.now, Input::LinkWritten(key, count));
            }
            Err(error) => self.lose(End::Link(key), &error),
        }
        if sealed {
            self.tell_buffered(End::Link(key));
        }
    }

    /// A link's connection is gone.
    pub(super) fn lose_link(&mut self, key: LinkKey, why: LossReason) {
        self.stop_spool(End::Link(key));
        self.links.remove(key);
        self.router.handle(self.now, Input::LinkLost(key, why));
    }

    /// Whether the operator is told this now of a proxy that may come and go as often as it likes.
    fn is_told_of(&self, node: &str, kind: &'static str) -> bool {
        self.complaints.is_due(&Peer::Proxy(node.to_owned()), kind, Instant::now())
    }

    /// Tells the operator.
    pub(super) fn tell(&self, notice: &Notice) {
        let name = |index: &usize| self.upstreams.get(*index).map_or("?", |dial| dial.name.as_str());
        match notice {
            Notice::UpstreamReady(index) | Notice::PeerMet(index, _) => {
                tracing::info!(upstream = name(index), "{notice}");
            }
            Notice::PeerCame(node) if self.is_told_of(node, "came") => tracing::info!("{notice}"),
            Notice::PeerLeft(node) if self.is_told_of(node, "left") => tracing::info!("{notice}"),
            Notice::PeerBroke(node, _) if self.is_told_of(node, "broke") => tracing::warn!("{notice}"),
            // How many links there are the metrics say.
            Notice::PeerCame(_) | Notice::PeerLeft(_) | Notice::PeerBroke(..) => tracing::debug!("{notice}"),
            Notice::UpstreamDown(index, _) | Notice::TransactionsForbidden(index) | Notice::Unfenced(index) => {
                tracing::warn!(upstream = name(index), "{notice}");
            }
            Notice::WrongPassword { .. } => tracing::warn!("{notice}"),
            Notice::UpstreamIsSelf(index) | Notice::Circle(index, _) => {
                tracing::error!(upstream = name(index), "{notice}")
            }
        }
    }
}
