//! Which socket an event is about, in one number.

use mio::Token;
use pdw_router::{LinkKey, SessionKey};
use slotmap::{Key, KeyData};

use super::guests::GuestKey;

/// What an event's token names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// A client's connection.
    Session(SessionKey),
    /// A connection to an upstream.
    Link(LinkKey),
    /// A client's connection that is not sealed yet.
    Guest(GuestKey),
    /// The listener of this index.
    Listener(usize),
    /// Somebody put a letter into the worker's mailbox.
    Mailbox,
    /// Relays have rested.
    Rest,
}

// A key is a version (upper 32 bits) and an index (lower 32 bits). No worker has 2^30 sockets, so
// the two highest bits of the index are free to say what kind of key it is.
const KIND_SHIFT: u32 = 30;
const INDEX_MASK: u64 = (1 << KIND_SHIFT) - 1;
/// No listener has this index.
const MAILBOX: u64 = INDEX_MASK;
/// Nor this one.
const REST: u64 = INDEX_MASK - 1;

impl Source {
    /// The token to register with.
    pub(super) fn token(self) -> Token {
        let (kind, bits) = match self {
            Self::Session(key) => (0, key.data().as_ffi()),
            Self::Link(key) => (1, key.data().as_ffi()),
            Self::Guest(key) => (2, key.data().as_ffi()),
            Self::Listener(index) => (3, index as u64),
            Self::Mailbox => (3, MAILBOX),
            Self::Rest => (3, REST),
        };
        Token((bits | kind << KIND_SHIFT) as usize)
    }

    /// What a token names.
    pub(super) fn of(token: Token) -> Self {
        let bits = token.0 as u64;
        let key = KeyData::from_ffi(bits & !(3 << KIND_SHIFT));
        match bits >> KIND_SHIFT & 3 {
            0 => Self::Session(key.into()),
            1 => Self::Link(key.into()),
            2 => Self::Guest(key.into()),
            _ if bits & INDEX_MASK == MAILBOX => Self::Mailbox,
            _ if bits & INDEX_MASK == REST => Self::Rest,
            _ => Self::Listener((bits & INDEX_MASK) as usize),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_names_what_it_was_made_from() {
        let mut sessions = slotmap::SlotMap::<SessionKey, ()>::with_key();
        let mut links = slotmap::SlotMap::<LinkKey, ()>::with_key();
        let mut guests = slotmap::SlotMap::<GuestKey, ()>::with_key();
        for _ in 0..3 {
            sessions.insert(());
            let gone = links.insert(());
            links.remove(gone);
        }
        let (session, link, guest) = (sessions.insert(()), links.insert(()), guests.insert(()));
        let all = [
            Source::Session(session),
            Source::Link(link),
            Source::Guest(guest),
            Source::Listener(7),
            Source::Mailbox,
            Source::Rest,
        ];
        for source in all {
            assert_eq!(Source::of(source.token()), source);
        }
    }
}
