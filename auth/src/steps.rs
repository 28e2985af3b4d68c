//! Handshakes that go by steps, as those of `spiped` and `noise` do.

use crate::{Advanced, Handshake, Progress, SealError, Sealed, Work};

/// What has to be done before the next step, on whatever thread.
pub(crate) type Job<H> = Box<dyn FnOnce(&mut H) + Send>;

/// What a step came to.
pub(crate) enum Step<H> {
    /// So many bytes are done with, and the next step can follow.
    Consumed(usize),
    /// The next step needs more than is there.
    NeedsBytes,
    /// So many bytes are done with, and this has to be done before the next step.
    Work(usize, Job<H>),
    /// So many bytes are done with, and nothing is left to do.
    Sealed(usize, Box<dyn Sealed>),
}

/// A handshake that goes by steps.
pub(crate) trait Steps: Handshake + Sized + 'static {
    /// Takes the next one with what has arrived; what is to be sent is appended to `out`.
    ///
    /// # Errors
    /// As those of [`Handshake::advance`].
    fn step(&mut self, wire: &[u8], out: &mut Vec<u8>) -> Result<Step<Self>, SealError>;
}

/// Takes as many steps as can be taken: [`Handshake::advance`] of such a handshake.
pub(crate) fn advance<H: Steps>(mut handshake: Box<H>, wire: &[u8], out: &mut Vec<u8>) -> Result<Advanced, SealError> {
    let mut consumed = 0;
    let progress = loop {
        match handshake.step(&wire[consumed..], out)? {
            Step::Consumed(count) => consumed += count,
            Step::NeedsBytes => break Progress::NeedsBytes(handshake),
            Step::Work(count, job) => {
                consumed += count;
                break Progress::Work(Work::new(move || {
                    job(&mut handshake);
                    handshake
                }));
            }
            Step::Sealed(count, sealed) => {
                consumed += count;
                break Progress::Done(sealed);
            }
        }
    };
    Ok(Advanced { consumed, progress })
}
