//! The options of placement: their words, and what each placement takes.

use pdw_router::place::{Placement, PlacementKind, PlacementOptions, Target};

use super::draft::Draft;
use super::mistakes::{Findings, Problem};
use super::upstreams::UpstreamConfig;

/// Names of the placements.
pub(super) const PLACEMENTS: &[&str] = &["pdwfs", "ring", "ketama", "slots"];

/// Names of the key hashes, as twemproxy has them.
pub(super) const HASHES: &[&str] = &[
    "one_at_a_time",
    "md5",
    "crc16",
    "crc32",
    "crc32a",
    "fnv1_64",
    "fnv1a_64",
    "fnv1_32",
    "fnv1a_32",
    "hsieh",
    "murmur",
    "jenkins",
];

/// Accepts two different ASCII characters, or none for "hash the whole key".
pub(super) fn check_hash_tag(text: &str) -> Result<(), Problem> {
    match text.as_bytes() {
        [] => Ok(()),
        [open, close] if open.is_ascii() && close.is_ascii() => Ok(()),
        _ => Err(Problem::HashTag(text.to_owned())),
    }
}

/// The placement's options, as far as their words are right.
pub(super) fn options(draft: &Draft) -> PlacementOptions {
    let kind = draft.placement().parse().unwrap_or(PlacementKind::Pdwfs);
    let hash_tag = match draft.hash_tag.as_bytes() {
        [open, close] if draft.is_given("hash_tag") => Some([*open, *close]),
        _ if draft.is_given("hash_tag") => None,
        _ => PlacementOptions::new(kind).hash_tag,
    };
    PlacementOptions { kind, hash: draft.hash.parse().unwrap_or_default(), hash_tag }
}

/// The shards of `upstreams`, or of as many instances of the proxy's own if there are none.
pub(super) fn targets(upstreams: &[UpstreamConfig], instances: usize) -> Vec<Target> {
    match upstreams {
        [] => (0..instances).map(|index| Target::named(format!("instance-{index}"), 1)).collect(),
        _ => upstreams.iter().map(UpstreamConfig::target).collect(),
    }
}

/// The shards as far as the draft's upstreams are right.
pub(super) fn draft_targets(draft: &Draft) -> Vec<Target> {
    let upstreams: Vec<_> = draft.upstreams.iter().map(|upstream| upstream.value.clone()).collect();
    targets(&upstreams, draft.instances)
}

/// Adds what the chosen placement does not take, and what it refuses to be built from.
pub(super) fn check(draft: &Draft, findings: &mut Findings) {
    if findings.concern("placement") || findings.concern("profile") {
        return;
    }
    check_hash(draft, findings);
    check_weights(draft, findings);
    if findings.concern("upstreams") || findings.concern("hash_tag") {
        return;
    }
    if let Err(error) = Placement::new(&options(draft), &draft_targets(draft)) {
        findings.add(draft.place("upstreams"), "upstreams", Problem::Placement(error));
    }
}

fn check_hash(draft: &Draft, findings: &mut Findings) {
    let placement = draft.placement();
    let mut refuse = |option: &str, what, instead| {
        findings.add(draft.place(option), option, Problem::NotOfPlacement { placement, what, instead });
    };
    if draft.is_given("hash") && placement != "ketama" {
        refuse("hash", "hash", "ketama");
    }
    if draft.is_given("hash_tag") && !takes_weights(placement) && draft.hash_tag != "{}" {
        refuse("hash_tag", "hash tag but {}", "ring or ketama");
    }
}

fn check_weights(draft: &Draft, findings: &mut Findings) {
    let placement = draft.placement();
    let weighed = draft.upstreams.iter().filter(|upstream| upstream.value.weight != 1);
    for upstream in weighed.filter(|_| !takes_weights(placement)) {
        let problem = Problem::NotOfPlacement { placement, what: "weight", instead: "ring or ketama" };
        findings.add(upstream.place, "upstreams.weight", problem);
    }
}

/// `ring` and `ketama` weigh, and let the hash tag be chosen; `pdwfs` and `slots` do neither.
fn takes_weights(placement: &str) -> bool {
    matches!(placement, "ring" | "ketama")
}

#[cfg(test)]
mod tests {
    use pdw_router::place::KeyHash;

    use super::*;

    #[test]
    fn the_words_are_the_routers() {
        assert!(PLACEMENTS.iter().all(|name| name.parse::<PlacementKind>().is_ok()));
        assert_eq!(HASHES.to_vec(), KeyHash::all().map(|hash| hash.to_string()).collect::<Vec<_>>());
    }
}
