//! What a client may be told: one reply to each request, in order, and the right one where that shows.

use pdw_router::limits::Limits;
use pdw_router::resp::{self, RequestScan, ScanLimits, Scanned, write};

use super::instance::value_of;
use super::story::{tell, text, words};

/// One request of a client.
#[derive(Debug)]
pub(super) enum Asked {
    /// A request within the limits.
    Request(Vec<Vec<u8>>),
    /// A request that is not held until it is whole: it passed as it came, or was refused.
    TooLong,
    /// The beginning of a request with a large value. It may be answered before it is whole: refused,
    /// given up with its link, or queued in a transaction that will carry nothing out.
    Begun,
    /// Bytes that are no request: one error reply, then nothing.
    Broken,
}

impl Asked {
    fn is(&self, name: &[u8]) -> bool {
        matches!(self, Self::Request(args) if args[0].eq_ignore_ascii_case(name))
    }

    /// Nothing behind it is read. A web browser is hung up on without a word.
    fn ends_session(&self) -> bool {
        [b"quit".as_slice(), b"post", b"host:"].iter().any(|name| self.is(name))
    }
}

/// Everything that a client has asked. What is [`Asked::Begun`] comes last but for what is broken.
#[derive(Debug, Default)]
pub(super) struct Stream {
    pub(super) requests: Vec<Asked>,
}

impl Stream {
    /// Whether a MULTI has come after the last EXEC.
    pub(super) fn is_amid_transaction(&self) -> bool {
        let last = |name: &[u8]| self.requests.iter().rposition(|asked| asked.is(name));
        last(b"multi") > last(b"exec")
    }

    /// Whether a large value has begun that is not whole.
    pub(super) fn is_amid_value(&self) -> bool {
        self.requests.iter().any(|asked| matches!(asked, Asked::Begun))
    }

    /// Whether it ends with what is no request.
    pub(super) fn is_broken(&self) -> bool {
        matches!(self.requests.last(), Some(Asked::Broken))
    }

    /// How many replies there have to be in the end.
    pub(super) fn required(&self) -> usize {
        self.requests.len() - usize::from(self.is_amid_value())
    }

    /// Whether a session may be closed after so many replies.
    pub(super) fn may_close_after(&self, replies: usize) -> bool {
        let last = replies.checked_sub(1).and_then(|last| self.requests.get(last));
        let ends = |asked: &Asked| asked.is(b"quit") || matches!(asked, Asked::TooLong | Asked::Broken);
        last.is_some_and(ends)
            || self.requests.get(replies).is_some_and(|next| next.ends_session() && !next.is(b"quit"))
    }
}

/// A client's stream, as a scanner sees it that has all of it at once.
pub(super) fn asked(limits: &Limits, stream: &[u8]) -> Stream {
    let scan_limits = ScanLimits { args: limits.args_max, ..ScanLimits::default() };
    let mut scan = RequestScan::new(scan_limits);
    let (mut requests, mut rest) = (Vec::new(), stream);
    loop {
        let (len, is_broken) = match scan.scan(rest) {
            Ok(Scanned::Request(len)) if len > limits.request_buffer_max => {
                requests.push(Asked::TooLong);
                rest = &rest[len..];
                continue;
            }
            Ok(Scanned::Request(len)) => {
                requests.push(Asked::Request(scan.request(&rest[..len]).args(0).map(<[u8]>::to_vec).collect()));
                rest = &rest[len..];
                if requests.last().is_some_and(Asked::ends_session) {
                    return Stream { requests };
                }
                continue;
            }
            Ok(Scanned::Nothing(len)) => {
                rest = &rest[len..];
                continue;
            }
            Ok(Scanned::Incomplete(need)) => (if rest.is_empty() { 0 } else { need }, false),
            Err(_) => (rest.len(), true),
        };
        requests.extend((len >= limits.large_min).then_some(Asked::Begun));
        requests.extend(is_broken.then_some(Asked::Broken));
        return Stream { requests };
    }
}

/// Follows a session's replies.
#[derive(Debug, Default)]
pub(super) struct Oracle {
    /// The queued requests, between MULTI and EXEC.
    queued: Option<Vec<Vec<Vec<u8>>>>,
}

impl Oracle {
    /// Nothing is known of such a request but that it may be in a transaction.
    fn check_odd(&mut self, reply: &[u8]) {
        if let (Some(queued), b"+QUEUED\r\n") = (&mut self.queued, reply) {
            queued.push(anything());
        }
    }

    /// Looks at the next request and its reply.
    pub(super) fn check(&mut self, asked: &Asked, reply: &[u8]) {
        let args = match asked {
            Asked::Request(args) => args,
            Asked::Broken => return assert!(resp::is_error(reply), "{}", text(reply)),
            Asked::TooLong | Asked::Begun => return self.check_odd(reply),
        };
        tell(|| format!("  {} => {}", words(args), text(reply)));
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
            (_, Some(_)) => {
                assert!(resp::is_error(reply), "{} answered {} instead of +QUEUED", words(args), text(reply))
            }
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
    assert!(resp::is_error(reply) || reply == expected, "{} answered {}", words(args), text(reply));
}
