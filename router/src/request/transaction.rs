//! Transactions: held until EXEC arrives, then sent in one piece.
//!
//! ```text
//!          MULTI            EXEC: all with one home            sent uninterleaved on the Shared link
//!   none ────────► held ──────────────────────────► unit ─────► the server's replies, verbatim
//!                   │  a queueing error
//!                   └────────► doomed ── EXEC ─► EXECABORT, nothing is sent
//! ```
//!
//! While the client waits for each reply, `+OK` and `+QUEUED` are answered here and the server's
//! own are dropped later; what arrived in one piece gets the server's own.

use crate::command::{CommandId, Local, Transaction, Treatment};
use crate::link::part::Target;
use crate::mutant::Mutant;
use crate::order::{End, LinkKey, SessionKey};
use crate::place::{Located, Shard, Shards};
use crate::refusal::Refusal;
use crate::request::pending::PendingKey;
use crate::request::plan::{self, Plan};
use crate::resp::Request;
use crate::router::{Setup, Traffic};
use crate::session::{Flow, Pause};

/// A transaction that waits for its EXEC.
#[derive(Debug, Default)]
pub(crate) struct Held {
    /// MULTI and the queued commands, whole.
    bytes: Vec<u8>,
    items: Vec<Item>,
    /// Where its keys live, and one of them.
    home: Option<(Shard, Vec<u8>)>,
    doomed: bool,
    /// The Bulk lane it has begun on, or the file that it fills: what follows goes there as it comes.
    live: Option<End>,
}

#[derive(Clone, Copy, Debug)]
struct Item {
    /// The request, if it is not answered yet.
    pending: Option<PendingKey>,
    /// Where its bytes end.
    end: usize,
}

impl Held {
    /// Whether no more of it is held.
    pub(crate) fn is_live(&self) -> bool {
        self.live.is_some()
    }

    /// Whether it has begun at the instance.
    pub(crate) fn is_on_lane(&self) -> bool {
        matches!(self.live, Some(End::Link(_)))
    }

    /// Commands that wait for EXEC.
    pub(crate) fn len(&self) -> usize {
        self.items.len()
    }

    /// Bytes that wait for EXEC.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Memory of what is noted of these commands, and room for more.
    pub(crate) fn record_bytes(&self) -> usize {
        self.items.capacity() * size_of::<Item>() + self.bytes.capacity() - self.bytes.len()
    }

    /// Keys live elsewhere than was thought.
    pub(crate) fn find_home_again(&mut self, setup: &Setup) {
        self.home = self.home.take().and_then(|(_, key)| match setup.homes.locate(&key) {
            Located::Home(home) => Some((home, key)),
            // Of its members that were named nothing is kept; the next key has a home, and who is above looks at all.
            Located::Spread(_) => None,
        });
    }

    fn push(&mut self, pending: PendingKey, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
        self.items.push(Item { pending: Some(pending), end: self.bytes.len() });
    }
}

impl Traffic {
    /// Whether a session is between MULTI and EXEC.
    pub(crate) fn holds_transaction(&self, session: SessionKey) -> bool {
        self.sessions.get(session).is_some_and(|session| session.held.is_some())
    }

    /// Whether its EXEC will carry nothing out.
    pub(crate) fn is_doomed(&self, session: SessionKey) -> bool {
        let held = self.sessions.get(session).and_then(|session| session.held.as_ref());
        held.is_some_and(|held| held.doomed)
    }

    fn held(&mut self, session: SessionKey) -> Option<&mut Held> {
        self.sessions.get_mut(session)?.held.as_deref_mut()
    }

    /// MULTI.
    pub(crate) fn begin_transaction(&mut self, setup: &Setup, session: SessionKey, request: &Request<'_>) {
        if self.upstreams.iter().any(|upstream| !upstream.multi) {
            return self.refuse(setup, session, &Refusal::TransactionsForbidden);
        }
        let pending = self.push_pending(session);
        let mut held = Box::<Held>::default();
        held.push(pending, request.bytes);
        if let Some(session) = self.sessions.get_mut(session) {
            session.held = Some(held);
        }
    }

