//! Both ends of a connection in one place, with nothing between them.

use crate::{Handshake, Progress, SealError, Sealed};

/// No handshake goes back and forth so often.
const ROUNDS_MAX: usize = 8;

/// One end, and what the other one has sent it.
struct End {
    /// `None` once it is sealed.
    handshake: Option<Box<dyn Handshake>>,
    sealed: Option<Box<dyn Sealed>>,
    inbox: Vec<u8>,
}

impl End {
    fn new(handshake: Box<dyn Handshake>) -> Self {
        Self { handshake: Some(handshake), sealed: None, inbox: Vec::new() }
    }

    /// Goes on until it needs bytes or is sealed.
    fn advance(&mut self, out: &mut Vec<u8>) -> Result<(), SealError> {
        while let Some(handshake) = self.handshake.take() {
            let advanced = handshake.advance(&self.inbox, out)?;
            self.inbox.drain(..advanced.consumed);
            match advanced.progress {
                Progress::Work(work) => self.handshake = Some(work.run()),
                Progress::Done(sealed) => self.sealed = Some(sealed),
                Progress::NeedsBytes(handshake) => {
                    self.handshake = Some(handshake);
                    break;
                }
            }
        }
        Ok(())
    }
}

/// Makes the handshake between two ends, all work in this thread: for measurements and simulations. The opener is first.
///
/// # Errors
/// What the first end that fails says. Two ends that wait for each other are [`SealError::Late`].
pub fn join(opener: Box<dyn Handshake>, accepter: Box<dyn Handshake>) -> Result<[Box<dyn Sealed>; 2], SealError> {
    let (mut opener, mut accepter) = (End::new(opener), End::new(accepter));
    for _ in 0..ROUNDS_MAX {
        opener.advance(&mut accepter.inbox)?;
        accepter.advance(&mut opener.inbox)?;
    }
    match (opener.sealed, accepter.sealed) {
        (Some(opener), Some(accepter)) => Ok([opener, accepter]),
        _ => Err(SealError::Late("both ends wait")),
    }
}
