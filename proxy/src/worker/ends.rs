//! What sessions' and links' sockets have in common for the event loop.

use std::io;

use pdw_router::{End, Input, LinkKey, LossReason, SessionKey};
use slotmap::SecondaryMap;

use super::links::LinkSocket;
use super::reading::Sent;
use super::relay::Pump;
use super::socket::Socket;
use super::{Ahead, Worker};

/// The state of a socket that both kinds of ends have.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) socket: Socket,
    /// Bytes to read and forget.
    pub(super) skip: u64,
    /// The turn in which it was last written.
    pub(super) written: u32,
    /// It is in this turn's or the next turn's list of sockets to read.
    pub(super) queued: bool,
    /// Whether there were bytes that the router did not want.
    pub(super) unread: Unread,
    /// The peer has closed its direction; what it sent before may still be unread.
    pub(super) ending: bool,
    /// What its last read brought; links count as if it had been little.
    pub(super) sent: Sent,
    /// The connection is broken: reset or closed in both directions by its peer, or given up by the kernel.
    pub(super) broken: bool,
    /// Something came since this was looked at last; sessions only.
    pub(super) heard: bool,
    /// The last write took less than all; an event will say when it takes more.
    pub(super) blocked: bool,
    /// Its next bytes go elsewhere.
    pub(super) pump: Option<Box<Pump>>,
    /// Whose bytes come here.
    pub(super) feeder: Option<End>,
}

/// Bytes of a socket that the router does not want yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Unread {
    /// It wanted whatever came.
    #[default]
    Nothing,
    /// There are some.
    Waiting,
    /// There are, and more came; the worker is not told of these any more.
    Unheard,
}

impl Line {
    /// A socket that nothing has happened to; `turn` is the one before the current.
    pub(super) fn new(socket: Socket, turn: u32) -> Self {
        Self {
            skip: 0,
            written: turn,
            queued: false,
            unread: Unread::Nothing,
            ending: false,
            sent: Sent::Little,
            broken: false,
            heard: false,
            blocked: false,
            pump: None,
            feeder: None,
            socket,
        }
    }

    /// Takes bytes that are to be forgotten off the front of what was read.
    pub(super) fn skipped(&mut self, count: usize) -> usize {
        let skipped = self.skip.min(count as u64);
        self.skip -= skipped;
        skipped as usize
    }
}

/// The common state of an end's socket, while other parts of the worker are in use.
pub(super) fn end_line<'a>(
    sessions: &'a mut SecondaryMap<SessionKey, Line>,
    links: &'a mut SecondaryMap<LinkKey, LinkSocket>,
    end: End,
) -> Option<&'a mut Line> {
    match end {
        End::Session(key) => sessions.get_mut(key),
        End::Link(key) => links.get_mut(key).map(|link| &mut link.line),
        End::Spool(_) => None,
    }
}

impl Worker {
    /// The common state of an end's socket, if it is one.
    pub(super) fn line(&mut self, end: End) -> Option<&mut Line> {
        end_line(&mut self.sessions, &mut self.links, end)
    }

    /// An end's socket.
    pub(super) fn socket(&self, end: End) -> Option<&Socket> {
        match end {
            End::Session(key) => self.sessions.get(key).map(|session| &session.socket),
            End::Link(key) => self.links.get(key).map(|link| &link.line.socket),
            End::Spool(_) => None,
        }
    }

    /// Has an end read, once.
    pub(super) fn queue(&mut self, end: End, when: Ahead) {
        if let End::Spool(key) = end {
            return self.queue_spool(key);
        }
        let Some(line) = self.line(end) else { return };
        if std::mem::replace(&mut line.queued, true) {
            return;
        }
        let sent = line.sent;
        self.reading.add(end, sent, when);
    }

    /// Reads an end on, if its seal has left something of which the kernel will not tell.
    pub(super) fn read_on(&mut self, end: End) {
        if self.line(end).is_some_and(|line| line.socket.has_more()) {
            self.queue(end, Ahead::NextTurn);
        }
    }

    /// Reads an end again that was not wanted for a while.
    pub(super) fn read_again(&mut self, end: End) {
        if self.take_unread(end) != Unread::Nothing {
            self.queue(end, Ahead::NextTurn);
        }
    }

    /// Has the worker told again of an end's bytes, if it was not; whether some wait there.
    pub(super) fn take_unread(&mut self, end: End) -> Unread {
        let unread = self.line(end).map_or(Unread::Nothing, |line| std::mem::take(&mut line.unread));
        if unread == Unread::Unheard {
            self.listen_to(end, true);
        }
        unread
    }

    /// Leaves bytes where they are. Somebody who goes on sending, as in the middle of a large value that waits for its
    /// lane, would wake the worker for every segment until the kernel's buffer is full.
    pub(super) fn leave_unread(&mut self, end: End) {
        let Some(line) = self.line(end) else { return };
        let before = line.unread;
        line.unread = match before {
            Unread::Nothing => Unread::Waiting,
            Unread::Waiting | Unread::Unheard => Unread::Unheard,
        };
        if before == Unread::Waiting {
            self.listen_to(end, false);
        }
    }

    /// Forgets the next bytes of an end.
    pub(super) fn skip(&mut self, end: End, bytes: u64) {
        let lost = self.cancel_relay(end);
        if let Some(line) = self.line(end) {
            line.skip += bytes - lost.min(bytes);
            self.queue(end, Ahead::NextTurn);
        }
    }

    /// What moves an end's bytes, and whose bytes come there.
    fn ways(&mut self, end: End) -> Option<(&mut Option<Box<Pump>>, &mut Option<End>)> {
        match end {
            End::Spool(key) => self.spools.get_mut(key).map(|spool| (&mut spool.pump, &mut spool.feeder)),
            _ => self.line(end).map(|line| (&mut line.pump, &mut line.feeder)),
        }
    }

    pub(super) fn pump_of(&mut self, end: End) -> Option<&mut Pump> {
        self.ways(end)?.0.as_deref_mut()
    }

    pub(super) fn take_pump(&mut self, end: End) -> Option<Box<Pump>> {
        self.ways(end)?.0.take()
    }

    /// Whether there was an end to put it to.
    pub(super) fn put_pump(&mut self, end: End, pump: Option<Box<Pump>>) -> bool {
        self.ways(end).map(|(place, _)| *place = pump).is_some()
    }

    pub(super) fn feeder(&mut self, end: End) -> Option<End> {
        *self.ways(end)?.1
    }

    pub(super) fn set_feeder(&mut self, end: End, feeder: Option<End>) {
        if let Some((_, place)) = self.ways(end) {
            *place = feeder;
        }
    }

    /// An end's connection is gone, or a file has failed.
    pub(super) fn lose(&mut self, end: End, error: &io::Error) {
        self.tell_broken(end);
        match end {
            End::Session(key) => {
                if let Some(line) = self.sessions.remove(key) {
                    self.closing.add(line.socket);
                }
                self.router.handle(self.now, Input::SessionLost(key));
            }
            End::Link(key) => self.lose_link(key, LossReason::Failed),
            End::Spool(key) => self.lose_spool(key, error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::socket::Stream;
    use super::*;

    #[test]
    fn what_a_worker_keeps_of_a_plain_socket_has_not_grown_with_the_seals() {
        // The kernel's socket itself is larger in a debug build.
        assert!(size_of::<Line>() - size_of::<Stream>() <= 48);
    }
}
