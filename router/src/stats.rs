//! Plain numbers that a router counts; its driver copies them out when somebody asks.

use std::time::Duration;

use crate::command::Repeat;
use crate::refusal::REFUSAL_KINDS;

/// Buckets of a [`Histogram`]: two per octave, the last one open.
pub const BUCKETS: usize = 64;

/// Counts of values in buckets of which an octave has two.
///
/// Bucket `2k` ends at 2^k * 1.5, bucket `2k + 1` at 2^(k + 1), both exclusive; so a bucket is the
/// two leading bits of its values. The crate `pdw-metrics` has the same.
#[derive(Clone, Debug)]
pub struct Histogram {
    /// How many values fell into each bucket.
    pub counts: [u64; BUCKETS],
    /// Sum of all values.
    pub sum: u64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { counts: [0; BUCKETS], sum: 0 }
    }
}

impl Histogram {
    /// Counts one value.
    pub fn observe(&mut self, value: u64) {
        self.counts[Self::bucket(value)] += 1;
        self.sum += value;
    }

    /// The bucket of a value; values 0 and 1 share the first.
    pub fn bucket(value: u64) -> usize {
        let value = value.max(1);
        let octave = value.ilog2() as usize;
        let half = if octave == 0 { 0 } else { (value >> (octave - 1)) as usize & 1 };
        (2 * octave + half).min(BUCKETS - 1)
    }

    /// The smallest value that lies above bucket `index`.
    pub fn bound(index: usize) -> u64 {
        let octave = index / 2;
        if index.is_multiple_of(2) { ((3u64 << octave) / 2).max(2) } else { 2u64 << octave }
    }
}

/// What one router has seen since it began.
#[derive(Clone, Debug, Default)]
pub struct Stats {
    /// Requests by command, indexed like the command table.
    pub requests: Vec<u64>,
    /// Requests for commands that no table knows.
    pub unknown_requests: u64,
    /// Refusals by kind, indexed like [`REFUSAL_KINDS`].
    pub refusals: [u64; REFUSAL_KINDS.len()],
    /// Sessions that broke the protocol.
    pub protocol_errors: u64,
    /// Sessions accepted.
    pub sessions_opened: u64,
    /// Streams accepted from proxies below.
    pub streams_accepted: u64,
    /// Sessions that are over, by reason, indexed like [`CLOSE_REASONS`].
    pub sessions_closed: [u64; CLOSE_REASONS.len()],
    /// Replies handed over, refusals included.
    pub replies: u64,
    /// Error replies of upstreams by first word, indexed like [`ERROR_WORDS`].
    pub upstream_errors: [u64; ERROR_WORDS.len()],
    /// Bytes from and to clients, from and to upstreams.
    pub bytes: Bytes,
    /// Replies that no one waited for any more.
    pub discarded_replies: u64,
    /// Links that were lost.
    pub links_lost: u64,
    /// Framed links of which the connection was lost, and that went on on another one; and those that did not.
    pub links_resumed: u64,
    /// See [`links_resumed`](Self::links_resumed).
    pub links_unresumed: u64,
    /// Shared links taken out of service because of a large reply.
    pub links_retired: u64,
    /// Wrong passwords.
    pub logins_failed: u64,
    /// Passwords that were not looked at because too many wrong ones came before.
    pub logins_postponed: u64,
    /// Requests sent again after their link was lost, indexed like [`REPEAT_KINDS`].
    pub repeats: [u64; REPEAT_KINDS.len()],
    /// Errors of upstreams that were not handed on, the request being tried again; indexed like [`ERROR_WORDS`].
    pub retries: [u64; ERROR_WORDS.len()],
    /// Fences that an instance refused, and that it confirmed.
    pub fences: [u64; 2],
    /// Links that were silent for too long with requests unanswered.
    pub silences: u64,
    /// Bytes of large requests that were kept in files.
    pub spooled_bytes: u64,
    /// Files that could not be made, written or read.
    pub spool_failures: u64,
    /// Sessions closed because the ceiling on memory was reached.
    pub sheds: u64,
    /// Sessions closed because a large value stood still while others waited.
    pub stalls: u64,
    /// From a request's arrival to the moment its reply was handed over, in microseconds.
    pub latency: Histogram,
    /// Requests per write to a link.
    pub batch: Histogram,
}

