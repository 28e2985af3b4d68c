//! The option `listen`: addresses, or tables with a seal.

use super::address::Address;
use super::mistakes::{Findings, Place, Problem, Sited};
use super::seals::{self, SealConfig};
use super::upstreams::unknown_entry;
use super::value::{Entry, Value};

/// Where clients connect when nothing is said.
pub(super) const DEFAULT: &str = "127.0.0.1:6380";

const ENTRIES: [&str; 2] = ["address", "seal"];

/// One configured listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenConfig {
    /// Where clients connect.
    pub address: Address,
    /// How their connections are protected.
    pub seal: SealConfig,
}

impl ListenConfig {
    /// A listener as it is when only its address is given.
    pub fn new(address: Address) -> Self {
        Self { address, seal: SealConfig::default() }
    }
}

/// The listener of [`DEFAULT`].
pub(super) fn default() -> Vec<Sited<ListenConfig>> {
    let address = DEFAULT.parse().map(ListenConfig::new);
    address.into_iter().map(|value| Sited { value, place: Place::Default }).collect()
}

/// Reads the list; an entry with a mistake is left out of it.
pub(super) fn read(option: &str, value: &Sited<Value>, findings: &mut Findings) -> Vec<Sited<ListenConfig>> {
    let items = Value::items(value);
    if items.is_empty() {
        findings.add(value.place, option, Problem::Empty);
    }
    let mut listeners = Vec::new();
    for item in items {
        let listener = match &item.value {
            Value::Table(entries) => read_table(option, entries, item.place, findings),
            other => findings.take(item.place, option, other.as_address()).map(ListenConfig::new),
        };
        listeners.extend(listener.map(|value| Sited { value, place: item.place }));
    }
    listeners
}

fn read_table(option: &str, entries: &[Entry], place: Place, findings: &mut Findings) -> Option<ListenConfig> {
    let (mut address, mut seal) = (None, SealConfig::default());
    for Entry { key, value: Sited { value, place } } in entries {
        let option = format!("{option}.{}", key.value);
        match key.value.as_str() {
            "address" => address = Some(findings.take(*place, &option, value.as_address())),
            "seal" => seal = findings.take(*place, &option, seals::read(value)).unwrap_or_default(),
            other => findings.add(key.place, option, unknown_entry(other, &ENTRIES)),
        }
    }
    let Some(address) = address else {
        findings.add(place, option, Problem::Missing("address"));
        return None;
    };
    Some(ListenConfig { seal, ..ListenConfig::new(address?) })
}
