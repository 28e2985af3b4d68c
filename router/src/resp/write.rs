//! Writers of RESP2: each appends to a buffer that its caller keeps.

/// Appends a decimal number.
pub fn number(out: &mut Vec<u8>, value: i64) {
    if value < 0 {
        out.push(b'-');
    }
    let mut digits = [0u8; 20];
    let mut at = digits.len();
    let mut rest = value.unsigned_abs();
    loop {
        at -= 1;
        digits[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}

fn header(out: &mut Vec<u8>, kind: u8, value: i64) {
    out.push(kind);
    number(out, value);
    out.extend_from_slice(b"\r\n");
}

/// Appends an array's head; its `len` elements are to follow.
pub fn array(out: &mut Vec<u8>, len: usize) {
    header(out, b'*', len as i64);
}

/// Appends a bulk string.
pub fn bulk(out: &mut Vec<u8>, text: &[u8]) {
    header(out, b'$', text.len() as i64);
    out.extend_from_slice(text);
    out.extend_from_slice(b"\r\n");
}

/// Appends a null bulk string.
pub fn nil(out: &mut Vec<u8>) {
    out.extend_from_slice(b"$-1\r\n");
}

/// Appends an integer reply.
pub fn integer(out: &mut Vec<u8>, value: i64) {
    header(out, b':', value);
}

/// Appends a simple string. The text must hold no line end.
pub fn simple(out: &mut Vec<u8>, text: &str) {
    out.push(b'+');
    out.extend_from_slice(text.as_bytes());
    out.extend_from_slice(b"\r\n");
}

/// Appends an error reply. Line ends in the text become spaces, as in Redis, so that what a client
/// sent and an error quotes can never be taken for another reply.
pub fn error(out: &mut Vec<u8>, text: &[u8]) {
    out.push(b'-');
    out.extend(text.iter().map(|byte| if matches!(byte, b'\r' | b'\n') { b' ' } else { *byte }));
    out.extend_from_slice(b"\r\n");
}

/// Appends a request: an array of bulk strings.
pub fn request<'a>(out: &mut Vec<u8>, len: usize, args: impl Iterator<Item = &'a [u8]>) {
    array(out, len);
    args.for_each(|arg| bulk(out, arg));
}

#[cfg(test)]
mod tests {
    #[test]
    fn numbers_of_every_size() {
        for value in [0, 1, -1, 9, 10, 65_536, i64::MAX, i64::MIN] {
            let mut out = Vec::new();
            super::number(&mut out, value);
            assert_eq!(out, value.to_string().as_bytes());
        }
    }

    #[test]
    fn an_error_stays_on_its_line() {
        let mut out = Vec::new();
        super::error(&mut out, b"ERR x\r\n+OK");
        assert_eq!(out, b"-ERR x  +OK\r\n");
    }
}
