//! What every seal's handshake looks like to the driver.

use std::fmt;
use std::time::Duration;

use crate::{SealError, Sealed};

/// A handshake that takes longer is given up (SPIPED.md section 7: as `-o`). From the connection's start to
/// [`Progress::Done`].
pub const HANDSHAKE_MAX: Duration = Duration::from_secs(5);

/// Which end of a connection this is. It is never negotiated: both ends are configured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The end that connects: `spiped -e`, Noise's initiator.
    Opens,
    /// The end that accepts: `spiped -d`, Noise's responder.
    Accepts,
}

/// A connection that is not sealed yet.
///
/// The driver keeps what has arrived and was not consumed, and calls [`advance`](Self::advance) when the connection is
/// up, whenever more has arrived, and when work is done. It gives up after [`HANDSHAKE_MAX`].
pub trait Handshake: fmt::Debug + Send {
    /// Goes on with all bytes that have arrived and were not consumed, none at first. What is to be sent is appended to
    /// `out`. Even with an error there may be something in `out`; the driver need not send it.
    ///
    /// # Errors
    /// The far end has no right to speak, or does not speak this protocol: close the connection, without a word to it.
    fn advance(self: Box<Self>, wire: &[u8], out: &mut Vec<u8>) -> Result<Advanced, SealError>;

    /// Bytes that it holds, apart from what its keys need.
    fn held(&self) -> usize {
        0
    }

    /// What to tell the operator when the driver has to end this before it is done. `wire`: what was not consumed.
    fn given_up(&self, ending: Ending, wire: &[u8]) -> SealError;
}

/// What a call of [`Handshake::advance`] came to.
#[derive(Debug)]
pub struct Advanced {
    /// So many bytes from the front of `wire` are done with.
    pub consumed: usize,
    /// What comes next.
    pub progress: Progress,
}

/// What comes next in a handshake.
#[derive(Debug)]
pub enum Progress {
    /// The driver calls again when more bytes have arrived.
    NeedsBytes(Box<dyn Handshake>),
    /// The driver has this done, on whatever thread, and calls [`Handshake::advance`] of its result with what is there by
    /// then. Until then it need not read.
    Work(Work),
    /// What is left of `wire`, and all that comes, is for this.
    Done(Box<dyn Sealed>),
}

/// A computation that takes long enough to disturb a worker: 0.05 to 2 milliseconds.
pub struct Work(Box<dyn FnOnce() -> Box<dyn Handshake> + Send>);

impl Work {
    /// The handshake, with everything in it, goes into the work and comes back out of it.
    pub fn new(work: impl FnOnce() -> Box<dyn Handshake> + Send + 'static) -> Self {
        Self(Box::new(work))
    }

    /// Does it. Errors come out of the next [`Handshake::advance`].
    #[must_use]
    pub fn run(self) -> Box<dyn Handshake> {
        self.0()
    }
}

impl fmt::Debug for Work {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Work")
    }
}

/// Why a handshake is ended from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// The far end closed or reset the connection.
    Closed,
    /// [`HANDSHAKE_MAX`] is over.
    Late,
}
