//! A handshake over a socket: what both ends' handshakes have in common.

use std::time::Instant;

use pdw_auth::{Ending, Handshake, Progress, SealError, Work};

use super::socket::Stream;
use super::wire::{Scratch, Wire};
use crate::seal::Seal;

/// Most bytes that a handshake may leave unfinished: a chain of certificates, in TLS.
const ARRIVED_MAX: usize = 64 << 10;
/// Bytes taken from the kernel at once.
const PIECE: usize = 16 << 10;

/// A handshake that is going on.
#[derive(Debug)]
pub(super) struct Greeting {
    /// None while another thread has it.
    handshake: Option<Box<dyn Handshake>>,
    arrived: Vec<u8>,
    unsent: Vec<u8>,
    begun: Instant,
    /// Which seal it is for.
    kind: usize,
}

/// How far a handshake has come.
#[derive(Debug)]
pub(super) enum Step {
    /// It waits for the far end, or for another thread.
    Waits,
    /// Another thread is to do this; [`Greeting::give_back`] takes the result.
    Work(Work),
    /// The socket is sealed.
    Done(Wire),
}

impl Greeting {
    /// A handshake of which nothing is said.
    ///
    /// # Errors
    /// This end's cryptography fails.
    pub(super) fn begin(seal: &Seal, now: Instant) -> Result<Self, SealError> {
        let handshake = Some(seal.begin()?);
        Ok(Self { handshake, arrived: Vec::new(), unsent: Vec::new(), begun: now, kind: seal.kind() })
    }

    /// When it began.
    pub(super) fn begun(&self) -> Instant {
        self.begun
    }

    /// Whether another thread has it.
    pub(super) fn is_away(&self) -> bool {
        self.handshake.is_none()
    }

    /// Bytes of memory for what waits here, and for what the handshake itself keeps.
    pub(super) fn held(&self) -> usize {
        let inside = self.handshake.as_ref().map_or(0, |handshake| handshake.held());
        self.arrived.capacity() + self.unsent.capacity() + inside
    }

    /// Takes back what another thread has worked at.
    pub(super) fn give_back(&mut self, handshake: Box<dyn Handshake>) {
        self.handshake = Some(handshake);
    }

    /// Why it ends before it is done.
    pub(super) fn given_up(&self, ending: Ending) -> SealError {
        match &self.handshake {
            Some(handshake) => handshake.given_up(ending, &self.arrived),
            None => SealError::Late("this machine is too busy for the handshakes that come in"),
        }
    }

    /// Goes on, with what has arrived by now if it `may_read`.
    ///
    /// # Errors
    /// There will be no sealed connection.
    pub(super) fn go_on(
        &mut self,
        stream: &mut Stream,
        scratch: &mut Scratch,
        may_read: bool,
    ) -> Result<Step, SealError> {
        let mut fresh = true;
        while let Some(handshake) = self.handshake.take() {
            if !fresh {
                self.handshake = Some(handshake);
                if !may_read || !self.receive(stream, scratch)? {
                    return Ok(Step::Waits);
                }
                fresh = true;
                continue;
            }
            let advanced = handshake.advance(&self.arrived, &mut self.unsent);
            self.send(stream);
            let advanced = advanced?;
            self.arrived.drain(..advanced.consumed);
            match advanced.progress {
                Progress::NeedsBytes(handshake) => (self.handshake, fresh) = (Some(handshake), false),
                Progress::Work(work) => return Ok(Step::Work(work)),
                Progress::Done(sealed) => {
                    let (arrived, unsent) = (std::mem::take(&mut self.arrived), std::mem::take(&mut self.unsent));
                    return Ok(Step::Done(Wire::new(self.kind, sealed, arrived, unsent)));
                }
            }
        }
        Ok(Step::Waits)
    }

    /// Takes what has arrived; whether there was anything.
    fn receive(&mut self, stream: &mut Stream, scratch: &mut Scratch) -> Result<bool, SealError> {
        self.send(stream);
        let room = &mut scratch.room()[..PIECE];
        match stream.receive(room) {
            Ok(None) => Ok(false),
            Ok(Some(0)) | Err(_) => Err(self.given_up(Ending::Closed)),
            Ok(Some(_)) if self.arrived.len() > ARRIVED_MAX => {
                Err(SealError::Protocol("its handshake is longer than any may be"))
            }
            Ok(Some(count)) => {
                self.arrived.extend_from_slice(&room[..count]);
                Ok(true)
            }
        }
    }

    /// Sends what is to be sent, as far as the kernel takes it. If it fails, so will reading.
    fn send(&mut self, stream: &mut Stream) {
        if !self.unsent.is_empty()
            && let Ok(Some(sent)) = stream.send(&self.unsent)
        {
            self.unsent.drain(..sent);
        }
    }
}
