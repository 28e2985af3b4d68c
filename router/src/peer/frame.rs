//! Frames: what two proxies say to each other on a link, below RESP.
//!
//! ```text
//!  0        4        8   9          12                    all numbers big-endian
//!  ├ stream ┼ length ┼ flags ┼ zero ┼ payload (length bytes, RESP inside)
//! ```
//!
//! A stream is one order of requests and replies, that of one session; replies of different streams may come in
//! any order. Stream 0 is the link's own: notes, and credit for the link as a whole.
//!
//! ```text
//!   flags      stream  payload
//!   none       1..     requests or replies of the stream, cut anywhere
//!   DEADLINE   1..     8 bytes, then the same: after that moment of the receiver's clock (in microseconds) what is in
//!                      this frame is not sent on
//!   CREDIT     any     8 bytes: so many more bytes may be sent, on this stream or (0) on the link
//!   CLOSE      1..     none: the sender has done with the stream, and forgets what comes of it
//!   REFUSED    1..     why, as an error reply's text: from the accepting end, once; nothing of the stream was carried out, nor
//!                      will be, and it is closed
//!   LANE       1..     none: from the accepting end; the value that has begun on the stream has its way there, and all
//!                      of it may come
//!   NOTE       0       an array of bulk strings about the proxy itself
//!   COME       0       8 bytes: so many bytes of frames have come on the link, so the other end need not keep them
//! ```

/// Names one order of requests and replies inside a framed link. Stream 0 is the link's own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StreamId(pub u32);

/// Bytes of a frame's head.
pub const HEAD_LEN: usize = 12;
/// Bytes of a deadline or of credit.
pub const NUMBER_LEN: usize = 8;
/// Longest payload of one frame; a larger value is cut into several, so that it never holds up other streams for long.
pub const PAYLOAD_MAX: usize = 64 * 1024;
/// Longest reason for which a stream is refused.
pub const REASON_MAX: usize = 512;

bitflags::bitflags! {
    /// What a frame is besides its payload.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct FrameFlags: u8 {
        /// The stream is refused, and the payload says why.
        const REFUSED = 1;
        /// The stream is over.
        const CLOSE = 2;
        /// The payload is eight bytes of credit, not RESP.
        const CREDIT = 4;
        /// The payload starts with a deadline, eight bytes.
        const DEADLINE = 8;
        /// The payload is a note of the link's own.
        const NOTE = 16;
        /// The value that has begun on the stream has a lane.
        const LANE = 32;
        /// The payload says how many bytes have come on the link.
        const COME = 64;
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
    /// A payload that is not what its flags announce.
    #[error("a frame of {0} bytes cannot be what its flags say: is the peer a pdw-proxy of this version?")]
    Length(u32),
    /// A stream that cannot be open.
    #[error("a frame of stream {0}, which cannot be open: is the peer a pdw-proxy of this version?")]
    Stream(u32),
    /// More bytes than there was credit for.
    #[error("a peer sends more than it was given credit for: is it a pdw-proxy of this version?")]
    Overrun,
    /// It goes on asking, and takes no answers.
    #[error("a peer asks and asks, and takes no answer: is it a pdw-proxy?")]
    Deaf,
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
        let head = Self { stream: StreamId(u32::from_be_bytes([s0, s1, s2, s3])), length, flags };
        head.check()?;
        Ok(Some(head))
    }

    /// Whether stream, length and flags go together.
    fn check(self) -> Result<(), FrameError> {
        let (own, length) = (self.stream == StreamId::default(), self.length as usize);
        let fits = match self.flags {
            flags if flags == FrameFlags::NOTE => own,
            flags if flags == FrameFlags::REFUSED => !own && (1..=REASON_MAX).contains(&length),
            flags if flags == FrameFlags::CREDIT => length == NUMBER_LEN,
            flags if flags == FrameFlags::COME => own && length == NUMBER_LEN,
            flags if flags == FrameFlags::CLOSE || flags == FrameFlags::LANE => !own && length == 0,
            flags if flags == FrameFlags::DEADLINE => !own && length >= NUMBER_LEN,
            flags if flags.is_empty() => !own,
            _ => return Err(FrameError::Unknown),
        };
        if fits { Ok(()) } else { Err(FrameError::Length(self.length)) }
    }
}

/// Appends a frame.
pub fn write(out: &mut Vec<u8>, stream: StreamId, flags: FrameFlags, payload: &[u8]) {
    out.extend_from_slice(&FrameHead { stream, length: payload.len() as u32, flags }.encode());
    out.extend_from_slice(payload);
}

/// Appends a frame of a stream's bytes, with the time after which they are not sent on, if there is one.
pub fn write_data(out: &mut Vec<u8>, stream: StreamId, deadline: Option<u64>, payload: &[u8]) {
    let Some(deadline) = deadline else { return write(out, stream, FrameFlags::empty(), payload) };
    let length = (payload.len() + NUMBER_LEN) as u32;
    out.extend_from_slice(&FrameHead { stream, length, flags: FrameFlags::DEADLINE }.encode());
    out.extend_from_slice(&deadline.to_be_bytes());
    out.extend_from_slice(payload);
}

