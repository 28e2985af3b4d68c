//! Configuration: raw values of a file and of flags, checked into one plain [`Config`].
//!
//! ```text
//!  defaults of the option table ─┐
//!  file (TOML) ── Given ─────────┼─► Draft ── check ─► Config, or every Mistake at once
//!  flags ──────── Given ─────────┘
//! ```
//!
//! Later sources override earlier ones, lists included. Every option is one row of the table in `options`.

mod address;
mod changes;
mod check;
mod draft;
mod file;
mod flags;
mod kind;
mod limits;
mod listeners;
mod mistakes;
pub(crate) mod options;
mod placement;
mod reference;
mod rules;
mod seals;
mod secrets;
mod suggest;
mod upstreams;
mod users;
mod value;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use pdw_router::limits::Limits;
use pdw_router::place::{PlacementOptions, Rule, Target};

pub use address::{Address, AddressError};
pub(crate) use changes::{Changes, FIXED, Upstreams};
pub use draft::Profile;
pub use limits::Times;
pub use listeners::ListenConfig;
pub use mistakes::{Mistake, Mistakes, Place, Problem};
pub use reference::reference_page;
pub use seals::{NamedBy, NoiseConfig, SealConfig, SpipedConfig, TlsConfig};
pub use upstreams::UpstreamConfig;

use crate::cli::ServeArgs;
use draft::Draft;
use mistakes::Findings;

/// A checked configuration.
#[derive(Clone, Debug)]
pub struct Config {
    /// The set of defaults.
    pub profile: Profile,
    /// Where clients connect; at least one.
    pub listen: Vec<ListenConfig>,
    /// The instances in shard order; empty exactly if `embedded`.
    pub upstreams: Vec<UpstreamConfig>,
    /// Whether the proxy starts instances of its own.
    pub embedded: bool,
    /// Framed links of a worker to each upstream, if the upstreams are proxies that reach everything.
    pub peer_links: Option<usize>,
    /// What other proxies call this one; empty for what the machine and the first listener are called.
    pub name: String,
    /// How many it starts then.
    pub instances: usize,
    /// How keys find their shard.
    pub placement: PlacementOptions,
    /// Families of keys with a layout of their own; the first that matches holds.
    pub rules: Vec<Rule>,
    /// Number of workers.
    pub workers: usize,
    /// Where metrics and health are served, if anywhere.
    pub admin: Option<Address>,
    /// Where is remembered by what keys are placed, if anywhere.
    pub state_dir: Option<PathBuf>,
    /// Where large requests are kept until they are answered, if they are.
    pub spool: Option<PathBuf>,
    /// Filter of log lines, in the syntax of `tracing_subscriber::EnvFilter`.
    pub log: String,
    /// At most so many clients' handshakes may have begun at a worker.
    pub handshakes_max: usize,
    /// Bounds of a worker's core.
    pub limits: Limits,
    /// Times of sockets and drain.
    pub times: Times,
    /// The users by name, `default` only if it was given.
    pub(crate) users: Vec<(String, pdw_auth::users::User)>,
    /// What is allowed but probably not meant.
    pub warnings: Vec<Warning>,
    /// Every option's value in words, to be compared.
    pub(crate) values: BTreeMap<&'static str, String>,
}

/// Something that is allowed but probably not meant.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Warning {
    /// A listener that other machines reach, where who does may do everything without a password.
    #[error(
        "anybody who reaches {0} can read and delete every key: listen on 127.0.0.1 or a UNIX socket, keep \
         others out with a firewall, or give the users passwords (`users`, `[[user]]`), `default` among them"
    )]
    OpenListener(Address),
    /// A file with passwords or their hashes.
    #[error("everybody on this machine can read the passwords in {0}: `chmod o-r {0}`")]
    UsersExposed(String),
    /// Users that may not do everything, but run scripts.
    #[error(
        "`{0}` may run scripts, and what a script does is not held against the rules here but against those of the \
         proxy's own user at the instance: add `-@scripting`, or limit that user"
    )]
    Scripts(String),
    /// `instances` beside `upstreams`.
    #[error("`instances` has no effect beside `upstreams`: remove one of them")]
    UnusedInstances,
    /// An option of placement before peers.
    #[error("`{0}` has no effect with group.kind = \"peers\": where keys live is learned from them; remove it")]
    PlacedByPeers(&'static str),
    /// Profile `pdwfs` with another placement.
    #[error(
        "profile `pdwfs` with placement `{0}`: pdwfs clients that reach the instances without this proxy look \
         elsewhere for their keys; use placement `pdwfs` if there are any"
    )]
    ForeignPlacement(&'static str),
    /// `--accept-upstreams` where nothing is remembered.
    #[error(
        "--accept-upstreams has no effect without `state_dir` and `upstreams` that are instances: nothing is remembered, so \
         no start by another list is refused, and keys that are placed by this one are not found by that; set `state_dir`"
    )]
    NothingToAccept,
}

impl Config {
    /// The configuration of `pdw-proxy serve`: defaults, then the file, then the flags.
    ///
    /// # Errors
    /// Every mistake of the file, of the flags, and of the two together.
    pub fn from_args(args: &ServeArgs) -> Result<Self, Mistakes> {
        let mut findings = Findings::default();
        let mut draft = Draft::defaults();
        if let Some(path) = &args.config {
            let given = file::read(path, &mut findings);
            draft.take(&given, &mut findings);
        }
        draft.take(&flags::given(args), &mut findings);
        let mut config = check::settle(draft, findings, args.config.clone())?;
        if args.accept_upstreams && config.remembered_in().is_none() {
            config.warnings.push(Warning::NothingToAccept);
        }
        Ok(config)
    }

    /// The configuration of a file alone.
    ///
    /// # Errors
    /// Every mistake of the file.
    pub fn from_file(path: &Path) -> Result<Self, Mistakes> {
        Self::from_args(&ServeArgs { config: Some(path.to_path_buf()), ..ServeArgs::default() })
    }

    /// Where is remembered by what keys are placed, if it is. A proxy with instances of its own remembers nothing, as these do
    /// not; nor does one before peers, by which no keys are placed.
    pub fn remembered_in(&self) -> Option<&Path> {
        let places = !self.embedded && self.peer_links.is_none();
        self.state_dir.as_deref().filter(|_| places)
    }

    /// The shards in order, as a placement sees them: the upstreams, or the proxy's own instances.
    pub fn targets(&self) -> Vec<Target> {
        placement::targets(&self.upstreams, self.instances)
    }

    /// The shards of a proxy that starts `count` instances of its own.
    pub fn own_instances(count: usize) -> Vec<Target> {
        placement::targets(&[], count)
    }
}

#[cfg(test)]
pub(crate) mod tests;
