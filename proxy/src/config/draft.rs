//! The configuration while it is put together: each option's value so far, and where it was said.

use std::collections::BTreeMap;

use pdw_router::limits::Limits;
use pdw_router::place::Rule;

use super::address::Address;
use super::file::Given;
use super::limits::Times;
use super::listeners::ListenConfig;
use super::mistakes::{Findings, Place, Sited};
use super::options::OPTIONS;
use super::secrets::CredentialsDraft;
use super::upstreams::UpstreamConfig;
use super::users::{UserConfig, UsersFile};

/// A named set of defaults.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Profile {
    /// For pdwfs: its placement and rules; trouble is held and retried rather than told.
    #[default]
    Pdwfs,
    /// For any Redis client: no rules; errors are passed on, and failures are told at once.
    Redis,
}

impl Profile {
    /// Every profile, the default first.
    pub const ALL: [Profile; 2] = [Profile::Pdwfs, Profile::Redis];
    /// Their names, in the same order.
    pub(crate) const NAMES: &'static [&'static str] = &["pdwfs", "redis"];

    /// The profile's name in the file and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pdwfs => "pdwfs",
            Self::Redis => "redis",
        }
    }

    /// The placement unless another is chosen.
    pub fn placement(self) -> &'static str {
        match self {
            Self::Pdwfs => "pdwfs",
            Self::Redis => "ring",
        }
    }

    fn named(name: &str) -> Self {
        Self::ALL.into_iter().find(|profile| profile.name() == name).unwrap_or_default()
    }
}

/// Values of all options, not yet checked against each other.
#[derive(Debug, Default)]
pub(crate) struct Draft {
    pub(crate) profile: &'static str,
    pub(crate) listen: Vec<Sited<ListenConfig>>,
    pub(crate) upstreams: Vec<Sited<UpstreamConfig>>,
    pub(crate) group_kind: &'static str,
    pub(crate) group_links: usize,
    pub(crate) group_credentials: CredentialsDraft,
    pub(crate) name: String,
    pub(crate) instances: usize,
    pub(crate) workers: usize,
    pub(crate) admin: Option<Sited<Address>>,
    pub(crate) log: String,
    pub(crate) state_dir: String,
    pub(crate) spool: String,
    pub(crate) placement: Option<&'static str>,
    pub(crate) hash: &'static str,
    pub(crate) hash_tag: String,
    pub(crate) spread_children: bool,
    pub(crate) rules: Vec<Sited<Rule>>,
    pub(crate) handshakes_max: usize,
    pub(crate) limits: Limits,
    pub(crate) times: Times,
    pub(crate) users: Vec<Sited<UserConfig>>,
    pub(crate) users_file: Option<Sited<UsersFile>>,
    places: BTreeMap<&'static str, Place>,
}

impl Draft {
    /// What holds when nothing is said.
    pub(crate) fn defaults() -> Self {
        let mut draft = Self::default();
        for option in OPTIONS {
            option.kind.set_default(&mut draft);
        }
        draft
    }

    /// Takes the values of one source; a later source overrides an earlier one, lists included.
    pub(crate) fn take(&mut self, given: &[Given], findings: &mut Findings) {
        for Given { spec, value } in given {
            self.places.insert(spec.name, value.place);
            spec.kind.set(spec.name, value, self, findings);
        }
    }

    /// Every option's value in words.
    pub(crate) fn values(&mut self) -> BTreeMap<&'static str, String> {
        OPTIONS.iter().map(|option| (option.name, option.kind.value_text(self))).collect()
    }

    /// Where an option was last given; [`Place::Default`] if it was not.
    pub(crate) fn place(&self, option: &str) -> Place {
        self.places.get(option).copied().unwrap_or_default()
    }

    pub(crate) fn is_given(&self, option: &str) -> bool {
        self.places.contains_key(option)
    }

    pub(crate) fn profile(&self) -> Profile {
        Profile::named(self.profile)
    }

    /// Whether the upstreams are proxies that reach everything.
    pub(crate) fn has_peers(&self) -> bool {
        self.group_kind == "peers"
    }

    /// The placement's name, from the profile unless given.
    pub(crate) fn placement(&self) -> &'static str {
        self.placement.unwrap_or_else(|| self.profile().placement())
    }
}
