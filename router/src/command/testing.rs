//! Requests for the tests of this module.

use crate::resp::{Request, Span};

/// The arguments of a request, owned.
pub(crate) struct Arguments {
    bytes: Vec<u8>,
    spans: Vec<Span>,
}

impl Arguments {
    /// Arguments written with one space between them.
    pub(crate) fn new(text: &str) -> Arguments {
        Arguments::from_parts(&text.split(' ').map(str::as_bytes).collect::<Vec<_>>())
    }

    /// Arguments of any bytes.
    pub(crate) fn from_parts(parts: &[&[u8]]) -> Arguments {
        let mut start = 0;
        let span = |part: &&[u8]| {
            let span = Span { start, end: start + part.len() as u32 };
            start = span.end;
            span
        };
        Arguments { spans: parts.iter().map(span).collect(), bytes: parts.concat() }
    }

    pub(crate) fn request(&self) -> Request<'_> {
        Request { bytes: &self.bytes, spans: &self.spans, missing: 0 }
    }
}
