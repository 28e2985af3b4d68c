//! The door of the core.

use std::sync::Arc;

use crate::command::Table;
use crate::limits::Limits;
use crate::link::credentials::Credentials;
use crate::memory::Pressure;
use crate::mutant::Mutation;
use crate::order::{End, Input, LinkKey, Order, Output, SessionKey, SpoolKey};
use crate::peer::severed::HandOver;
use crate::peer::ways::Peers;
use crate::place::Homes;
use crate::resp::ScanLimits;
use crate::session::attempts::Attempts;
use crate::session::gate::{Entrance, Gate};
use crate::stats::{Holding, Peaks, Stats};
use crate::time::Time;
pub(crate) use crate::traffic::Traffic;

/// A named set of habits, chosen for whose traffic it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Profile {
    /// The client aborts on an error: hold requests as long as patience lasts.
    #[default]
    Pdwfs,
    /// The client handles errors: fail fast.
    Redis,
}

/// What a router is told once, at its start.
#[derive(Debug)]
pub struct Setup {
    /// Where keys live. Its shards are the upstreams, in this order; before peers it is what they say.
    pub homes: Homes,
    /// The upstreams are other proxies, each of which reaches everything.
    pub peers: Option<Peers>,
    /// The command table; it learns what it lacks.
    pub table: Table,
    /// The bounds.
    pub limits: Limits,
    /// Whose traffic it is.
    pub profile: Profile,
    /// Large requests are kept in files until they are answered; under profile `pdwfs` alone.
    pub spool: bool,
    /// How links name themselves at instances; the same in all workers of a process, different in
    /// every process. It tells a proxy that it talks to itself.
    pub name: String,
    /// What the operator calls this proxy, for those above and below it.
    pub node: String,
    /// Start of the router's own random numbers, which spread reconnections.
    pub seed: u64,
    /// The users.
    pub gate: Arc<dyn Gate>,
    /// Wrong passwords, which all workers of a process count together.
    pub attempts: Attempts,
    /// By what the links authenticate, for each upstream; none that is not listed does.
    pub credentials: Vec<Option<Credentials>>,
    /// A deliberate fault, in tests.
    pub mutation: Mutation,
}

impl Setup {
    /// The scanner's bounds.
    pub(crate) fn scan_limits(&self) -> ScanLimits {
        ScanLimits { args: self.limits.args_max, ..ScanLimits::default() }
    }
}

/// One worker's protocol: all its sessions, its links, and what is on its way between them.
///
/// The contract with its driver:
///
/// 1. Give every event to [`handle`](Self::handle), with the time at which it was seen. Many
///    events may be given before the next step; that is what makes batches large.
/// 2. Drain [`poll_output`](Self::poll_output) until it is empty, and do what it says. Writing
///    means: write as much of [`session_output`](Self::session_output) or
///    [`link_output`](Self::link_output) as the socket takes and report it with
///    [`Input::SessionWritten`] or [`Input::LinkWritten`]; if the socket took less than all, again
///    when it takes more. A file takes all of [`spool_output`](Self::spool_output), or has failed.
/// 3. Wait for the next event, but not beyond [`poll_timeout`](Self::poll_timeout); then
///    [`Input::Timeout`], after everything that was ready by then was read and written: who is late is
///    judged by what his socket gave and took, not by how long this process slept.
/// 4. Report with [`Input::RelayWaits`] for which end a relay stands still, whenever it is another one.
///
/// Before reading a session, ask [`wants_bytes`](Self::wants_bytes), before reading a link
/// [`wants_link_bytes`](Self::wants_link_bytes). If the answer was no, ask again after an
/// [`Output::Read`] or an order about the next bytes of that end. Keys of sessions and links that
/// are gone may be used freely; nothing happens.
#[derive(Debug)]
pub struct Router {
    setup: Setup,
    traffic: Traffic,
}

impl Router {
    /// A router at time `now`. It orders its links at once.
    pub fn new(mut setup: Setup, now: Time) -> Self {
        if setup.has_peers() {
            setup.homes = Homes::single();
        }
        let mut traffic = Traffic::new(&setup, now);
        traffic.tick(&setup);
        Self { setup, traffic }
    }

    /// It is the `nth` of so many routers of a process, counted from 0: no two of their sessions have one number
    /// (`CLIENT ID`), and a fence is put up by all of them.
    pub fn stand_among(&mut self, nth: usize, workers: usize) {
        self.traffic.numbering = (nth as u64 + 1, workers as u64);
    }

    /// A client has connected.
    pub fn open_session(&mut self, now: Time) -> SessionKey {
        self.open_session_at(now, Entrance::default())
    }

    /// A client has connected by this door.
    pub fn open_session_at(&mut self, now: Time, entrance: Entrance) -> SessionKey {
        self.traffic.advance(&self.setup, now);
        self.traffic.open_session(&self.setup, entrance)
    }

    /// What [`Output::HandOver`] is about.
    pub fn hand_over(&mut self, key: SessionKey) -> Option<HandOver> {
        let at = self.traffic.handed_over.iter().position(|(other, _)| *other == key)?;
        Some(self.traffic.handed_over.swap_remove(at).1)
    }