    /// A request between MULTI and EXEC.
    pub(crate) fn queue(&mut self, setup: &Setup, session: SessionKey, id: CommandId, request: &Request<'_>) -> Flow {
        match self.treatment(setup, id, request) {
            Treatment::Transaction(Transaction::Multi) => {
                self.refuse_as_redis(setup, session, "ERR MULTI calls can not be nested");
            }
            Treatment::Transaction(Transaction::Discard) => self.discard(setup, session),
            Treatment::Transaction(Transaction::Exec) => return self.execute(setup, session, request),
            Treatment::Local(local @ (Local::Quit | Local::Reset)) => {
                self.answer_held(setup, session);
                self.drop_transaction(setup, session);
                self.answer_locally(setup, session, local, request);
            }
            Treatment::Local(Local::Ping | Local::Echo) | Treatment::Forward | Treatment::Gathered(_) => {
                return self.queue_forwarded(setup, session, id, request);
            }
            Treatment::Local(_) => {
                let name = String::from_utf8_lossy(request.arg(0)).into_owned();
                self.doom(setup, session, &Refusal::Unsupported(format!(
                    "ERR '{name}' concerns the connection and is not possible inside a transaction; send it before MULTI"
                )));
            }
            // Redis 7.0 goes on with the transaction after this one.
            Treatment::Refused(_) if request.arg(0).eq_ignore_ascii_case(b"watch") => {
                self.refuse_as_redis(setup, session, "ERR WATCH inside MULTI is not allowed");
            }
            Treatment::Refused(_) => {
                self.doom_transaction(setup, session);
                self.refuse_command(setup, session, id, request);
            }
        }
        Flow::Next
    }

    fn queue_forwarded(&mut self, setup: &Setup, session: SessionKey, id: CommandId, request: &Request<'_>) -> Flow {
        if let Err(why) = self.settle_home(setup, session, id, request) {
            self.doom(setup, session, &why);
            return Flow::Next;
        }
        if self.is_doomed(session) {
            // It will never be sent, so it need not be held.
            self.answer_held(setup, session);
            self.answer_new(setup, session, |out| out.extend_from_slice(b"+QUEUED\r\n"));
            return Flow::Next;
        }
        if setup.mutation.is(Mutant::EachQueuedHome) {
            self.mutant_each_queued_home(setup, session, request);
            return Flow::Next;
        }
        if self.outgrows(setup, session, request.bytes.len()) {
            if self.forbids_transactions(setup, session) {
                self.doom(setup, session, &Refusal::TransactionsForbidden);
                return Flow::Next;
            }
            if let Err(flow) = self.begin_at_instance(setup, session, request.bytes.len()) {
                return flow;
            }
        }
        match self.held(session).and_then(|held| held.live) {
            Some(End::Spool(spool)) => return self.queue_spooled(setup, session, spool, request.bytes),
            Some(End::Link(lane)) if self.pause_if_lane_full(setup, session, lane) => return Flow::Again,
            Some(End::Link(lane)) => {
                let pending = self.push_pending(session);
                self.send_on_lane(lane, Target::Request(pending, 0), request.bytes);
            }
            _ => {
                let pending = self.push_pending(session);
                self.held(session).into_iter().for_each(|held| held.push(pending, request.bytes));
            }
        }
        Flow::Next
    }

    /// Whether more bytes are too many to be held.
    fn outgrows(&mut self, setup: &Setup, session: SessionKey, bytes: usize) -> bool {
        let held = self.held(session);
        held.is_some_and(|held| held.live.is_none() && held.bytes.len() + bytes > setup.limits.multi_max)
    }

    /// Whether a transaction may not begin at its instance: a new link has shown that it may not run MULTI.
    pub(crate) fn forbids_transactions(&mut self, setup: &Setup, session: SessionKey) -> bool {
        let any = self.any_shard(setup, session);
        let Some(held) = self.held(session).filter(|held| held.live.is_none()) else { return false };
        let shard = held.home.as_ref().map_or(any, |(shard, _)| *shard);
        self.upstreams.get(shard.index()).is_some_and(|upstream| !upstream.multi)
    }

    /// Has a transaction begin at its instance or in a file, so that no more of it need be held, before a command of
    /// `more` bytes.
    fn begin_at_instance(&mut self, setup: &Setup, session: SessionKey, more: usize) -> Result<(), Flow> {
        let any = self.any_shard(setup, session);
        let Some(held) = self.held(session) else { return Ok(()) };
        let shard = held.home.get_or_insert((any, Vec::new())).0;
        self.answer_held(setup, session);
        let spools = self.spools(setup, session);
        let spool = if spools { self.room_for_held(setup, session, shard, more)? } else { None };
        let to = spool.or_else(|| self.lane_for(setup, shard, session).map(End::Link)).ok_or(Flow::Again)?;
        self.go_live(setup, session, to);
        Ok(())
    }

