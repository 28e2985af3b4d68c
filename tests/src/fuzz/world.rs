//! A router and everything around it: it obeys the router as a driver does, when a script says so.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use pdw_router::limits::Limits;
use pdw_router::{End, Input, LinkKey, LossReason, Order, Output, Router, SessionKey, Setup, SpoolKey, Time};

use super::carried::Carried;
use super::client::{Client, Ending};
use super::instance::Mood;
use super::pump::Pump;
use super::story::{self, tell, text};
use super::wire::Wire;

/// Most bytes that are handed in at once; a driver's read buffer.
pub(super) const CHUNK: usize = 4096;
/// Clients of one script.
const CLIENTS: usize = 8;
/// Turns after which everything must have come to rest.
const TURNS: usize = 10_000;

/// A router with its clients and instances.
#[derive(Debug)]
pub(super) struct World {
    pub(super) router: Router,
    pub(super) now: Time,
    pub(super) clients: Vec<Client>,
    pub(super) wires: Vec<Wire>,
    pub(super) moods: Vec<Mood>,
    pub(super) pumps: Vec<Pump>,
    /// Files with large requests.
    pub(super) spools: BTreeMap<SpoolKey, Vec<u8>>,
    connecting: VecDeque<(LinkKey, usize)>,
    carried: Carried,
    /// Every reply was the model's own.
    trusted: bool,
}

impl World {
    pub(super) fn new(setup: Setup) -> Self {
        let now = Time::from_micros(1);
        let moods = (0..setup.homes.shards()).map(|_| Mood::default()).collect();
        let router = Router::new(setup, now);
        let (clients, wires, pumps) = (Vec::new(), Vec::new(), Vec::new());
        Self {
            router,
            now,
            clients,
            wires,
            moods,
            pumps,
            spools: BTreeMap::new(),
            connecting: VecDeque::new(),
            carried: Carried::default(),
            trusted: true,
        }
    }

    pub(super) fn limits(&self) -> &Limits {
        self.router.limits()
    }

    pub(super) fn handle(&mut self, input: Input<'_>) {
        tell(|| story::input(&input));
        self.router.handle(self.now, input);
    }

    pub(super) fn open(&mut self) {
        if self.clients.len() < CLIENTS {
            let key = self.router.open_session(self.now);
            let crowded = !self.router.session_output(key).is_empty();
            self.clients.push(Client::new(key, crowded));
        }
    }

    /// Reads a client's socket once, and then not again in this turn.
    pub(super) fn read_client(&mut self, index: usize, amount: usize) {
        let Some(client) = self.clients.get(index) else { return };
        if client.read {
            self.end_turn();
        }
        let Some(client) = self.clients.get_mut(index) else { return };
        let key = client.key;
        if !client.is_readable() {
            return;
        }
        client.read = true;
        if self.has_pump(End::Session(key)) {
            self.pump(End::Session(key), amount);
            return;
        }
        if !self.router.wants_bytes(key) {
            return;
        }
        let Some(client) = self.clients.get_mut(index) else { return };
        match client.take_bytes(amount.min(CHUNK)) {
            None => self.handle(Input::SessionEnded(key)),
            Some(bytes) if bytes.is_empty() => {}
            Some(bytes) => self.handle(Input::SessionBytes(key, &bytes)),
        }
    }

    /// A client's socket takes at most `amount` bytes.
    pub(super) fn write_client(&mut self, index: usize, amount: usize) {
        let Some(client) = self.clients.get_mut(index).filter(|client| client.writable) else { return };
        let output = self.router.session_output(client.key);
        let count = output.len().min(amount);
        client.receive(&output[..count]);
        client.writable = count < output.len();
        let key = client.key;
        self.handle(Input::SessionWritten(key, count));
    }

    /// A client's connection breaks.
    pub(super) fn lose_client(&mut self, index: usize) {
        let Some(client) = self.clients.get_mut(index).filter(|client| client.ending == Ending::Open) else { return };
        client.ending = Ending::Lost;
        client.writable = false;
        let key = client.key;
        self.drop_pump(End::Session(key));
        self.handle(Input::SessionLost(key));
    }

