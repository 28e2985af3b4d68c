//! What every seal looks like to the driver once its handshake is done.

use std::fmt;
use std::sync::Arc;

use crate::SealError;

/// A sealed connection: plaintext on one side, what travels on the other.
pub trait Sealed: fmt::Debug + Send {
    /// Appends all of `plain`, sealed, to `wire`. Nothing is held back. Many small pieces cost more than one large one.
    ///
    /// # Errors
    /// The connection cannot carry more: close it.
    fn seal(&mut self, plain: &[u8], wire: &mut Vec<u8>) -> Result<(), SealError>;

    /// Opens what is whole of `wire`, all bytes that have arrived and were not consumed, and appends the plaintext to
    /// `plain`. Of what is consumed nothing is left to be used in `wire`.
    ///
    /// # Errors
    /// The stream was tampered with, or the far end is broken: close the connection. What was appended before is good.
    fn open(&mut self, wire: &mut [u8], plain: &mut Vec<u8>) -> Result<Opened, SealError>;

    /// Appends what tells the far end that nothing follows, if the protocol has such a thing. Once, and before the
    /// driver closes its sending half. Of what arrives afterwards [`open`](Self::open) may make nothing.
    ///
    /// # Errors
    /// As [`seal`](Self::seal).
    fn close(&mut self, wire: &mut Vec<u8>) -> Result<(), SealError>;

    /// Whether the stream may end here: the far end closed the connection, `left` was not consumed.
    ///
    /// # Errors
    /// Somebody may have cut the stream: what was received may not be all that was sent.
    fn ended(&self, left: &[u8]) -> Result<(), SealError>;

    /// Bytes that it holds, apart from what its keys need.
    fn held(&self) -> usize {
        0
    }

    /// Who the far end has proved to be, where the protocol tells: the name in a client's certificate.
    fn peer(&self) -> Option<&str> {
        None
    }

    /// The names by which the far end may be a user, the best one first; none where that is not wanted.
    fn names(&self) -> Option<Arc<Vec<String>>> {
        None
    }
}

/// What a call of [`Sealed::open`] came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Opened {
    /// So many bytes from the front of `wire` are done with.
    pub consumed: usize,
    /// The far end has said that nothing follows.
    pub end: bool,
}
