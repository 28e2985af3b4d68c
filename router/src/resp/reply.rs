//! The reply scanner: finds where a reply ends, without looking at what it says.

use super::parse_integer;

/// What an upstream sent that is no RESP2 reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReplyError {
    /// The first byte of a value is none of `+ - : $ *`.
    #[error("a reply starts with byte 0x{0:02x}, which is not RESP2: is this upstream a Redis server?")]
    Kind(u8),
    /// A size or count that is no number or out of range.
    #[error("a reply announces an impossible size: is this upstream a Redis server?")]
    Size,
    /// A line without end.
    #[error("a reply has a line of more than 16 MiB: is this upstream a Redis server?")]
    LongLine,
    /// A line or a bulk string that does not end in CR LF.
    #[error("a reply does not end where it announced: is this upstream a Redis server?")]
    LineEnd,
}

/// Longest line of a reply (status, error, size). Redis's own are far shorter, but a script may return any, and
/// must not cost the sessions that share its link their replies.
const LINE_MAX: usize = 16 << 20;
/// Largest size or count that a reply may announce; above what any Redis can hold in a value.
const SIZE_MAX: i64 = 1 << 40;

/// How a value ends.
pub const LINE_END: &[u8] = b"\r\n";

/// The scanner's state between two looks at the same reply.
///
/// Nesting needs no stack: what matters is how many values are still to come.
#[derive(Debug)]
pub struct ReplyScan {
    at: usize,
    outstanding: u64,
    /// The bytes of a bulk string were passed; its line end comes first.
    passed: bool,
}

impl Default for ReplyScan {
    fn default() -> Self {
        Self { at: 0, outstanding: 1, passed: false }
    }
}

impl ReplyScan {
    /// Looks at a reply from its first byte on, each time with more of it: its length once it is
    /// whole (and the scanner is ready for the next), `None` while more bytes are needed.
    ///
    /// # Errors
    /// The stream is not RESP2; the link has to be closed.
    pub fn scan(&mut self, bytes: &[u8]) -> Result<Option<usize>, ReplyError> {
        if self.passed && !self.end_passed(bytes)? {
            return Ok(None);
        }
        while self.outstanding > 0 {
            let Some((next, children)) = value(bytes, self.at)? else { return Ok(None) };
            self.at = next;
            // Arrays in arrays may announce more than there are numbers for.
            self.outstanding = (self.outstanding - 1).checked_add(children).ok_or(ReplyError::Size)?;
        }
        let len = self.at;
        *self = Self::default();
        Ok(Some(len))
    }

    /// Size of the bulk string whose bytes are arriving, and where its CR LF begins.
    pub fn arriving(&self, bytes: &[u8]) -> Option<(usize, usize)> {
        let rest = bytes.get(self.at..).filter(|rest| rest.first() == Some(&b'$'))?;
        let len = line_end(&rest[1..]).ok().flatten()?;
        let size = usize::try_from(size(&rest[1..=len]).ok()?).ok()?;
        Some((size, self.at + len + 3 + size))
    }

    /// How many bytes of the unfinished reply are values that are whole; the scanner goes on behind them, as
    /// if they were gone.
    pub fn pass_whole(&mut self) -> usize {
        std::mem::take(&mut self.at)
    }

    /// So many more values belong to the reply than are known so far.
    pub fn expect_more(&mut self, values: u64) {
        self.outstanding += values;
    }

    /// Goes on at the line end of the bulk string that is arriving, as if everything before it were gone.
    pub fn pass_bulk(&mut self) {
        self.at = 0;
        self.passed = true;
    }

    /// Looks at the line end of what was passed; whether it is there.
    fn end_passed(&mut self, bytes: &[u8]) -> Result<bool, ReplyError> {
        if !bytes.starts_with(LINE_END) {
            // Who sends more than was announced may have made what follows look like a reply.
            return if LINE_END.starts_with(bytes) { Ok(false) } else { Err(ReplyError::LineEnd) };
        }
        self.passed = false;
        self.at = LINE_END.len();
        self.outstanding -= 1;
        Ok(true)
    }
}

