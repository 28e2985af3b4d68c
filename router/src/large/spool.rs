//! Large requests that are kept in files until they are answered: how they get there. Under profile `pdwfs`,
//! where there is a spool.
//!
//! ```text
//!      none of its own for the shard     room in the spool     bytes moved by the driver
//!   session ─────────────────────────► waits ───────► fills ──────────────────────────► whole (`spooled.rs`)
//!                                                      ▲ │ more arguments, more commands
//!                                                      └─┘ of its transaction
//! ```
//!
//! A file has all bytes of its request, or of its transaction from MULTI to EXEC, so whatever becomes of a link,
//! they can be sent again. While a session fills its file it has no lane, so it stands in nobody's way there; it
//! waits, unread, if `limits.spool_max` is reached. What is queued is answered here: an error that the server
//! would report when queueing shows only at EXEC.

use crate::command::{Repeat, Verdict};
use crate::link::part::Unit;
use crate::memory::Pressure;
use crate::order::{End, Order, Output, SessionKey, SpoolKey};
use crate::place::Shard;
use crate::refusal::Refusal;
use crate::resp::{Request, RequestScan};
use crate::router::{Setup, Traffic};
use crate::session::Flow;
use crate::time::Time;

/// Room that each command counts for besides its bytes, since something is remembered of each.
pub(crate) const COMMAND: u64 = 160;

/// What a session has to do with the spool.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Spooling {
    /// The file that it fills, or is about to.
    pub(crate) file: Option<SpoolKey>,
    /// It has asked for room.
    pub(crate) asked: bool,
    /// Its next large request is not kept in a file, since none could be made.
    pub(crate) barred: bool,
}

/// A file, and the request in it.
#[derive(Debug)]
pub(crate) struct Spool {
    /// Where the request is to go.
    pub(crate) upstream: usize,
    /// The session that fills it.
    owner: Option<SessionKey>,
    /// The driver has yet to say that the file has the room.
    pub(crate) making: bool,
    /// So much of `limits.spool_max` is its own.
    pub(crate) room: u64,
    /// Bytes that are in it, wait to be written to it, or are being relayed to it.
    pub(crate) len: u64,
    /// Where each of its commands ends.
    pub(crate) ends: Vec<u64>,
    /// What becomes of it when it is sent twice.
    pub(crate) repeat: Repeat,
    /// It may have done something before it failed.
    pub(crate) script: bool,
    /// The command of which a part is missing.
    arriving: Option<Verdict>,
    /// What waits to be written to the file, of which `written` bytes are.
    output: Vec<u8>,
    written: usize,
    /// An order to write is on its way to the driver.
    pub(crate) dirty: bool,
    /// When its session last sent something.
    pub(crate) heard: Time,
    /// Its request while it waits for a lane.
    pub(crate) waiting: Option<Unit>,
}

impl Spool {
    pub(crate) fn new(upstream: usize, owner: SessionKey, room: u64, heard: Time) -> Self {
        Self {
            upstream,
            owner: Some(owner),
            making: true,
            room,
            len: 0,
            ends: Vec::new(),
            repeat: Repeat::Read,
            script: false,
            arriving: None,
            output: Vec::new(),
            written: 0,
            dirty: false,
            heard,
            waiting: None,
        }
    }

    /// Memory of what waits to be written, and of what is remembered of its commands.
    pub(crate) fn memory(&self) -> usize {
        self.output.capacity() + self.ends.capacity() * COMMAND as usize
    }

    /// What waits to be written to the file.
    pub(crate) fn output(&self) -> &[u8] {
        &self.output[self.written..]
    }

    fn wrote(&mut self, bytes: usize) {
        self.written += bytes;
        if self.written >= self.output.len() {
            (self.output, self.written) = (Vec::new(), 0);
        }
    }

    /// So much of its room is used.
    pub(crate) fn used(&self) -> u64 {
        self.len + self.ends.len() as u64 * COMMAND
    }

    fn end_command(&mut self, verdict: Verdict) {
        self.ends.push(self.len);
        self.repeat = self.repeat.max(verdict.repeat);
        self.script |= verdict.script;
    }
}

