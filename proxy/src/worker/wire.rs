//! The sealed side of a socket: opens what arrives, seals what leaves.
//!
//! ```text
//!   kernel ─► arrived ─(open)─► opened ─► the worker's buffer        what is left over stays here,
//!   kernel ◄─ unsent  ◄─(seal)──────────  bytes of the router        what is empty has no memory
//! ```
//!
//! The kernel tells once of what has arrived. So whoever reads asks [`has_more`](Wire::has_more) afterwards, and comes
//! again by himself if there is.

use std::io;
use std::sync::Arc;

use pdw_auth::{SealError, Sealed};
use pdw_router::Buffered;

use super::socket::{Stream, Written};
use crate::mutant::Mutant;

/// Bytes taken from the kernel at once, and plaintext sealed at once.
const PIECE: usize = 128 << 10;
/// The least that is taken from the kernel at once, however little is wanted: a record of TLS.
const PIECE_MIN: usize = 17 << 10;
/// Most bytes that a record may leave unfinished: the longest of all seals' (Noise, 64 KiB), and some.
const UNFINISHED_MAX: usize = 72 << 10;
/// Reads in a row that may come to nothing: records without plaintext.
const READS: usize = 16;

/// Buffers that a worker has for all its sealed sockets; no memory before the first of them.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    arrived: Vec<u8>,
    opened: Vec<u8>,
    sealed: Vec<u8>,
}

impl Scratch {
    /// Room for bytes from the kernel, behind what a socket has kept.
    pub(super) fn room(&mut self) -> &mut [u8] {
        if self.arrived.is_empty() {
            self.arrived.resize(UNFINISHED_MAX + PIECE, 0);
        }
        &mut self.arrived
    }
}

/// What a sealed socket has besides a plain one.
#[derive(Debug)]
pub(super) struct Wire {
    sealed: Box<dyn Sealed>,
    /// Which seal it is: its index in the configuration's list.
    kind: usize,
    /// Arrived and not opened.
    arrived: Vec<u8>,
    /// Opened and not read, from `read` on.
    opened: Vec<u8>,
    read: usize,
    /// Sealed and not sent, from `sent` on.
    unsent: Vec<u8>,
    sent: usize,
    /// So much plaintext of `unsent` does not count as written yet.
    owed: usize,
    /// Bytes that a relay to or from here carries.
    carried: usize,
    /// What the router was told is held here.
    told: Buffered,
    /// Nothing was opened yet: what came behind the handshake is still in there.
    fresh: bool,
    /// Something is left of which the kernel will not tell.
    more: bool,
    end: End,
}

/// How far the far end's direction has come.
#[derive(Debug)]
enum End {
    /// More may come.
    Open,
    /// Nothing follows.
    Said,
    /// The seal is broken; why, until that is told.
    Broken(Option<SealError>),
}

impl Wire {
    /// A seal whose handshake is done. `arrived`: what came behind it; `unsent`: what of it the kernel has not taken.
    pub(super) fn new(kind: usize, sealed: Box<dyn Sealed>, arrived: Vec<u8>, unsent: Vec<u8>) -> Self {
        let (opened, end, told) = (Vec::new(), End::Open, Buffered::default());
        // What is empty has no memory.
        let unsent = if unsent.is_empty() { Vec::new() } else { unsent };
        Self {
            kind,
            sealed,
            arrived,
            opened,
            read: 0,
            unsent,
            sent: 0,
            owed: 0,
            carried: 0,
            told,
            fresh: true,
            more: true,
            end,
        }
    }

    /// Whether something is left to be read of which the kernel will not tell.
    pub(super) fn has_more(&self) -> bool {
        self.more || !self.opened.is_empty()
    }

    /// Whether something waits for the kernel to take it.
    pub(super) fn has_unsent(&self) -> bool {
        !self.unsent.is_empty()
    }

    /// Which seal it is.
    pub(super) fn kind(&self) -> usize {
        self.kind
    }

    /// Bytes that have arrived and are not opened.
    pub(super) fn unopened(&self) -> usize {
        self.arrived.len()
    }

    /// Bytes of memory for what waits here.
    pub(super) fn held(&self) -> Buffered {
        let unread = self.arrived.capacity() + self.opened.capacity() + self.carried + self.sealed.held();
        Buffered { unread: unread as u32, unsent: self.unsent.capacity() as u32 }
    }

    /// The same, if it is another than when this was asked last.
    pub(super) fn news(&mut self) -> Option<Buffered> {
        let held = self.held();
        (std::mem::replace(&mut self.told, held) != held).then_some(held)
    }

    /// A relay to or from here carries so many bytes.
    pub(super) fn set_carried(&mut self, bytes: usize) {
        self.carried = bytes;
    }

    /// Who the far end has proved to be.
    pub(super) fn peer(&self) -> Option<&str> {
        self.sealed.peer()
    }

    /// The names by which the far end may be a user.
    pub(super) fn names(&self) -> Option<Arc<Vec<String>>> {
        self.sealed.names()
    }

    /// Why the seal broke, once.
    pub(super) fn take_broken(&mut self) -> Option<SealError> {
        match &mut self.end {
            End::Broken(why) => why.take(),
            _ => None,
        }
    }

