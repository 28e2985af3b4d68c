//! Wrong passwords, by the address they come from: after a few of them the next ones have to wait, longer each time.
//!
//! One count for all workers of a process, lest an address with a connection to each of them have as many more tries. It
//! is looked at when somebody logs in, and never for other requests.

use core::net::IpAddr;
use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::session::gate::Entrance;
use crate::time::Time;

/// So many wrong passwords an address may give without waiting.
const FREE: u32 = 8;
/// What it waits after the next one; doubles with each.
const WAIT_MIN: Duration = Duration::from_secs(1);
/// Doublings: at most 64 s.
const DOUBLINGS: u32 = 6;
/// An address that gave no wrong password for this long begins anew.
const FORGET: Duration = Duration::from_secs(600);
/// Addresses that are remembered. Of more than these the one goes that was quiet longest.
const ORIGINS_MAX: usize = 1024;
/// Log lines about these come no closer than this.
const TELL_PAUSE: Duration = Duration::from_secs(1);

/// Where attempts come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Origin {
    /// An address; of IPv6 the network, for one machine has all of its addresses.
    Address(IpAddr),
    /// Everybody at a UNIX socket.
    Listener(u16),
}

impl Origin {
    pub(crate) fn of(entrance: &Entrance) -> Self {
        match entrance.peer.map(|peer| peer.to_canonical()) {
            Some(IpAddr::V6(v6)) => Self::Address(IpAddr::V6((v6.to_bits() >> 64 << 64).into())),
            Some(v4) => Self::Address(v4),
            None => Self::Listener(entrance.listener),
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(IpAddr::V6(network)) => write!(f, "{network}/64"),
            Self::Address(address) => write!(f, "{address}"),
            Self::Listener(_) => f.write_str("a UNIX socket"),
        }
    }
}

#[derive(Clone, Copy, Debug)]
struct Record {
    failures: u32,
    last: Time,
}

impl Record {
    fn free_at(&self) -> Time {
        match self.failures.checked_sub(FREE + 1) {
            None => self.last,
            Some(beyond) => self.last.after(WAIT_MIN * (1 << beyond.min(DOUBLINGS))),
        }
    }
}

/// Wrong passwords of late; clones are one and the same. The routers that have them tell one time.
#[derive(Clone, Debug, Default)]
pub struct Attempts(Arc<Mutex<Origins>>);

/// What comes of somebody's attempt to log in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Attempt {
    /// It counts for nothing: others from the same place were wrong meanwhile, and so long it has to wait.
    Postponed(Duration),
    /// The password is right.
    Right,
    /// It is wrong, and whether the operator is to be told.
    Wrong(bool),
}

impl Attempts {
    /// How long an origin has to wait before it is listened to.
    pub(crate) fn wait(&self, origin: Origin, now: Time) -> Option<Duration> {
        self.origins().wait(origin, now)
    }

    /// Takes note of an attempt. It is asked once more whether it has to wait, for other workers may have listened to the same
    /// origin while this one compared passwords.
    pub(crate) fn settle(&self, origin: Origin, is_right: bool, now: Time) -> Attempt {
        let mut origins = self.origins();
        match origins.wait(origin, now) {
            Some(wait) => Attempt::Postponed(wait),
            None if is_right => Attempt::Right,
            None => Attempt::Wrong(origins.note(origin, now)),
        }
    }

    fn origins(&self) -> MutexGuard<'_, Origins> {
        // Whoever panicked left counts, which are as good as any.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where wrong passwords came from.
#[derive(Debug, Default)]
struct Origins {
    records: HashMap<Origin, Record>,
    /// When the operator was told last.
    told: Option<Time>,
}

impl Origins {
    fn wait(&self, origin: Origin, now: Time) -> Option<Duration> {
        let wait = self.records.get(&origin)?.free_at().since(now);
        (!wait.is_zero()).then_some(wait)
    }