    /// A link's socket takes at most `amount` bytes.
    pub(super) fn write_wire(&mut self, index: usize, amount: usize) {
        let Some(wire) = self.wires.get_mut(index).filter(|wire| wire.writable) else { return };
        let key = wire.key;
        let output = self.router.link_output(self.now, key);
        let written = output[..output.len().min(amount)].to_vec();
        wire.writable = written.len() < output.len();
        self.write_to_instance(index, &written);
        self.handle(Input::LinkWritten(key, written.len()));
    }

    /// Takes bytes to the instance at the other end of a link.
    pub(super) fn write_to_instance(&mut self, index: usize, bytes: &[u8]) {
        let wire = &mut self.wires[index];
        tell(|| format!("{:?} gets {}", wire.key, text(bytes)));
        self.trusted &= !wire.write(&mut self.moods[wire.upstream], &mut self.carried, bytes);
    }

    /// Reads a link's socket once, and then not again in this turn.
    pub(super) fn read_wire(&mut self, index: usize, amount: usize) {
        if self.wires.get(index).is_some_and(|wire| wire.read) {
            self.end_turn();
        }
        let Some(wire) = self.wires.get_mut(index).filter(|wire| wire.has_replies()) else { return };
        wire.read = true;
        let key = wire.key;
        if self.has_pump(End::Link(key)) {
            self.pump(End::Link(key), amount);
            return;
        }
        if !self.router.wants_link_bytes(key) {
            return;
        }
        let bytes = self.wires[index].take_replies(amount.min(CHUNK));
        if !bytes.is_empty() {
            self.handle(Input::LinkBytes(key, &bytes));
        }
    }

    /// An instance says something that it was not asked.
    pub(super) fn babble(&mut self, index: usize, bytes: &[u8]) {
        if let Some(wire) = self.wires.get_mut(index).filter(|_| !bytes.is_empty()) {
            self.trusted = false;
            wire.babble(bytes);
        }
    }

    /// A link's connection breaks.
    pub(super) fn lose_wire(&mut self, index: usize) {
        if index < self.wires.len() {
            let wire = self.wires.remove(index);
            self.drop_pump(End::Link(wire.key));
            self.stop_spools(End::Link(wire.key));
            self.handle(Input::LinkLost(wire.key, LossReason::Closed));
        }
    }

    /// The oldest attempt to connect succeeds or fails.
    pub(super) fn connect(&mut self, succeeds: bool) {
        let Some((key, upstream)) = self.connecting.pop_front() else { return };
        if succeeds {
            self.wires.push(Wire::new(key, upstream, &self.moods[upstream]));
            self.handle(Input::LinkConnected(key));
        } else {
            self.handle(Input::LinkLost(key, LossReason::Unreachable));
        }
    }

    /// Time passes and what is due is done, until nothing is.
    pub(super) fn wait(&mut self, span: Duration) {
        tell(|| format!("{span:?} pass"));
        self.now = self.now.after(span);
        for _ in 0..3 {
            if self.router.poll_timeout().is_none_or(|due| due > self.now) {
                return;
            }
            self.handle(Input::Timeout);
            self.end_turn();
            (0..self.wires.len()).for_each(|index| self.write_wire(index, usize::MAX));
        }
        let due = self.router.poll_timeout();
        assert!(due > Some(self.now), "a timeout is due again and again, a driver would spin: {self:?}");
    }

    /// Does what the router says.
    pub(super) fn end_turn(&mut self) {
        self.clients.iter_mut().for_each(|client| client.read = false);
        self.wires.iter_mut().for_each(|wire| wire.read = false);
        while let Some(output) = self.router.poll_output() {
            self.obey(&output);
        }
    }

