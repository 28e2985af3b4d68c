//! Room in the spool, `limits.spool_max`: who gets it, and who waits.
//!
//! First come first served for each upstream. One has beyond its first request no more than is left for all others,
//! so that the spool is never full of what waits for one that does not come back. While an upstream is away
//! nothing new is taken in for it: clients wait in TCP.

use crate::large::bulk::Cut;
use crate::large::spool::{COMMAND, Spool, Spooling};
use crate::mutant::Mutant;
use crate::order::{End, Output, SessionKey, SpoolKey};
use crate::place::{Shard, Shards};
use crate::refusal::Refusal;
use crate::router::{Setup, Traffic};
use crate::session::{Flow, Pause};

/// Room that a file has beyond what is known of its request: for small arguments and commands behind it.
const SLACK: u64 = 4 << 10;

/// Whether there is room for what is to come.
enum Room {
    There(SpoolKey),
    /// The session is paused until there is.
    Wait,
    /// There will be none.
    Never,
}

/// Who waits for room.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asker {
    session: SessionKey,
    /// Where its request is to go.
    upstream: usize,
    wanted: u64,
}

impl Traffic {
    /// The file to which an unfinished request may go, of which `need` bytes are known to come; none if it will never
    /// have room there.
    pub(crate) fn room_for_head(
        &mut self,
        setup: &Setup,
        key: SessionKey,
        shard: Shard,
        need: usize,
    ) -> Result<Option<End>, Cut> {
        let file = self.sessions.get(key).and_then(|session| session.spooling.file);
        match self.room_for(setup, key, shard, need) {
            Room::There(spool) => Ok(Some(End::Spool(spool))),
            Room::Wait => Err(Cut::Wait),
            Room::Never if file.is_some() => {
                self.doom(setup, key, &Refusal::SpoolFull(setup.limits.spool_max));
                Err(Cut::Unwanted)
            }
            Room::Never => Ok(None),
        }
    }

    /// The same for a transaction that is too long to be held, whose next command has `more` bytes.
    pub(crate) fn room_for_held(
        &mut self,
        setup: &Setup,
        key: SessionKey,
        shard: Shard,
        more: usize,
    ) -> Result<Option<End>, Flow> {
        self.room_for_head(setup, key, shard, more).map_err(|cut| match cut {
            Cut::Wait => Flow::Again,
            _ => Flow::Next,
        })
    }

    fn room_for(&mut self, setup: &Setup, key: SessionKey, shard: Shard, need: usize) -> Room {
        let Some(session) = self.sessions.get(key) else { return Room::Never };
        let (held, commands) = session.held.as_ref().map_or((0, 0), |held| (held.bytes(), held.len()));
        let wanted = (held + need) as u64 + COMMAND * (1 + commands) as u64;
        match session.spooling.file {
            Some(spool) => self.grow(setup, key, spool, wanted),
            None if wanted + SLACK > setup.limits.spool_max as u64 / 2 => Room::Never,
            None => {
                let overtakes = setup.mutation.is(Mutant::SpoolOvertakes);
                if overtakes || !self.must_take_turns(setup, key, Shards::one(shard)) {
                    self.ask_for_room(key, shard, wanted + SLACK);
                }
                Room::Wait
            }
        }
    }

    /// Has a session's file have room for so many bytes more. It does not wait for others: they might wait for it.
    fn grow(&mut self, setup: &Setup, key: SessionKey, file: SpoolKey, wanted: u64) -> Room {
        let Some(spool) = self.spools.get_mut(file) else { return Room::Never };
        let short = (spool.used() + wanted).saturating_sub(spool.room);
        if short > 0 && !spool.making {
            let more = short + SLACK;
            if self.spooled + more > setup.limits.spool_max as u64 {
                return Room::Never;
            }
            (spool.room, spool.making) = (spool.room + more, true);
            self.take_room(file, more);
        }
        if self.spools.get(file).is_some_and(|spool| spool.making) {
            self.pause(key, Pause::Waiting);
            return Room::Wait;
        }
        Room::There(file)
    }

    fn take_room(&mut self, file: SpoolKey, bytes: u64) {
        let upstream = self.spools.get(file).map_or(0, |spool| spool.upstream);
        self.spooled += bytes;
        self.upstreams[upstream].spooled += bytes;
        self.outputs.push_back(Output::GrowSpool(file, bytes));
    }

    /// A file is gone.
    pub(crate) fn give_room_back(&mut self, spool: &Spool) {
        self.spooled -= spool.room;
        self.upstreams[spool.upstream].spooled -= spool.room;
        self.spool_freed = true;
    }

    /// Has a session wait for room.
    fn ask_for_room(&mut self, session: SessionKey, shard: Shard, wanted: u64) {
        self.pause(session, Pause::Waiting);
        let Some(spooling) = self.sessions.get_mut(session).map(|session| &mut session.spooling) else { return };
        if !std::mem::replace(&mut spooling.asked, true) {
            self.spool_waiting.push_back(Asker { session, upstream: shard.index(), wanted });
            self.spool_freed = true;
        }
    }

    /// A session is gone: what it has of the spool goes with it.
    pub(crate) fn leave_spool(&mut self, key: SessionKey, spooling: Spooling) {
        if spooling.asked {
            self.spool_waiting.retain(|asker| asker.session != key);
            self.spool_freed = true;
        }
        spooling.file.into_iter().for_each(|file| self.close_spool(file));
    }

    /// Gives what room there is to those who wait.
    pub(crate) fn grant_room(&mut self, setup: &Setup) {
        let (mut at, mut full) = (0, Vec::new());
        while let Some(asker) = self.spool_waiting.get(at).copied() {
            if full.contains(&asker.upstream) {
                at += 1;
            } else if asker.wanted > setup.limits.spool_max as u64 / 2 {
                // The limit is lower than it was.
                self.spool_waiting.remove(at);
                self.turn_away(asker.session);
            } else if self.may_have(setup, asker) {
                self.spool_waiting.remove(at);
                self.make_spool(asker);
            } else if self.upstreams[asker.upstream].spooled == 0 && self.is_up(asker.upstream) {
                // It waits for all others: nobody else is let in before.
                return;
            } else {
                full.push(asker.upstream);
                at += 1;
            }
        }
    }

    fn is_up(&self, upstream: usize) -> bool {
        self.is_ready(&self.upstreams[upstream])
    }

    fn may_have(&self, setup: &Setup, asker: Asker) -> bool {
        let left = (setup.limits.spool_max as u64).saturating_sub(self.spooled);
        let own = self.upstreams[asker.upstream].spooled;
        let unshared = setup.mutation.is(Mutant::UnsharedSpool);
        self.is_up(asker.upstream) && asker.wanted <= left && (own == 0 || unshared || own + asker.wanted <= left)
    }

    fn make_spool(&mut self, asker: Asker) {
        let file = self.spools.insert(Spool::new(asker.upstream, asker.session, asker.wanted, self.now));
        if let Some(session) = self.sessions.get_mut(asker.session) {
            session.spooling.file = Some(file);
        }
        self.take_room(file, asker.wanted);
    }

    /// Has a session's next large request pass as if there were no spool.
    pub(crate) fn turn_away(&mut self, key: SessionKey) {
        if let Some(session) = self.sessions.get_mut(key) {
            (session.spooling.asked, session.spooling.barred) = (false, true);
            self.resumable.push(key);
        }
    }
}
