//! Clients whose connections are not sealed yet. The router does not know them before their handshake is done.
//!
//! ```text
//!  accepted ─► silent ─► begun ─► sealed: a session
//!                │         │
//!                └─────────┴──── wrong, gone, or older than HANDSHAKE_MAX: closed, and complained of
//! ```
//!
//! Who says nothing costs a socket. Of those who have begun there are at most `limits.handshakes_max`; the others wait
//! for their turn, unread, and while somebody waits whoever keeps this end waiting for [`STANDING_MAX`] gives way. What
//! handshakes hold counts under `limits.memory_max`; while there is no memory for new sessions, there is none for them.

use std::collections::{BTreeSet, VecDeque};
use std::time::{Duration, Instant};

use pdw_auth::{Ending, HANDSHAKE_MAX, Handshake, SealError};
use pdw_router::{Entrance, Input};
use slotmap::SlotMap;

use super::greeting::{Greeting, Step};
use super::mailbox::Letter;
use super::socket::Socket;
use super::token::Source;
use super::{Ahead, End, Worker};
use crate::mutant::Mutant;
use crate::seal::{Peer, Seal};

/// How long a handshake may stand still for its client while others wait for their turn: two round trips around the
/// world, or one lost segment.
const STANDING_MAX: Duration = Duration::from_millis(500);

/// How long a client has at least that had to wait for its turn.
const TURN_MIN: Duration = Duration::from_secs(1);

/// Why nobody is let in for now.
const NO_MEMORY: SealError = SealError::Refused(
    "this proxy holds nearly as much as limits.memory_max allows, so it takes no new sessions; raise that, or look for who holds it in /metrics",
);

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
    /// Bytes that it holds, as they are counted.
    held: usize,
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
    /// When each is due, unless it waits.
    due: BTreeSet<(Instant, GuestKey)>,
    begun: usize,
    /// Those that have begun, and since when each may be standing still, in this order; some are gone by then.
    standing: VecDeque<(Instant, GuestKey)>,
    waiting: VecDeque<GuestKey>,
    /// Bytes that all of them hold.
    held: usize,
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

    /// How many have begun, and how many may have.
    pub(super) fn begun(&self) -> (usize, usize) {
        (self.begun, self.most)
    }

    /// When somebody is due.
    pub(super) fn due(&self) -> Option<Instant> {
        let gives_way = self.standing.front().filter(|_| !self.waiting.is_empty());
        let gives_way = gives_way.map(|(since, _)| *since + STANDING_MAX);
        self.due.first().map(|(due, _)| *due).into_iter().chain(gives_way).min()
    }

    /// Who has to give way to those who wait, if anybody does.
    fn standing(&mut self, now: Instant) -> Option<GuestKey> {
        if self.waiting.is_empty() {
            return None;
        }
        while let Some((_, key)) = self.standing.front().copied().filter(|(since, _)| *since + STANDING_MAX <= now) {
            self.standing.pop_front();
            match self.all.get(key).map(|guest| guest.greeting.is_away()) {
                Some(false) => return Some(key),
                // It is this end that keeps it waiting.
                Some(true) => self.standing.push_back((now, key)),
                None => {}
            }
        }
        None
    }

    /// Lets a guest begin, if it may.
    fn begin(&mut self, key: GuestKey, now: Instant) -> bool {
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
                self.standing.push_back((now, key));
                true
            }
        }
    }

    /// Has a guest wait whose turn it was.
    fn wait_on(&mut self, key: GuestKey) {
        if self.all.contains_key(key) {
            self.waiting.push_front(key);
        }
    }

    /// Takes a guest away; who may begin in its place.
    fn remove(&mut self, key: GuestKey) -> Option<(Guest, Option<GuestKey>)> {
        let guest = self.all.remove(key)?;
        self.due.remove(&(guest.due, key));
        self.held = self.held.saturating_sub(guest.held);
        while self.standing.front().is_some_and(|(_, key)| !self.all.contains_key(*key)) {
            self.standing.pop_front();
        }
        if guest.stage != Stage::Begun {
            return Some((guest, None));
        }
        self.begun -= 1;
        let next = std::iter::from_fn(|| self.waiting.pop_front()).find(|key| self.all.contains_key(*key));
        Some((guest, next))
    }

    /// Gives a guest that had to wait for its turn the time for it.
    fn renew(&mut self, key: GuestKey, now: Instant) {
        if let Some(guest) = self.all.get_mut(key) {
            self.due.remove(&(guest.due, key));
            guest.due = guest.due.max(now + TURN_MIN);
            self.due.insert((guest.due, key));
        }
    }
}

