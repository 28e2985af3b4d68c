//! Clients' sockets: accept, read, write.

use std::io;
use std::time::Instant;

use mio::event::Event;
use pdw_router::{End, Entrance, Input, SessionKey};

use super::ends::Line;
use super::reading::{Ahead, Sent};
use super::socket::{Socket, Written};
use super::token::Source;
use super::{ACCEPT_REST, Worker};
use crate::seal::Peer;

/// Connections accepted at once: a tenth of a millisecond's worth. Where there are too many, each of them costs as
/// much again to be closed, and small requests wait meanwhile.
const ACCEPT_BURST: usize = 8;

/// Whether the kernel was told of a socket before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Known {
    New,
    Registered,
}

impl Worker {
    /// Accepts who waits at a listener.
    pub(super) fn accept(&mut self, index: usize) {
        for _ in 0..ACCEPT_BURST {
            if self.open_descriptors() >= self.descriptors {
                return self.rest(&io::Error::other("as many connections as there are descriptors for"));
            }
            match self.listeners[index].accept() {
                Ok(Some((socket, peer))) => {
                    let door = self.doors.get(index).copied().unwrap_or_default();
                    match self.listeners[index].seal().cloned() {
                        None => drop(self.open_session(socket, Known::New, peer.entrance(door))),
                        Some(seal) => self.welcome(socket, seal, (door, peer)),
                    }
                }
                Ok(None) => return,
                Err(error) => return self.rest(&error),
            }
        }
        self.rested = Some(Instant::now());
    }

    /// Sockets and files that are open for clients and upstreams.
    pub(super) fn open_descriptors(&self) -> usize {
        self.sessions.len() + self.closing.len() + self.links.len() + self.guests.len() + self.spools.len()
    }

    /// Lets newcomers wait for a while. It may go on for long, so the operator is told once a minute.
    fn rest(&mut self, error: &io::Error) {
        if self.complaints.is_due(&Peer::Many, "not accepted", Instant::now()) {
            tracing::warn!(%error, "connections cannot be accepted, and wait until they can; raise `ulimit -n`, or look who has so many");
        }
        self.rested = Some(Instant::now() + ACCEPT_REST);
    }

    /// A connection was closed because the kernel cannot wait for it. Others may follow, as many as come.
    pub(super) fn tell_unregistered(&self, error: &io::Error) {
        if self.complaints.is_due(&Peer::Many, "not registered", Instant::now()) {
            tracing::warn!(%error, "connections could not be registered and were closed; raise fs.epoll.max_user_watches, or look who has so many");
        }
    }

    /// Makes a session of a connection that is ready for plaintext.
    pub(super) fn open_session(&mut self, mut socket: Socket, known: Known, entrance: Entrance) -> Option<SessionKey> {
        let key = self.router.open_session_at(self.now, entrance);
        let (registry, token) = (self.poll.registry(), Source::Session(key).token());
        let registered = match known {
            Known::New => socket.register(registry, token),
            Known::Registered => socket.listen(registry, token, true),
        };
        if let Err(error) = registered {
            self.tell_unregistered(&error);
            self.router.handle(self.now, Input::SessionLost(key));
            return None;
        }
        let line = Line { sent: Sent::Nothing, ..Line::new(socket, self.turn.wrapping_sub(1)) };
        self.sessions.insert(key, line);
        Some(key)
    }

    /// Takes note of what a session's socket is ready for.
    pub(super) fn note_session(&mut self, key: SessionKey, event: &Event) {
        let Some(session) = self.sessions.get_mut(key) else { return };
        session.ending |= event.is_read_closed();
        // Both directions are closed: at a UNIX socket that is all that is told of a client that is gone.
        session.broken |= event.is_error() || event.is_write_closed();
        if event.is_writable() {
            let waits = std::mem::take(&mut session.blocked) || session.feeder.is_some();
            if waits || session.socket.has_unsent() {
                self.unwritten.push(End::Session(key));
            }
        }
        // Whoever does not listen to its bytes hears of a broken connection nevertheless.
        if event.is_readable() || session.broken {
            self.queue(End::Session(key), Ahead::ThisTurn);
        }
    }

    /// Reads at most `piece` bytes of a session once, if the router wants its bytes.
    pub(super) fn read_session(&mut self, key: SessionKey, piece: usize) {
        let Some(session) = self.sessions.get_mut(key) else { return };
        session.queued = false;
        if session.pump.is_some() {
            return self.list_relay(End::Session(key));
        }
        if !self.router.wants_bytes(key) {
            if session.broken {
                // Nobody would find out before it is read or written again.
                return self.lose(End::Session(key), &io::ErrorKind::ConnectionReset.into());
            }
            return self.leave_unread(End::Session(key));
        }
        let sealed = session.socket.is_sealed();
        match session.socket.read(&mut self.buffer[..piece], &mut self.scratch) {
            Ok(Some(0)) => self.router.handle(self.now, Input::SessionEnded(key)),
            Ok(Some(count)) => {
                self.reading.note_read(count);
                session.heard = true;
                // A short read has emptied the socket: the kernel will tell of what comes next,
                // but not again of an end that it has told already, nor of what a seal has left.
                let skipped = session.skipped(count);
                let sent = std::mem::replace(&mut session.sent, Sent::of(count));
                if count == piece || session.ending || session.socket.has_more() {
                    session.queued = true;
                    self.reading.add(End::Session(key), Sent::Much, Ahead::NextTurn);
                }
                if sent == Sent::Nothing && !sealed && self.complain_if_sealed(key, &self.buffer[..count]) {
                    return self.lose(End::Session(key), &io::ErrorKind::InvalidData.into());
                }
                if skipped < count {
                    self.pace.note_request(self.now);
                    self.router.handle(self.now, Input::SessionBytes(key, &self.buffer[skipped..count]));
                }
            }
            Ok(None) => self.read_on(End::Session(key)),
            Err(error) => self.lose(End::Session(key), &error),
        }
        if sealed {
            self.tell_buffered(End::Session(key));
        }
    }

    /// Writes a session's replies, at most once in a turn.
    pub(super) fn write_session(&mut self, key: SessionKey) {
        let Some(session) = self.sessions.get_mut(key) else { return };
        let bytes = self.router.session_output(key);
        if bytes.is_empty() {
            // Sealed bytes may wait all the same. If they cannot be sent any more, reading fails, too.
            let _ = session.socket.flush();
            return self.tell_buffered(End::Session(key));
        }
        if session.blocked {
            return;
        }
        if session.written == self.turn {
            return self.unwritten.push(End::Session(key));
        }
        session.written = self.turn;
        let sealed = session.socket.is_sealed();
        match session.socket.write(bytes, &mut self.scratch, Written::Sent) {
            Ok(count) => {
                let count = count.unwrap_or(0);
                session.blocked = count < bytes.len();
                self.router.handle(self.now, Input::SessionWritten(key, count));
            }
            Err(error) => self.lose(End::Session(key), &error),
        }
        if sealed {
            self.tell_buffered(End::Session(key));
        }
    }
}
