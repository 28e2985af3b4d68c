//! The request scanner: finds where a request's arguments lie, and can be interrupted anywhere.
//!
//! ```text
//!            '*' count            '$' size             size + 2 bytes there
//!   Start ─────────────► Size ─────────────► Argument ─────────────────────► Size … or whole
//!     │                    (once per argument)
//!     └── any other byte ► a line to its end: an inline command, whole at once
//! ```

use super::{Request, Span, inline, parse_integer, write};

/// A line that says a count or a size, or an inline command, is at most this long (`PROTO_INLINE_MAX_SIZE` of Redis).
pub(super) const LINE_MAX: usize = 64 * 1024;

/// Arguments whose places, and bytes of canonical form, an idle scanner keeps memory for.
const SPANS_KEPT: usize = 256;
const REWRITTEN_KEPT: usize = 4 << 10;

/// What a client may not send; the texts are Redis's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProtocolError {
    /// `*` without a valid count.
    #[error("Protocol error: invalid multibulk length")]
    Count,
    /// `$` without a valid size.
    #[error("Protocol error: invalid bulk length")]
    Size,
    /// An argument that does not start with `$`.
    #[error("Protocol error: expected '$', got '{}'", char::from(*.0))]
    NoBulk(u8),
    /// A count that never ends.
    #[error("Protocol error: too big mbulk count string")]
    LongCount,
    /// More arguments than a client may send before it has authenticated.
    #[error("Protocol error: unauthenticated multibulk length")]
    StrangersCount,
    /// A longer argument than a client may send before it has authenticated.
    #[error("Protocol error: unauthenticated bulk length")]
    StrangersSize,
    /// A size that never ends.
    #[error("Protocol error: too big bulk count string")]
    LongSize,
    /// An inline command that never ends.
    #[error("Protocol error: too big inline request")]
    LongInline,
    /// An inline command with an open quote.
    #[error("Protocol error: unbalanced quotes in request")]
    Quotes,
}

impl ProtocolError {
    /// Whether a client that has authenticated may send this.
    pub fn is_for_strangers(self) -> bool {
        matches!(self, Self::StrangersCount | Self::StrangersSize)
    }
}

/// What the scanner found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scanned {
    /// A whole request of this many bytes; [`RequestScan::request`] views it.
    Request(usize),
    /// This many bytes mean nothing (an empty line, an empty array): skip them.
    Nothing(usize),
    /// More bytes are needed: at least as many as make the buffer this long.
    Incomplete(usize),
}

/// Bounds of what is accepted.
#[derive(Clone, Copy, Debug)]
pub struct ScanLimits {
    /// Largest number of arguments. Redis: 2^31 - 1 (before 7.0: 1,048,576).
    pub args: usize,
    /// Largest argument, in bytes. Redis: `proto-max-bulk-len`, 512 MiB.
    pub argument: usize,
    /// They are for a client that has not authenticated, which hears so.
    pub stranger: bool,
}

