//! Frames: what two proxies say to each other on a link, below RESP.
//!
//! ```text
//!  0        4        8   9          12                    all numbers big-endian
//!  ├ stream ┼ length ┼ flags ┼ zero ┼ payload (length bytes, RESP inside)
//! ```
//!
//! A stream is one order of requests and replies, that of one session towards one shard; replies
//! of different streams may come in any order.

/// Names one order of requests and replies inside a framed link. Stream 0 is the link's own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StreamId(pub u32);

/// Bytes of a frame's head.
pub const HEAD_LEN: usize = 12;
/// Longest payload of one frame; a larger value is cut into several, so that it never holds up other streams for long.
pub const PAYLOAD_MAX: usize = 64 * 1024;

bitflags::bitflags! {
    /// What a frame is besides its payload.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct FrameFlags: u8 {
        /// The last frame of a request or a reply.
        const END = 1;
        /// The stream is over.
        const CLOSE = 2;
        /// The payload is eight bytes of credit, not RESP.
        const CREDIT = 4;
        /// The payload starts with the remaining deadline in microseconds, eight bytes.
        const DEADLINE = 8;
    }
}

/// A frame's head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameHead {
    /// Whose bytes follow.
    pub stream: StreamId,
    /// How many.
    pub length: u32,
    /// What they are.
    pub flags: FrameFlags,
}

/// What a peer may not send.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// A payload above [`PAYLOAD_MAX`].
    #[error("a frame announces {0} bytes, more than a frame may hold: is the peer a pdw-proxy of this version?")]
    TooLong(u32),
    /// Flags or reserved bytes that this version does not know.
    #[error("a frame carries flags that this version does not know: is the peer of a later version?")]
    Unknown,
}

impl FrameHead {
    /// The head as it goes on the wire.
    pub fn encode(self) -> [u8; HEAD_LEN] {
        let mut head = [0; HEAD_LEN];
        head[..4].copy_from_slice(&self.stream.0.to_be_bytes());
        head[4..8].copy_from_slice(&self.length.to_be_bytes());
        head[8] = self.flags.bits();
        head
    }

    /// Reads a head; `None` while fewer than [`HEAD_LEN`] bytes are there.
    ///
    /// # Errors
    /// The link has to be closed.
    pub fn decode(bytes: &[u8]) -> Result<Option<Self>, FrameError> {
        let Some((head, _)) = bytes.split_first_chunk::<HEAD_LEN>() else { return Ok(None) };
        let [s0, s1, s2, s3, l0, l1, l2, l3, flags, 0, 0, 0] = *head else { return Err(FrameError::Unknown) };
        let length = u32::from_be_bytes([l0, l1, l2, l3]);
        if length as usize > PAYLOAD_MAX {
            return Err(FrameError::TooLong(length));
        }
        let flags = FrameFlags::from_bits(flags).ok_or(FrameError::Unknown)?;
        Ok(Some(Self { stream: StreamId(u32::from_be_bytes([s0, s1, s2, s3])), length, flags }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_survives_the_wire() {
        let head = FrameHead { stream: StreamId(0x0102_0304), length: 65_536, flags: FrameFlags::END };
        let bytes = head.encode();
        assert_eq!(FrameHead::decode(&bytes), Ok(Some(head)));
        assert_eq!(FrameHead::decode(&bytes[..HEAD_LEN - 1]), Ok(None));
    }

    #[test]
    fn a_foreign_head_is_refused() {
        let head = FrameHead { stream: StreamId(1), length: 65_537, flags: FrameFlags::empty() };
        assert_eq!(FrameHead::decode(&head.encode()), Err(FrameError::TooLong(65_537)));
        assert_eq!(FrameHead::decode(b"HTTP/1.1 400"), Err(FrameError::Unknown));
        assert_eq!(FrameHead::decode(&[0, 0, 0, 1, 0, 0, 0, 0, 0x80, 0, 0, 0]), Err(FrameError::Unknown));
    }
}
