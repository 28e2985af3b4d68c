//! Clients whose connections are not sealed yet. The router does not know them before their handshake is done.
//!
//! ```text
//!  accepted ─► silent ─► begun ─► sealed: a session
//!                │         │
//!                └─────────┴──── wrong, gone, or older than HANDSHAKE_MAX: closed, and complained of
//! ```
//!
//! Who says nothing costs a socket. Of those who have begun there are at most `limits.handshakes_max`; the others wait
//! for their turn, unread.

use std::collections::VecDeque;
use std::time::Instant;

use pdw_auth::{Ending, HANDSHAKE_MAX, Handshake, SealError};
use pdw_router::Entrance;
use slotmap::SlotMap;

use super::greeting::{Greeting, Step};
use super::mailbox::Letter;
use super::socket::Socket;
use super::token::Source;
use super::{Ahead, End, Worker};
use crate::mutant::Mutant;
use crate::seal::{Peer, Seal};

slotmap::new_key_type! {
    /// Names a connection that is not sealed yet.
    pub(crate) struct GuestKey;
}

/// A client whose handshake is going on.
#[derive(Debug)]
struct Guest {
    socket: Socket,
    greeting: Greeting,
    seal: Seal,
    peer: Peer,
    /// By which of the configured listeners it came.
    door: u16,
    due: Instant,
    stage: Stage,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Nothing has come of it.
    Silent,
    /// It has to wait until there are fewer.
    Waiting,
    Begun,
}

/// All guests of a worker.
#[derive(Debug, Default)]
pub(super) struct Guests {
    all: SlotMap<GuestKey, Guest>,
    /// When each is due, in this order; some are gone by then.
    due: VecDeque<(Instant, GuestKey)>,
    begun: usize,
    waiting: VecDeque<GuestKey>,
    /// Most that may have begun.
    most: usize,
}

impl Guests {
    /// No guests; at most so many may have begun.
    pub(super) fn new(most: usize) -> Self {
        Self { most, ..Self::default() }
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    /// When somebody is due.
    pub(super) fn due(&self) -> Option<Instant> {
        self.due.front().map(|(due, _)| *due)
    }

    /// Lets a guest begin, if it may.
    fn begin(&mut self, key: GuestKey) -> bool {
        let full = self.begun >= self.most;
        let Some(guest) = self.all.get_mut(key) else { return false };
        match (guest.stage, full) {
            (Stage::Begun, _) => true,
            (Stage::Waiting, true) => false,
            (Stage::Silent, true) => {
                guest.stage = Stage::Waiting;
                self.waiting.push_back(key);
                false
            }
            (_, false) => {
                guest.stage = Stage::Begun;
                self.begun += 1;
                true
            }
        }
    }

    /// Takes a guest away; who may begin in its place.
    fn remove(&mut self, key: GuestKey) -> Option<(Guest, Option<GuestKey>)> {
        let guest = self.all.remove(key)?;
        if guest.stage != Stage::Begun {
            return Some((guest, None));
        }
        self.begun -= 1;
        let next = std::iter::from_fn(|| self.waiting.pop_front()).find(|key| self.all.contains_key(*key));
        Some((guest, next))
    }

    /// Gives a guest its time anew: it had to wait for its turn.
    fn renew(&mut self, key: GuestKey, due: Instant) {
        if let Some(guest) = self.all.get_mut(key) {
            guest.due = due;
            self.due.push_back((due, key));
        }
    }
}

impl Worker {
    /// Takes in a client whose connection has to be sealed first.
    pub(super) fn welcome(&mut self, mut socket: Socket, seal: Seal, (door, peer): (u16, Peer)) {
        let now = Instant::now();
        let greeting = match Greeting::begin(&seal, now) {
            Ok(greeting) => greeting,
            Err(why) => return self.complain(&peer, seal.name(), &why),
        };
        let (due, prepare) = (now + HANDSHAKE_MAX, seal.prepare());
        let registry = self.poll.registry();
        let key = self.guests.all.try_insert_with_key(|key| {
            socket.register(registry, Source::Guest(key).token())?;
            Ok::<_, std::io::Error>(Guest { socket, greeting, seal, peer, door, due, stage: Stage::Silent })
        });
        match key {
            Ok(key) => {
                self.guests.due.push_back((due, key));
                prepare.into_iter().for_each(|job| self.pool.give(job));
                // Some seals speak first. What the client says the kernel tells, be it there already.
                self.greet(key);
            }
            Err(error) => tracing::warn!(%error, "a connection could not be registered and was closed"),
        }
    }

