//! How connections are protected, as configured: entries of a listener's or an upstream's table.

use std::num::NonZeroU16;
use std::path::PathBuf;

use pdw_auth::PublicKey;
use pdw_auth::noise::{Cipher, Names, PEERS_MAX};
use pdw_auth::spiped::Strength;

use super::mistakes::{Findings, Place, Problem, Sited};
use super::value::{Entry, Value};

/// What records may be padded to.
const PAD_RANGE: (u64, u64) = (16, 16 << 10);

/// How a listener's or an upstream's connections are protected.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum SealConfig {
    /// Not at all.
    #[default]
    Plain,
    /// By TLS.
    Tls(TlsConfig),
    /// As Tarsnap's spiped does.
    Spiped(SpipedConfig),
    /// By Noise.
    Noise(NoiseConfig),
}

/// What a spiped link needs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SpipedConfig {
    /// Files of keys, the current one first; listeners may have a second.
    pub keys: Vec<PathBuf>,
    /// How strong the handshake is.
    pub strength: Strength,
}

/// What a Noise link needs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NoiseConfig {
    /// Files of keys, the current one first; listeners may have a second.
    pub keys: Vec<PathBuf>,
    /// What encrypts.
    pub cipher: Cipher,
    /// This node's identity, if nodes have one.
    pub identity: Option<PathBuf>,
    /// Whom it speaks to then.
    pub far: Vec<PublicKey>,
    /// Names that both ends give alike.
    pub names: Names,
    /// Records are padded to a multiple of this.
    pub pad_to: Option<NonZeroU16>,
}

/// What TLS needs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsConfig {
    /// This end's certificate and those that lead to an authority. Listeners have one.
    pub certificate: Option<PathBuf>,
    /// The key of that certificate.
    pub key: Option<PathBuf>,
    /// Whose signature is trusted: of an upstream's certificate, or, if it is there, of clients' certificates.
    pub ca: Option<PathBuf>,
    /// The name that an upstream's certificate must have; the host of its address unless given.
    pub server_name: Option<String>,
    /// Clients may show no certificate.
    pub anonymous: bool,
    /// By which names in it a client is a user, if it is by any.
    pub named: Option<NamedBy>,
}

/// Which names in a client's certificate may make a user of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NamedBy {
    /// The subject's common name.
    CommonName,
    /// The subject's alternative names, the first that is a user's.
    AlternativeNames,
}

impl SealConfig {
    /// Names of the seals.
    pub const NAMES: &[&str] = &["plain", "tls", "spiped", "noise"];

    /// The seal's index in [`NAMES`](Self::NAMES).
    pub fn kind(&self) -> usize {
        match self {
            Self::Plain => 0,
            Self::Tls(_) => 1,
            Self::Spiped(_) => 2,
            Self::Noise(_) => 3,
        }
    }

    /// The seal's name.
    pub fn name(&self) -> &'static str {
        Self::NAMES[self.kind()]
    }

    /// Whether only those can speak who have a secret.
    pub(crate) fn keeps_strangers_out(&self) -> bool {
        match self {
            Self::Plain => false,
            Self::Tls(tls) => tls.ca.is_some() && !tls.anonymous,
            Self::Spiped(_) | Self::Noise(_) => true,
        }
    }
}

/// Which end of connections a table is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Listener,
    Upstream,
}

/// An entry that some seals take.
struct SealEntry {
    name: &'static str,
    side: Option<Side>,
    /// Which seals take it.
    of: &'static [&'static str],
}

const ENTRIES: &[SealEntry] = &[
    SealEntry { name: "certificate", side: None, of: &["tls"] },
    SealEntry { name: "key", side: None, of: &["tls", "spiped", "noise"] },
    SealEntry { name: "ca", side: Some(Side::Upstream), of: &["tls"] },
    SealEntry { name: "server_name", side: Some(Side::Upstream), of: &["tls"] },
    SealEntry { name: "client_ca", side: Some(Side::Listener), of: &["tls"] },
    SealEntry { name: "client_auth", side: Some(Side::Listener), of: &["tls"] },
    SealEntry { name: "client_user", side: Some(Side::Listener), of: &["tls"] },
    SealEntry { name: "handshake", side: None, of: &["spiped"] },
    SealEntry { name: "cipher", side: None, of: &["noise"] },
    SealEntry { name: "identity", side: None, of: &["noise"] },
    SealEntry { name: "far", side: None, of: &["noise"] },
    SealEntry { name: "link", side: None, of: &["noise"] },
    SealEntry { name: "opener", side: None, of: &["noise"] },
    SealEntry { name: "accepter", side: None, of: &["noise"] },
    SealEntry { name: "pad_to", side: None, of: &["noise"] },
];