impl Worker {
    /// Takes in a client whose connection has to be sealed first.
    pub(super) fn welcome(&mut self, mut socket: Socket, seal: Seal, (door, peer): (u16, Peer)) {
        let now = Instant::now();
        if !self.router.takes_sessions() {
            return self.complain(&peer, seal.name(), &NO_MEMORY);
        }
        let greeting = match Greeting::begin(&seal, now) {
            Ok(greeting) => greeting,
            Err(why) => return self.complain(&peer, seal.name(), &why),
        };
        let (due, prepare) = (now + HANDSHAKE_MAX, seal.prepare());
        let registry = self.poll.registry();
        let key = self.guests.all.try_insert_with_key(|key| {
            socket.register(registry, Source::Guest(key).token())?;
            Ok::<_, std::io::Error>(Guest { socket, greeting, seal, peer, door, due, stage: Stage::Silent, held: 0 })
        });
        match key {
            Ok(key) => {
                self.guests.due.insert((due, key));
                prepare.into_iter().for_each(|job| self.pool.give(job));
                // Some seals speak first. What the client says the kernel tells, be it there already.
                self.greet(key);
            }
            Err(error) => self.tell_unregistered(&error),
        }
    }

    /// Takes note of what a guest's socket is ready for.
    pub(super) fn note_guest(&mut self, key: GuestKey, readable: bool) {
        if !readable || self.guests.begin(key, Instant::now()) {
            self.greet(key);
        }
    }

    /// Lets a guest begin that had to wait.
    pub(super) fn admit_guest(&mut self, key: GuestKey) {
        match self.guests.begin(key, Instant::now()) {
            true => self.greet(key),
            // Somebody who had not waited came between.
            false => self.guests.wait_on(key),
        }
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
        let step = match self.router.takes_sessions() {
            true => guest.greeting.go_on(guest.socket.stream(), &mut self.scratch, may_read),
            false => Err(NO_MEMORY),
        };
        self.count_guest(key);
        match step {
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
                let entrance = Entrance { names: wire.names(), ..peer.entrance(door) };
                socket.seal(wire);
                self.open_sealed_session(socket, entrance);
            }
            Err(why) => self.turn_out(key, &why),
        }
    }

    /// Counts what a guest holds by now.
    fn count_guest(&mut self, key: GuestKey) {
        let Some(guest) = self.guests.all.get_mut(key).filter(|guest| !guest.greeting.is_away()) else { return };
        let before = std::mem::replace(&mut guest.held, guest.greeting.held());
        if guest.held != before {
            self.guests.held = self.guests.held.saturating_sub(before) + guest.held;
            self.router.handle(self.now, Input::GuestBytes(self.guests.held));
        }
    }

    /// Takes a guest away, and lets another begin in its place.
    fn dismiss(&mut self, key: GuestKey) -> Option<Guest> {
        let (guest, next) = self.guests.remove(key)?;
        if guest.held > 0 {
            self.router.handle(self.now, Input::GuestBytes(self.guests.held));
        }
        if let Some(next) = next {
            self.guests.renew(next, Instant::now());
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

    /// Closes guests whose time is up, and those who have to give way.
    pub(super) fn turn_out_late_guests(&mut self) {
        let now = Instant::now();
        while let Some(key) = self.guests.standing(now) {
            let why = self.guests.all.get(key).map(|guest| guest.greeting.given_up(Ending::Late));
            if let Some(SealError::Late(why)) = why {
                self.turn_out(key, &SealError::GaveWay(why));
            }
        }
        while let Some((due, key)) = self.guests.due.first().copied().filter(|(due, _)| *due <= now) {
            self.guests.due.remove(&(due, key));
            let late = self.guests.all.get(key).filter(|guest| guest.stage != Stage::Waiting);
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
