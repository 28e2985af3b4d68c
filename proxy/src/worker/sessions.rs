//! Clients' sockets: accept, read, write.

use std::io;
use std::time::Instant;

use mio::event::Event;
use pdw_router::{End, Input, SessionKey};

use super::socket::Socket;
use super::token::Source;
use super::{ACCEPT_REST, Worker};

/// Connections accepted in one turn.
const ACCEPT_BURST: usize = 256;

/// A client's socket and where its reading and writing stands.
#[derive(Debug)]
pub(super) struct SessionSocket {
    socket: Socket,
    /// Bytes to read and forget.
    skip: u64,
    /// The turn in which it was last written.
    written: u32,
    /// It is in this turn's or the next turn's list of sockets to read.
    queued: bool,
    /// The router did not want its bytes when there were some.
    unread: bool,
    /// The peer has closed its direction; what it sent before may still be unread.
    ending: bool,
    /// The last write took less than all; an event will say when it takes more.
    blocked: bool,
}

impl Worker {
    /// Accepts who waits at a listener.
    pub(super) fn accept(&mut self, index: usize) {
        for _ in 0..ACCEPT_BURST {
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
        let session = SessionSocket {
            socket,
            skip: 0,
            written: self.turn.wrapping_sub(1),
            queued: false,
            unread: false,
            ending: false,
            blocked: false,
        };
        self.sessions.insert(key, session);
    }

    /// Takes note of what a session's socket is ready for.
    pub(super) fn note_session(&mut self, key: SessionKey, event: &Event) {
        let Some(session) = self.sessions.get_mut(key) else { return };
        session.ending |= event.is_read_closed();
        if event.is_readable() && !session.queued {
            session.queued = true;
            self.ready.push(End::Session(key));
        }
        if event.is_writable() && std::mem::take(&mut session.blocked) {
            self.unwritten.push(End::Session(key));
        }
    }

    /// Reads a session once, if the router wants its bytes.
    pub(super) fn read_session(&mut self, key: SessionKey) {
        let Some(session) = self.sessions.get_mut(key) else { return };
        session.queued = false;
        if !self.router.wants_bytes(key) {
            session.unread = true;
            return;
        }
        match session.socket.read(&mut self.buffer) {
            Ok(Some(0)) => self.router.handle(self.now, Input::SessionEnded(key)),
            Ok(Some(count)) => {
                // A short read has emptied the socket: the kernel will tell of what comes next,
                // but not again of an end that it has told already.
                let more = count == self.buffer.len() || session.ending;
                let skipped = session.skip.min(count as u64);
                session.skip -= skipped;
                if more {
                    session.queued = true;
                    self.unfinished.push(End::Session(key));
                }
                let bytes = &self.buffer[skipped as usize..count];
                if !bytes.is_empty() {
                    self.router.handle(self.now, Input::SessionBytes(key, bytes));
                }
            }
            Ok(None) => {}
            Err(_) => self.lose_session(key),
        }
    }

    /// Reads a session again that was not wanted for a while.
    pub(super) fn read_again(&mut self, key: SessionKey) {
        let Some(session) = self.sessions.get_mut(key) else { return };
        if std::mem::take(&mut session.unread) && !session.queued {
            session.queued = true;
            self.unfinished.push(End::Session(key));
        }
    }

    /// Forgets the next bytes of a session.
    pub(super) fn skip(&mut self, key: SessionKey, bytes: u64) {
        if let Some(session) = self.sessions.get_mut(key) {
            session.skip += bytes;
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
            Err(_) => self.lose_session(key),
        }
    }

    fn lose_session(&mut self, key: SessionKey) {
        self.sessions.remove(key);
        self.router.handle(self.now, Input::SessionLost(key));
    }
}
