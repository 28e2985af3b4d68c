//! RESP2 replies: the smallest parser that tells where one ends and what it says.
//!
//! Written apart from the proxy's own scanner, so that a mistake there is not repeated here.

use std::fmt;
use std::io;

/// What a reply says.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Value {
    /// `+text`
    Simple(Vec<u8>),
    /// `-text`
    Error(Vec<u8>),
    /// `:number`
    Integer(i64),
    /// `$n`; none for `$-1`.
    Bulk(Option<Vec<u8>>),
    /// `*n`; none for `*-1`.
    Array(Option<Vec<Value>>),
}

impl Value {
    /// Text of an error reply.
    pub fn error(&self) -> Option<String> {
        match self {
            Value::Error(text) => Some(String::from_utf8_lossy(text).into_owned()),
            _ => None,
        }
    }

    /// The bytes of a bulk or simple string; empty for nil and everything else.
    pub fn bytes(&self) -> &[u8] {
        match self {
            Value::Bulk(Some(bytes)) | Value::Simple(bytes) => bytes,
            _ => &[],
        }
    }

    /// The bytes as text, for lines that are known to be text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(self.bytes()).into_owned()
    }

    /// The elements of an array; none for nil and everything else.
    pub fn elements(&self) -> &[Value] {
        match self {
            Value::Array(Some(elements)) => elements,
            _ => &[],
        }
    }

    /// The number of an integer reply.
    pub fn integer(&self) -> Option<i64> {
        match self {
            Value::Integer(number) => Some(*number),
            _ => None,
        }
    }
}

/// One reply: its bytes as they came, and what they say.
#[derive(Clone, PartialEq, Eq)]
pub struct Reply {
    /// The reply as it was on the wire.
    pub raw: Vec<u8>,
    /// The same, read.
    pub value: Value,
}

impl fmt::Debug for Reply {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&printable(&self.raw))
    }
}

/// Bytes as one line of ASCII, cut after 300 characters.
pub fn printable(bytes: &[u8]) -> String {
    let text = bytes.escape_ascii().to_string();
    if text.len() <= 300 { text } else { format!("{}... ({} bytes)", &text[..300], bytes.len()) }
}

/// The first reply in `input` and its length in bytes; `None` while it is incomplete.
///
/// # Errors
/// When the bytes are no RESP2.
pub fn parse(input: &[u8]) -> io::Result<Option<(Value, usize)>> {
    let Some(end) = input.windows(2).position(|pair| pair == b"\r\n") else { return Ok(None) };
    let (line, after) = (&input[1..end.max(1)], end + 2);
    match input[0] {
        b'+' => Ok(Some((Value::Simple(line.to_vec()), after))),
        b'-' => Ok(Some((Value::Error(line.to_vec()), after))),
        b':' => Ok(Some((Value::Integer(number(line)?), after))),
        b'$' => bulk(input, after, number(line)?),
        b'*' => array(input, after, number(line)?),
        _ => Err(io::Error::new(io::ErrorKind::InvalidData, format!("no RESP2 reply: {}", printable(input)))),
    }
}

fn number(line: &[u8]) -> io::Result<i64> {
    let parsed = std::str::from_utf8(line).ok().and_then(|text| text.parse().ok());
    parsed.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, format!("no number: {}", printable(line))))
}

fn bulk(input: &[u8], start: usize, length: i64) -> io::Result<Option<(Value, usize)>> {
    let Ok(length) = usize::try_from(length) else { return Ok(Some((Value::Bulk(None), start))) };
    let end = start + length;
    if input.len() < end + 2 {
        return Ok(None);
    }
    Ok(Some((Value::Bulk(Some(input[start..end].to_vec())), end + 2)))
}

fn array(input: &[u8], start: usize, count: i64) -> io::Result<Option<(Value, usize)>> {
    let Ok(count) = usize::try_from(count) else { return Ok(Some((Value::Array(None), start))) };
    let (mut elements, mut at) = (Vec::new(), start);
    for _ in 0..count {
        let Some((element, length)) = parse(&input[at..])? else { return Ok(None) };
        elements.push(element);
        at += length;
    }
    Ok(Some((Value::Array(Some(elements)), at)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_prefix_of_a_reply_is_incomplete_and_the_whole_is_read() {
        let raw = b"*4\r\n$3\r\na\r\n\r\n:-7\r\n*-1\r\n-ERR no\r\n";
        for cut in 0..raw.len() {
            assert_eq!(parse(&raw[..cut]).unwrap(), None, "cut at {cut}");
        }
        let (value, length) = parse(raw).unwrap().unwrap();
        assert_eq!(length, raw.len());
        assert_eq!(value.elements()[0].bytes(), b"a\r\n");
        assert_eq!(value.elements()[1].integer(), Some(-7));
        assert_eq!(value.elements()[3].error().as_deref(), Some("ERR no"));
    }

    #[test]
    fn what_is_no_reply_is_an_error() {
        assert!(parse(b"hello\r\n").is_err());
        assert!(parse(b"$x\r\n").is_err());
    }
}
