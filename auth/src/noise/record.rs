//! Records: what travels once the handshake is done. Their form is at [`RECORD`].

use std::num::NonZeroU16;

use super::aead::{Aead, TAG};
use super::{RECORD, REKEY_BYTES, REKEY_RECORDS};
use crate::{Opened, SealError, Sealed};

/// Bytes of a length.
const LENGTH: usize = 2;
/// What a full record of this end has inside.
const INSIDE_MAX: usize = RECORD - LENGTH - TAG;
/// Data in a full record of this end.
pub(super) const DATA_MAX: usize = INSIDE_MAX - LENGTH;

/// When a key is replaced.
#[derive(Clone, Copy, Debug)]
struct Lifetime {
    records: u64,
    bytes: u64,
}

/// One direction of a connection.
#[derive(Debug)]
pub(super) struct Direction {
    aead: Aead,
    /// Of the next record.
    number: u64,
    /// Done under this key.
    done: Lifetime,
    limit: Lifetime,
}

impl Direction {
    pub(super) fn new(aead: Aead) -> Self {
        let limit = Lifetime { records: REKEY_RECORDS, bytes: REKEY_BYTES };
        Self { aead, number: 0, done: Lifetime { records: 0, bytes: 0 }, limit }
    }

    /// As [`new`](Self::new), with another limit for its keys.
    #[cfg(test)]
    pub(super) fn with_limit(aead: Aead, records: u64, bytes: u64) -> Self {
        Self { limit: Lifetime { records, bytes }, ..Self::new(aead) }
    }

    /// Appends a record with `data`, of which there are at most [`DATA_MAX`] bytes.
    pub(super) fn seal(
        &mut self,
        data: &[u8],
        pad_to: Option<NonZeroU16>,
        wire: &mut Vec<u8>,
    ) -> Result<(), SealError> {
        let inside = padded(data.len() + LENGTH, pad_to);
        wire.extend_from_slice(&((inside + TAG) as u16).to_be_bytes());
        let start = wire.len();
        wire.extend_from_slice(data);
        wire.resize(start + inside - LENGTH, 0);
        wire.extend_from_slice(&(data.len() as u16).to_be_bytes());
        let tag = self.aead.seal(self.number, &[], &mut wire[start..])?;
        wire.extend_from_slice(&tag);
        self.count(inside + TAG)
    }

    /// The data in a record without its length.
    fn open<'a>(&mut self, record: &'a mut [u8]) -> Result<&'a [u8], SealError> {
        let size = record.len();
        let inside = self.aead.open(self.number, &[], record)?;
        self.count(size)?;
        content(inside)
    }

    fn count(&mut self, bytes: usize) -> Result<(), SealError> {
        self.number += 1;
        self.done = Lifetime { records: self.done.records + 1, bytes: self.done.bytes + bytes as u64 };
        if self.done.records >= self.limit.records || self.done.bytes >= self.limit.bytes {
            self.done = Lifetime { records: 0, bytes: 0 };
            self.aead.rekey()?;
        }
        Ok(())
    }

    /// The data of the first record of `wire`, if it is whole, and how long the record is.
    pub(super) fn open_first<'a>(&mut self, wire: &'a mut [u8]) -> Result<Option<(&'a [u8], usize)>, SealError> {
        let Some((length, rest)) = wire.split_first_chunk_mut::<LENGTH>() else { return Ok(None) };
        let length = usize::from(u16::from_be_bytes(*length));
        // Nobody has vouched for the length: one that cannot be was altered on the way.
        if length < LENGTH + TAG {
            return Err(SealError::Forged);
        }
        let Some(record) = rest.get_mut(..length) else { return Ok(None) };
        Ok(Some((self.open(record)?, LENGTH + length)))
    }
}

/// The size of an inside, rounded up.
fn padded(size: usize, pad_to: Option<NonZeroU16>) -> usize {
    let rounded = pad_to.map_or(size, |step| size.next_multiple_of(step.get().into()));
    if rounded <= INSIDE_MAX { rounded } else { INSIDE_MAX }
}

