//! The end of a worker that is asked to drain: no new sessions, then no sessions, then no requests.
//!
//! ```text
//!  asked to    REST later           until the last session is gone        nothing outstanding
//!    │           │                              │                                 │
//!    ├───────────┼──────────────────────────────┼─────────────────────────────────►  ended
//!    │ nobody begins to connect;  the queues are empty, and the listeners closed
//!    │ handshakes come to their end
//! ```
//!
//! The listeners are left as `bind` says. A session is served until its client leaves. Where silent sessions may be
//! closed, one is if nothing of it is outstanding, nothing of it is unread, and nothing came for [`SILENCE`]. A
//! request that is on its way at that very moment meets a closed connection, as with any server that closes idle
//! connections; clients that cannot bear that have profile `pdwfs`, under which none is closed.

use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use pdw_router::{Input, SessionKey};

use super::Worker;
use super::ends::Unread;
use crate::mutant::Mutant;

/// How long handshakes that have begun may take to end before the listeners are closed.
const REST: Duration = Duration::from_millis(300);
/// How long a session has to be silent at least before it may be closed.
const SILENCE: Duration = Duration::from_secs(1);

/// Where a worker that drains stands.
#[derive(Debug)]
pub(super) struct Drain {
    /// When the listeners are to be closed.
    leave: Instant,
    /// When silent sessions are looked for, if they may be closed.
    look: Option<Instant>,
}

impl Drain {
    /// When something is due.
    pub(super) fn due(&self, listening: bool) -> Option<Instant> {
        self.look.into_iter().chain(listening.then_some(self.leave)).min()
    }
}

impl Worker {
    /// Begins to drain; `close_silent`: sessions that are silent are closed.
    pub(super) fn begin_drain(&mut self, close_silent: bool) {
        for listener in &self.listeners {
            if let Err(error) = listener.turn_away() {
                tracing::warn!(%error, "who connects at the moment at which the listener is closed will be refused");
            }
        }
        // Links of other proxies would never leave by themselves.
        self.router.handle(self.now, Input::Leaving);
        let now = Instant::now();
        self.drain = Some(Drain { leave: now + REST, look: close_silent.then_some(now + SILENCE) });
        self.sessions.values_mut().for_each(|session| session.heard = false);
    }

    /// Does what is due while draining.
    pub(super) fn keep_draining(&mut self) {
        let now = Instant::now();
        let Some(drain) = &mut self.drain else { return };
        let leave = drain.leave <= now;
        let look = drain.look.is_some_and(|look| look <= now);
        if look {
            drain.look = Some(now + SILENCE);
        }
        if leave && !self.listeners.is_empty() {
            self.close_listeners();
        }
        if look {
            self.close_silent_sessions();
        }
    }

    /// Whether everything is done that draining waits for.
    pub(super) fn is_drained(&self) -> bool {
        let quiet = self.listeners.is_empty() && self.guests.len() == 0 && self.router.is_quiet();
        self.drain.is_some() && (quiet || Mutant::DrainAtOnce.is_on())
    }

    /// Accepts all who wait, and closes the listeners if nobody is left.
    fn close_listeners(&mut self) {
        for listener in &self.listeners {
            listener.close_queue();
        }
        self.rested = None;
        (0..self.listeners.len()).for_each(|index| self.accept(index));
        match (self.rested, &mut self.drain) {
            // There were too many for one turn, or for the descriptors that are left.
            (Some(until), Some(drain)) => drain.leave = until,
            _ => self.listeners.clear(),
        }
    }

    fn close_silent_sessions(&mut self) {
        let silent = |(key, session): (SessionKey, &mut super::Line)| {
            let heard = std::mem::take(&mut session.heard);
            (!heard
                && !session.queued
                && session.unread == Unread::Nothing
                && !session.socket.has_more()
                && is_empty(&session.socket))
            .then_some(key)
        };
        let silent: Vec<SessionKey> = self.sessions.iter_mut().filter_map(silent).collect();
        for key in silent {
            self.router.handle(self.now, Input::SessionRetired(key));
        }
    }
}

/// Whether nothing has arrived that is not read yet.
fn is_empty(socket: &impl AsFd) -> bool {
    rustix::io::ioctl_fionread(socket).is_ok_and(|bytes| bytes == 0)
}
