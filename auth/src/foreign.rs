//! Far ends that speak another protocol, seen by their first bytes.
//!
//! What a sealed far end sends first is random. The beginnings below have 32 bits or more that are always the same, so
//! one connection in four thousand million is refused by mistake, once.

use crate::SealError;

/// Beginnings of what instances and clients say in plain RESP, besides an array.
const RESP: [&[u8]; 6] = [b"PING\r\n", b"-ERR ", b"-NOAUTH ", b"-DENIED ", b"-LOADING ", b"-MISCONF "];

/// Refuses a far end that begins as one of another protocol does.
pub(crate) fn refuse(wire: &[u8]) -> Result<(), SealError> {
    match wire {
        _ if is_array(wire) || RESP.iter().any(|start| wire.starts_with(start)) => {
            Err(SealError::Foreign("plain RESP"))
        }
        // A TLS record with a ClientHello.
        [0x16, 3, 1, _, _, 1, ..] => Err(SealError::Foreign("TLS")),
        _ => Ok(()),
    }
}

/// `*` with a short number of arguments, the first one's `$` behind it.
fn is_array(wire: &[u8]) -> bool {
    matches!(
        wire,
        [b'*', b'0'..=b'9', b'\r', b'\n', b'$', ..] | [b'*', b'0'..=b'9', b'0'..=b'9', b'\r', b'\n', b'$', ..]
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_protocols_are_named() {
        for plain in [&b"*1\r\n$4\r\nPING\r\n"[..], b"*12\r\n$4\r\n", b"PING\r\n", b"-ERR Protocol error\r\n"] {
            assert_eq!(refuse(plain), Err(SealError::Foreign("plain RESP")), "{}", plain.escape_ascii());
        }
        assert_eq!(refuse(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"), Err(SealError::Foreign("TLS")));
        for random in [&b""[..], b"*", b"*1\r\n", b"\x16\x03\x01", b"*1\r$\n"] {
            assert_eq!(refuse(random), Ok(()), "{}", random.escape_ascii());
        }
    }
}