    /// Finds a queued command's home and holds it against the transaction's.
    pub(crate) fn settle_home(
        &mut self,
        setup: &Setup,
        session: SessionKey,
        id: CommandId,
        request: &Request<'_>,
    ) -> Result<(), Refusal> {
        let spec = setup.table.spec(id);
        let mut scratch = std::mem::take(&mut self.scratch);
        let any = self.any_shard(setup, session);
        let planned = plan::plan(setup, spec, request, any, &mut scratch);
        let position = plan::first_position(spec, request, &mut scratch);
        self.scratch = scratch;
        let (shard, key) = match (planned?, position) {
            // Without keys it may run anywhere, so wherever the others do.
            (Plan::One(_), None) => return Ok(()),
            // PING is published for all shards, but asks nothing of them: the probe of a proxy before this one.
            (Plan::All(_), None) if matches!(spec.treatment, Treatment::Local(_)) => return Ok(()),
            (Plan::One(shard), Some(position)) => (shard, request.arg(position)),
            _ => return Err(several_shards(request)),
        };
        let Some(held) = self.held(session) else { return Ok(()) };
        match &mut held.home {
            Some((home, first)) if *home != shard && !wrong_home_allowed(setup) => {
                Err(Refusal::CrossShard(first.clone(), key.to_vec()))
            }
            Some((home, _)) => {
                *home = shard;
                Ok(())
            }
            home => {
                *home = Some((shard, key.to_vec()));
                Ok(())
            }
        }
    }

    /// Answers a queued command with an error; EXEC will then carry nothing out.
    pub(crate) fn doom(&mut self, setup: &Setup, session: SessionKey, why: &Refusal) {
        self.doom_transaction(setup, session);
        self.refuse(setup, session, why);
    }

    /// Has EXEC answer EXECABORT, if the session is in a transaction.
    pub(crate) fn doom_transaction(&mut self, setup: &Setup, session: SessionKey) {
        let Some(held) = self.held(session) else { return };
        held.doomed = true;
        match held.live.take() {
            Some(End::Link(lane)) if !setup.mutation.is(Mutant::MissingDiscard) => {
                self.send_on_lane(lane, Target::Nobody, b"*1\r\n$7\r\nDISCARD\r\n");
            }
            Some(End::Spool(spool)) => self.close_spool(spool),
            _ => {}
        }
    }

    /// A large value makes a held transaction begin at the instance or in a file: MULTI and what is held go first.
    pub(crate) fn go_live(&mut self, setup: &Setup, session: SessionKey, to: End) {
        let Some(held) = self.held(session).filter(|held| held.live.is_none()) else { return };
        held.live = Some(to);
        let (bytes, items) = (std::mem::take(&mut held.bytes), std::mem::take(&mut held.items));
        let mut start = 0;
        for item in items {
            // All of them are answered here by now.
            match to {
                End::Spool(spool) => self.spool_command(setup, spool, &bytes[start..item.end]),
                End::Link(lane) => self.send_on_lane(lane, Target::Nobody, &bytes[start..item.end]),
                End::Session(_) => {}
            }
            start = item.end;
        }
    }

    /// EXEC of a transaction that has begun at the instance or in a file.
    fn end_live(&mut self, setup: &Setup, session: SessionKey, to: End, request: &Request<'_>) {
        if let Some(session) = self.sessions.get_mut(session) {
            session.held = None;
        }
        match to {
            End::Spool(spool) => {
                self.spool_command(setup, spool, request.bytes);
                self.dispatch_spool(setup, session, spool);
            }
            End::Link(lane) => {
                let pending = self.push_pending(session);
                self.pause(session, Pause::Lane);
                self.send_on_lane(lane, Target::Request(pending, 0), request.bytes);
            }
            End::Session(_) => {}
        }
    }

    /// Answers what is held, for the client may be waiting for it.
    pub(crate) fn answer_held(&mut self, setup: &Setup, session: SessionKey) {
        let Some(held) = self.held(session) else { return };
        let waiting: Vec<(usize, PendingKey)> =
            held.items.iter_mut().enumerate().filter_map(|(at, item)| Some((at, item.pending.take()?))).collect();
        for (at, pending) in waiting {
            let text: &[u8] = if at == 0 { b"+OK\r\n" } else { b"+QUEUED\r\n" };
            self.answer(setup, pending, text.len(), |out| out.extend_from_slice(text));
        }
    }

