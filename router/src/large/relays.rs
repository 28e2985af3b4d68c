//! All relays that are not through, found by where their bytes come from.

use std::collections::BTreeMap;

use crate::mutant::Mutant;
use crate::order::{End, LinkKey, SessionKey, Wait};
use crate::router::Setup;
use crate::time::Time;

/// One ordered relay that is not through.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Relay {
    pub(crate) from: End,
    pub(crate) to: End,
    /// Bytes that have not reached the other end.
    pub(crate) remaining: u64,
    /// For which end it stands still, and since when nothing has moved.
    pub(crate) waits: Option<(Wait, Time)>,
    /// The core passes the bytes on itself: an end has no connection of its own.
    pub(crate) inner: bool,
}

impl Relay {
    /// How many of the next `bytes` of its source belong to it.
    pub(crate) fn part_of(&self, bytes: usize) -> usize {
        usize::try_from(self.remaining).unwrap_or(usize::MAX).min(bytes)
    }

    /// The session for which it stands still, and since when. An upstream that takes or sends nothing is
    /// no session's fault.
    pub(crate) fn culprit(&self, setup: &Setup) -> Option<(SessionKey, Time)> {
        match (self.waits?, self.from, self.to) {
            ((_, since), End::Session(key), _) if setup.mutation.is(Mutant::WrongBlame) => Some((key, since)),
            ((Wait::Source, since), End::Session(key), _) | ((Wait::Sink, since), _, End::Session(key)) => {
                Some((key, since))
            }
            _ => None,
        }
    }

    /// Whether it stands still for its link.
    pub(crate) fn awaits_link(&self, setup: &Setup) -> bool {
        self.waits.is_some() && self.culprit(setup).is_none()
    }
}

/// Relays from links or to them, which are few since lanes are, and those by which sessions fill files: as many as there
/// is room for.
#[derive(Debug, Default)]
pub(crate) struct Relays {
    linked: Vec<Relay>,
    fills: BTreeMap<SessionKey, Relay>,
}

impl Relays {
    /// `inner`: now, if the core passes the bytes on itself.
    pub(crate) fn add(&mut self, from: End, to: End, bytes: u64, inner: Option<Time>) {
        let waits = inner.map(|now| (Wait::Source, now));
        let relay = Relay { from, to, remaining: bytes, waits, inner: inner.is_some() };
        match (from, to) {
            (End::Session(key), End::Spool(_)) => drop(self.fills.insert(key, relay)),
            _ => self.linked.push(relay),
        }
    }

    /// The one that moves an end's bytes.
    pub(crate) fn of(&self, from: End) -> Option<&Relay> {
        let linked = || self.linked.iter().find(|relay| relay.from == from);
        self.fill_of(from).or_else(linked)
    }

    /// The one by which the core itself passes on what comes from this end.
    pub(crate) fn inner_of(&self, from: End) -> Option<&Relay> {
        self.of(from).filter(|relay| relay.inner)
    }

    /// Whose bytes the core itself passes on to this end.
    pub(crate) fn inner_to(&self, to: End) -> Option<End> {
        self.linked.iter().find(|relay| relay.inner && relay.to == to).map(|relay| relay.from)
    }

    fn fill_of(&self, from: End) -> Option<&Relay> {
        let End::Session(key) = from else { return None };
        self.fills.get(&key)
    }

    pub(crate) fn of_mut(&mut self, from: End) -> Option<&mut Relay> {
        match from {
            End::Session(key) if self.fills.contains_key(&key) => self.fills.get_mut(&key),
            _ => self.linked.iter_mut().find(|relay| relay.from == from),
        }
    }

    /// The one from a link or to it.
    pub(crate) fn of_link(&self, key: LinkKey) -> Option<&Relay> {
        let end = End::Link(key);
        self.linked.iter().find(|relay| relay.from == end || relay.to == end)
    }

    /// Those from links or to them.
    pub(crate) fn linked(&self) -> impl Iterator<Item = &Relay> {
        self.linked.iter()
    }

    /// Forgets the one that moves an end's bytes.
    pub(crate) fn end(&mut self, from: End) {
        match from {
            End::Session(key) if self.fills.remove(&key).is_some() => {}
            _ => self.linked.retain(|relay| relay.from != from),
        }
    }

    /// Forgets those of an end that is gone. Those towards it: what their source has yet to send of the value.
    pub(crate) fn drop_of(&mut self, end: End) -> Vec<(End, u64)> {
        self.end(end);
        let to = |relay: &&Relay| relay.to == end;
        let orphaned = self.linked.iter().chain(self.fills.values()).filter(to);
        let orphaned = orphaned.map(|relay| (relay.from, relay.remaining)).collect();
        self.linked.retain(|relay| relay.to != end);
        if matches!(end, End::Spool(_)) {
            self.fills.retain(|_, relay| relay.to != end);
        }
        orphaned
    }
}