/// What a frame, or the part of it that has arrived, says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Piece<'a> {
    /// Bytes of a stream.
    Data(StreamId, &'a [u8]),
    /// What comes of this stream until its next deadline is not to be sent on after this time.
    Deadline(StreamId, u64),
    /// So many more bytes may be sent.
    Credit(StreamId, u64),
    /// The stream is over.
    Close(StreamId),
    /// The stream is refused, for this reason.
    Refused(StreamId, &'a [u8]),
    /// The value that has begun on the stream has a lane.
    Lane(StreamId),
    /// So many bytes of frames have come at the other end.
    Come(u64),
    /// A note, whole.
    Note(&'a [u8]),
}

/// Takes frames apart, wherever the bytes are cut. Payloads pass through; only heads, numbers, notes and reasons are
/// held until they are whole.
#[derive(Debug, Default)]
pub struct FrameReader {
    held: Vec<u8>,
    /// The frame whose payload is arriving.
    head: Option<FrameHead>,
    /// Payload bytes of it that are still to come.
    missing: usize,
    /// Its number has been read.
    numbered: bool,
    /// `held` was handed out and is to be forgotten.
    spent: bool,
}

impl FrameReader {
    /// The next piece of `bytes`, which is cut to what is left; `None` if that is nothing.
    ///
    /// # Errors
    /// The link has to be closed.
    pub fn next<'s, 'b: 's>(&'s mut self, bytes: &mut &'b [u8]) -> Result<Option<Piece<'s>>, FrameError> {
        if std::mem::take(&mut self.spent) {
            self.held.clear();
        }
        loop {
            let Some(head) = self.head else {
                match self.begin(bytes)? {
                    Begun::Frame => continue,
                    Begun::Word(piece) => return Ok(Some(piece)),
                    Begun::Nothing => return Ok(None),
                }
            };
            return match head.flags {
                FrameFlags::NOTE => Ok(self.text(bytes).map(Piece::Note)),
                FrameFlags::REFUSED => Ok(self.text(bytes).map(|why| Piece::Refused(head.stream, why))),
                FrameFlags::CREDIT => Ok(self.number(bytes).map(|credit| Piece::Credit(head.stream, credit))),
                FrameFlags::COME => Ok(self.number(bytes).map(Piece::Come)),
                FrameFlags::DEADLINE if !self.numbered => {
                    Ok(self.number(bytes).map(|deadline| Piece::Deadline(head.stream, deadline)))
                }
                _ => Ok(self.data(head.stream, bytes)),
            };
        }
    }

    /// Whether the next byte begins a frame.
    pub fn is_between_frames(&self) -> bool {
        self.head.is_none() && (self.held.is_empty() || self.spent)
    }

    /// Reads a head.
    fn begin(&mut self, bytes: &mut &[u8]) -> Result<Begun<'static>, FrameError> {
        if !self.hold(bytes, HEAD_LEN) {
            return Ok(Begun::Nothing);
        }
        let head = FrameHead::decode(&self.held)?;
        self.held.clear();
        let Some(head) = head else { return Ok(Begun::Nothing) };
        match head.flags {
            FrameFlags::CLOSE => return Ok(Begun::Word(Piece::Close(head.stream))),
            FrameFlags::LANE => return Ok(Begun::Word(Piece::Lane(head.stream))),
            _ => {}
        }
        self.missing = head.length as usize;
        self.numbered = false;
        self.head = (self.missing > 0 || head.flags == FrameFlags::NOTE).then_some(head);
        Ok(Begun::Frame)
    }

    /// Holds bytes until there are `len`; whether there are.
    fn hold(&mut self, bytes: &mut &[u8], len: usize) -> bool {
        let (own, rest) = bytes.split_at((len - self.held.len()).min(bytes.len()));
        self.held.extend_from_slice(own);
        *bytes = rest;
        self.held.len() == len
    }

    /// A note or a reason, once it is whole.
    fn text(&mut self, bytes: &mut &[u8]) -> Option<&[u8]> {
        if !self.hold(bytes, self.missing) {
            return None;
        }
        self.head = None;
        self.spent = true;
        Some(&self.held)
    }

    /// A number of eight bytes, once it is there.
    fn number(&mut self, bytes: &mut &[u8]) -> Option<u64> {
        if !self.hold(bytes, NUMBER_LEN) {
            return None;
        }
        let number = u64::from_be_bytes(*self.held.first_chunk::<NUMBER_LEN>()?);
        self.held.clear();
        self.numbered = true;
        self.advance(NUMBER_LEN);
        Some(number)
    }

    fn data<'b>(&mut self, stream: StreamId, bytes: &mut &'b [u8]) -> Option<Piece<'b>> {
        let (own, rest) = bytes.split_at(self.missing.min(bytes.len()));
        *bytes = rest;
        self.advance(own.len());
        (!own.is_empty()).then_some(Piece::Data(stream, own))
    }

    /// So many payload bytes are done with.
    fn advance(&mut self, bytes: usize) {
        self.missing -= bytes;
        if self.missing == 0 {
            self.head = None;
        }
    }
}

