//! Relays as a driver carries them out: bytes go from one end to the other past the router.

use pdw_router::{End, Input};

use super::client::Ending;
use super::wire::Wire;
use super::world::{CHUNK, World};

/// A relay that is not through.
#[derive(Debug)]
pub(super) struct Pump {
    from: End,
    to: End,
    left: u64,
    /// So many bytes of it were moved.
    moved: usize,
}

impl Pump {
    pub(super) fn is_from(&self, end: End) -> bool {
        self.from == end
    }
}

impl World {
    pub(super) fn begin_relay(&mut self, from: End, to: End, bytes: u64) {
        assert!(bytes > 0 && !self.has_pump(from), "a relay of {bytes} bytes of {from:?}");
        self.pumps.push(Pump { from, to, left: bytes, moved: 0 });
    }

    /// Whether an end's next bytes go elsewhere.
    pub(super) fn has_pump(&self, from: End) -> bool {
        self.pumps.iter().any(|pump| pump.from == from)
    }

    /// Forgets the relay of an end.
    pub(super) fn drop_pump(&mut self, from: End) {
        self.pumps.retain(|pump| pump.from != from);
    }

    /// Forgets what comes out of a file to a link that is gone.
    pub(super) fn stop_spools(&mut self, to: End) {
        self.pumps.retain(|pump| pump.to != to || !matches!(pump.from, End::Spool(_)));
    }

    /// Moves at most `amount` bytes of an end; whether anything happened.
    pub(super) fn pump(&mut self, from: End, amount: usize) -> bool {
        let Some(at) = self.pumps.iter().position(|pump| pump.from == from) else { return false };
        let Pump { to, left, moved, .. } = self.pumps[at];
        if !self.router.may_relay(self.now, from) || !self.is_open(to) {
            return false;
        }
        let bytes = self.take_relayed(from, moved, amount.min(CHUNK).min(usize::try_from(left).unwrap_or(CHUNK)));
        if bytes.is_empty() {
            return self.lose_if_ended(from);
        }
        self.give_relayed(to, &bytes);
        self.pumps[at].left -= bytes.len() as u64;
        self.pumps[at].moved += bytes.len();
        if self.pumps[at].left == 0 {
            self.pumps.remove(at);
        }
        self.handle(Input::Relayed(from, bytes.len() as u64));
        true
    }

    /// Moves what can be moved, everywhere; whether anything happened.
    pub(super) fn pump_all(&mut self) -> bool {
        let ends: Vec<End> = self.pumps.iter().map(|pump| pump.from).collect();
        ends.into_iter().filter(|from| self.pump(*from, usize::MAX)).count() > 0
    }

    /// Breaks the connections of instances that have begun a large value and say no more. While nobody
    /// else waits for such a link the router does not: it cannot tell a standing instance from a standing client.
    pub(super) fn lose_wires_amid_values(&mut self) {
        let standing = |world: &Self| {
            // What was not asked may have begun a value that is never whole, and swallows all replies after it.
            let is_amid = |wire: &Wire| world.has_pump(End::Link(wire.key)) || wire.babbled;
            world.wires.iter().position(|wire| is_amid(wire) && !wire.has_replies())
        };
        while let Some(index) = standing(self) {
            self.lose_wire(index);
        }
    }

    fn is_open(&mut self, to: End) -> bool {
        match to {
            End::Session(key) => self.client(key).is_some_and(|client| client.ending == Ending::Open),
            End::Link(key) => self.wires.iter().any(|wire| wire.key == key),
            End::Spool(key) => self.spools.contains_key(&key),
        }
    }

    fn take_relayed(&mut self, from: End, moved: usize, amount: usize) -> Vec<u8> {
        match from {
            End::Session(key) => self.client(key).map(|client| client.take_relayed(amount)).unwrap_or_default(),
            End::Link(key) => {
                let wire = self.wires.iter_mut().find(|wire| wire.key == key);
                wire.map(|wire| wire.take_relayed(amount)).unwrap_or_default()
            }
            End::Spool(key) => {
                self.spools.get(&key).map(|file| file[moved..moved + amount].to_vec()).unwrap_or_default()
            }
        }
    }

    fn give_relayed(&mut self, to: End, bytes: &[u8]) {
        match to {
            End::Session(key) => {
                if let Some(client) = self.client(key) {
                    client.receive(bytes);
                }
            }
            End::Link(key) => {
                if let Some(at) = self.wires.iter().position(|wire| wire.key == key) {
                    self.write_to_instance(at, bytes);
                }
            }
            End::Spool(key) => {
                self.spools.get_mut(&key).into_iter().for_each(|file| file.extend_from_slice(bytes));
            }
        }
    }

    /// A client that ends in the middle of a large value has broken its promise: a driver gives it up.
    fn lose_if_ended(&mut self, from: End) -> bool {
        let at = self.clients.iter().position(|client| End::Session(client.key) == from && client.has_ended());
        if let Some(at) = at {
            self.lose_client(at);
        }
        at.is_some()
    }
}