    /// Another router of this process has handed over a connection.
    pub fn take_over(&mut self, now: Time, handed: HandOver) -> SessionKey {
        self.traffic.advance(&self.setup, now);
        let key = self.traffic.take_over(&self.setup, handed);
        self.settle();
        key
    }

    /// Something happened.
    pub fn handle(&mut self, now: Time, input: Input<'_>) {
        let (setup, traffic) = (&self.setup, &mut self.traffic);
        traffic.advance(setup, now);
        match input {
            Input::SessionBytes(key, bytes) => traffic.connection_bytes(setup, key, bytes),
            Input::SessionWritten(key, bytes) => traffic.session_written(setup, key, bytes),
            Input::SessionEnded(key) => traffic.session_ended(setup, key),
            Input::SessionLost(key) => traffic.connection_lost(setup, key),
            Input::SessionRetired(key) => traffic.session_retired(setup, key),
            Input::Relayed(end, bytes) => traffic.relayed(setup, end, bytes),
            Input::RelayWaits(end, wait) => traffic.relay_waits(end, wait),
            Input::LinkConnected(key) => traffic.link_connected(setup, key),
            Input::LinkBytes(key, bytes) => traffic.upstream_bytes(setup, key, bytes),
            Input::LinkWritten(key, bytes) => traffic.link_written(setup, key, bytes),
            Input::SpoolReady(key) => traffic.spool_ready(key),
            Input::SpoolWritten(key, bytes) => traffic.spool_written(key, bytes),
            Input::SpoolFailed(key) => traffic.spool_failed(setup, key),
            Input::Buffered(end, buffered) => traffic.buffered(setup, end, buffered),
            Input::GuestBytes(bytes) => traffic.guest_bytes(setup, bytes),
            Input::LinkLost(key, why) => traffic.link_lost(setup, key, why.into()),
            Input::Leaving => traffic.leave(setup),
            Input::FenceWanted(call, name) => traffic.fence_wanted(setup, call, name),
            Input::FenceAnswered(number, confirmed) => traffic.fence_answered(setup, number, confirmed),
            Input::UpstreamMoved(index) => traffic.upstream_moved(setup, index),
            Input::Timeout => traffic.tick(setup),
        }
        self.settle();
    }

    /// Does what handling an event has left to do: learn commands, read on in sessions.
    fn settle(&mut self) {
        while self.traffic.is_unsettled() {
            for (name, reply) in std::mem::take(&mut self.traffic.learned) {
                self.setup.learn(&name, &reply);
                self.traffic.note_asked(name);
            }
            if let Some(homes) = self.traffic.learned_homes.take() {
                self.setup.homes = homes;
                self.traffic.homes_changed(&self.setup);
            }
            while let Some(key) = self.traffic.revived.pop() {
                self.traffic.revive(&self.setup, key);
            }
            while let Some(key) = self.traffic.refreshed.pop() {
                self.traffic.take_stream(&self.setup, key);
            }
            while let Some(key) = self.traffic.unparked.pop() {
                self.traffic.unpark(&self.setup, key);
            }
            while let Some(key) = self.traffic.weaving.pop() {
                self.traffic.weave(&self.setup, key);
            }
            while let Some(index) = self.traffic.freed_lanes.pop() {
                self.traffic.serve_lanes(&self.setup, index);
            }
            if std::mem::take(&mut self.traffic.spool_freed) {
                self.traffic.grant_room(&self.setup);
            }
            if std::mem::take(&mut self.traffic.grown) {
                self.traffic.bound_severed(&self.setup);
            }
            // One by one: what one of them learns, the next may not ask again.
            if let Some(key) = self.traffic.resumable.pop() {
                self.traffic.resume(&self.setup, key);
            }
        }
    }

    /// The next thing to do.
    pub fn poll_output(&mut self) -> Option<Output> {
        let output = self.traffic.outputs.pop_front()?;
        match output {
            Output::Order(End::Session(key), Order::Inject) => {
                if let Some(session) = self.traffic.sessions.get_mut(key) {
                    session.dirty = false;
                }
                if self.traffic.is_framed(key) {
                    self.traffic.fill_session(&self.setup, key);
                    self.settle();
                }
            }
            Output::Order(End::Link(key), Order::Inject) => {
                if let Some(link) = self.traffic.links.get_mut(key) {
                    link.dirty = false;
                }
            }
            Output::Order(End::Spool(key), Order::Inject) => {
                self.traffic.spools.get_mut(key).into_iter().for_each(|spool| spool.dirty = false);
            }
            Output::Order(end, _) => self.traffic.set_ordered(end, false),
            _ => {}
        }
        Some(output)
    }

    /// When [`Input::Timeout`] is due, if nothing else happens before.
    pub fn poll_timeout(&self) -> Option<Time> {
        self.traffic.next_timeout(&self.setup)
    }

    /// Whether a session's bytes may be handed in now.
    pub fn wants_bytes(&self, key: SessionKey) -> bool {
        self.traffic.wants_bytes(&self.setup, key)
    }