    /// DISCARD. One that has begun is over whatever becomes of its lane, so the answer waits for nobody.
    fn discard(&mut self, setup: &Setup, session: SessionKey) {
        self.answer_held(setup, session);
        self.drop_transaction(setup, session);
        self.answer_new(setup, session, |out| out.extend_from_slice(b"+OK\r\n"));
    }

    /// Forgets a transaction; one that has begun is ended at its instance.
    pub(crate) fn drop_transaction(&mut self, setup: &Setup, session: SessionKey) {
        self.doom_transaction(setup, session);
        if let Some(session) = self.sessions.get_mut(session) {
            session.held = None;
        }
    }

    fn execute(&mut self, setup: &Setup, session: SessionKey, request: &Request<'_>) -> Flow {
        let (any, late) = (self.any_shard(setup, session), self.is_too_late(setup, session));
        let Some(held) = self.held(session) else { return Flow::Next };
        if let Some(to) = held.live {
            self.end_live(setup, session, to, request);
            return Flow::Next;
        }
        let shard = held.home.as_ref().map_or(any, |(shard, _)| *shard);
        let (doomed, empty) = (held.doomed, held.items.len() <= 1);
        let forbidden = self.forbids_transactions(setup, session);
        if !doomed && !empty && !forbidden && !late {
            if self.must_take_turns(setup, session, Shards::one(shard)) {
                return Flow::Again;
            }
            let Some(way) = self.way_of_transaction(setup, session, shard) else { return Flow::Again };
            self.send_transaction(setup, session, (way, shard), request);
            return Flow::Next;
        }
        self.answer_held(setup, session);
        self.drop_transaction(setup, session);
        if doomed {
            let text = "EXECABORT Transaction discarded because of previous errors.";
            self.refuse_as_redis(setup, session, text);
        } else if forbidden {
            self.refuse(setup, session, &Refusal::TransactionsForbidden);
        } else if !empty {
            self.refuse(setup, session, &Refusal::NotSent);
        } else {
            self.answer_new(setup, session, |out| out.extend_from_slice(b"*0\r\n"));
        }
        Flow::Next
    }

    /// Sends MULTI, what is held, and EXEC without anything in between.
    fn send_transaction(
        &mut self,
        setup: &Setup,
        session: SessionKey,
        (way, shard): (LinkKey, Shard),
        request: &Request<'_>,
    ) {
        let exec = self.push_pending(session);
        self.occupy(setup, exec, Shards::one(shard));
        let Some(held) = self.sessions.get_mut(session).and_then(|session| session.held.take()) else { return };
        let mut start = 0;
        for (at, item) in held.items.iter().enumerate() {
            if at == 1 && setup.mutation.is(Mutant::SplitMulti) && self.last_id.is_multiple_of(5) {
                self.send_on(setup, way, Target::Nobody, |out| out.extend_from_slice(b"*1\r\n$6\r\nDBSIZE\r\n"));
            }
            let target = item.pending.map_or(Target::Nobody, |pending| Target::Request(pending, 0));
            self.send_on(setup, way, target, |out| out.extend_from_slice(&held.bytes[start..item.end]));
            start = item.end;
        }
        self.send_on(setup, way, Target::Request(exec, 0), |out| out.extend_from_slice(request.bytes));
        self.unite_newest(way, held.items.len() + 1);
    }

    fn mutant_each_queued_home(&mut self, setup: &Setup, session: SessionKey, request: &Request<'_>) {
        let Some((shard, _)) = self.held(session).and_then(|held| held.home.clone()) else { return };
        self.send(setup, shard, Target::Nobody, |out| out.extend_from_slice(request.bytes));
        self.answer_held(setup, session);
        self.answer_new(setup, session, |out| out.extend_from_slice(b"+QUEUED\r\n"));
    }
}

/// Two of the deliberately wrong rules send a transaction somewhere though its homes differ.
fn wrong_home_allowed(setup: &Setup) -> bool {
    setup.mutation.is(Mutant::LastKeyHome) || setup.mutation.is(Mutant::EachQueuedHome)
}

fn several_shards(request: &Request<'_>) -> Refusal {
    let name = String::from_utf8_lossy(request.arg(0));
    Refusal::Unsupported(format!(
        "CROSSSLOT '{name}' concerns several shards, which a transaction cannot; send it outside of MULTI"
    ))
}

#[cfg(test)]
mod tests;
