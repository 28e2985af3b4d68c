//! One direction of a simulated connection: a bounded queue of bytes, sealed and framed on the wire.
//!
//! ```text
//!  what an end writes ─► frames (between proxies) ─► seal ─► queue ─► seal ─► frames ─► what the other end reads
//! ```
//!
//! The ends see plaintext only: the seal and the frames lie below the driver's socket.

use std::collections::VecDeque;

use fastrand::Rng;
use pdw_router::frame::{FrameFlags, FrameHead, HEAD_LEN, StreamId};

/// What the bytes of a connection look like on the wire.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Coding {
    /// The key of a seal.
    pub(crate) seal: Option<u64>,
    /// The stream of frames that carries the connection between two proxies.
    pub(crate) stream: Option<StreamId>,
}

/// What reading brings.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Read {
    /// These bytes; perhaps none, where only a part of a frame's head has arrived.
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
    coding: Coding,
    written: Seal,
    read: Seal,
    frames: Deframer,
    ended: bool,
    /// Nobody reads any more: what is written vanishes.
    deaf: bool,
}

impl Pipe {
    pub(crate) fn new(capacity: usize, coding: Coding) -> Self {
        let seal = Seal { key: coding.seal, at: 0 };
        Self {
            queue: VecDeque::new(),
            capacity,
            coding,
            written: seal,
            read: seal,
            frames: Deframer::default(),
            ended: false,
            deaf: false,
        }
    }

    /// Whether a write would take anything.
    pub(crate) fn has_room(&self) -> bool {
        self.deaf || self.queue.len() + self.overhead() < self.capacity
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
        let room = self.capacity.saturating_sub(self.queue.len() + self.overhead());
        let most = bytes.len().min(room);
        let len = if most > 0 && rng.u8(..) < 64 { rng.usize(1..=most) } else { most };
        if len > 0 {
            self.put(&bytes[..len], FrameFlags::empty());
        }
        len
    }

    /// Ends the stream: after what was written, the reader sees the end.
    pub(crate) fn end(&mut self) {
        if self.coding.stream.is_some() && !self.ended {
            self.put(&[], FrameFlags::CLOSE);
        }
        self.ended = true;
    }

    /// The reader is gone.
    pub(crate) fn deafen(&mut self) {
        self.deaf = true;
        self.queue.clear();
    }

    /// Reads at most `most` bytes of the wire.
    ///
    /// # Errors
    /// The frames are not what the writer must have written.
    pub(crate) fn read(&mut self, most: usize) -> Result<Read, String> {
        if self.queue.is_empty() {
            let whole = self.coding.stream.is_none() || self.frames.closed;
            return if !self.ended {
                Ok(Read::Blocked)
            } else if whole {
                Ok(Read::Ended)
            } else {
                Err("a framed stream ended without saying so".into())
            };
        }
        let len = self.queue.len().min(most);
        let mut wire: Vec<u8> = self.queue.drain(..len).collect();
        self.read.apply(&mut wire);
        match self.coding.stream {
            None => Ok(Read::Bytes(wire)),
            Some(stream) => self.frames.unpack(stream, &wire).map(Read::Bytes),
        }
    }

    fn overhead(&self) -> usize {
        if self.coding.stream.is_some() { HEAD_LEN } else { 0 }
    }

    fn put(&mut self, bytes: &[u8], flags: FrameFlags) {
        let mut wire = Vec::new();
        if let Some(stream) = self.coding.stream {
            wire.extend_from_slice(&FrameHead { stream, length: bytes.len() as u32, flags }.encode());
        }
        wire.extend_from_slice(bytes);
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

/// Takes frames apart, wherever the wire cuts them.
#[derive(Debug, Default)]
struct Deframer {
    head: Vec<u8>,
    missing: usize,
    closed: bool,
}

impl Deframer {
    fn unpack(&mut self, stream: StreamId, mut wire: &[u8]) -> Result<Vec<u8>, String> {
        let mut payload = Vec::new();
        while !wire.is_empty() {
            if self.missing > 0 {
                let (own, rest) = wire.split_at(self.missing.min(wire.len()));
                payload.extend_from_slice(own);
                self.missing -= own.len();
                wire = rest;
                continue;
            }
            self.head.push(wire[0]);
            wire = &wire[1..];
            if let Some(head) = FrameHead::decode(&self.head).map_err(|error| error.to_string())? {
                self.begin(stream, head)?;
            }
        }
        Ok(payload)
    }

    fn begin(&mut self, stream: StreamId, head: FrameHead) -> Result<(), String> {
        if head.stream != stream || self.closed {
            return Err(format!("{head:?} on {stream:?}, closed: {}", self.closed));
        }
        self.head.clear();
        self.missing = head.length as usize;
        self.closed = head.flags.contains(FrameFlags::CLOSE);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn through(coding: Coding) -> (Vec<u8>, Vec<u8>) {
        let (mut rng, mut pipe) = (Rng::with_seed(7), Pipe::new(64, coding));
        let text: Vec<u8> = (0..1000).map(|_| rng.u8(..)).collect();
        let (mut at, mut wire, mut seen) = (0, Vec::new(), Vec::new());
        loop {
            at += pipe.write(&text[at..], &mut rng);
            if at == text.len() {
                pipe.end();
            }
            wire.extend(pipe.queue.iter());
            match pipe.read(rng.usize(1..40)).unwrap() {
                Read::Bytes(bytes) => seen.extend(bytes),
                Read::Ended => break,
                Read::Blocked => {}
            }
        }
        assert!(seen == text, "what was written is what is read");
        (text, wire)
    }

    #[test]
    fn bytes_survive_seal_and_frames_in_any_pieces() {
        for seal in [None, Some(17)] {
            for stream in [None, Some(StreamId(5))] {
                through(Coding { seal, stream });
            }
        }
    }

    #[test]
    fn a_seal_hides_what_is_on_the_wire() {
        let (text, wire) = through(Coding { seal: Some(3), stream: None });
        assert!(!wire.windows(8).any(|window| window == &text[..8]));
    }

    #[test]
    fn a_frame_of_another_stream_is_noticed() {
        let mut pipe = Pipe::new(64, Coding { seal: None, stream: Some(StreamId(1)) });
        pipe.put(b"x", FrameFlags::empty());
        pipe.coding.stream = Some(StreamId(2));
        assert!(pipe.read(64).is_err());
    }
}
