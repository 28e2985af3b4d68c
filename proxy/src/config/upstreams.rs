//! The option `upstreams`: addresses, or tables with a name, a weight and a seal.

use pdw_router::Credentials;
use pdw_router::place::Target;

use super::address::Address;
use super::mistakes::{Findings, Place, Problem, Sited};
use super::seals::{SealConfig, SealDraft, Side};
use super::secrets::{CredentialsDraft, PASSWORD_ENV, PASSWORD_FILE, USER};
use super::suggest::nearest;
use super::value::{Entry, Value};

/// Largest weight of an upstream: beyond it a single server's points would fill the continuum.
const WEIGHT_RANGE: (u64, u64) = (1, 10_000);

const ENTRIES: [&str; 6] = ["address", "name", "weight", USER, PASSWORD_FILE, PASSWORD_ENV];

/// One configured upstream. Its position in the list is its shard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpstreamConfig {
    /// Where it listens.
    pub address: Address,
    /// What placement `ketama` hashes, and what logs and metrics call it; the address unless given.
    pub name: String,
    /// Share of the keys under placements that weigh, relative to the others.
    pub weight: u32,
    /// How links to it are protected.
    pub seal: SealConfig,
    /// By what they authenticate.
    pub credentials: Option<Credentials>,
}

impl UpstreamConfig {
    /// An upstream as it is when only its address is given.
    pub fn new(address: Address) -> Self {
        Self { name: address.to_string(), address, weight: 1, seal: SealConfig::default(), credentials: None }
    }

    /// The upstream as a placement sees it. One that has no name of its own is labelled as twemproxy labels addresses.
    pub(crate) fn target(&self) -> Target {
        match self.address.to_string() == self.name {
            true => Target::at(&self.name, self.weight),
            false => Target::named(self.name.clone(), self.weight),
        }
    }
}

/// Reads the list; an entry with a mistake is left out of it.
pub(crate) fn read(option: &str, value: &Sited<Value>, findings: &mut Findings) -> Vec<Sited<UpstreamConfig>> {
    let items = Value::items(value);
    if items.is_empty() {
        findings.add(value.place, option, Problem::NoUpstream);
    }
    let mut upstreams = Vec::new();
    for item in items {
        let upstream = match &item.value {
            Value::Table(entries) => read_table(option, entries, item.place, findings),
            other => findings.take(item.place, option, dialled(other)).map(UpstreamConfig::new),
        };
        upstreams.extend(upstream.map(|value| Sited { value, place: item.place }));
    }
    upstreams
}

fn read_table(option: &str, entries: &[Entry], place: Place, findings: &mut Findings) -> Option<UpstreamConfig> {
    let (mut address, mut name, mut weight) = (None, None, 1);
    let mut seal = SealDraft::new(Side::Upstream);
    let mut credentials = CredentialsDraft::default();
    for entry in entries {
        let Entry { key, value: Sited { value, place } } = entry;
        let option = format!("{option}.{}", key.value);
        match key.value.as_str() {
            "address" => address = Some(findings.take(*place, &option, dialled(value))),
            "name" => name = findings.take(*place, &option, server_name(value)),
            "weight" => weight = findings.take(*place, &option, value.as_count(WEIGHT_RANGE)).unwrap_or(1),
            other if credentials.take(&option, other, &entry.value, findings) => {}
            _ if seal.take(&option, entry, findings) => {}
            other => findings.add(key.place, option, unknown_entry(other, &seal.known(&ENTRIES))),
        }
    }
    let has_host = !matches!(address, Some(Some(Address::Unix(_))));
    let seal = seal.finish(option, place, has_host, findings);
    let credentials = credentials.finish(option, place, findings);
    let Some(address) = address else {
        findings.add(place, option, Problem::Missing("address"));
        return None;
    };
    let plain = UpstreamConfig::new(address?);
    let weight = u32::try_from(weight).unwrap_or(u32::MAX);
    Some(UpstreamConfig { name: name.unwrap_or(plain.name), weight, seal, credentials, ..plain })
}

/// The mistake of a key that a table has not.
pub(crate) fn unknown_entry(key: &str, known: &[&str]) -> Problem {
    Problem::UnknownEntry { nearest: nearest(key, known.iter().copied()), known: known.join(", ") }
}

fn server_name(value: &Value) -> Result<String, Problem> {
    match value.as_text("a name")? {
        "" => Err(Problem::EmptyName),
        name => Ok(name.to_owned()),
    }
}

fn dialled(value: &Value) -> Result<Address, Problem> {
    match value.as_address()? {
        Address::Tcp { port: 0, .. } => Err(Problem::PortZero),
        address => Ok(address),
    }
}