impl Traffic {
    /// Whether what is large of a session is kept in a file.
    pub(crate) fn spools(&self, setup: &Setup, key: SessionKey) -> bool {
        let kept = setup.spool && setup.holds() && !setup.has_peers();
        let Some(session) = self.sessions.get(key).filter(|_| kept) else { return false };
        // What comes on a stream has no connection out of which the driver could fill a file.
        session.carried.is_none()
            && !session.spooling.barred
            && !session.held.as_ref().is_some_and(|held| held.is_on_lane())
    }

    /// The file is there and has its room.
    pub(crate) fn spool_ready(&mut self, key: SpoolKey) {
        let Some(spool) = self.spools.get_mut(key) else { return };
        spool.making = false;
        self.resumable.extend(spool.owner);
    }

    /// What is to be written to a file.
    pub(crate) fn spool_output(&self, key: SpoolKey) -> &[u8] {
        self.spools.get(key).map_or(&[], Spool::output)
    }

    /// So many bytes of it are.
    pub(crate) fn spool_written(&mut self, key: SpoolKey, bytes: usize) {
        self.stats.spooled_bytes += bytes as u64;
        self.spools.get_mut(key).into_iter().for_each(|spool| spool.wrote(bytes));
    }

    /// Adds bytes to a file.
    pub(crate) fn extend_spool(&mut self, key: SpoolKey, bytes: &[u8]) {
        let Some(spool) = self.spools.get_mut(key) else { return };
        spool.output.extend_from_slice(bytes);
        spool.len += bytes.len() as u64;
        if !std::mem::replace(&mut spool.dirty, true) {
            self.outputs.push_back(Output::Order(End::Spool(key), Order::Inject));
        }
    }

    /// Adds a whole command to a file.
    pub(crate) fn spool_command(&mut self, setup: &Setup, key: SpoolKey, bytes: &[u8]) {
        let verdict = crate::loss::repeat::verdict_of_bytes(setup, bytes);
        self.extend_spool(key, bytes);
        self.spools.get_mut(key).into_iter().for_each(|spool| spool.end_command(verdict));
    }

    /// A request of which a part is missing begins to go to a file.
    pub(crate) fn begin_spooled(&mut self, setup: &Setup, key: SpoolKey, head: &Request<'_>) {
        let verdict = Verdict::begin(&setup.table, head);
        self.spools.get_mut(key).into_iter().for_each(|spool| spool.arriving = Some(verdict));
    }

    /// Looks at the arguments that have come whole since this was done last.
    pub(crate) fn see_arguments(&mut self, key: SpoolKey, scan: &RequestScan, bytes: &[u8], large: bool) {
        let Some(verdict) = self.spools.get_mut(key).and_then(|spool| spool.arriving.as_mut()) else { return };
        match scan.head(bytes) {
            Some(head) => head.args(0).for_each(|arg| verdict.see(arg)),
            None => *verdict = Verdict::never(),
        }
        if large {
            verdict.pass();
        }
    }

    /// So many bytes more will be relayed to it.
    pub(crate) fn expect_spooled(&mut self, key: SpoolKey, bytes: u64) {
        self.spools.get_mut(key).into_iter().for_each(|spool| spool.len += bytes);
    }

    /// The last bytes of a request that goes to a file.
    pub(crate) fn finish_spooled(
        &mut self,
        setup: &Setup,
        session: SessionKey,
        key: SpoolKey,
        tail: &[u8],
        rest: &Request<'_>,
    ) {
        self.extend_spool(key, tail);
        let Some(spool) = self.spools.get_mut(key) else { return };
        let mut verdict = spool.arriving.take().unwrap_or_else(Verdict::never);
        rest.args(0).for_each(|arg| verdict.see(arg));
        spool.end_command(verdict);
        if self.holds_transaction(session) {
            self.answer_new(setup, session, |out| out.extend_from_slice(b"+QUEUED\r\n"));
        } else {
            self.dispatch_spool(setup, session, key);
        }
    }