    /// Takes note of a wrong password; whether the operator is to be told: of the first one of an origin.
    fn note(&mut self, origin: Origin, now: Time) -> bool {
        if !self.records.contains_key(&origin) {
            self.make_room(now);
        }
        let record = self.records.entry(origin).or_insert(Record { failures: 0, last: now });
        if now.since(record.last) >= FORGET {
            record.failures = 0;
        }
        record.failures = record.failures.saturating_add(1);
        record.last = now;
        let first = record.failures == 1 && self.told.is_none_or(|told| now.since(told) >= TELL_PAUSE);
        if first {
            self.told = Some(now);
        }
        first
    }

    fn make_room(&mut self, now: Time) {
        if self.records.len() < ORIGINS_MAX {
            return;
        }
        self.records.retain(|_, record| now.since(record.last) < FORGET);
        if self.records.len() >= ORIGINS_MAX {
            let quietest = self.records.iter().min_by_key(|(_, record)| record.last).map(|(origin, _)| *origin);
            quietest.map(|origin| self.records.remove(&origin));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Time {
        Time::default().after(Duration::from_secs(seconds))
    }

    fn origin(last: u8) -> Origin {
        Origin::of(&Entrance { listener: 0, peer: Some([10, 0, 0, last].into()), names: None })
    }

    #[test]
    fn waits_grow_and_are_forgotten() {
        let mut origins = Origins::default();
        assert!(origins.note(origin(1), at(0)));
        for _ in 1..FREE {
            assert!(!origins.note(origin(1), at(0)));
            assert_eq!(origins.wait(origin(1), at(0)), None);
        }
        for doubling in 0..10 {
            origins.note(origin(1), at(0));
            assert_eq!(origins.wait(origin(1), at(0)), Some(WAIT_MIN * (1 << doubling.min(6))));
            assert_eq!(origins.wait(origin(2), at(0)), None);
        }
        assert_eq!(origins.wait(origin(1), at(64)), None);
        assert!(origins.note(origin(1), at(700)));
        assert_eq!(origins.wait(origin(1), at(700)), None);
    }

    #[test]
    fn all_workers_count_together_and_none_is_ahead_of_the_others() {
        let workers = vec![Attempts::default(); 4];
        let tries = |now, right| workers.iter().map(|one| one.settle(origin(1), right, now)).collect::<Vec<_>>();
        assert_eq!(tries(at(0), false)[0], Attempt::Wrong(true));
        assert_eq!(tries(at(0), false), [Attempt::Wrong(false); 4]);
        // All four have asked whether they may, and have compared a password each.
        let last = [Attempt::Wrong(false), Attempt::Postponed(WAIT_MIN), Attempt::Postponed(WAIT_MIN)];
        assert_eq!(tries(at(0), false)[..3], last);
        assert!(workers.iter().all(|one| one.wait(origin(1), at(0)) == Some(WAIT_MIN)));
        assert_eq!(tries(at(0), true), [Attempt::Postponed(WAIT_MIN); 4]);
        assert_eq!(tries(at(1), true), [Attempt::Right; 4]);
    }

    #[test]
    fn one_machine_has_many_addresses_of_ipv6_and_a_socket_none() {
        let v6 = |text: &str| Origin::of(&Entrance { listener: 0, peer: Some(text.parse().unwrap()), names: None });
        assert_eq!(v6("2001:db8::1"), v6("2001:db8::ffff:1"));
        assert_ne!(v6("2001:db8::1"), v6("2001:db8:0:1::1"));
        assert_eq!(v6("::ffff:10.0.0.3"), origin(3));
        assert_ne!(Origin::of(&Entrance { listener: 1, ..Entrance::default() }), Origin::of(&Entrance::default()));
    }

    #[test]
    fn what_is_remembered_is_bounded_and_told_slowly() {
        let mut origins = Origins::default();
        let mut told = 0;
        for number in 0..100_000u32 {
            let peer = Some((number << 8).to_be_bytes().into());
            told += u32::from(
                origins.note(Origin::of(&Entrance { peer, ..Entrance::default() }), at(u64::from(number / 50_000))),
            );
        }
        assert_eq!((origins.records.len(), told), (ORIGINS_MAX, 2));
    }
}