/// Bytes moved, seen from the proxy.
#[derive(Clone, Copy, Debug, Default)]
pub struct Bytes {
    /// Read from clients.
    pub from_clients: u64,
    /// Written to clients.
    pub to_clients: u64,
    /// Read from upstreams.
    pub from_upstreams: u64,
    /// Written to upstreams.
    pub to_upstreams: u64,
}

/// Why sessions are closed; the same order as [`CloseReason`].
pub const CLOSE_REASONS: [&str; 9] =
    ["client", "quit", "protocol_error", "too_many", "upstream", "stalled", "memory", "drain", "user"];

/// Why a session is closed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum CloseReason {
    /// The client closed its connection, or it broke.
    #[default]
    Client,
    /// QUIT.
    Quit,
    /// What it sent could not be understood.
    Protocol,
    /// There were too many sessions.
    TooMany,
    /// Its upstream was lost in the middle of a large value.
    Upstream,
    /// It moved nothing of a large value while others waited.
    Stalled,
    /// The ceiling on memory was reached.
    Memory,
    /// The proxy was ending, and the client silent.
    Drain,
    /// Its user is gone, or its password.
    User,
}

/// First words of error replies that are counted apart; the last stands for all others.
pub const ERROR_WORDS: [&str; 18] = [
    "ERR",
    "WRONGTYPE",
    "OOM",
    "NOSCRIPT",
    "EXECABORT",
    "LOADING",
    "BUSY",
    "TRYAGAIN",
    "MASTERDOWN",
    "CLUSTERDOWN",
    "READONLY",
    "MISCONF",
    "NOREPLICAS",
    "NOPERM",
    "NOAUTH",
    "MOVED",
    "CROSSSLOT",
    "other",
];

/// What one router holds right now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Holding {
    /// Sessions with a connection of their own, framed links left out.
    pub sessions: usize,
    /// Requests that are not answered yet.
    pub pending: usize,
    /// Requests on links that are not answered yet, the proxy's own included.
    pub in_flight: usize,
    /// Links by lane (shared, bulk, control, framed) and stage (down, connecting, proving, ready, silent).
    pub links: [[usize; 5]; 4],
    /// Files with large requests.
    pub spools: usize,
    /// Bytes of these files, or room for them.
    pub spooled_bytes: u64,
    /// Streams opened to proxies above, and accepted from proxies below.
    pub streams: [usize; 2],
    /// Framed links accepted from proxies below.
    pub accepted: usize,
    /// Framed links of proxies below that have no connection.
    pub severed: usize,
    /// Bytes of requests that are not whole, or wait to be looked at.
    pub request_bytes: usize,
    /// Bytes of transactions that wait for their EXEC.
    pub transaction_bytes: usize,
    /// Bytes of requests that wait to be written to a link, or to be answered.
    pub batch_bytes: usize,
    /// Of these, bytes of requests that are there: the rest is room for more.
    pub kept_bytes: usize,
    /// Of these, bytes that were written, and are kept until they are answered.
    pub retained_bytes: usize,
    /// Bytes of replies that wait to be written to a session, or for other replies.
    pub reply_bytes: usize,
    /// Memory of what is noted of requests: where arguments lie, who waits for which reply.
    pub record_bytes: usize,
    /// Bytes that the driver holds of connections, as [`Input::Buffered`](crate::Input::Buffered) and
    /// [`Input::GuestBytes`](crate::Input::GuestBytes) told.
    pub buffered_bytes: usize,
}