/// The data of an inside. Padding is not looked at: who could have put anything there could have sent it as data.
fn content(inside: &[u8]) -> Result<&[u8], SealError> {
    let Some((data, length)) = inside.split_last_chunk() else { return Err(SHORT) };
    data.get(..usize::from(u16::from_be_bytes(*length))).ok_or(SHORT)
}

const SHORT: SealError = SealError::Protocol("a record that has less inside than it says");

/// A connection whose handshake is done.
#[derive(Debug)]
pub(super) struct Link {
    sends: Direction,
    receives: Direction,
    pad_to: Option<NonZeroU16>,
    /// This end has said that nothing follows.
    closed: bool,
    receiving: Receiving,
}

#[derive(Debug)]
enum Receiving {
    Open,
    /// The far end has said that nothing follows.
    Ended,
    /// A record was bad: none that follows is to be believed.
    Broken(SealError),
}

impl Link {
    pub(super) fn new(sends: Direction, receives: Direction, pad_to: Option<NonZeroU16>) -> Self {
        Self { sends, receives, pad_to, closed: false, receiving: Receiving::Open }
    }

    /// A record without data: this end's confirmation if it is the first, and else its end.
    pub(super) fn seal_empty(&mut self, wire: &mut Vec<u8>) -> Result<(), SealError> {
        self.sends.seal(&[], self.pad_to, wire)
    }

    /// The confirmation of the end that opens; so many bytes it has, 0 when it is not whole.
    pub(super) fn open_confirmation(&mut self, wire: &[u8]) -> Result<usize, SealError> {
        let mut wire = wire.to_vec();
        match self.receives.open_first(&mut wire)? {
            Some(([], size)) => Ok(size),
            Some(_) => Err(SealError::Protocol("data before it has shown that it has the key")),
            None => Ok(0),
        }
    }

    fn open_some(&mut self, wire: &mut [u8], plain: &mut Vec<u8>) -> Result<Opened, SealError> {
        let mut consumed = 0;
        while let Some((data, size)) = self.receives.open_first(&mut wire[consumed..])? {
            consumed += size;
            if data.is_empty() {
                self.receiving = Receiving::Ended;
                return Ok(Opened { consumed, end: true });
            }
            plain.extend_from_slice(data);
        }
        Ok(Opened { consumed, end: false })
    }
}

impl Sealed for Link {
    fn seal(&mut self, plain: &[u8], wire: &mut Vec<u8>) -> Result<(), SealError> {
        if self.closed {
            return Err(SealError::Broken("data behind the end"));
        }
        let records = plain.chunks(DATA_MAX);
        wire.reserve(plain.len() + records.len() * (RECORD - DATA_MAX));
        plain.chunks(DATA_MAX).try_for_each(|data| self.sends.seal(data, self.pad_to, wire))
    }

    fn open(&mut self, wire: &mut [u8], plain: &mut Vec<u8>) -> Result<Opened, SealError> {
        match &self.receiving {
            Receiving::Broken(error) => return Err(error.clone()),
            Receiving::Ended if wire.is_empty() => return Ok(Opened { consumed: 0, end: true }),
            Receiving::Ended => return Err(SealError::Protocol("something behind its end")),
            Receiving::Open => {}
        }
        let opened = self.open_some(wire, plain);
        if let Err(error) = &opened {
            self.receiving = Receiving::Broken(error.clone());
        }
        opened
    }

    fn close(&mut self, wire: &mut Vec<u8>) -> Result<(), SealError> {
        if std::mem::replace(&mut self.closed, true) { Ok(()) } else { self.seal_empty(wire) }
    }

    fn ended(&self, left: &[u8]) -> Result<(), SealError> {
        match self.receiving {
            Receiving::Ended if left.is_empty() => Ok(()),
            _ => Err(SealError::Cut),
        }
    }
}