impl Side {
    fn entries(self) -> impl Iterator<Item = &'static SealEntry> {
        ENTRIES.iter().filter(move |entry| entry.side.is_none_or(|side| side == self))
    }
}

/// The entries of a table that are about its seal, as they are read.
#[derive(Debug)]
pub(super) struct SealDraft<'a> {
    side: Side,
    seal: Option<&'static str>,
    /// There is an entry with a mistake, which is told already.
    spoilt: bool,
    given: Vec<&'a Entry>,
}

impl<'a> SealDraft<'a> {
    /// Nothing is read.
    pub(super) fn new(side: Side) -> Self {
        Self { side, seal: None, spoilt: false, given: Vec::new() }
    }

    /// Names of the entries that may be there, behind those that are the table's own.
    pub(super) fn known(&self, own: &[&'static str]) -> Vec<&'static str> {
        let seals = self.side.entries().map(|entry| entry.name);
        own.iter().copied().chain(["seal"]).chain(seals).collect()
    }

    /// Takes an entry, if it is about the seal.
    pub(super) fn take(&mut self, option: &str, entry: &'a Entry, findings: &mut Findings) -> bool {
        let Entry { key, value } = entry;
        if key.value == "seal" {
            self.seal = findings.take(value.place, option, value.value.as_choice(SealConfig::NAMES));
            self.spoilt |= self.seal.is_none();
            return true;
        }
        let known = self.side.entries().any(|entry| entry.name == key.value);
        if known {
            self.given.push(entry);
        }
        known
    }

    /// The seal, when all entries are read. `address`: a UNIX socket has no name that a certificate could have.
    pub(super) fn finish(mut self, option: &str, place: Place, has_host: bool, findings: &mut Findings) -> SealConfig {
        if self.spoilt {
            return SealConfig::Plain;
        }
        let seal = self.seal.unwrap_or("plain");
        for entry in std::mem::take(&mut self.given) {
            match self.side.entries().find(|known| known.name == entry.key.value) {
                Some(known) if !known.of.contains(&seal) => {
                    let problem = Problem::NotOfSeal { seal, instead: known.of.join("` or `") };
                    findings.add(entry.key.place, format!("{option}.{}", entry.key.value), problem);
                }
                _ => self.given.push(entry),
            }
        }
        match seal {
            "tls" => SealConfig::Tls(self.tls(option, place, has_host, findings)),
            "spiped" => SealConfig::Spiped(self.spiped(option, place, findings)),
            "noise" => SealConfig::Noise(self.noise(option, place, findings)),
            _ => SealConfig::Plain,
        }
    }

    fn tls(&self, option: &str, place: Place, has_host: bool, findings: &mut Findings) -> TlsConfig {
        let mut need = |entry: &'static str, needed: bool| {
            if needed && !self.has(entry) {
                findings.add(place, option, Problem::Missing(entry));
            }
        };
        let listens = self.side == Side::Listener;
        need("certificate", listens || self.has("key"));
        need("key", listens || self.has("certificate"));
        need("ca", !listens);
        need("server_name", !listens && !has_host);
        need("client_ca", self.has("client_auth") || self.has("client_user"));
        let ca = if listens { "client_ca" } else { "ca" };
        let auth = self.choice(option, "client_auth", &["required", "optional"], findings);
        let named = match self.choice(option, "client_user", &["cn", "san"], findings) {
            Some("cn") => Some(NamedBy::CommonName),
            Some(_) => Some(NamedBy::AlternativeNames),
            None => None,
        };
        TlsConfig {
            named,
            certificate: self.path(option, "certificate", findings),
            key: self.path(option, "key", findings),
            ca: self.path(option, ca, findings),
            server_name: self.text(option, "server_name", findings),
            anonymous: auth == Some("optional"),
        }
    }

    fn spiped(&self, option: &str, place: Place, findings: &mut Findings) -> SpipedConfig {
        let strength = match self.choice(option, "handshake", &["strong", "weak", "strict"], findings) {
            Some("weak") => Strength::Weak,
            Some("strict") => Strength::Strict,
            _ => Strength::Strong,
        };
        SpipedConfig { keys: self.keys(option, place, findings), strength }
    }

    fn noise(&self, option: &str, place: Place, findings: &mut Findings) -> NoiseConfig {
        let cipher = match self.choice(option, "cipher", &["chachapoly", "aesgcm"], findings) {
            Some("aesgcm") => Cipher::AesGcm,
            _ => Cipher::ChaChaPoly,
        };
        for (one, other) in [("identity", "far"), ("far", "identity")] {
            if self.has(one) && !self.has(other) {
                findings.add(place, option, Problem::Missing(other));
            }
        }
        let mut name = |name: &str| self.text(option, name, findings).unwrap_or_default();
        let names = Names { link: name("link"), opener: name("opener"), accepter: name("accepter") };
        NoiseConfig {
            cipher,
            names,
            keys: self.keys(option, place, findings),
            identity: self.path(option, "identity", findings),
            far: self.far(option, findings),
            pad_to: self.pad_to(option, findings),
        }
    }

    /// The files of keys: one, or for listeners two.
    fn keys(&self, option: &str, place: Place, findings: &mut Findings) -> Vec<PathBuf> {
        if !self.has("key") {
            findings.add(place, option, Problem::Missing("key"));
        }
        let most = if self.side == Side::Listener { 2 } else { 1 };
        self.texts(option, "key", most, findings).into_iter().map(|(text, _)| PathBuf::from(text)).collect()
    }

    fn far(&self, option: &str, findings: &mut Findings) -> Vec<PublicKey> {
        let most = if self.side == Side::Listener { PEERS_MAX } else { 1 };
        let texts = self.texts(option, "far", most, findings);
        let parsed = texts.into_iter().filter_map(|(text, place)| {
            findings.take(place, &format!("{option}.far"), text.parse().map_err(Problem::Key))
        });
        parsed.collect()
    }

    fn pad_to(&self, option: &str, findings: &mut Findings) -> Option<NonZeroU16> {
        let Sited { value, place } = self.entry("pad_to")?;
        let number = findings.take(*place, &format!("{option}.pad_to"), value.as_bytes(PAD_RANGE))?;
        u16::try_from(number).ok().and_then(NonZeroU16::new)
    }

    fn choice(
        &self,
        option: &str,
        name: &str,
        choices: &'static [&'static str],
        findings: &mut Findings,
    ) -> Option<&'static str> {
        let Sited { value, place } = self.entry(name)?;
        findings.take(*place, &format!("{option}.{name}"), value.as_choice(choices))
    }

    /// One text or a list of at most `most`.
    fn texts(&self, option: &str, name: &str, most: usize, findings: &mut Findings) -> Vec<(String, Place)> {
        let Some(entry) = self.entry(name) else { return Vec::new() };
        let (items, option) = (Value::items(entry), format!("{option}.{name}"));
        if items.is_empty() {
            findings.add(entry.place, &option, Problem::Empty);
        }
        if items.len() > most {
            findings.add(entry.place, &option, Problem::TooMany(most));
        }
        let texts = items
            .iter()
            .filter_map(|Sited { value, place }| Some((findings.take(*place, &option, filled(value))?, *place)));
        texts.collect()
    }

    fn entry(&self, name: &str) -> Option<&'a Sited<Value>> {
        self.given.iter().find(|entry| entry.key.value == name).map(|entry| &entry.value)
    }

    fn has(&self, name: &str) -> bool {
        self.entry(name).is_some()
    }

    fn path(&self, option: &str, name: &str, findings: &mut Findings) -> Option<PathBuf> {
        self.text(option, name, findings).map(PathBuf::from)
    }

    fn text(&self, option: &str, name: &str, findings: &mut Findings) -> Option<String> {
        let Sited { value, place } = self.entry(name)?;
        findings.take(*place, &format!("{option}.{name}"), filled(value))
    }
}

/// A text of at least one character.
fn filled(value: &Value) -> Result<String, Problem> {
    match value.as_text("a text")? {
        "" => Err(Problem::EmptyName),
        text => Ok(text.to_owned()),
    }
}
