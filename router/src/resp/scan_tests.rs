use super::*;

fn scan_all(bytes: &[u8]) -> Result<Vec<Vec<Vec<u8>>>, ProtocolError> {
    let mut scan = RequestScan::default();
    let (mut found, mut rest) = (Vec::new(), bytes);
    loop {
        match scan.scan(rest)? {
            Scanned::Request(len) => {
                let request = scan.request(&rest[..len]);
                found.push(request.args(0).map(<[u8]>::to_vec).collect());
                rest = &rest[len..];
            }
            Scanned::Nothing(len) => rest = &rest[len..],
            Scanned::Incomplete(_) => return Ok(found),
        }
    }
}

/// Feeds the stream byte by byte, as the slowest client would.
fn scan_bytewise(bytes: &[u8]) -> Result<Vec<Vec<Vec<u8>>>, ProtocolError> {
    let mut scan = RequestScan::default();
    let (mut found, mut start) = (Vec::new(), 0);
    for end in 1..=bytes.len() {
        match scan.scan(&bytes[start..end])? {
            Scanned::Request(len) => {
                found.push(scan.request(&bytes[start..end]).args(0).map(<[u8]>::to_vec).collect());
                start += len;
            }
            Scanned::Nothing(len) => start += len,
            Scanned::Incomplete(need) => assert!(need > end - start, "asks for less than it has"),
        }
    }
    Ok(found)
}

#[test]
fn pipelined_requests_and_inline_commands() {
    let bytes = b"*2\r\n$3\r\nGET\r\n$1\r\na\r\nPING\r\n\r\n*0\r\n*-1\r\n*1\r\n$4\r\nPING\r\nSET a 'b c'\n";
    let expected: Vec<Vec<Vec<u8>>> = vec![
        vec![b"GET".to_vec(), b"a".to_vec()],
        vec![b"PING".to_vec()],
        vec![b"PING".to_vec()],
        vec![b"SET".to_vec(), b"a".to_vec(), b"b c".to_vec()],
    ];
    assert_eq!(scan_all(bytes).unwrap(), expected);
    assert_eq!(scan_bytewise(bytes).unwrap(), expected);
}

#[test]
fn errors_are_those_of_redis() {
    let cases: [(&[u8], ProtocolError); 9] = [
        (b"*x\r\n", ProtocolError::Count),
        (b"*99999999999\r\n", ProtocolError::Count),
        (b"*01\r\n", ProtocolError::Count),
        (b"*1\r\n$-1\r\n", ProtocolError::Size),
        (b"*1\r\n$999999999999\r\n", ProtocolError::Size),
        (b"*1\r\n$x\r\n", ProtocolError::Size),
        (b"*1\r\nGET\r\n", ProtocolError::NoBulk(b'G')),
        (b"*1\r\n:1\r\n", ProtocolError::NoBulk(b':')),
        (b"SET 'a\r\n", ProtocolError::Quotes),
    ];
    for (bytes, error) in cases {
        assert_eq!(scan_all(bytes), Err(error), "{:?}", String::from_utf8_lossy(bytes));
        assert_eq!(scan_bytewise(bytes), Err(error), "{:?}", String::from_utf8_lossy(bytes));
    }
}

#[test]
fn lines_without_end_are_cut() {
    let long = vec![b'1'; LINE_MAX + 2];
    let with = |head: &[u8]| [head, &long[..]].concat();
    assert_eq!(scan_all(&long), Err(ProtocolError::LongInline));
    assert_eq!(scan_all(&with(b"*")), Err(ProtocolError::LongCount));
    assert_eq!(scan_all(&with(b"*1\r\n$")), Err(ProtocolError::LongSize));
    assert_eq!(scan_all(&with(b"*1\r\nx")), Err(ProtocolError::LongSize));
}

#[test]
fn a_crooked_line_end_is_straightened_before_it_travels() {
    let mut scan = RequestScan::default();
    let bytes = b"*2\r\n$3\r\nGETxx$1\r\naxx";
    assert_eq!(scan.scan(bytes), Ok(Scanned::Request(bytes.len())));
    let request = scan.request(bytes);
    assert_eq!(request.bytes, b"*2\r\n$3\r\nGET\r\n$1\r\na\r\n");
    assert_eq!(request.arg(1), b"a");
}

#[test]
fn agrees_with_the_redis_protocol_crate() {
    use redis_protocol::resp2::{
        decode::decode,
        types::{OwnedFrame, Resp2Frame},
    };
    let mut random = fastrand::Rng::with_seed(7);
    for _ in 0..2000 {
        let args: Vec<Vec<u8>> =
            (0..random.usize(1..6)).map(|_| (0..random.usize(0..40)).map(|_| random.u8(..)).collect()).collect();
        let mut bytes = Vec::new();
        write::request(&mut bytes, args.len(), args.iter().map(Vec::as_slice));
        let Ok(Some((OwnedFrame::Array(frames), len))) = decode(&bytes) else { panic!("the oracle refuses") };
        let oracle: Vec<Vec<u8>> = frames.iter().map(|frame| frame.as_bytes().unwrap().to_vec()).collect();
        assert_eq!(scan_all(&bytes).unwrap(), vec![oracle]);
        assert_eq!(len, bytes.len());
    }
}

#[test]
fn an_argument_that_arrives_slowly_is_looked_at_once() {
    let mut scan = RequestScan::default();
    let mut bytes = b"*4\r\n$4\r\nMSET\r\n$1\r\na\r\n$5\r\nx".to_vec();
    let mut begins = |scan: &mut RequestScan, more: &[u8]| {
        bytes.extend_from_slice(more);
        assert!(matches!(scan.scan(&bytes), Ok(Scanned::Incomplete(_))));
        (scan.begins(6), scan.begins(5))
    };
    assert_eq!(begins(&mut scan, b""), (false, true));
    assert_eq!(begins(&mut scan, b"x"), (false, false));
    // The next one is another.
    assert_eq!(begins(&mut scan, b"xxx\r\n$7\r\n"), (true, false));
    assert_eq!(begins(&mut scan, b"y"), (false, false));
}
