//! Packets (section 5).

use std::fmt;

use aes::Aes256;
use aes::cipher::{InnerIvInit, KeyInit, StreamCipher, StreamCipherCoreWrapper};
use ctr::{CtrCore, flavors};
use hmac::Mac;

use super::schedule::{Authenticator, authenticator};
use super::{MAC, PACKET, PACKET_DATA};
use crate::{Opened, SealError, Sealed};

/// Bytes of a packet before its MAC.
const CIPHERTEXT: usize = PACKET - MAC;

/// One direction of a connection: its keys, and the number of its next packet.
pub(super) struct Direction {
    cipher: Aes256,
    authenticator: Authenticator,
    number: u64,
}

impl Direction {
    pub(super) fn new(e: &[u8; 32], h: &[u8; 32]) -> Self {
        Self { cipher: Aes256::new(e.into()), authenticator: authenticator(h), number: 0 }
    }

    /// As [`new`](Self::new), but `number` packets are gone already.
    #[cfg(test)]
    pub(super) fn at(number: u64, e: &[u8; 32], h: &[u8; 32]) -> Self {
        Self { number, ..Self::new(e, h) }
    }

    /// Appends a packet with `data`, of which there are 1 to 1,024 bytes.
    fn seal(&mut self, data: &[u8], wire: &mut Vec<u8>) {
        let start = wire.len();
        wire.extend_from_slice(data);
        wire.resize(start + PACKET_DATA, 0);
        wire.extend_from_slice(&(data.len() as u32).to_be_bytes());
        self.apply_keystream(&mut wire[start..]);
        let mac = self.mac(&wire[start..]).finalize().into_bytes();
        wire.extend_from_slice(&mac);
        self.number = self.number.wrapping_add(1);
    }

    /// Appends the data of a packet.
    fn open(&mut self, packet: &mut [u8; PACKET], data: &mut Vec<u8>) -> Result<(), SealError> {
        let (sealed, mac) = packet.split_at_mut(CIPHERTEXT);
        self.mac(sealed).verify_slice(mac).map_err(|_| SealError::Forged)?;
        self.apply_keystream(sealed);
        self.number = self.number.wrapping_add(1);
        data.extend_from_slice(content(sealed)?);
        Ok(())
    }

    /// The keystream begins anew for every packet, at the block of its number and 0.
    fn apply_keystream(&self, bytes: &mut [u8]) {
        let mut first = [0; 16];
        first[..8].copy_from_slice(&self.number.to_be_bytes());
        let core = CtrCore::<_, flavors::Ctr128BE>::inner_iv_init(&self.cipher, &first.into());
        StreamCipherCoreWrapper::from_core(core).apply_keystream(bytes);
    }

    fn mac(&self, ciphertext: &[u8]) -> Authenticator {
        self.authenticator.clone().chain_update(ciphertext).chain_update(self.number.to_be_bytes())
    }
}

/// The data in an opened packet. Padding is not looked at: other implementations may send any (section 5).
fn content(opened: &[u8]) -> Result<&[u8], SealError> {
    let len = opened.last_chunk().map_or(0, |len| u32::from_be_bytes(*len)) as usize;
    if len == 0 || len > PACKET_DATA {
        return Err(SealError::Protocol("the length in a packet is not between 1 and 1,024"));
    }
    Ok(&opened[..len])
}

/// A connection whose handshake is done.
pub(super) struct Link {
    sends: Direction,
    receives: Direction,
    /// A packet was bad: none that follows is to be believed.
    broken: Option<SealError>,
}

impl Link {
    pub(super) fn new((sends, receives): (Direction, Direction)) -> Self {
        Self { sends, receives, broken: None }
    }

    fn open_all(&mut self, wire: &mut [u8], plain: &mut Vec<u8>) -> Result<usize, SealError> {
        let (packets, _) = wire.as_chunks_mut::<PACKET>();
        packets.iter_mut().try_for_each(|packet| self.receives.open(packet, plain))?;
        Ok(packets.len() * PACKET)
    }
}

impl Sealed for Link {
    fn seal(&mut self, plain: &[u8], wire: &mut Vec<u8>) -> Result<(), SealError> {
        let packets = plain.chunks(PACKET_DATA);
        wire.reserve(packets.len() * PACKET);
        packets.for_each(|data| self.sends.seal(data, wire));
        Ok(())
    }

    fn open(&mut self, wire: &mut [u8], plain: &mut Vec<u8>) -> Result<Opened, SealError> {
        if let Some(error) = &self.broken {
            return Err(error.clone());
        }
        let opened = self.open_all(wire, plain).map(|consumed| Opened { consumed, end: false });
        self.broken = opened.as_ref().err().cloned();
        opened
    }

    /// Nothing: the FIN is the end.
    fn close(&mut self, _wire: &mut Vec<u8>) -> Result<(), SealError> {
        Ok(())
    }

    fn ended(&self, left: &[u8]) -> Result<(), SealError> {
        if left.is_empty() { Ok(()) } else { Err(SealError::Cut) }
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("spiped::Link")
    }
}