/// One value's own bytes from `at` on: where they end, and how many values nest in it.
fn value(bytes: &[u8], at: usize) -> Result<Option<(usize, u64)>, ReplyError> {
    let Some(kind) = bytes.get(at) else { return Ok(None) };
    if !matches!(kind, b'+' | b'-' | b':' | b'$' | b'*') {
        return Err(ReplyError::Kind(*kind));
    }
    let rest = &bytes[at + 1..];
    let Some(len) = line_end(rest)? else {
        return if rest.len() > LINE_MAX { Err(ReplyError::LongLine) } else { Ok(None) };
    };
    let next = at + len + 3;
    match kind {
        b'$' => {
            let size = size(&rest[..len])?;
            bulk_end(bytes, next, size)
        }
        b'*' => Ok(Some((next, size(&rest[..len])?.max(0) as u64))),
        _ => Ok(Some((next, 0))),
    }
}

fn bulk_end(bytes: &[u8], start: usize, size: i64) -> Result<Option<(usize, u64)>, ReplyError> {
    if size < 0 {
        return Ok(Some((start, 0)));
    }
    let end = start + size as usize + 2;
    match bytes.get(end - 2..end) {
        None => Ok(None),
        Some(b"\r\n") => Ok(Some((end, 0))),
        Some(_) => Err(ReplyError::LineEnd),
    }
}

fn size(text: &[u8]) -> Result<i64, ReplyError> {
    parse_integer(text).filter(|size| (-1..=SIZE_MAX).contains(size)).ok_or(ReplyError::Size)
}

/// Length of the line at the start of `rest`, if its CR LF is there.
fn line_end(rest: &[u8]) -> Result<Option<usize>, ReplyError> {
    let short = rest.iter().take(8).position(|byte| *byte == b'\r');
    let Some(len) = short.or_else(|| memchr::memchr(b'\r', rest)) else { return Ok(None) };
    match rest.get(len + 1) {
        None => Ok(None),
        Some(b'\n') => Ok(Some(len)),
        Some(_) => Err(ReplyError::LineEnd),
    }
}

/// The text of a reply's first line, without its first byte.
pub fn line(reply: &[u8]) -> &[u8] {
    let rest = reply.get(1..).unwrap_or_default();
    &rest[..line_end(rest).ok().flatten().unwrap_or(rest.len())]
}

/// Whether a reply is an error.
pub fn is_error(reply: &[u8]) -> bool {
    reply.first() == Some(&b'-')
}

/// Whether a reply is a null bulk string or a null array.
pub fn is_nil(reply: &[u8]) -> bool {
    reply.starts_with(b"$-1\r") || reply.starts_with(b"*-1\r")
}

/// The value of an integer reply.
pub fn integer(reply: &[u8]) -> Option<i64> {
    (reply.first() == Some(&b':')).then(|| parse_integer(line(reply))).flatten()
}

