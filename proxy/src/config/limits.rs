//! Limits and times of the proxy, as the checked configuration holds them, and the relations between them.

use std::time::Duration;

use super::draft::Draft;
use super::mistakes::{Findings, Problem};
use super::value::{format_bytes, format_duration};

/// Bounds of one worker's core. Sizes are bytes; defaults and ranges are in the option table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Longest key. A request with a longer one is refused.
    pub key_max: usize,
    /// Longest request that has to be split over shards. A longer one is refused.
    pub request_buffer_max: usize,
    /// Longest request at all. Of a longer one the rest is skipped and it is refused.
    pub request_max: usize,
    /// Most arguments of a request.
    pub args_max: usize,
    /// Most bytes that a transaction may hold before its EXEC.
    pub multi_max: usize,
    /// Unanswered requests of a session past which it is not read.
    pub session_pending_max: usize,
    /// Unwritten reply bytes of a session past which it is not read.
    pub session_output_max: usize,
    /// Unsent request bytes of a link past which sessions that address it are not read.
    pub link_output_max: usize,
    /// Sessions of a worker past which new ones are refused.
    pub sessions_max: usize,
    /// How long a request may be kept before its client is answered with a refusal.
    pub patience: Duration,
    /// First pause before a lost link is opened again; doubles up to `reconnect_max`.
    pub reconnect_min: Duration,
    /// Longest pause before a lost link is opened again.
    pub reconnect_max: Duration,
    /// How long a link may take to be connected and proven.
    pub connect_timeout: Duration,
    /// After this long without a request, a link is tried with a PING.
    pub ping_interval: Duration,
    /// With requests unanswered and nothing arriving for this long, a link is given up.
    pub link_dead: Duration,
}

/// Times that are the driver's, not the core's.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Times {
    /// How long a TCP connection may be idle before the kernel asks whether the peer is there.
    pub tcp_keepalive: Duration,
    /// How long sent bytes may stay unacknowledged before the kernel gives the connection up.
    pub tcp_user_timeout: Duration,
    /// How long a drain may take before what is left is closed.
    pub drain: Duration,
}

/// "The first may not exceed the second", and why.
struct Relation<T> {
    low: (&'static str, fn(&Limits) -> T),
    high: (&'static str, fn(&Limits) -> T),
    why: &'static str,
}

const SIZES: [Relation<usize>; 3] = [
    Relation {
        low: ("limits.key_max", |limits| limits.key_max),
        high: ("limits.request_buffer_max", |limits| limits.request_buffer_max),
        why: "a request that is split must hold at least one key",
    },
    Relation {
        low: ("limits.request_buffer_max", |limits| limits.request_buffer_max),
        high: ("limits.request_max", |limits| limits.request_max),
        why: "a request that is split is a request",
    },
    Relation {
        low: ("limits.multi_max", |limits| limits.multi_max),
        high: ("limits.request_max", |limits| limits.request_max),
        why: "a transaction travels as one request",
    },
];

const DURATIONS: [Relation<Duration>; 3] = [
    Relation {
        low: ("times.reconnect_min", |limits| limits.reconnect_min),
        high: ("times.reconnect_max", |limits| limits.reconnect_max),
        why: "the pause grows from the one to the other",
    },
    Relation {
        low: ("times.ping_interval", |limits| limits.ping_interval),
        high: ("times.link_dead", |limits| limits.link_dead),
        why: "a link must be asked before it is given up",
    },
    Relation {
        low: ("times.connect_timeout", |limits| limits.connect_timeout),
        high: ("times.patience", |limits| limits.patience),
        why: "a request must outlast one attempt to connect",
    },
];

/// The names of each pair, and why the first may not exceed the second.
pub(super) fn relations() -> impl Iterator<Item = (&'static str, &'static str, &'static str)> {
    let sizes = SIZES.iter().map(|relation| (relation.low.0, relation.high.0, relation.why));
    sizes.chain(DURATIONS.iter().map(|relation| (relation.low.0, relation.high.0, relation.why)))
}

/// Adds every pair of options that do not fit.
pub(super) fn check_relations(draft: &Draft, findings: &mut Findings) {
    for relation in &SIZES {
        check(relation, draft, |size| format_bytes(*size as u64), findings);
    }
    for relation in &DURATIONS {
        check(relation, draft, |time| format_duration(*time), findings);
    }
}

/// The mistake is put where one of the two was given: at the smaller unless only the larger was.
fn check<T: PartialOrd>(
    Relation { low, high, why }: &Relation<T>,
    draft: &Draft,
    format: impl Fn(&T) -> String,
    findings: &mut Findings,
) {
    let (small, large) = (low.1(&draft.limits), high.1(&draft.limits));
    if small <= large {
        return;
    }
    let (small, large) = (format(&small), format(&large));
    let given_high = draft.is_given(high.0) && !draft.is_given(low.0);
    let (option, problem) = match given_high {
        true => (high.0, Problem::LessThan { value: large, other: low.0, limit: small, why }),
        false => (low.0, Problem::MoreThan { value: small, other: high.0, limit: large, why }),
    };
    findings.add(draft.place(option), option, problem);
}
