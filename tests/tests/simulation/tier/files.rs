//! A proxy's files: made, filled and read as a driver does, on a disk that may fail.

use pdw_router::{End, Input, Order, SpoolKey, Wait};

use super::Tier;
use crate::history::{History, Violation, ensure};
use crate::net::Net;

/// A file.
#[derive(Debug, Default)]
pub(super) struct Spool {
    bytes: Vec<u8>,
    /// Bytes on their way from here: where to, which is next, and where they end.
    relay: Option<(End, usize, usize)>,
    /// For which end it stood still last, as the router knows it.
    waits: Option<Wait>,
}

impl Spool {
    /// Where its bytes go.
    pub(super) fn carrier(&self) -> Option<End> {
        self.relay.map(|(to, ..)| to)
    }

    /// What it may give to this end is over.
    pub(super) fn stop(&mut self, end: End) {
        self.relay.take_if(|(to, ..)| *to == end);
    }

    /// For which end its relay stands still, if the router does not know: never for the file.
    pub(super) fn news(&mut self) -> Option<Wait> {
        self.relay?;
        (self.waits.replace(Wait::Sink) != Some(Wait::Sink)).then_some(Wait::Sink)
    }
}

impl Tier {
    /// Whether the disk fails now.
    fn fails(&self, net: &mut Net) -> bool {
        self.disk_fails && net.rng.u8(..) < 16
    }

    pub(super) fn grow_spool(&mut self, key: SpoolKey, net: &mut Net) {
        if self.fails(net) {
            return self.lose_spool(key, net);
        }
        self.spools.entry(key).or_default();
        self.router.handle(net.now, Input::SpoolReady(key));
    }

    fn lose_spool(&mut self, key: SpoolKey, net: &mut Net) {
        net.trace.note(net.now, format_args!("tier {} {key:?} failed", self.index));
        self.spools.remove(&key);
        self.router.handle(net.now, Input::SpoolFailed(key));
    }

    /// Writes all that the router has for a file.
    pub(super) fn write_spool(&mut self, key: SpoolKey, net: &mut Net) {
        if self.spools.contains_key(&key) && self.fails(net) {
            return self.lose_spool(key, net);
        }
        let Some(spool) = self.spools.get_mut(&key) else { return };
        let bytes = self.router.spool_output(key);
        let count = bytes.len();
        spool.bytes.extend_from_slice(bytes);
        self.router.handle(net.now, Input::SpoolWritten(key, count));
    }

    /// Takes some of what a session's relay carries to a file; how many.
    pub(super) fn fill_spool(&mut self, key: SpoolKey, carried: &[u8], net: &mut Net) -> usize {
        if self.fails(net) {
            self.lose_spool(key, net);
            return 0;
        }
        let Some(spool) = self.spools.get_mut(&key) else { return 0 };
        let count = net.rng.usize(1..=carried.len());
        spool.bytes.extend_from_slice(&carried[..count]);
        count
    }

    /// An order about the bytes of a file: they go to a link, from the first on.
    pub(super) fn order_spool(&mut self, key: SpoolKey, order: Order) -> Result<(), Violation> {
        let (Order::Relay { to, bytes }, Some(spool)) = (order, self.spools.get_mut(&key)) else { return Ok(()) };
        let len = spool.bytes.len();
        ensure(bytes as usize <= len, || format!("{bytes} bytes of a file of {len}"))?;
        (spool.relay, spool.waits) = (Some((to, 0, bytes as usize)), None);
        Ok(())
    }

    /// Moves on what comes out of a file.
    pub(super) fn pump_spool(&mut self, key: SpoolKey, net: &mut Net, history: &History) -> Result<(), Violation> {
        let Some((to, at, end)) = self.spools.get(&key).and_then(|spool| spool.relay) else { return Ok(()) };
        let (End::Link(link), Some(conn)) = (to, self.conn(to)) else { return Ok(()) };
        if !self.router.may_relay(net.now, End::Spool(key)) {
            return Ok(());
        }
        if self.fails(net) && net.rng.u8(0..8) == 0 {
            self.lose_spool(key, net);
            return Ok(());
        }
        let bytes = self.spools[&key].bytes[at..end].to_vec();
        let moved = net.write(conn, true, &bytes);
        self.note_sent(link, &bytes[..moved], net, history)?;
        if let Some(spool) = self.spools.get_mut(&key) {
            spool.relay = Some((to, at + moved, end)).filter(|(_, at, end)| at < end);
        }
        if moved > 0 {
            net.trace.note(net.now, format_args!("tier {} relayed {moved} from {key:?} to {to:?}", self.index));
            self.router.handle(net.now, Input::Relayed(End::Spool(key), moved as u64));
        }
        Ok(())
    }
}
