//! Connections that change the worker: another proxy has made one anew in the place of a link that it lost, and the
//! worker that has the link is not the one that the kernel gave the connection to.

use pdw_router::{End, HandOver, Input, SessionKey};

use super::ends::Line;
use super::mailbox::Letter;
use super::socket::Socket;
use super::token::Source;
use super::{Ahead, Worker};

/// A connection on its way to another worker, and what the router knows of it.
pub(crate) struct Parcel {
    socket: Socket,
    handed: HandOver,
}

impl Worker {
    /// Gives a session's connection to another worker. If that has ended, the connection is closed.
    pub(super) fn hand_over(&mut self, key: SessionKey, worker: usize) {
        let (session, handed) = (self.sessions.remove(key), self.router.hand_over(key));
        let (Some(Line { mut socket, .. }), Some(handed)) = (session, handed) else { return };
        if let Err(error) = socket.deregister(self.poll.registry()) {
            return tracing::warn!(%error, "a connection could not be handed to another worker and was closed");
        }
        if let Some(mailbox) = self.crew.get(worker) {
            mailbox.put(Letter::HandedOver(Box::new(Parcel { socket, handed })));
        }
    }

    /// Takes in a connection that another worker had.
    pub(super) fn take_over(&mut self, Parcel { mut socket, handed }: Parcel) {
        let key = self.router.take_over(self.now, handed);
        if let Err(error) = socket.register(self.poll.registry(), Source::Session(key).token()) {
            self.tell_unregistered(&error);
            return self.router.handle(self.now, Input::SessionLost(key));
        }
        // Its first bytes were seen by the other worker; those that come now may be any.
        let line = Line::new(socket, self.turn.wrapping_sub(1));
        self.sessions.insert(key, line);
        // Its seal may have something of which the kernel will not tell.
        self.queue(End::Session(key), Ahead::NextTurn);
    }
}
