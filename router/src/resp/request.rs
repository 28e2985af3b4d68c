//! A request's head: where its arguments lie.

/// Half-open byte range of one argument, relative to the start of its request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Span {
    /// First byte.
    pub start: u32,
    /// One past the last byte.
    pub end: u32,
}

/// One request as it lies in a buffer: its bytes and where its arguments are.
///
/// Argument 0 is the command's name. There is always at least one argument.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// The request's bytes, as a RESP array of bulk strings.
    pub bytes: &'a [u8],
    /// Where each argument lies in `bytes`.
    pub spans: &'a [Span],
    /// Arguments that are announced but have not arrived: with any of them this is a request's head only.
    pub missing: usize,
}

impl<'a> Request<'a> {
    /// Number of arguments, the command's name and those that have not arrived included.
    pub fn len(&self) -> usize {
        self.spans.len() + self.missing
    }

    /// Whether there is no argument at all, which a scanner never hands out.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Argument `index`; empty where there is none, or it has not arrived.
    pub fn arg(&self, index: usize) -> &'a [u8] {
        let Some(span) = self.spans.get(index) else { return &[] };
        &self.bytes[span.start as usize..span.end as usize]
    }

    /// The arguments from `first` on, as far as they have arrived.
    pub fn args(&self, first: usize) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let bytes = self.bytes;
        self.spans.iter().skip(first).map(move |span| &bytes[span.start as usize..span.end as usize])
    }
}

/// The first eight bytes of a text as a number, the first one lowest; zeros where it ends before.
#[inline]
pub fn first_word(text: &[u8]) -> u64 {
    text.first_chunk().map_or_else(|| padded(text), |bytes| u64::from_le_bytes(*bytes))
}

/// The same of a shorter text.
#[cold]
fn padded(text: &[u8]) -> u64 {
    let mut bytes = [0; size_of::<u64>()];
    if let Some(begin) = bytes.get_mut(..text.len()) {
        begin.copy_from_slice(text);
    }
    u64::from_le_bytes(bytes)
}
