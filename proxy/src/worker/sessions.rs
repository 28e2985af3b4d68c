//! Clients' sockets: accept, read, write.

use std::io;
use std::time::Instant;

use mio::event::Event;
use pdw_router::{End, Input, SessionKey};

use super::ends::Line;
use super::socket::Socket;
use super::token::Source;
use super::{ACCEPT_REST, Ahead, READ, Worker};

/// Connections accepted in one turn.
const ACCEPT_BURST: usize = 256;

impl Worker {
    /// Accepts who waits at a listener.
    pub(super) fn accept(&mut self, index: usize) {
        for _ in 0..ACCEPT_BURST {
            if self.sessions.len() + self.links.len() + self.spools.len() >= self.descriptors {
                return self.rest(&io::Error::other("as many connections as there are descriptors for"));
            }
            match self.listeners[index].accept() {
                Ok(Some(socket)) => self.open_session(socket),
                Ok(None) => return,
                Err(error) => return self.rest(&error),
            }
        }
        self.rested = Some(Instant::now());
    }

    fn rest(&mut self, error: &io::Error) {
        tracing::warn!(%error, "a connection could not be accepted; trying again shortly (are there descriptors left? see `ulimit -n`)");
        self.rested = Some(Instant::now() + ACCEPT_REST);
    }

    fn open_session(&mut self, mut socket: Socket) {
        let key = self.router.open_session(self.now);
        if let Err(error) = socket.register(self.poll.registry(), Source::Session(key).token()) {
            tracing::warn!(%error, "a connection could not be registered and was closed");
            return self.router.handle(self.now, Input::SessionLost(key));
        }
        self.sessions.insert(key, Line::new(socket, self.turn.wrapping_sub(1)));
    }

    /// Takes note of what a session's socket is ready for.
    pub(super) fn note_session(&mut self, key: SessionKey, event: &Event) {
        let Some(session) = self.sessions.get_mut(key) else { return };
        session.ending |= event.is_read_closed();
        if event.is_writable() && (std::mem::take(&mut session.blocked) || session.feeder.is_some()) {
            self.unwritten.push(End::Session(key));
        }
        if event.is_readable() {
            self.queue(End::Session(key), Ahead::ThisTurn);
        }
    }

    /// Reads a session once, if the router wants its bytes.
    pub(super) fn read_session(&mut self, key: SessionKey) {
        let Some(session) = self.sessions.get_mut(key) else { return };
        session.queued = false;
        if session.pump.is_some() {
            return self.pump(End::Session(key));
        }
        if !self.router.wants_bytes(key) {
            session.unread = true;
            return;
        }
        match session.socket.read(&mut self.buffer[..READ]) {
            Ok(Some(0)) => self.router.handle(self.now, Input::SessionEnded(key)),
            Ok(Some(count)) => {
                session.heard = true;
                // A short read has emptied the socket: the kernel will tell of what comes next,
                // but not again of an end that it has told already.
                let more = count == READ || session.ending;
                let skipped = session.skipped(count);
                if more {
                    session.queued = true;
                    self.unfinished.push(End::Session(key));
                }
                if skipped < count {
                    self.router.handle(self.now, Input::SessionBytes(key, &self.buffer[skipped..count]));
                }
            }
            Ok(None) => {}
            Err(error) => self.lose(End::Session(key), &error),
        }
    }

    /// Writes a session's replies, at most once in a turn.
    pub(super) fn write_session(&mut self, key: SessionKey) {
        let Some(session) = self.sessions.get_mut(key) else { return };
        let bytes = self.router.session_output(key);
        if bytes.is_empty() || session.blocked {
            return;
        }
        if session.written == self.turn {
            return self.unwritten.push(End::Session(key));
        }
        session.written = self.turn;
        match session.socket.write(bytes) {
            Ok(count) => {
                let count = count.unwrap_or(0);
                session.blocked = count < bytes.len();
                self.router.handle(self.now, Input::SessionWritten(key, count));
            }
            Err(error) => self.lose(End::Session(key), &error),
        }
    }
}
