//! What is wrong with peers, and that they come and go: told to the operator once a minute for each of them, not for
//! each connection.

use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use pdw_router::Entrance;

/// A peer is not complained of again before this has passed.
const REST: Duration = Duration::from_secs(60);
/// Peers that are remembered. With more of them at a time the rest share one line a minute.
const PEERS_MAX: usize = 1024;

/// Who was complained of, and when. Shared by all workers; nobody meets here who behaves.
#[derive(Clone, Debug, Default)]
pub(crate) struct Complaints {
    told: Arc<Mutex<Told>>,
    /// The same of proxies, apart: they name themselves, so one of them can have any number of names.
    proxies: Arc<Mutex<Told>>,
}

/// When each was complained of last.
type Told = HashMap<Complaint, Instant>;

/// Whom a complaint is about, and what kind of thing it says.
type Complaint = (Peer, &'static str);

/// Whom a complaint is about.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Peer {
    /// Whoever connects from there.
    Address(IpAddr),
    /// Whoever connects to a UNIX socket.
    Local,
    /// The upstream of this name.
    Upstream(String),
    /// The proxy that gave itself this name.
    Proxy(String),
    /// There are too many to tell them apart.
    Many,
}

impl Peer {
    /// The entrance of somebody who came by this listener.
    pub(crate) fn entrance(&self, listener: u16) -> Entrance {
        let peer = if let Self::Address(address) = self { Some(*address) } else { None };
        Entrance { listener, peer, names: None }
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => write!(f, "client {address}"),
            Self::Local => write!(f, "client on a UNIX socket"),
            Self::Upstream(name) => write!(f, "upstream {name}"),
            Self::Proxy(name) => write!(f, "proxy {name}"),
            Self::Many => write!(f, "many clients, of which this is one"),
        }
    }
}

impl Complaints {
    /// Whether to complain of a peer now, for this kind of reason; whoever asks does so then.
    pub(crate) fn is_due(&self, peer: &Peer, kind: &'static str, now: Instant) -> bool {
        let table = if matches!(peer, Peer::Proxy(_)) { &self.proxies } else { &self.told };
        let mut told = table.lock().unwrap_or_else(PoisonError::into_inner);
        let known = (peer.clone(), kind);
        if told.len() >= PEERS_MAX && !told.contains_key(&known) {
            told.retain(|_, when| now.duration_since(*when) < REST);
        }
        let crowded = told.len() >= PEERS_MAX && !told.contains_key(&known);
        let known = if crowded { (Peer::Many, kind) } else { known };
        let due = told.get(&known).is_none_or(|when| now.duration_since(*when) >= REST);
        if due {
            told.insert(known, now);
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_is_complained_of_once_a_minute_and_a_crowd_together() {
        let (complaints, start) = (Complaints::default(), Instant::now());
        let peer = |last: u32| Peer::Address(IpAddr::from(last.to_be_bytes()));
        let at = |seconds| start + Duration::from_secs(seconds);
        assert!(complaints.is_due(&peer(1), "key", at(0)));
        assert!(!complaints.is_due(&peer(1), "key", at(59)));
        assert!(complaints.is_due(&peer(1), "key", at(60)));
        assert!(complaints.is_due(&peer(1), "late", at(60)), "another matter");
        assert!(complaints.is_due(&Peer::Upstream("a".into()), "key", at(60)));
        let told = (2..5000).filter(|last| complaints.is_due(&peer(*last), "key", at(61))).count();
        assert_eq!(told, PEERS_MAX - 3 + 1, "a thousand of them, and all others once");
        assert!(complaints.is_due(&peer(5001), "key", at(122)), "the crowd is forgotten");
    }

    #[test]
    fn however_many_names_a_proxy_gives_itself_others_are_told_apart() {
        let (complaints, now) = (Complaints::default(), Instant::now());
        let told = (0..5000).filter(|name| complaints.is_due(&Peer::Proxy(name.to_string()), "came", now)).count();
        assert_eq!(told, PEERS_MAX + 1);
        let due = |peer: Peer| complaints.is_due(&peer, "key", now);
        assert!(due(Peer::Upstream("a".into())) && due(Peer::Upstream("b".into())) && due(Peer::Many));
    }
}
