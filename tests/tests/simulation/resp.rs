//! Just enough RESP to be the other side of a router, written without the router's own scanner.

/// A request's arguments.
pub(crate) type Args = Vec<Vec<u8>>;

/// A request as it goes on the wire.
pub(crate) fn encode(args: &[Vec<u8>]) -> Vec<u8> {
    let mut out = format!("*{}\r\n", args.len()).into_bytes();
    for arg in args {
        out.extend_from_slice(&bulk(arg));
    }
    out
}

/// A bulk string.
pub(crate) fn bulk(text: &[u8]) -> Vec<u8> {
    [format!("${}\r\n", text.len()).as_bytes(), text, b"\r\n"].concat()
}

/// An array of whole replies.
pub(crate) fn array<T: AsRef<[u8]>>(elements: &[T]) -> Vec<u8> {
    let mut out = format!("*{}\r\n", elements.len()).into_bytes();
    elements.iter().for_each(|element| out.extend_from_slice(element.as_ref()));
    out
}

/// The first request in `bytes` and its length, if it is whole.
///
/// # Errors
/// It is no request as a router may write it: an array of bulk strings.
pub(crate) fn request(bytes: &[u8]) -> Result<Option<(Args, usize)>, String> {
    let Some((count, mut at)) = header(bytes, b'*')? else { return Ok(None) };
    let mut args = Args::new();
    for _ in 0..count {
        let Some((size, start)) = header(&bytes[at..], b'$')? else { return Ok(None) };
        let (start, end) = (at + start, at + start + size as usize);
        let Some(arg) = bytes.get(start..end + 2) else { return Ok(None) };
        args.push(arg[..arg.len() - 2].to_vec());
        at = end + 2;
    }
    Ok(Some((args, at)))
}

/// Length of the first reply in `bytes`, if it is whole.
///
/// # Errors
/// It is no reply.
pub(crate) fn reply_len(bytes: &[u8]) -> Result<Option<usize>, String> {
    let Some(kind) = bytes.first() else { return Ok(None) };
    match kind {
        b'+' | b'-' | b':' => Ok(line(bytes).map(|line| line.len() + 2)),
        b'$' => {
            let Some((size, start)) = header(bytes, b'$')? else { return Ok(None) };
            let end = if size < 0 { start } else { start + size as usize + 2 };
            Ok((bytes.len() >= end).then_some(end))
        }
        b'*' => {
            let Some((count, mut at)) = header(bytes, b'*')? else { return Ok(None) };
            for _ in 0..count {
                let Some(len) = reply_len(&bytes[at..])? else { return Ok(None) };
                at += len;
            }
            Ok(Some(at))
        }
        _ => Err(format!("not a reply: {:?}", shown(bytes))),
    }
}

/// The elements of an array reply.
pub(crate) fn elements(reply: &[u8]) -> Option<Vec<&[u8]>> {
    let (count, mut at) = header(reply, b'*').ok()??;
    let mut found = Vec::new();
    for _ in 0..count {
        let len = reply_len(&reply[at..]).ok()??;
        found.push(&reply[at..at + len]);
        at += len;
    }
    Some(found)
}

/// The number in an integer reply.
pub(crate) fn integer(reply: &[u8]) -> Option<i64> {
    header(reply, b':').ok()?.map(|(value, _)| value)
}

/// Bytes for people.
pub(crate) fn shown(bytes: &[u8]) -> String {
    let text = bytes[..bytes.len().min(160)].escape_ascii().to_string();
    if bytes.len() > 160 { format!("{text}... ({} bytes)", bytes.len()) } else { text }
}

/// The number after the first byte, and where the line ends.
fn header(bytes: &[u8], kind: u8) -> Result<Option<(i64, usize)>, String> {
    match bytes.first() {
        None => return Ok(None),
        Some(first) if *first != kind => return Err(format!("no {:?} here: {}", char::from(kind), shown(bytes))),
        Some(_) => {}
    }
    let Some(line) = line(bytes) else { return Ok(None) };
    let number = std::str::from_utf8(&line[1..]).ok().and_then(|text| text.parse().ok());
    number.map(|number| Some((number, line.len() + 2))).ok_or_else(|| format!("no number: {}", shown(line)))
}

fn line(bytes: &[u8]) -> Option<&[u8]> {
    bytes.windows(2).position(|pair| pair == b"\r\n").map(|len| &bytes[..len])
}

#[test]
fn replies_end_where_they_should() {
    for reply in ["+OK\r\n", ":-1\r\n", "$-1\r\n", "$2\r\n\r\n\r\n", "*2\r\n*1\r\n:1\r\n$0\r\n\r\n", "*0\r\n"] {
        for cut in 0..reply.len() {
            assert_eq!(reply_len(&reply.as_bytes()[..cut]), Ok(None), "{reply} cut at {cut}");
        }
        assert_eq!(reply_len(&[reply.as_bytes(), b"+X"].concat()), Ok(Some(reply.len())));
    }
    assert!(reply_len(b"HTTP/1.1").is_err());
}