/// What reading a head has brought.
enum Begun<'a> {
    /// A frame with a payload, or one without that says nothing.
    Frame,
    /// A frame that says all by its head.
    Word(Piece<'a>),
    /// The head is not whole.
    Nothing,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_survives_the_wire() {
        let head = FrameHead { stream: StreamId(0x0102_0304), length: 65_536, flags: FrameFlags::DEADLINE };
        let bytes = head.encode();
        assert_eq!(FrameHead::decode(&bytes), Ok(Some(head)));
        assert_eq!(FrameHead::decode(&bytes[..HEAD_LEN - 1]), Ok(None));
    }

    #[test]
    fn a_foreign_head_is_refused() {
        let head = |stream, length, flags| FrameHead { stream: StreamId(stream), length, flags }.encode();
        let refused = |bytes: &[u8]| FrameHead::decode(bytes).unwrap_err();
        assert_eq!(refused(&head(1, 65_537, FrameFlags::empty())), FrameError::TooLong(65_537));
        assert_eq!(refused(b"HTTP/1.1 400"), FrameError::Unknown);
        assert_eq!(refused(&[0, 0, 0, 1, 0, 0, 0, 0, 0x80, 0, 0, 0]), FrameError::Unknown);
        assert_eq!(refused(&head(1, 8, FrameFlags::CREDIT | FrameFlags::CLOSE)), FrameError::Unknown);
        assert_eq!(refused(&head(1, 7, FrameFlags::DEADLINE)), FrameError::Length(7));
        assert_eq!(refused(&head(1, 9, FrameFlags::CREDIT)), FrameError::Length(9));
        assert_eq!(refused(&head(0, 5, FrameFlags::empty())), FrameError::Length(5));
        assert_eq!(refused(&head(1, 8, FrameFlags::COME)), FrameError::Length(8));
        assert_eq!(refused(&head(2, 5, FrameFlags::NOTE)), FrameError::Length(5));
        assert_eq!(refused(&head(2, 5, FrameFlags::CLOSE)), FrameError::Length(5));
        assert_eq!(refused(&head(0, 0, FrameFlags::LANE)), FrameError::Length(0));
        assert_eq!(refused(&head(1, 0, FrameFlags::REFUSED)), FrameError::Length(0));
        assert_eq!(refused(&head(1, 513, FrameFlags::REFUSED)), FrameError::Length(513));
        assert_eq!(refused(&head(0, 5, FrameFlags::REFUSED)), FrameError::Length(5));
    }

    /// All pieces, with the data of neighbouring ones joined.
    fn pieces(reader: &mut FrameReader, mut bytes: &[u8], out: &mut Vec<String>) {
        loop {
            match reader.next(&mut bytes).unwrap() {
                None => return assert!(bytes.is_empty()),
                Some(Piece::Data(StreamId(stream), data)) => {
                    let text = String::from_utf8_lossy(data).into_owned();
                    match out.last_mut().filter(|last| last.starts_with(&format!("{stream}="))) {
                        Some(last) => *last += &text,
                        None => out.push(format!("{stream}={text}")),
                    }
                }
                Some(Piece::Refused(StreamId(stream), why)) => {
                    out.push(format!("refused {stream}: {}", String::from_utf8_lossy(why)));
                }
                Some(Piece::Note(note)) => out.push(format!("note {}", String::from_utf8_lossy(note))),
                Some(other) => out.push(format!("{other:?}")),
            }
        }
    }

    #[test]
    fn frames_are_taken_apart_wherever_the_bytes_are_cut() {
        let mut wire = Vec::new();
        write_data(&mut wire, StreamId(1), Some(7), b"GET");
        write_data(&mut wire, StreamId(2), None, b"reply");
        write(&mut wire, StreamId(0), FrameFlags::NOTE, b"ping");
        write(&mut wire, StreamId(0), FrameFlags::NOTE, b"");
        write(&mut wire, StreamId(2), FrameFlags::CREDIT, &9u64.to_be_bytes());
        write(&mut wire, StreamId(0), FrameFlags::COME, &77u64.to_be_bytes());
        write_data(&mut wire, StreamId(3), Some(8), b"");
        write_data(&mut wire, StreamId(3), None, b"");
        write(&mut wire, StreamId(3), FrameFlags::LANE, b"");
        write(&mut wire, StreamId(1), FrameFlags::CLOSE, b"");
        write(&mut wire, StreamId(4), FrameFlags::REFUSED, b"why");
        let expected = [
            "Deadline(StreamId(1), 7)",
            "1=GET",
            "2=reply",
            "note ping",
            "note ",
            "Credit(StreamId(2), 9)",
            "Come(77)",
            "Deadline(StreamId(3), 8)",
            "Lane(StreamId(3))",
            "Close(StreamId(1))",
            "refused 4: why",
        ];
        for size in 1..=wire.len() {
            let (mut reader, mut found) = (FrameReader::default(), Vec::new());
            wire.chunks(size).for_each(|chunk| pieces(&mut reader, chunk, &mut found));
            assert_eq!(found, expected, "in chunks of {size}");
        }
    }
}
