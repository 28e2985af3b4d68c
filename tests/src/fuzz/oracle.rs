//! What a client may be told: one reply to each request, in order, and the right one where that shows.

use pdw_router::limits::Limits;
use pdw_router::resp::{self, RequestScan, ScanLimits, Scanned, write};

use super::instance::value_of;

/// One request of a client.
#[derive(Debug)]
pub(super) enum Asked {
    /// A request within the limits.
    Request(Vec<Vec<u8>>),
    /// A request that is not held until it is whole: it passed as it came, or was refused.
    TooLong,
    /// Bytes that are no request: one error reply, then nothing.
    Broken,
}

/// Everything that a client has asked.
#[derive(Debug, Default)]
pub(super) struct Stream {
    pub(super) requests: Vec<Asked>,
    /// The least length of the request that is not whole, or how much follows from a broken one on; 0 if all are whole.
    pub(super) unfinished: usize,
}

impl Stream {
    /// Whether a MULTI has come after the last EXEC.
    pub(super) fn is_amid_transaction(&self) -> bool {
        let is =
            |asked: &Asked, name: &[u8]| matches!(asked, Asked::Request(args) if args[0].eq_ignore_ascii_case(name));
        let last = |name: &[u8]| self.requests.iter().rposition(|asked| is(asked, name));
        last(b"multi") > last(b"exec")
    }
}

/// A client's stream, as a scanner sees it that has all of it at once.
pub(super) fn asked(limits: &Limits, stream: &[u8]) -> Stream {
    let scan_limits = ScanLimits { args: limits.args_max, ..ScanLimits::default() };
    let mut scan = RequestScan::new(scan_limits);
    let (mut all, mut rest) = (Stream::default(), stream);
    loop {
        match scan.scan(rest) {
            Ok(Scanned::Request(len)) if len > limits.request_buffer_max => {
                all.requests.push(Asked::TooLong);
                rest = &rest[len..];
            }
            Ok(Scanned::Request(len)) => {
                all.requests.push(Asked::Request(scan.request(&rest[..len]).args(0).map(<[u8]>::to_vec).collect()));
                rest = &rest[len..];
            }
            Ok(Scanned::Nothing(len)) => rest = &rest[len..],
            Ok(Scanned::Incomplete(need)) => {
                all.unfinished = if rest.is_empty() { 0 } else { need };
                if need > limits.request_buffer_max {
                    all.requests.push(Asked::TooLong);
                }
                return all;
            }
            Err(_) => {
                all.unfinished = rest.len();
                all.requests.push(Asked::Broken);
                return all;
            }
        }
    }
}

/// Whether a session may be closed after this was answered.
pub(super) fn may_close(asked: &Asked) -> bool {
    match asked {
        Asked::Request(args) => args[0].eq_ignore_ascii_case(b"quit"),
        Asked::TooLong | Asked::Broken => true,
    }
}

/// Follows a session's replies.
#[derive(Debug, Default)]
pub(super) struct Oracle {
    /// The queued requests, between MULTI and EXEC.
    queued: Option<Vec<Vec<Vec<u8>>>>,
}

impl Oracle {
    /// A request above the limits may have been refused, or have passed as a large value.
    fn check_odd(&mut self, asked: &Asked, reply: &[u8]) {
        assert!(!matches!(asked, Asked::Broken) || resp::is_error(reply), "{}", text(reply));
        if let (Some(queued), b"+QUEUED\r\n") = (&mut self.queued, reply) {
            queued.push(anything());
        }
    }

    /// Looks at the next request and its reply.
    pub(super) fn check(&mut self, asked: &Asked, reply: &[u8]) {
        let Asked::Request(args) = asked else {
            return self.check_odd(asked, reply);
        };
        let name = args[0].to_ascii_lowercase();
        match (name.as_slice(), &mut self.queued) {
            (b"multi", None) if reply == b"+OK\r\n" => self.queued = Some(Vec::new()),
            (b"exec", Some(queued)) if args.len() == 1 => {
                executed(queued, reply);
                self.queued = None;
            }
            (b"discard" | b"reset", Some(_)) if !resp::is_error(reply) => self.queued = None,
            (_, Some(queued)) if reply == b"+QUEUED\r\n" => queued.push(args.clone()),
            (b"quit", Some(_)) => {}
            (_, Some(_)) => assert!(resp::is_error(reply), "{args:?} {} instead of +QUEUED", text(reply)),
            (_, None) => fits(args, reply),
        }
    }
}

/// An argument list that says nothing of the reply.
fn anything() -> Vec<Vec<u8>> {
    vec![b"?".to_vec()]
}

fn executed(queued: &[Vec<Vec<u8>>], reply: &[u8]) {
    if resp::is_error(reply) {
        return;
    }
    assert_eq!(resp::elements(reply).count(), queued.len(), "EXEC answered {}", text(reply));
    queued.iter().zip(resp::elements(reply)).for_each(|(args, element)| fits(args, element));
}

/// Holds a reply against what the model of an instance answers.
fn fits(args: &[Vec<u8>], reply: &[u8]) {
    let mut expected = Vec::new();
    match (args[0].to_ascii_lowercase().as_slice(), args.len()) {
        (b"get", 2) => write::bulk(&mut expected, &value_of(&args[1])),
        (b"echo", 2) => write::bulk(&mut expected, &args[1]),
        (b"mget", 2..) => {
            write::array(&mut expected, args.len() - 1);
            args[1..].iter().for_each(|key| write::bulk(&mut expected, &value_of(key)));
        }
        _ => return,
    }
    assert!(resp::is_error(reply) || reply == expected, "{args:?} answered {}", text(reply));
}

fn text(reply: &[u8]) -> String {
    String::from_utf8_lossy(reply).into_owned()
}