/// The elements of an array reply, each with its own head; nothing for any other reply, and none behind what is not whole.
pub fn elements(reply: &[u8]) -> impl Iterator<Item = &[u8]> {
    let count = if reply.first() == Some(&b'*') { parse_integer(line(reply)).unwrap_or(0).max(0) } else { 0 };
    let mut rest = reply.get(line(reply).len() + 3..).unwrap_or_default();
    (0..count).map_while(move |_| {
        let len = ReplyScan::default().scan(rest).ok().flatten()?;
        let (element, after) = rest.split_at(len);
        rest = after;
        Some(element)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_end_however_the_bytes_arrive() {
        let replies: [&[u8]; 8] = [
            b"+OK\r\n",
            b"-ERR no\r\n",
            b":-12\r\n",
            b"$5\r\na\r\nbc\r\n",
            b"$-1\r\n",
            b"*0\r\n",
            b"*-1\r\n",
            b"*3\r\n:1\r\n*2\r\n$0\r\n\r\n+a\r\n$-1\r\n",
        ];
        for reply in replies {
            let mut scan = ReplyScan::default();
            for end in 0..reply.len() {
                assert_eq!(scan.scan(&reply[..end]), Ok(None));
            }
            assert_eq!(scan.scan(&[reply, b"+more\r\n"].concat()), Ok(Some(reply.len())));
        }
    }

    #[test]
    fn the_line_end_of_what_was_passed_is_looked_at() {
        let passed = || {
            let mut scan = ReplyScan::default();
            assert_eq!(scan.scan(b"*2\r\n$9\r\nabc"), Ok(None));
            assert_eq!(scan.arriving(b"*2\r\n$9\r\nabc"), Some((9, 17)));
            scan.pass_bulk();
            scan
        };
        let mut scan = passed();
        assert_eq!((scan.scan(b""), scan.scan(b"\r"), scan.scan(b"\r\n")), (Ok(None), Ok(None), Ok(None)));
        assert_eq!(scan.scan(b"\r\n:1\r\n+next\r\n"), Ok(Some(6)));
        assert_eq!(scan.scan(b"+next\r\n"), Ok(Some(7)));
        assert_eq!(passed().scan(b":1\r\n"), Err(ReplyError::LineEnd));
        assert_eq!(passed().scan(b"\r:1\r\n"), Err(ReplyError::LineEnd));
    }

    #[test]
    fn what_is_not_resp_is_refused() {
        assert_eq!(ReplyScan::default().scan(b"HTTP/1.1 400\r\n"), Err(ReplyError::Kind(b'H')));
        assert_eq!(ReplyScan::default().scan(b"$x\r\n"), Err(ReplyError::Size));
        assert_eq!(ReplyScan::default().scan(b"*-2\r\n"), Err(ReplyError::Size));
        assert_eq!(ReplyScan::default().scan(&[b'+'; LINE_MAX + 3]), Err(ReplyError::LongLine));
    }

    #[test]
    fn arrays_that_announce_more_than_can_be_counted_are_refused() {
        let mut scan = ReplyScan::default();
        scan.expect_more(u64::MAX - 1);
        assert_eq!(scan.scan(b"*1\r\n*1\r\n"), Ok(None));
        assert_eq!(scan.scan(b"*1\r\n*1\r\n*2\r\n"), Err(ReplyError::Size));
    }

    #[test]
    fn elements_keep_their_heads() {
        let all: Vec<&[u8]> = elements(b"*3\r\n:1\r\n*1\r\n+a\r\n$-1\r\n").collect();
        assert_eq!(all, [&b":1\r\n"[..], b"*1\r\n+a\r\n", b"$-1\r\n"]);
        assert_eq!(elements(b"+OK\r\n").count(), 0);
    }

    #[test]
    fn an_array_that_is_not_whole_has_the_elements_that_are() {
        let whole = b"*2\r\n$1\r\na\r\n$1\r\nb\r\n";
        for end in 0..whole.len() {
            assert_eq!(elements(&whole[..end]).count(), usize::from(end >= 11), "{end}");
        }
    }

    #[test]
    fn agrees_with_the_redis_protocol_crate() {
        use redis_protocol::resp2::decode::decode;
        let alphabet = b"+-:$*012\r\na";
        let mut random = fastrand::Rng::with_seed(11);
        let mut whole = 0;
        for _ in 0..200_000 {
            let bytes: Vec<u8> = (0..random.usize(1..14)).map(|_| alphabet[random.usize(..alphabet.len())]).collect();
            if let Ok(Some((_, len))) = decode(&bytes) {
                // The oracle takes sizes with leading zeros, which no server sends.
                if let Ok(found) = ReplyScan::default().scan(&bytes) {
                    assert_eq!(found, Some(len), "{:?}", String::from_utf8_lossy(&bytes));
                    whole += 1;
                }
            }
        }
        assert!(whole > 100, "too few replies were whole to prove anything");
    }
}
