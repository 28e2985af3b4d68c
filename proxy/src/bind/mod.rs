//! Taking the addresses on which a proxy is reached: alone, or beside the proxy whose place it takes.
//!
//! ```text
//!  beside   TCP: listens on the same port (SO_REUSEPORT); new connections are steered to it   [`steer`]
//!           UNIX: its socket is put over the other's path in one step                         [`unix`]
//!  leaving  TCP: drops the first segment of newcomers, which is sent again and finds another listener,
//!           while handshakes that have begun come to their end                                [`tcp::turn_away`]
//!           UNIX: removes the path if it is still its own
//! ```

mod steer;
mod tcp;
mod unix;

pub(crate) use steer::{listening, to_newest};
pub(crate) use tcp::{listen, turn_away};
pub(crate) use unix::{SocketFile, listen_at};

/// Whether others may listen on an address that is to be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stance {
    /// No: a proxy with another configuration would share the clients.
    Alone,
    /// Yes: they are other workers, or a proxy that is about to be ended.
    Beside,
}