/// How near a router is to its limits: the most that any one session, link or upstream uses right now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Peaks {
    /// Bytes of an unfinished request that a session holds.
    pub request_bytes: usize,
    /// Bytes of a transaction that a session holds.
    pub transaction_bytes: usize,
    /// Unanswered requests of a session.
    pub session_pending: usize,
    /// Reply bytes that a session has not taken.
    pub session_output: usize,
    /// Request bytes that a link has not taken.
    pub link_output: usize,
    /// Bulk lanes to an upstream.
    pub bulk_lanes: usize,
    /// Framed links to an upstream.
    pub peer_links: usize,
    /// Sessions that one framed link carries.
    pub streams: usize,
    /// Bytes of a stream that have come and that nobody has taken.
    pub stream_window: usize,
    /// The same of all streams of a framed link.
    pub peer_window: usize,
    /// Bytes that are kept of what was sent on a framed link, or held for one without a connection.
    pub resume: usize,
}

impl Holding {
    /// All bytes that are held.
    pub fn bytes(&self) -> usize {
        let requests = self.request_bytes + self.transaction_bytes + self.record_bytes;
        requests + self.batch_bytes + self.reply_bytes + self.buffered_bytes
    }
}

/// Whether the reply to a repeated request is the one it would have had: an integer may not be.
pub const REPEAT_KINDS: [&str; 2] = ["same", "may_differ"];

/// Index of an error's first word in [`ERROR_WORDS`].
fn error_word(error: &[u8]) -> usize {
    let word = error.get(1..).unwrap_or_default().split(|byte| matches!(byte, b' ' | b'\r')).next();
    let known = ERROR_WORDS.iter().position(|known| Some(known.as_bytes()) == word);
    known.unwrap_or(ERROR_WORDS.len() - 1)
}

impl Stats {
    /// Sessions that are over for a reason, by its name in [`CLOSE_REASONS`].
    pub fn closed_for(&self, reason: &str) -> u64 {
        CLOSE_REASONS
            .iter()
            .zip(self.sessions_closed)
            .filter(|(name, _)| **name == reason)
            .map(|(_, count)| count)
            .sum()
    }

    /// Refusals of a kind, by its name in [`REFUSAL_KINDS`].
    pub fn refused(&self, kind: &str) -> u64 {
        REFUSAL_KINDS.iter().zip(self.refusals).filter(|(name, _)| **name == kind).map(|(_, count)| count).sum()
    }

    pub(crate) fn count_request(&mut self, command: usize) {
        if let Some(count) = self.requests.get_mut(command) {
            *count += 1;
        } else {
            self.requests.resize(command + 1, 0);
            self.requests[command] = 1;
        }
    }

    /// Counts a reply of an upstream if it is an error.
    pub(crate) fn count_error(&mut self, reply: &[u8]) {
        if reply.first() != Some(&b'-') {
            return;
        }
        self.upstream_errors[error_word(reply)] += 1;
    }

    /// Counts an error that is not handed on.
    pub(crate) fn count_retry(&mut self, error: &[u8]) {
        self.retries[error_word(error)] += 1;
    }

    /// Counts a request that is sent again.
    pub(crate) fn count_repeat(&mut self, repeat: Repeat) {
        self.repeats[usize::from(repeat == Repeat::MayDiffer)] += 1;
    }

    pub(crate) fn count_latency(&mut self, latency: Duration) {
        self.latency.observe(latency.as_micros() as u64);
    }
}

#[cfg(test)]
mod tests {
    use super::Histogram;

    #[test]
    fn every_value_lies_between_its_bounds() {
        for value in (0..5_000).chain([1 << 20, (1 << 20) + (1 << 19), u64::from(u32::MAX) - 1]) {
            let bucket = Histogram::bucket(value);
            assert!(value < Histogram::bound(bucket), "{value}");
            assert!(bucket == 0 || value >= Histogram::bound(bucket - 1), "{value}");
        }
    }
}