    /// A queued command of a transaction that goes to a file.
    pub(crate) fn queue_spooled(&mut self, setup: &Setup, session: SessionKey, key: SpoolKey, bytes: &[u8]) -> Flow {
        let upstream = self.spools.get(key).map_or(0, |spool| spool.upstream);
        match self.room_for_held(setup, session, Shard(upstream as u16), bytes.len()) {
            Ok(_) => {
                self.spool_command(setup, key, bytes);
                self.answer_new(setup, session, |out| out.extend_from_slice(b"+QUEUED\r\n"));
                Flow::Next
            }
            Err(flow) => flow,
        }
    }

    /// Forgets a file, whatever is in it.
    pub(crate) fn close_spool(&mut self, key: SpoolKey) {
        let Some(spool) = self.spools.remove(key) else { return };
        self.give_room_back(&spool);
        self.relays.drop_of(End::Spool(key));
        if let Some(session) = spool.owner.and_then(|owner| self.sessions.get_mut(owner)) {
            session.spooling = Spooling::default();
        }
        self.outputs.push_back(Output::CloseSpool(key));
    }

    /// The session of a file has sent all of its request.
    pub(crate) fn release_owner(&mut self, key: SpoolKey) {
        let owner = self.spools.get_mut(key).and_then(|spool| spool.owner.take());
        if let Some(session) = owner.and_then(|owner| self.sessions.get_mut(owner)) {
            session.spooling = Spooling::default();
        }
    }

    /// The file could not be made, made larger, written or read.
    pub(crate) fn spool_failed(&mut self, setup: &Setup, key: SpoolKey) {
        let Some(spool) = self.spools.get(key) else { return };
        self.stats.spool_failures += 1;
        match spool.owner {
            None => self.whole_spool_failed(setup, key),
            Some(owner) if spool.len == 0 => {
                // Nothing is lost: it passes as if there were no spool.
                self.close_spool(key);
                self.turn_away(owner);
            }
            Some(owner) => self.filling_failed(setup, owner, key),
        }
    }

    /// What a session has sent so far is lost: it is told so, and the rest is skipped.
    fn filling_failed(&mut self, setup: &Setup, owner: SessionKey, key: SpoolKey) {
        let waits = self.spools.get(key).is_some_and(|spool| spool.making);
        let missing = self.relays.drop_of(End::Spool(key)).first().map(|(_, bytes)| *bytes);
        let Some(session) = self.sessions.get_mut(owner) else { return };
        let cut = std::mem::take(&mut session.cut);
        session.discarding = waits || cut && !session.between_requests();
        self.doom_transaction(setup, owner);
        self.close_spool(key);
        if cut || waits {
            self.refuse(setup, owner, &Refusal::SpoolFailed);
        }
        missing.into_iter().for_each(|bytes| self.order_bytes(End::Session(owner), Order::Skip { bytes }));
        self.resumable.push(owner);
    }

    /// Sessions that fill a file and send nothing while others wait for room, and since when. There may be many, so they
    /// are looked for now and then only.
    pub(crate) fn slow_fillers(&self, setup: &Setup) -> impl Iterator<Item = (SessionKey, Time)> {
        let wanted = !self.spool_waiting.is_empty();
        let fillers = self.spools.values().filter(move |spool| wanted && !spool.making);
        fillers.filter_map(|spool| {
            let owner = spool.owner?;
            match self.relays.of(End::Session(owner)) {
                Some(relay) => relay.culprit(setup),
                None => Some((owner, self.sessions.get(owner)?.idle_since(spool.heard)?)),
            }
        })
    }

    /// Values from this size on pass through without being held. What may have to be sent again is held
    /// rather, as long as there is room.
    pub(crate) fn cut_min(&self, setup: &Setup, key: SessionKey) -> usize {
        let asked = self.sessions.get(key).is_some_and(|session| session.spooling.asked);
        if setup.holds() && self.budget.pressure == Pressure::None && !asked {
            setup.limits.retain_max.max(setup.limits.large_min)
        } else {
            setup.limits.large_min
        }
    }
}