    /// Plaintext, as a socket gives bytes: `Ok(Some(0))` is the end.
    pub(super) fn read(
        &mut self,
        stream: &mut Stream,
        buffer: &mut [u8],
        scratch: &mut Scratch,
    ) -> io::Result<Option<usize>> {
        if !self.opened.is_empty() {
            // The kernel may have told meanwhile of bytes that this read leaves there.
            self.more = true;
            return Ok(Some(self.take_opened(buffer)));
        }
        for _ in 0..READS {
            match self.end {
                End::Said => return Ok(Some(0)),
                End::Broken(_) => return Err(io::ErrorKind::InvalidData.into()),
                End::Open => {}
            }
            if !self.fill(stream, buffer.len().clamp(PIECE_MIN, PIECE), scratch)? {
                return Ok(None);
            }
            if !scratch.opened.is_empty() {
                return Ok(Some(self.hand_over(buffer, &scratch.opened)));
            }
        }
        self.more = true;
        Ok(None)
    }

    /// Takes bytes from the kernel and opens them into the scratch; whether there were any.
    fn fill(&mut self, stream: &mut Stream, piece: usize, scratch: &mut Scratch) -> io::Result<bool> {
        scratch.opened.clear();
        let kept = self.arrived.len();
        let room = &mut scratch.room()[..kept + piece];
        let got = match std::mem::take(&mut self.fresh) {
            true => None,
            false => match stream.receive(&mut room[kept..])? {
                None => {
                    self.more = false;
                    return Ok(false);
                }
                got => got,
            },
        };
        if got == Some(0) {
            self.end = self.sealed.ended(&self.arrived).map_or_else(|why| End::Broken(Some(why)), |()| End::Said);
            return Ok(true);
        }
        let total = kept + got.unwrap_or(0);
        self.more = got.is_none_or(|got| got == piece);
        self.open(total, scratch);
        Ok(true)
    }

    /// Opens what is whole of what was kept and what came behind it.
    fn open(&mut self, total: usize, scratch: &mut Scratch) {
        let arrived = &mut scratch.arrived[..total];
        arrived[..self.arrived.len()].copy_from_slice(&self.arrived);
        let opened = self.sealed.open(arrived, &mut scratch.opened);
        self.arrived.clear();
        match opened {
            Ok(opened) if total - opened.consumed > UNFINISHED_MAX => {
                self.break_off(SealError::Protocol("a record is longer than any may be"));
            }
            Ok(opened) => {
                self.arrived.extend_from_slice(&arrived[opened.consumed..]);
                if opened.end {
                    (self.end, self.more) = (End::Said, true);
                }
            }
            Err(_) if Mutant::TamperingPasses.is_on() => {}
            Err(why) => self.break_off(why),
        }
        if self.arrived.is_empty() {
            self.arrived = Vec::new();
        }
    }

    fn break_off(&mut self, why: SealError) {
        // What was opened before is good, and is read first.
        (self.end, self.more) = (End::Broken(Some(why)), true);
    }

    /// Gives as much as there is room for, and keeps the rest.
    fn hand_over(&mut self, buffer: &mut [u8], opened: &[u8]) -> usize {
        let count = opened.len().min(buffer.len());
        buffer[..count].copy_from_slice(&opened[..count]);
        self.opened.extend_from_slice(&opened[count..]);
        count
    }

    fn take_opened(&mut self, buffer: &mut [u8]) -> usize {
        let rest = &self.opened[self.read..];
        let count = rest.len().min(buffer.len());
        buffer[..count].copy_from_slice(&rest[..count]);
        self.read += count;
        if self.read == self.opened.len() {
            (self.opened, self.read) = (Vec::new(), 0);
        }
        count
    }

    /// Seals and sends until the kernel takes no more. `Ok(None)`: nothing counts as written.
    pub(super) fn write(
        &mut self,
        stream: &mut Stream,
        bytes: &[u8],
        scratch: &mut Scratch,
        when: Written,
    ) -> io::Result<Option<usize>> {
        let mut done = 0;
        while self.flush(stream)? {
            done += std::mem::take(&mut self.owed);
            let rest = bytes.get(done..).unwrap_or_default();
            if rest.is_empty() {
                break;
            }
            let piece = &rest[..rest.len().min(PIECE)];
            if self.seal_and_send(stream, piece, scratch)? {
                done += piece.len();
            } else if when == Written::Sealed {
                return Ok(Some(done + piece.len()));
            } else {
                self.owed = piece.len();
            }
        }
        let done = done.min(bytes.len());
        Ok((done > 0).then_some(done))
    }

    /// Whether the kernel took all of it; what it did not take is kept.
    fn seal_and_send(&mut self, stream: &mut Stream, piece: &[u8], scratch: &mut Scratch) -> io::Result<bool> {
        let sealed = &mut scratch.sealed;
        sealed.clear();
        if let Err(why) = self.sealed.seal(piece, sealed) {
            self.break_off(why);
            return Err(io::ErrorKind::InvalidData.into());
        }
        let sent = stream.send(sealed)?.unwrap_or(0);
        self.unsent.extend_from_slice(&sealed[sent..]);
        Ok(self.unsent.is_empty())
    }

    /// Sends what waits; whether nothing waits any more.
    pub(super) fn flush(&mut self, stream: &mut Stream) -> io::Result<bool> {
        while self.sent < self.unsent.len() {
            match stream.send(&self.unsent[self.sent..])? {
                Some(sent) => self.sent += sent,
                None => return Ok(false),
            }
        }
        if self.sent > 0 {
            (self.unsent, self.sent) = (Vec::new(), 0);
        }
        Ok(true)
    }

    /// Tells the far end that nothing follows, if all before it is sent and the kernel takes it.
    pub(super) fn say_end(&mut self, stream: &mut Stream, scratch: &mut Scratch) {
        scratch.sealed.clear();
        let all_sent = self.flush(stream).unwrap_or(false);
        if all_sent && self.sealed.close(&mut scratch.sealed).is_ok() {
            // The connection is closed next, whatever has become of this.
            let _ = stream.send(&scratch.sealed);
        }
    }
}

#[cfg(test)]
mod tests;