    /// What a test may look into.
    #[cfg(test)]
    pub(crate) fn traffic(&self) -> &Traffic {
        &self.traffic
    }

    /// Whether a link's bytes may be handed in now.
    pub fn wants_link_bytes(&self, key: LinkKey) -> bool {
        let link = self.traffic.links.get(key).filter(|link| !link.parked && !link.ordered);
        link.is_some() && self.traffic.may_pass(&self.setup, End::Link(key))
    }

    /// Reply bytes that wait to be written to a session.
    pub fn session_output(&self, key: SessionKey) -> &[u8] {
        self.traffic.session_output(key)
    }

    /// Request bytes that wait to be written to a link. What is past its deadline at `now` is
    /// taken out first, so `now` must be read in the same turn as the write.
    pub fn link_output(&mut self, now: Time, key: LinkKey) -> &[u8] {
        self.traffic.advance(&self.setup, now);
        self.traffic.drop_stale(&self.setup, key);
        // Where something was taken out there is room, and what waited for that may be past its time as well.
        while self.traffic.is_unsettled() {
            self.settle();
            self.traffic.drop_stale(&self.setup, key);
        }
        self.traffic.link_output(key)
    }

    /// Bytes that wait to be written at the end of a file.
    pub fn spool_output(&self, key: SpoolKey) -> &[u8] {
        self.traffic.spool_output(key)
    }

    /// Whether bytes that are relayed from this end may go on now: the relay is wanted, and what the
    /// core holds for the other end has gone before them.
    pub fn may_relay(&mut self, now: Time, from: End) -> bool {
        match self.traffic.relay_target(from) {
            Some(End::Session(key)) => self.session_output(key).is_empty(),
            Some(End::Link(key)) => match from {
                End::Spool(spool) if !self.spool_output(spool).is_empty() => false,
                _ => self.link_output(now, key).is_empty(),
            },
            Some(End::Spool(key)) => self.spool_output(key).is_empty(),
            None => false,
        }
    }

    /// Whether nothing of a session is outstanding: no request is half read, held or unanswered, and
    /// every reply is written. What its client has sent since then is not known here.
    pub fn is_idle(&self, key: SessionKey) -> bool {
        self.traffic.is_idle(key)
    }

    /// Whether nothing of any client is left: no session, and no request that is unsent or unanswered.
    pub fn is_quiet(&self) -> bool {
        self.traffic.is_quiet()
    }

    /// Whether there is memory for new sessions.
    pub fn takes_sessions(&self) -> bool {
        self.traffic.budget.pressure == Pressure::None
    }

    /// Whether each upstream, in order, has a link that is ready.
    pub fn readiness(&self) -> impl Iterator<Item = bool> + '_ {
        (0..self.traffic.upstreams.len()).map(|index| self.traffic.answers(index))
    }

    /// Attempts to replace a lost link, of each upstream in order.
    pub fn reconnects(&self) -> impl Iterator<Item = u64> + '_ {
        self.traffic.upstreams.iter().map(|upstream| upstream.reconnects)
    }

    /// The bounds.
    pub fn limits(&self) -> &Limits {
        &self.setup.limits
    }

    /// Keeps to other bounds from now on; what is held beyond them stays until it is done with.
    pub fn set_limits(&mut self, now: Time, limits: Limits) {
        self.setup.limits = limits;
        // Their scanners have the old bounds.
        self.traffic.partials.clear();
        self.handle(now, Input::Timeout);
    }

    /// The proxies below, by their operators' names for them, each with how many framed links it has here.
    pub fn below(&self) -> Vec<(String, usize)> {
        self.traffic.below()
    }

    /// The proxies above, by name, each with how many framed links this one has to it.
    pub fn above(&self) -> Vec<(String, usize)> {
        self.traffic.peers_met()
    }

    /// Framed links that there may be to each of the peers; 0 where the upstreams are none.
    pub fn peer_links_max(&self) -> usize {
        self.setup.peers.map_or(0, |peers| peers.links)
    }

    /// Has other users from now on. Sessions whose user or password is no longer good are closed once they are answered,
    /// the others go on under the new rules.
    pub fn set_gate(&mut self, now: Time, gate: Arc<dyn Gate>) {
        self.setup.gate = gate;
        self.traffic.users_changed(&self.setup);
        self.handle(now, Input::Timeout);
    }

    /// Has new links authenticate by these, one for each upstream; those that are there stay.
    pub fn set_credentials(&mut self, credentials: Vec<Option<Credentials>>) {
        self.setup.credentials = credentials;
        self.traffic.renew_probes(&self.setup);
    }

    /// What has been counted.
    pub fn stats(&self) -> &Stats {
        &self.traffic.stats
    }

    /// What is held right now.
    pub fn holding(&self) -> Holding {
        self.traffic.holding()
    }

    /// How near it is to its limits.
    pub fn peaks(&self) -> Peaks {
        self.traffic.peaks()
    }

    /// The command table.
    pub fn table(&self) -> &Table {
        &self.setup.table
    }
}
