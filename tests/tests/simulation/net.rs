//! The simulated network: connections and who holds them.

use fastrand::Rng;
use pdw_router::Time;

use crate::trace::Trace;
use crate::wire::{Pipe, Read};

/// Names a connection; never used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ConnId(pub(crate) usize);

/// One connection, seen from whoever opened it.
#[derive(Debug)]
pub(crate) struct Conn {
    /// Towards the instances.
    pub(crate) up: Pipe,
    /// Towards the clients.
    pub(crate) down: Pipe,
    /// It broke; both ends learn of it when they look.
    pub(crate) broken: bool,
    /// Nothing passes, and nobody is told.
    pub(crate) silent: bool,
}

/// What everybody in the simulation shares.
#[derive(Debug)]
pub(crate) struct Net {
    pub(crate) rng: Rng,
    pub(crate) now: Time,
    pub(crate) trace: Trace,
    /// Largest number of bytes that one read brings.
    chunk_max: usize,
    capacity: usize,
    sealed: bool,
    conns: Vec<Conn>,
}

impl Net {
    pub(crate) fn new(mut rng: Rng, trace: Trace) -> Self {
        let chunk_max = [1, 7, 40, 400, 4096][rng.usize(0..5)];
        let capacity = [48, 200, 1000, 4096][rng.usize(0..4)];
        let sealed = rng.bool();
        Self { rng, now: Time::default(), trace, chunk_max, capacity, sealed, conns: Vec::new() }
    }

    /// Makes a connection.
    pub(crate) fn connect(&mut self) -> ConnId {
        let id = ConnId(self.conns.len());
        let seal = self.sealed.then(|| self.rng.u64(..));
        let pipe = || Pipe::new(self.capacity, seal);
        self.conns.push(Conn { up: pipe(), down: pipe(), broken: false, silent: false });
        id
    }

    pub(crate) fn conn(&mut self, id: ConnId) -> &mut Conn {
        &mut self.conns[id.0]
    }

    /// The connection, for reading by the end towards the instances.
    pub(crate) fn has_news(&self, id: ConnId, up: bool) -> bool {
        let conn = &self.conns[id.0];
        let pipe = if up { &conn.up } else { &conn.down };
        conn.broken || !conn.silent && pipe.is_readable()
    }

    /// Whether a write would take anything.
    pub(crate) fn has_room(&self, id: ConnId, up: bool) -> bool {
        let conn = &self.conns[id.0];
        if up { conn.up.has_room() } else { conn.down.has_room() }
    }

    pub(crate) fn is_broken(&self, id: ConnId) -> bool {
        self.conns[id.0].broken
    }

    /// Whether the end towards the clients is done with a connection.
    pub(crate) fn is_given_up(&self, id: ConnId) -> bool {
        self.conns[id.0].broken || self.conns[id.0].up.is_over()
    }

    /// Writes the start of `bytes`; how many.
    pub(crate) fn write(&mut self, id: ConnId, up: bool, bytes: &[u8]) -> usize {
        let conn = &mut self.conns[id.0];
        let pipe = if up { &mut conn.up } else { &mut conn.down };
        pipe.write(bytes, &mut self.rng)
    }

    /// Reads a random number of bytes, at most `most`.
    pub(crate) fn read(&mut self, id: ConnId, up: bool, most: usize) -> Read {
        let most = self.rng.usize(1..=self.chunk_max).min(most);
        let conn = &mut self.conns[id.0];
        let pipe = if up { &mut conn.up } else { &mut conn.down };
        pipe.read(most)
    }

    /// The end towards the clients is done with a connection: what it wrote still arrives.
    pub(crate) fn close_below(&mut self, id: ConnId) {
        let conn = &mut self.conns[id.0];
        conn.up.end();
        conn.down.deafen();
    }

    /// The end towards the instances is done with a connection: what it wrote still arrives.
    pub(crate) fn close_above(&mut self, id: ConnId) {
        let conn = &mut self.conns[id.0];
        conn.down.end();
        conn.up.deafen();
    }

    /// Ends all troubles: silent connections break, and no read is tiny any more.
    pub(crate) fn heal(&mut self) {
        self.chunk_max = self.chunk_max.max(40);
        self.conns.iter_mut().filter(|conn| conn.silent).for_each(|conn| conn.broken = true);
    }
}
