//! Times of the driver, and how limits have to relate to each other.

use std::time::Duration;

use pdw_router::limits::{DURATIONS, Relation, SIZES};

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

/// Adds every pair of options that do not fit, and what the core cannot work with whatever else is given.
pub(super) fn check_relations(draft: &Draft, findings: &mut Findings) {
    for relation in &SIZES {
        check(relation, draft, |size| format_bytes(*size as u64), findings);
    }
    for relation in &DURATIONS {
        check(relation, draft, |time| format_duration(*time), findings);
    }
    for sentence in draft.limits.out_of_bounds() {
        findings.add(Place::Default, "", Problem::Limits(sentence));
    }
}

/// The mistake is put where one of the two was given: at the smaller unless only the larger was.
fn check<T: PartialOrd>(relation: &Relation<T>, draft: &Draft, format: impl Fn(&T) -> String, findings: &mut Findings) {
    if relation.holds(&draft.limits) {
        return;
    }
    let Relation { low, high, why, .. } = relation;
    let (small, large) = ((low.of)(&draft.limits), (high.of)(&draft.limits));
    let (more, less) = if small == large { ("no less than", "no more than") } else { ("more than", "less than") };
    let (small, large) = (format(&small), format(&large));
    let given_high = draft.is_given(high.option) && !draft.is_given(low.option);
    let (option, problem) = match given_high {
        true => (high.option, Problem::LessThan { value: large, than: less, other: low.option, limit: small, why }),
        false => (low.option, Problem::MoreThan { value: small, than: more, other: high.option, limit: large, why }),
    };
    findings.add(draft.place(option), option, problem);
}

#[cfg(test)]
mod tests {
    use pdw_router::limits::Limits;

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