impl Default for ScanLimits {
    fn default() -> Self {
        Self { args: 1024 * 1024, argument: 512 * 1024 * 1024, stranger: false }
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Expect {
    #[default]
    Start,
    Size,
    Argument(usize),
}

/// The scanner's state between two looks at the same request.
///
/// [`scan`](Self::scan) is given the request from its first byte, each time with more of it, and
/// goes on where it stopped. After `Request` or `Nothing` the caller takes these bytes away and
/// the next call starts afresh.
#[derive(Debug, Default)]
pub struct RequestScan {
    limits: ScanLimits,
    expect: Expect,
    at: usize,
    missing: usize,
    spans: Vec<Span>,
    /// A request in canonical form where the client's own bytes were not: an inline command, or a
    /// line end that is not CR LF. What goes upstream must mean the same to every server.
    rewritten: Vec<u8>,
    odd: bool,
    /// The arriving argument has been looked at: nothing about it changes before it is there.
    looked_at: bool,
    /// Arguments that were found, however often.
    #[cfg(test)]
    pub(crate) found: usize,
}

impl RequestScan {
    /// A scanner with the given bounds.
    pub fn new(limits: ScanLimits) -> Self {
        Self { limits, ..Self::default() }
    }

    /// Looks at a request from its first byte on.
    ///
    /// # Errors
    /// The stream cannot be understood from here on; the session has to be closed.
    pub fn scan(&mut self, bytes: &[u8]) -> Result<Scanned, ProtocolError> {
        loop {
            let step = match self.expect {
                Expect::Start if bytes.is_empty() => Some(Scanned::Incomplete(1)),
                Expect::Start if bytes[0] != b'*' => Some(self.inline(bytes)?),
                Expect::Start => self.count(bytes)?,
                Expect::Size => self.size(bytes)?,
                Expect::Argument(size) => self.argument(bytes, size),
            };
            if let Some(found) = step {
                return Ok(found);
            }
        }
    }

    /// The request that [`scan`](Self::scan) just found in `bytes`.
    pub fn request<'a>(&'a self, bytes: &'a [u8]) -> Request<'a> {
        let bytes = if self.rewritten.is_empty() { bytes } else { &self.rewritten };
        Request { bytes, spans: &self.spans, missing: 0 }
    }

    /// Size of the argument whose bytes are arriving.
    pub fn arriving(&self) -> Option<usize> {
        match self.expect {
            Expect::Argument(size) => Some(size),
            _ => None,
        }
    }

    /// Whether an argument of at least so many bytes is arriving, and this is asked for the first time. To look at
    /// a head takes as long as it has arguments, and the argument may come byte by byte.
    pub fn begins(&mut self, least: usize) -> bool {
        self.arriving().is_some_and(|size| size >= least) && !std::mem::replace(&mut self.looked_at, true)
    }

    /// Whether what is missing of the unfinished request is the rest of its last argument.
    pub fn is_last_argument(&self) -> bool {
        self.arriving().is_some() && self.missing == 1
    }

    /// The unfinished request as far as it is known; `None` if its line ends were odd, so that it
    /// would have to be written anew.
    pub fn head<'a>(&'a self, bytes: &'a [u8]) -> Option<Request<'a>> {
        (!self.odd).then_some(Request { bytes, spans: &self.spans, missing: self.missing })
    }

    /// How many bytes of the unfinished request are arguments that are whole, and the head of the one that is
    /// not; the scanner goes on behind them, as if they were gone.
    pub fn pass_whole(&mut self) -> usize {
        self.spans.clear();
        std::mem::take(&mut self.at)
    }

    /// Goes on behind the argument that is arriving, which somebody else takes care of to its end.
    /// Whether it was the last one; then the scanner is ready for the next request.
    pub fn pass_argument(&mut self) -> bool {
        self.spans.clear();
        self.at = 0;
        self.looked_at = false;
        self.missing -= 1;
        self.expect = if self.missing == 0 { Expect::Start } else { Expect::Size };
        self.missing == 0
    }

    /// Whether the scanner stands between two requests.
    pub fn is_fresh(&self) -> bool {
        self.expect == Expect::Start
    }

    /// Keeps to other bounds from now on.
    pub fn bound(&mut self, limits: ScanLimits) {
        self.limits = limits;
    }

    /// Looks at the request anew within other bounds: the client has authenticated since it began.
    pub fn relax(&mut self, limits: ScanLimits) {
        self.bound(limits);
        self.restart();
    }

    /// Forgets the request, keeping the memory.
    pub fn restart(&mut self) {
        self.expect = Expect::Start;
        self.at = 0;
        self.missing = 0;
        self.odd = false;
        self.looked_at = false;
        self.spans.clear();
        self.rewritten.clear();
    }

    /// Forgets the request, and gives back what memory is more than most requests need.
    pub fn trim(&mut self) {
        self.restart();
        self.spans.shrink_to(SPANS_KEPT);
        self.rewritten.shrink_to(REWRITTEN_KEPT);
    }

    /// Memory of what is known of a request, its own bytes left out.
    pub fn memory(&self) -> usize {
        self.spans.capacity() * size_of::<Span>() + self.rewritten.capacity()
    }

    fn count(&mut self, bytes: &[u8]) -> Result<Option<Scanned>, ProtocolError> {
        self.restart();
        let Some((text, after)) = self.line(bytes, 1) else {
            return too_long(bytes.len(), ProtocolError::LongCount);
        };
        let count = parse_integer(text).ok_or(ProtocolError::Count)?;
        if count > self.limits.args as i64 {
            return Err(if self.limits.stranger { ProtocolError::StrangersCount } else { ProtocolError::Count });
        }
        if count <= 0 {
            return Ok(Some(Scanned::Nothing(after)));
        }
        self.missing = count as usize;
        self.at = after;
        self.expect = Expect::Size;
        Ok(None)
    }

    fn size(&mut self, bytes: &[u8]) -> Result<Option<Scanned>, ProtocolError> {
        match bytes.get(self.at) {
            None => return Ok(Some(Scanned::Incomplete(self.at + 1))),
            Some(b'$') => {}
            Some(other) => {
                // Redis looks for the line's end before it looks at the first byte.
                if self.line(bytes, self.at).is_none() {
                    return too_long(bytes.len() - self.at, ProtocolError::LongSize)
                        .map(|_| Some(Scanned::Incomplete(bytes.len() + 1)));
                }
                return Err(ProtocolError::NoBulk(*other));
            }
        }
        let Some((text, after)) = self.line(bytes, self.at + 1) else {
            return too_long(bytes.len() - self.at, ProtocolError::LongSize)
                .map(|_| Some(Scanned::Incomplete(bytes.len() + 1)));
        };
        let size = parse_integer(text).and_then(|size| usize::try_from(size).ok());
        let size = size.ok_or(ProtocolError::Size)?;
        if size > self.limits.argument {
            return Err(if self.limits.stranger { ProtocolError::StrangersSize } else { ProtocolError::Size });
        }
        self.at = after;
        self.expect = Expect::Argument(size);
        Ok(None)
    }

    fn argument(&mut self, bytes: &[u8], size: usize) -> Option<Scanned> {
        let end = self.at + size;
        let Some(terminator) = bytes.get(end..end + 2) else {
            return Some(Scanned::Incomplete(end + 2));
        };
        #[cfg(test)]
        (self.found += 1);
        self.odd |= terminator != b"\r\n";
        self.spans.push(Span { start: self.at as u32, end: end as u32 });
        self.at = end + 2;
        self.looked_at = false;
        self.missing -= 1;
        self.expect = Expect::Size;
        (self.missing == 0).then(|| self.whole(bytes))
    }

    fn whole(&mut self, bytes: &[u8]) -> Scanned {
        if self.odd {
            let spans = std::mem::take(&mut self.spans);
            let args: Vec<&[u8]> = spans.iter().map(|span| &bytes[span.start as usize..span.end as usize]).collect();
            self.rewrite(&args);
        }
        self.expect = Expect::Start;
        Scanned::Request(self.at)
    }

    fn inline(&mut self, bytes: &[u8]) -> Result<Scanned, ProtocolError> {
        self.restart();
        let Some(end) = memchr::memchr(b'\n', bytes) else {
            return too_long(bytes.len(), ProtocolError::LongInline)
                .map(|found| found.unwrap_or(Scanned::Incomplete(bytes.len() + 1)));
        };
        if end > LINE_MAX {
            return Err(ProtocolError::LongInline);
        }
        let line = bytes[..end].strip_suffix(b"\r").unwrap_or(&bytes[..end]);
        let words = inline::split(line).ok_or(ProtocolError::Quotes)?;
        if words.is_empty() {
            return Ok(Scanned::Nothing(end + 1));
        }
        let words: Vec<&[u8]> = words.iter().map(Vec::as_slice).collect();
        self.rewrite(&words);
        Ok(Scanned::Request(end + 1))
    }

    /// Writes the request anew in canonical form.
    fn rewrite(&mut self, args: &[&[u8]]) {
        write::array(&mut self.rewritten, args.len());
        for arg in args {
            write::bulk(&mut self.rewritten, arg);
            let end = self.rewritten.len() - 2;
            self.spans.push(Span { start: (end - arg.len()) as u32, end: end as u32 });
        }
    }

    /// The text from `start` to the next CR, and where the line after it begins. As in Redis, the
    /// byte behind the CR is not looked at; it is only noted that it was no LF.
    fn line<'a>(&mut self, bytes: &'a [u8], start: usize) -> Option<(&'a [u8], usize)> {
        let rest = bytes.get(start..)?;
        let len = short_line(rest).or_else(|| memchr::memchr(b'\r', rest))?;
        self.odd |= *rest.get(len + 1)? != b'\n';
        Some((&rest[..len], start + len + 2))
    }
}

/// Nearly every count and size has one to five digits: looking at them beats calling a search.
fn short_line(rest: &[u8]) -> Option<usize> {
    rest.iter().take(6).position(|byte| *byte == b'\r')
}

fn too_long(len: usize, error: ProtocolError) -> Result<Option<Scanned>, ProtocolError> {
    if len > LINE_MAX { Err(error) } else { Ok(Some(Scanned::Incomplete(len + 1))) }
}

#[cfg(test)]
#[path = "scan_tests.rs"]
mod tests;
