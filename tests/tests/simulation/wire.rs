//! One direction of a simulated connection: a bounded queue of bytes, sealed on the wire.
//!
//! ```text
//!  what an end writes ─► seal ─► queue ─► seal ─► what the other end reads
//! ```
//!
//! The ends see plaintext only: the seal lies below the driver's socket.

use std::collections::VecDeque;

use fastrand::Rng;

/// What reading brings.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Read {
    /// These bytes.
    Bytes(Vec<u8>),
    /// The writer has ended the stream and everything before was read.
    Ended,
    /// Nothing for now.
    Blocked,
}

/// One direction of a connection.
#[derive(Debug)]
pub(crate) struct Pipe {
    queue: VecDeque<u8>,
    capacity: usize,
    written: Seal,
    read: Seal,
    ended: bool,
    /// Nobody reads any more: what is written vanishes.
    deaf: bool,
}

impl Pipe {
    pub(crate) fn new(capacity: usize, key: Option<u64>) -> Self {
        let seal = Seal { key, at: 0 };
        Self { queue: VecDeque::new(), capacity, written: seal, read: seal, ended: false, deaf: false }
    }

    /// Whether a write would take anything.
    pub(crate) fn has_room(&self) -> bool {
        self.deaf || self.queue.len() < self.capacity
    }

    /// Whether a read would bring anything.
    pub(crate) fn is_readable(&self) -> bool {
        !self.queue.is_empty() || self.ended
    }

    /// Writes the start of `bytes`: as much as there is room for, sometimes less.
    pub(crate) fn write(&mut self, bytes: &[u8], rng: &mut Rng) -> usize {
        if self.deaf {
            return bytes.len();
        }
        let room = self.capacity.saturating_sub(self.queue.len());
        let most = bytes.len().min(room);
        let len = if most > 0 && rng.u8(..) < 64 { rng.usize(1..=most) } else { most };
        if len > 0 {
            self.put(&bytes[..len]);
        }
        len
    }

    /// Ends the stream: after what was written, the reader sees the end.
    pub(crate) fn end(&mut self) {
        self.ended = true;
    }

    /// Whether nothing more will be written.
    pub(crate) fn is_over(&self) -> bool {
        self.ended
    }

    /// The reader is gone.
    pub(crate) fn deafen(&mut self) {
        self.deaf = true;
        self.queue.clear();
    }

    /// Reads at most `most` bytes.
    pub(crate) fn read(&mut self, most: usize) -> Read {
        if self.queue.is_empty() {
            return if self.ended { Read::Ended } else { Read::Blocked };
        }
        let len = self.queue.len().min(most);
        let mut bytes: Vec<u8> = self.queue.drain(..len).collect();
        self.read.apply(&mut bytes);
        Read::Bytes(bytes)
    }

    fn put(&mut self, bytes: &[u8]) {
        let mut wire = bytes.to_vec();
        self.written.apply(&mut wire);
        self.queue.extend(wire);
    }
}

/// A stand-in for a cipher: each byte is changed by key and position, so that a byte too many, too
/// few or in the wrong place makes nonsense of all that follow.
#[derive(Clone, Copy, Debug)]
struct Seal {
    key: Option<u64>,
    at: u64,
}

impl Seal {
    fn apply(&mut self, bytes: &mut [u8]) {
        let Some(key) = self.key else { return };
        for byte in bytes {
            *byte ^= (key ^ self.at).wrapping_mul(0x9E37_79B9_7F4A_7C15).to_be_bytes()[0];
            self.at += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn through(seal: Option<u64>) -> (Vec<u8>, Vec<u8>) {
        let (mut rng, mut pipe) = (Rng::with_seed(7), Pipe::new(64, seal));
        let text: Vec<u8> = (0..1000).map(|_| rng.u8(..)).collect();
        let (mut at, mut wire, mut seen) = (0, Vec::new(), Vec::new());
        loop {
            at += pipe.write(&text[at..], &mut rng);
            if at == text.len() {
                pipe.end();
            }
            wire.extend(pipe.queue.iter());
            match pipe.read(rng.usize(1..40)) {
                Read::Bytes(bytes) => seen.extend(bytes),
                Read::Ended => break,
                Read::Blocked => {}
            }
        }
        assert!(seen == text, "what was written is what is read");
        (text, wire)
    }

    #[test]
    fn bytes_survive_a_seal_in_any_pieces() {
        through(None);
        through(Some(17));
    }

    #[test]
    fn a_seal_hides_what_is_on_the_wire() {
        let (text, wire) = through(Some(3));
        assert!(!wire.windows(8).any(|window| window == &text[..8]));
    }
}