    fn obey(&mut self, output: &Output) {
        tell(|| format!("    {output:?}"));
        match *output {
            Output::Connect(key, upstream) => {
                assert!(upstream < self.moods.len() && self.wires.iter().all(|wire| wire.key != key));
                self.connecting.push_back((key, upstream));
            }
            Output::Order(end, Order::Inject) => self.note_writable(end),
            Output::Order(end, Order::Skip { bytes }) => self.skip(end, bytes),
            Output::Order(from, Order::Relay { to, bytes }) => self.begin_relay(from, to, bytes),
            Output::CloseSession(key) => {
                if let Some(client) = self.client(key).filter(|client| client.ending == Ending::Open) {
                    client.ending = Ending::Closed;
                    client.writable = false;
                }
                self.drop_pump(End::Session(key));
            }
            Output::CloseLink(key) => {
                self.wires.retain(|wire| wire.key != key);
                self.connecting.retain(|(link, _)| *link != key);
                self.drop_pump(End::Link(key));
                self.stop_spools(End::Link(key));
            }
            Output::GrowSpool(key, _) => {
                self.spools.entry(key).or_default();
                self.handle(Input::SpoolReady(key));
            }
            Output::CloseSpool(key) => {
                self.spools.remove(&key);
                self.drop_pump(End::Spool(key));
            }
            Output::Read(_)
            | Output::Notice(_)
            | Output::CallFence(..)
            | Output::AnswerFence(..)
            | Output::HandOver(..) => {}
        }
    }

    fn skip(&mut self, end: End, bytes: u64) {
        assert!(bytes > 0, "an order to skip nothing");
        self.drop_pump(end);
        match end {
            End::Session(key) => {
                if let Some(client) = self.client(key) {
                    client.skip(bytes);
                }
            }
            End::Link(key) => {
                if let Some(wire) = self.wires.iter_mut().find(|wire| wire.key == key) {
                    wire.skip(bytes);
                }
            }
            End::Spool(key) => panic!("an order to skip bytes of {key:?}"),
        }
    }

    pub(super) fn client(&mut self, key: SessionKey) -> Option<&mut Client> {
        self.clients.iter_mut().find(|client| client.key == key)
    }

    fn note_writable(&mut self, end: End) {
        match end {
            End::Session(key) => {
                if let Some(client) = self.client(key).filter(|client| client.ending == Ending::Open) {
                    client.writable = true;
                }
            }
            End::Link(key) => {
                if let Some(wire) = self.wires.iter_mut().find(|wire| wire.key == key) {
                    wire.writable = true;
                }
            }
            End::Spool(key) => self.write_spool(key),
        }
    }

    /// A file takes everything at once.
    fn write_spool(&mut self, key: SpoolKey) {
        let bytes = self.router.spool_output(key).to_vec();
        if let Some(file) = self.spools.get_mut(&key) {
            file.extend_from_slice(&bytes);
            self.handle(Input::SpoolWritten(key, bytes.len()));
        }
    }

    /// Turns in which everything works, until nothing moves any more. No time passes.
    pub(super) fn settle(&mut self) {
        for _ in 0..TURNS {
            self.end_turn();
            if self.is_at_rest() {
                return;
            }
            (0..self.connecting.len()).for_each(|_| self.connect(true));
            (0..self.wires.len()).for_each(|index| self.write_wire(index, usize::MAX));
            (0..self.wires.len()).for_each(|index| self.read_wire(index, usize::MAX));
            (0..self.clients.len()).for_each(|index| self.write_client(index, usize::MAX));
            (0..self.clients.len()).for_each(|index| self.read_client(index, usize::MAX));
            self.pump_all();
        }
        assert!(self.is_at_rest(), "it never comes to rest: {self:?}");
    }

    fn is_at_rest(&mut self) -> bool {
        if self.pump_all() {
            return false;
        }
        let (router, pumps) = (&self.router, &self.pumps);
        let idle = |end: End| !pumps.iter().any(|pump| pump.is_from(end));
        let readable =
            |client: &Client| client.is_readable() && idle(End::Session(client.key)) && router.wants_bytes(client.key);
        let heard = |wire: &Wire| wire.has_replies() && idle(End::Link(wire.key)) && router.wants_link_bytes(wire.key);
        self.connecting.is_empty()
            && !self.wires.iter().any(|wire| wire.writable || heard(wire))
            && !self.clients.iter().any(|client| client.writable || readable(client))
    }

    /// Checks what every client has been told.
    pub(super) fn check_replies(&self, settled: bool) {
        let stats = self.router.stats();
        let sound = stats.links_lost + stats.sheds == 0;
        self.clients.iter().for_each(|client| client.check(self.limits(), settled, self.trusted, sound));
        self.carried.check(self.limits(), &self.clients, self.router.stats());
    }
}
