//! Times of the driver, and how limits have to relate to each other.

use std::time::Duration;

use pdw_router::limits::Limits;

use super::draft::Draft;
use super::mistakes::{Findings, Place, Problem};
use super::value::{format_bytes, format_duration};

/// Times that are the driver's, not the core's.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Times {
    /// How long a TCP connection may be idle before the kernel asks whether the peer is there.
    pub tcp_keepalive: Duration,
    /// How long sent bytes may stay unacknowledged, or the peer may have no room for more, before the kernel gives the
    /// connection up.
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

const SIZES: [Relation<usize>; 4] = [
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
        low: ("limits.retain_max", |limits| limits.retain_max),
        high: ("limits.retain_total", |limits| limits.retain_total),
        why: "what may be kept of one request must fit in what is kept of all",
    },
    Relation {
        low: ("limits.stream_window", |limits| limits.stream_window),
        high: ("limits.peer_window", |limits| limits.peer_window),
        why: "a stream's bytes are on a link",
    },
];

const DURATIONS: [Relation<Duration>; 4] = [
    Relation {
        low: ("times.reconnect_min", |limits| limits.reconnect_min),
        high: ("times.reconnect_max", |limits| limits.reconnect_max),
        why: "the pause grows from the one to the other",
    },
    Relation {
        low: ("times.probe_after", |limits| limits.probe_after),
        high: ("times.link_dead", |limits| limits.link_dead),
        why: "another connection is tried before a link is given up",
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

/// Adds every pair of options that do not fit; what only the core knows of is told in its words.
pub(super) fn check_relations(draft: &Draft, findings: &mut Findings) {
    let before = findings.len();
    for relation in &SIZES {
        check(relation, draft, |size| format_bytes(*size as u64), findings);
    }
    for relation in &DURATIONS {
        check(relation, draft, |time| format_duration(*time), findings);
    }
    if findings.len() == before {
        for sentence in draft.limits.contradictions() {
            findings.add(Place::Default, "", Problem::Limits(sentence));
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tables_defaults_are_the_cores() {
        assert_eq!(Draft::defaults().limits, Limits::default());
    }

    #[test]
    fn the_kernel_gives_up_nobody_who_stands_still_before_the_proxy_does() {
        let Draft { limits, times, .. } = Draft::defaults();
        assert!(times.tcp_user_timeout > limits.link_dead.max(limits.patience));
    }
}