    /// Takes note of what a guest's socket is ready for.
    pub(super) fn note_guest(&mut self, key: GuestKey, readable: bool) {
        if !readable || self.guests.begin(key) {
            self.greet(key);
        }
    }

    /// Lets a guest begin that had to wait.
    pub(super) fn admit_guest(&mut self, key: GuestKey) {
        self.note_guest(key, true);
    }

    /// Takes back a handshake that another thread has worked at.
    pub(super) fn resume_guest(&mut self, key: GuestKey, handshake: Box<dyn Handshake>) {
        if let Some(guest) = self.guests.all.get_mut(key) {
            guest.greeting.give_back(handshake);
            self.greet(key);
        }
    }

    fn greet(&mut self, key: GuestKey) {
        let Some(guest) = self.guests.all.get_mut(key) else { return };
        let may_read = guest.stage == Stage::Begun;
        match guest.greeting.go_on(guest.socket.stream(), &mut self.scratch, may_read) {
            Ok(Step::Waits) => {}
            Ok(Step::Work(work)) => {
                let mailbox = self.mailbox.clone();
                self.pool.give(move || mailbox.put(Letter::GuestGreeted(key, work.run())));
            }
            Ok(Step::Done(wire)) => {
                let Some(guest) = self.dismiss(key) else { return };
                let Guest { mut socket, greeting, seal, peer, door, .. } = guest;
                self.seal_numbers.succeeded(seal.kind(), greeting.begun().elapsed());
                tracing::debug!(%peer, seal = seal.name(), name = wire.peer(), "sealed");
                socket.seal(wire);
                self.open_sealed_session(socket, peer.entrance(door));
            }
            Err(why) => self.turn_out(key, &why),
        }
    }

    /// Takes a guest away, and lets another begin in its place.
    fn dismiss(&mut self, key: GuestKey) -> Option<Guest> {
        let (guest, next) = self.guests.remove(key)?;
        if let Some(next) = next {
            self.guests.renew(next, Instant::now() + HANDSHAKE_MAX);
            // In a turn of its own: there may be many.
            self.mailbox.put(Letter::GuestMayBegin(next));
        }
        Some(guest)
    }

    fn turn_out(&mut self, key: GuestKey, why: &SealError) {
        if Mutant::GuestsStay.is_on() {
            return;
        }
        if let Some(guest) = self.dismiss(key) {
            self.seal_numbers.failed(guest.seal.kind(), why);
            self.complain(&guest.peer, guest.seal.name(), why);
        }
    }

    /// Closes guests whose time is up.
    pub(super) fn turn_out_late_guests(&mut self) {
        let now = Instant::now();
        while let Some((due, key)) = self.guests.due.front().copied().filter(|(due, _)| *due <= now) {
            self.guests.due.pop_front();
            let late = self.guests.all.get(key).filter(|guest| guest.due == due && guest.stage != Stage::Waiting);
            if let Some(why) = late.map(|guest| guest.greeting.given_up(Ending::Late)) {
                self.turn_out(key, &why);
            }
        }
    }

    /// A sealed client becomes a session.
    fn open_sealed_session(&mut self, socket: Socket, entrance: Entrance) {
        if let Some(key) = self.open_session(socket, super::sessions::Known::Registered, entrance) {
            self.queue(End::Session(key), Ahead::NextTurn);
        }
    }

    /// Tells the operator what is wrong with a peer, unless that was done lately.
    pub(super) fn complain(&self, peer: &Peer, seal: &str, why: &SealError) {
        if self.complaints.is_due(peer, why.kind(), Instant::now()) {
            tracing::warn!(%peer, seal, "not sealed: {why}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guest_is_small() {
        assert!(size_of::<Guest>() <= 200, "{}", size_of::<Guest>());
    }
}
