//! The option `listen`: addresses, or tables with a seal.

use pdw_auth::users::Network;

use super::address::Address;
use super::mistakes::{Findings, Place, Problem, Sited};
use super::seals::{SealConfig, SealDraft, Side};
use super::upstreams::unknown_entry;
use super::value::{Entry, Value};

/// Where clients connect when nothing is said.
pub(super) const DEFAULT: &str = "127.0.0.1:6380";

const ENTRIES: [&str; 4] = ["address", "user", "from", "mode"];

/// One configured listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenConfig {
    /// Where clients connect.
    pub address: Address,
    /// How their connections are protected.
    pub seal: SealConfig,
    /// Who they are without having authenticated; else the user `default`.
    pub user: Option<String>,
    /// Only who comes from here is that user; empty: everybody.
    pub from: Vec<Network>,
    /// Permissions of a UNIX socket's file; those that the umask leaves unless given.
    pub mode: Option<u32>,
}

impl ListenConfig {
    /// A listener as it is when only its address is given.
    pub fn new(address: Address) -> Self {
        Self { address, seal: SealConfig::default(), user: None, from: Vec::new(), mode: None }
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
    let (mut address, mut seal) = (None, SealDraft::new(Side::Listener));
    let mut guests = Guests::default();
    for entry in entries {
        let Entry { key, value: Sited { value, place } } = entry;
        let option = format!("{option}.{}", key.value);
        match key.value.as_str() {
            "address" => address = Some(findings.take(*place, &option, value.as_address())),
            _ if seal.take(&option, entry, findings) => {}
            _ if guests.take(&option, entry, findings) => {}
            other => findings.add(key.place, option, unknown_entry(other, &seal.known(&ENTRIES))),
        }
    }
    let seal = seal.finish(option, place, true, findings);
    let Some(address) = address else {
        findings.add(place, option, Problem::Missing("address"));
        return None;
    };
    let listener = ListenConfig { seal, ..ListenConfig::new(address?) };
    Some(guests.finish(option, place, listener, findings))
}

/// The entries about who comes in.
#[derive(Debug, Default)]
struct Guests {
    user: Option<String>,
    from: Vec<Network>,
    mode: Option<u32>,
}

impl Guests {
    /// Takes an entry, if it is about that.
    fn take(&mut self, option: &str, Entry { key, value }: &Entry, findings: &mut Findings) -> bool {
        match key.value.as_str() {
            "user" => {
                let name = findings.take(value.place, option, value.value.as_text("a user's name"));
                self.user = name.map(str::to_owned);
            }
            "from" => {
                let networks = Value::items(value).iter();
                self.from = networks.filter_map(|one| findings.take(one.place, option, network(&one.value))).collect();
            }
            "mode" => self.mode = findings.take(value.place, option, mode(&value.value)),
            _ => return false,
        }
        true
    }

    fn finish(self, option: &str, place: Place, listener: ListenConfig, findings: &mut Findings) -> ListenConfig {
        let Self { user, from, mode } = self;
        let local = matches!(listener.address, Address::Unix(_));
        let wrong = [
            (!from.is_empty() && user.is_none(), Problem::FromWithoutUser),
            (!from.is_empty() && local, Problem::FromOfSocket),
            (mode.is_some() && !local, Problem::ModeOfPort),
        ];
        for (_, problem) in wrong.into_iter().filter(|(wrong, _)| *wrong) {
            findings.add(place, option, problem);
        }
        ListenConfig { user, from, mode, ..listener }
    }
}

fn network(value: &Value) -> Result<Network, Problem> {
    Ok(value.as_text("a range of addresses")?.parse::<Network>()?)
}

/// Permissions in octal digits.
fn mode(value: &Value) -> Result<u32, Problem> {
    let text = value.as_text("a text of octal digits")?;
    let mode = u32::from_str_radix(text, 8).ok().filter(|mode| *mode <= 0o777);
    mode.ok_or_else(|| Problem::Mode(text.to_owned()))
}
