//! Fuzz target `scanner`: however a stream is cut, the scanners find the same in it.

use pdw_router::resp::{self, ProtocolError, ReplyError, ReplyScan, RequestScan, ScanLimits, Scanned, write};
use redis_protocol::resp2::decode::decode;
use redis_protocol::resp2::types::{OwnedFrame, Resp2Frame};

use super::script::Script;

/// Beyond this nesting the oracle, which recurses, is not asked.
const ORACLE_DEPTH: usize = 64;

/// Runs one input: a byte that chooses the scanner and its limits, four sizes of pieces, the stream.
pub fn scanner(input: &[u8]) {
    let mut script = Script::new(input);
    let mode = script.byte();
    let pieces: [usize; 4] = std::array::from_fn(|_| usize::from(script.byte()).max(1));
    let stream = script.rest();
    if mode & 1 == 0 {
        requests(scan_limits(mode), &pieces, stream);
    } else {
        replies(&pieces, stream);
    }
}

fn scan_limits(mode: u8) -> ScanLimits {
    if mode & 2 == 0 { ScanLimits::default() } else { ScanLimits { args: 8, argument: 64, stranger: false } }
}

/// What a scanner found: where each value ended, its arguments, and the error that ended the stream.
#[derive(Debug)]
struct Found<E> {
    values: Vec<(usize, Vec<Vec<u8>>)>,
    error: Option<E>,
}

/// Ends of the pieces in which the stream arrives.
fn cuts(pieces: &[usize], len: usize) -> impl Iterator<Item = usize> {
    let mut at = 0;
    let ends = pieces.iter().cycle().map(move |piece| {
        at += piece;
        at
    });
    ends.take_while(move |end| *end < len).chain(std::iter::once(len))
}

fn requests(limits: ScanLimits, pieces: &[usize], stream: &[u8]) {
    let whole = find_requests(limits, std::iter::once(stream.len()), stream);
    let cut = find_requests(limits, cuts(pieces, stream.len()), stream);
    assert_eq!(whole.values, cut.values);
    match (whole.error, cut.error) {
        (Some(one), Some(other)) => assert!(one == other || runs_on(one) || runs_on(other), "{one:?}, {other:?}"),
        (one, other) => assert_eq!(one, other),
    }
}

/// Whether a line was given up before its end was seen; as in Redis, that depends on what had arrived.
fn runs_on(error: ProtocolError) -> bool {
    matches!(error, ProtocolError::LongCount | ProtocolError::LongSize | ProtocolError::LongInline)
}

fn find_requests(limits: ScanLimits, ends: impl Iterator<Item = usize>, stream: &[u8]) -> Found<ProtocolError> {
    let mut scan = RequestScan::new(limits);
    let mut found = Found { values: Vec::new(), error: None };
    let (mut start, mut needed) = (0, 0);
    for end in ends {
        loop {
            let arrived = &stream[start..end];
            let len = match scan.scan(arrived) {
                Ok(Scanned::Request(len)) => {
                    found.values.push((start + len, request_args(limits, &scan, &arrived[..len])));
                    len
                }
                Ok(Scanned::Nothing(len)) => len,
                Ok(Scanned::Incomplete(need)) => {
                    assert!(need > arrived.len(), "asks for {need} bytes and has {}", arrived.len());
                    needed = need;
                    break;
                }
                Err(error) => return Found { error: Some(error), ..found },
            };
            assert!(needed <= len && 0 < len && len <= arrived.len(), "{len} bytes, {needed} announced");
            (start, needed) = (start + len, 0);
        }
    }
    found
}

/// The arguments of a request that was found, after a look at all that is promised about it.
fn request_args(limits: ScanLimits, scan: &RequestScan, bytes: &[u8]) -> Vec<Vec<u8>> {
    let request = scan.request(bytes);
    let args: Vec<Vec<u8>> = request.args(0).map(<[u8]>::to_vec).collect();
    assert!(!args.is_empty() && args.len() == request.len());
    let mut canonical = Vec::new();
    write::request(&mut canonical, args.len(), args.iter().map(Vec::as_slice));
    assert_eq!(request.bytes, canonical, "what would travel is not in canonical form");
    // An inline command may have more words than a RESP request may have arguments.
    if args.len() <= limits.args {
        scans_to(limits, &canonical, &args);
    }
    agree_with_oracle(&canonical, &args);
    args
}

fn scans_to(limits: ScanLimits, canonical: &[u8], args: &[Vec<u8>]) {
    if args.iter().any(|arg| arg.len() > limits.argument) {
        return;
    }
    let mut again = RequestScan::new(limits);
    assert_eq!(again.scan(canonical), Ok(Scanned::Request(canonical.len())));
    let request = again.request(canonical);
    assert!(request.bytes == canonical && request.args(0).eq(args.iter().map(Vec::as_slice)));
}

fn agree_with_oracle(canonical: &[u8], args: &[Vec<u8>]) {
    let decoded = decode(canonical);
    assert!(matches!(decoded, Ok(Some((OwnedFrame::Array(_), len))) if len == canonical.len()), "{decoded:?}");
    let Ok(Some((OwnedFrame::Array(frames), _))) = decoded else { return };
    assert!(frames.iter().map(|frame| frame.as_bytes()).eq(args.iter().map(|arg| Some(arg.as_slice()))));
}

fn replies(pieces: &[usize], stream: &[u8]) {
    let whole = find_replies(std::iter::once(stream.len()), stream);
    let cut = find_replies(cuts(pieces, stream.len()), stream);
    assert_eq!(whole.values, cut.values);
    let runs_on = |error| error == Some(ReplyError::LongLine);
    assert!(whole.error == cut.error || runs_on(whole.error) || runs_on(cut.error), "{whole:?}, {cut:?}");
}

fn find_replies(ends: impl Iterator<Item = usize>, stream: &[u8]) -> Found<ReplyError> {
    let mut scan = ReplyScan::default();
    let mut found = Found { values: Vec::new(), error: None };
    let mut start = 0;
    for end in ends {
        loop {
            match scan.scan(&stream[start..end]) {
                Ok(Some(len)) => {
                    assert!(0 < len && start + len <= end);
                    let reply = &stream[start..start + len];
                    found.values.push((start + len, reply_parts(reply)));
                    start += len;
                }
                Ok(None) => break,
                Err(error) => return Found { error: Some(error), ..found },
            }
        }
    }
    found
}

/// The elements of a reply that was found, after a look at all that is promised about it.
fn reply_parts(reply: &[u8]) -> Vec<Vec<u8>> {
    assert_eq!(ReplyScan::default().scan(reply), Ok(Some(reply.len())), "it depends on what follows");
    let elements: Vec<Vec<u8>> = resp::elements(reply).map(<[u8]>::to_vec).collect();
    let head = 1 + resp::line(reply).len() + 2;
    if reply[0] == b'*' {
        assert_eq!([&reply[..head], &elements.concat()[..]].concat(), reply);
    } else {
        assert!(elements.is_empty());
    }
    assert!(!(resp::is_error(reply) && resp::is_nil(reply)));
    assert!(resp::integer(reply).is_none() || reply[0] == b':');
    oracle_agrees(reply);
    elements
}

/// The oracle refuses some numbers; where it accepts, it has found the same end.
fn oracle_agrees(reply: &[u8]) {
    if reply.iter().filter(|byte| **byte == b'*').count() > ORACLE_DEPTH {
        return;
    }
    if let Ok(Some((_, len))) = decode(reply) {
        assert_eq!(len, reply.len());
    }
}
