//! What no option can know alone: how the options fit together.

use std::path::PathBuf;

use super::address::Address;
use super::draft::Draft;
use super::mistakes::{Findings, Problem, Sited};
use super::upstreams::UpstreamConfig;
use super::{Config, Profile, Warning, limits, placement, rules, users};

/// Checks a draft, and makes the configuration of it if nothing is wrong.
pub(super) fn settle(
    mut draft: Draft,
    mut findings: Findings,
    file: Option<PathBuf>,
) -> Result<Config, super::Mistakes> {
    limits::check_relations(&draft, &mut findings);
    check_listeners(&draft, &mut findings);
    check_upstreams(&draft, &mut findings);
    check_group(&draft, &mut findings);
    placement::check(&draft, &mut findings);
    rules::check(&draft, &mut findings);
    users::check(&draft, &mut findings);
    check_spool(&draft, &mut findings);
    give_credentials(&mut draft, &mut findings);
    findings.into_mistakes(file)?;
    Ok(build(draft))
}

/// No two listeners on one address, the admin listener included.
fn check_listeners(draft: &Draft, findings: &mut Findings) {
    let all: Vec<Sited<&Address>> = listeners(draft).collect();
    for (index, later) in all.iter().enumerate() {
        let option = if index < draft.listen.len() { "listen" } else { "admin" };
        if let Some(first) = all[..index].iter().find(|first| same_listener(first.value, later.value)) {
            findings.add(later.place, option, twice("address", later.value.to_string(), first));
        }
    }
}

/// Every address that is listened on, that of the admin server last.
fn listeners(draft: &Draft) -> impl Iterator<Item = Sited<&Address>> {
    let sessions = draft.listen.iter().map(|listener| Sited { value: &listener.value.address, place: listener.place });
    sessions.chain(draft.admin.iter().map(|admin| Sited { value: &admin.value, place: admin.place }))
}

fn same_listener(a: &Address, b: &Address) -> bool {
    !matches!(a, Address::Tcp { port: 0, .. }) && a.canonical() == b.canonical()
}

fn twice<T>(what: &'static str, text: String, first: &Sited<T>) -> Problem {
    Problem::Twice { what, text, first: first.place }
}

/// No upstream twice, no name twice, none that is this proxy.
fn check_upstreams(draft: &Draft, findings: &mut Findings) {
    for (index, later) in draft.upstreams.iter().enumerate() {
        let address = &later.value.address;
        if let Some(problem) = repeated(&draft.upstreams[..index], later) {
            findings.add(later.place, "upstreams", problem);
        }
        let own = listeners(draft).find(|listener| address.reaches(listener.value));
        if let Some(listener) = own {
            findings.add(later.place, "upstreams", Problem::OwnListener { listener: listener.value.to_string() });
        }
    }
}

/// Peers are somewhere.
fn check_group(draft: &Draft, findings: &mut Findings) {
    if draft.has_peers() && draft.upstreams.is_empty() && !findings.concern("upstreams") {
        findings.add(draft.place("group.kind"), "group.kind", Problem::NoPeers);
    }
}

fn repeated(earlier: &[Sited<UpstreamConfig>], later: &Sited<UpstreamConfig>) -> Option<Problem> {
    let UpstreamConfig { address, name, .. } = &later.value;
    let by_address = earlier.iter().find(|first| first.value.address.canonical() == address.canonical());
    let by_name = || earlier.iter().find(|first| first.value.name == *name);
    match by_address {
        Some(first) => Some(twice("upstream", address.to_string(), first)),
        None => by_name().map(|first| twice("name", name.clone(), first)),
    }
}

/// No spool under a profile that sends nothing again.
fn check_spool(draft: &Draft, findings: &mut Findings) {
    if !draft.spool.is_empty() && draft.profile() == Profile::Redis {
        findings.add(draft.place("spool"), "spool", Problem::UselessSpool);
    } else if !draft.spool.is_empty() && draft.has_peers() {
        findings.add(draft.place("spool"), "spool", Problem::SpoolBeforePeers);
    }
}

/// Upstreams without a password have the group's.
fn give_credentials(draft: &mut Draft, findings: &mut Findings) {
    let place = draft.place("group.user").max(draft.place("group.password_file"));
    let Some(credentials) = draft.group_credentials.clone().finish("group", place, findings) else { return };
    for upstream in &mut draft.upstreams {
        upstream.value.credentials.get_or_insert_with(|| credentials.clone());
    }
}

fn build(mut draft: Draft) -> Config {
    let values = draft.values();
    let (profile, placement, rules) = (draft.profile(), placement::options(&draft), rules::build(&draft));
    let warnings = warnings(&draft);
    let peer_links = draft.has_peers().then_some(draft.group_links);
    let users = users::named(&draft);
    let upstreams: Vec<UpstreamConfig> = draft.upstreams.into_iter().map(|upstream| upstream.value).collect();
    Config {
        profile,
        embedded: upstreams.is_empty(),
        listen: draft.listen.into_iter().map(|listener| listener.value).collect(),
        upstreams,
        peer_links,
        name: draft.name,
        instances: draft.instances,
        placement,
        rules,
        workers: draft.workers,
        admin: draft.admin.map(|admin| admin.value),
        state_dir: Some(draft.state_dir).filter(|folder| !folder.is_empty()).map(PathBuf::from),
        spool: Some(draft.spool).filter(|folder| !folder.is_empty()).map(PathBuf::from),
        log: draft.log,
        handshakes_max: draft.handshakes_max,
        limits: draft.limits,
        times: draft.times,
        users,
        warnings,
        values,
    }
}

fn warnings(draft: &Draft) -> Vec<Warning> {
    let mut warnings = users::warnings(draft);
    if draft.is_given("instances") && !draft.upstreams.is_empty() {
        warnings.push(Warning::UnusedInstances);
    }
    let placing = ["placement", "hash", "hash_tag", "spread_children", "rule"];
    if let Some(option) = placing.into_iter().find(|option| draft.has_peers() && draft.is_given(option)) {
        warnings.push(Warning::PlacedByPeers(option));
    }
    if draft.profile() == Profile::Pdwfs && draft.placement() != "pdwfs" {
        warnings.push(Warning::ForeignPlacement(draft.placement()));
    }
    warnings
}
