//! Arguments. Defaults in the help come from the option table.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::builder::PossibleValuesParser;
use clap::{ArgGroup, Args, Parser, Subcommand, ValueEnum};

use crate::config::{Address, AddressError, options};

const EXAMPLES: &str = "\
Examples:
  pdw-proxy up                                      a proxy and three instances, on one screen
  pdw-proxy up --leaves 2 --spines 2                a tree of proxies and three instances
  pdw-proxy serve                                   serve from three instances of its own
  pdw-proxy serve --upstream node1:6379 --upstream node2:6379
  pdw-proxy serve --config pdw-proxy.toml --listen /run/pdw.sock
  pdw-proxy check pdw-proxy.toml                    every mistake at once
  pdw-proxy route --placement pdwfs --shards 3 /m/f:0
  pdw-proxy keygen noise leaf3-spine1.key           a key for a sealed link
  PDWFS_REDIS=127.0.0.1:6380 pdwfs -p /m -- ./a.out a client of it";

/// One Redis address in front of many instances.
#[derive(Debug, Parser)]
#[command(name = "pdw-proxy", version, after_help = EXAMPLES)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What the program does.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Serve clients until SIGINT or SIGTERM
    Serve(ServeArgs),
    /// Start instances and a proxy, or a tree of them, on this machine, show all on one screen, and break it on purpose
    Up(UpArgs),
    /// Tell every mistake of a configuration file, and of the keys and certificates that it names
    Check(CheckArgs),
    /// Tell on which shard keys live
    Route(RouteArgs),
    /// Make a file with a new key, for a sealed link
    Keygen(KeygenArgs),
    /// Print a page of the reference, in Markdown: all options unless another is named
    Reference(ReferenceArgs),
    /// Print the completions of a shell
    Completions(CompletionsArgs),
    /// Print a page of the manual, for man(1)
    Man(ManArgs),
}

const SERVE_HELP: &str = "\
ADDR is host:port, [v6]:port, or the path of a UNIX socket, which contains a '/'.
Flags override the file.

Examples:
  pdw-proxy serve
  pdw-proxy serve --profile redis --upstream node1:6379 --upstream node2:6379 --workers 4
  pdw-proxy serve --config pdw-proxy.toml --admin 127.0.0.1:9121";

/// Arguments of `serve`. Values are checked with the file's, so that all mistakes are told at once.
#[derive(Clone, Debug, Default, Args)]
#[command(after_help = SERVE_HELP)]
pub struct ServeArgs {
    /// Configuration file (TOML); `pdw-proxy reference` lists its options
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,

    #[arg(long, value_name = "ADDR", help_heading = "Addresses", help = about("listen", "Where clients connect; may be repeated"))]
    #[doc = "Where clients connect."]
    pub listen: Vec<String>,

    #[arg(long, value_name = "ADDR", help_heading = "Addresses", help = about("upstreams", "An instance, or NAME=ADDR; repeat in the order that numbers the shards"))]
    #[doc = "The instances, in shard order."]
    pub upstream: Vec<String>,

    #[arg(long, value_name = "KIND", value_parser = choices("group.kind"), help_heading = "Addresses", help = about("group.kind", "What the upstreams are: instances that each own a part, or proxies that reach all"))]
    #[doc = "What the upstreams are."]
    pub group: Option<String>,

    #[arg(long, value_name = "ADDR", help_heading = "Addresses", help = about("admin", "Where /metrics, /healthz and /readyz are served over HTTP"))]
    #[doc = "Where metrics and health are served."]
    pub admin: Option<String>,

    #[arg(long, value_name = "NAME", value_parser = choices("profile"), help_heading = "Keys", help = about("profile", "A set of defaults"))]
    #[doc = "The set of defaults."]
    pub profile: Option<String>,

    #[arg(long, value_name = "NAME", value_parser = choices("placement"), help_heading = "Keys", help = about("placement", "How a key finds its shard"))]
    #[doc = "How keys find their shard."]
    pub placement: Option<String>,

    #[arg(long, value_name = "N", allow_negative_numbers = true, help_heading = "Process", help = about("workers", "Threads that serve sessions"))]
    #[doc = "Number of workers."]
    pub workers: Option<i64>,

    #[arg(long, value_name = "N", allow_negative_numbers = true, help_heading = "Process", help = about("instances", "Instances to start when there is no upstream"))]
    #[doc = "Number of embedded instances."]
    pub instances: Option<i64>,

    #[arg(
        long,
        value_name = "NAME",
        help_heading = "Process",
        help = "What other proxies call this one [default: the machine's name and the first listener]"
    )]
    #[doc = "What other proxies call this one."]
    pub name: Option<String>,

    /// Take the place of a proxy that listens on the same addresses: new connections come here as soon as the line
    /// "ready" is printed, and that proxy can be ended with SIGTERM
    #[arg(long, help_heading = "Process")]
    pub replace: bool,

    /// Start even if `state_dir` remembers other upstreams or another placement, and remember these from now on; without
    /// `state_dir` it has no effect, and a warning says so
    #[arg(long, help_heading = "Process")]
    pub accept_upstreams: bool,

    #[arg(long, value_name = "FILTER", help_heading = "Process", help = about("log", "Log lines: error, warn, info, debug, trace, or target=level"))]
    #[doc = "Filter of log lines."]
    pub log: Option<String>,
}

const UP_HELP: &str = "\
Everything ends with it, however it ends. Without a terminal, or with --plain, it prints a line
of state now and then, and takes words on standard input: kill N, stop N, continue N, restart N,
load, quit.

Keys:
  up, down, 0-9  choose a process      l  a small load, on and off
  k  kill it, it stays down            r  kill it and start it again, or start it
  s  stop it (SIGSTOP)                 c  have it continue
  q  quit

Examples:
  pdw-proxy up
  pdw-proxy up --leaves 2 --spines 2 --instances 4
  pdw-proxy up --instances 5 --profile redis";

/// Arguments of `up`.
#[derive(Clone, Debug, Args)]
#[command(after_help = UP_HELP)]
pub struct UpArgs {
    /// How many instances
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..=64))]
    pub instances: u8,

    /// How many proxies before the instances
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=16))]
    pub spines: u8,

    /// How many proxies before those, with framed links to each of them
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u8).range(0..=16))]
    pub leaves: u8,

    /// Where clients of the first proxy connect
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:6380", value_parser = known_address)]
    pub listen: String,

    /// Where the first proxy serves its metrics, which the screen shows
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:9121", value_parser = known_address)]
    pub admin: String,

    #[arg(long, value_name = "NAME", value_parser = choices("profile"), help = about("profile", "A set of defaults"))]
    #[doc = "The set of defaults."]
    pub profile: Option<String>,

    #[arg(long, value_name = "NAME", value_parser = choices("placement"), help = about("placement", "How a key finds its shard"))]
    #[doc = "How keys find their shard."]
    pub placement: Option<String>,

    #[arg(long, value_name = "N", help = about("workers", "Threads that serve sessions"))]
    #[doc = "Number of workers."]
    pub workers: Option<u16>,

    /// Lines instead of a screen
    #[arg(long)]
    pub plain: bool,
}

/// Arguments of `check`.
#[derive(Debug, Args)]
pub struct CheckArgs {
    /// The configuration file
    pub file: PathBuf,
}

const ROUTE_HELP: &str = "\
Prints KEY<TAB>INDEX a line; the index counts upstreams from 0. For a set whose
members are spread over all shards it prints *, and --verbose says by what key
each member is placed. Without --config the shards are called instance-0,
instance-1 and so on, as the proxy's own instances are; `ring` and `ketama` hash
such names, so give a file for the places on real upstreams.

Examples:
  pdw-proxy route --placement pdwfs --shards 3 /m/f:0 /m/f:stripes
  redis-cli --scan | pdw-proxy route --config pdw-proxy.toml --verbose -";

/// Arguments of `route`.
#[derive(Debug, Args)]
#[command(after_help = ROUTE_HELP, group = ArgGroup::new("shards_of").required(true).args(["config", "shards"]))]
pub struct RouteArgs {
    /// Place as this configuration does
    #[arg(long, value_name = "FILE", conflicts_with_all = ["placement", "profile"])]
    pub config: Option<PathBuf>,

    #[arg(long, value_name = "NAME", value_parser = choices("placement"), help = about("placement", "How a key finds its shard"))]
    #[doc = "How keys find their shard."]
    pub placement: Option<String>,

    /// Number of shards
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=16_384))]
    pub shards: Option<u16>,

    #[arg(long, value_name = "NAME", value_parser = choices("profile"), help = about("profile", "Whose rules hold"))]
    #[doc = "Whose rules hold."]
    pub profile: Option<String>,

    /// Also print the rule, its layout, the hashed part, and the slot where there is one
    #[arg(long, short)]
    pub verbose: bool,

    /// The keys; - reads them from standard input, one a line, any bytes
    #[arg(required = true, value_name = "KEY")]
    pub keys: Vec<OsString>,
}

const KEYGEN_HELP: &str = "\
The file can be read by its owner alone, and one that is there is never
overwritten. One key for each link: who has the key of a link can be either end
of it. To replace a key, see `pdw-proxy reference`, sealed links.

Examples:
  pdw-proxy keygen noise leaf3-spine1.key
  pdw-proxy keygen spiped node7.key
  pdw-proxy keygen identity spine1.identity";

/// Arguments of `keygen`.
#[derive(Debug, Args)]
#[command(after_help = KEYGEN_HELP)]
pub struct KeygenArgs {
    /// What the key is for
    #[arg(value_enum)]
    pub kind: KeyKind,

    /// The file to make
    pub file: PathBuf,
}

/// What a key is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum KeyKind {
    /// A link to or from Tarsnap's spiped, or one that speaks as it does
    Spiped,
    /// A link between proxies
    Noise,
    /// A node, for links between proxies that know each other by name
    Identity,
}

/// Arguments of `completions`.
#[derive(Debug, Args)]
pub struct CompletionsArgs {
    /// Which shell
    #[arg(value_enum)]
    pub shell: clap_complete::Shell,
}

/// Arguments of `man`.
#[derive(Debug, Args)]
pub struct ManArgs {
    /// The command to describe; the whole program unless given
    #[arg(value_parser = PossibleValuesParser::new(["serve", "up", "check", "route", "keygen", "reference", "completions", "man"]))]
    pub command: Option<String>,
}

/// `pdw-proxy reference`
#[derive(Debug, Args)]
pub struct ReferenceArgs {
    /// Which page
    #[arg(value_enum, default_value_t = Page::Options)]
    pub page: Page,
}

/// A page of the reference.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Page {
    /// Every option of the configuration
    Options,
    /// Every metric
    Metrics,
    /// What happens when something fails
    Failures,
}

/// A flag's help: what it is, with the default of its option.
fn about(option: &str, what: &str) -> String {
    let default = options::find(option).map(|spec| spec.kind.default_text()).unwrap_or_default();
    format!("{what} [default: {default}]")
}

/// An address that is known before anybody listens there, since the screen shows it.
fn known_address(text: &str) -> Result<String, String> {
    match text.parse().map_err(|error: AddressError| error.to_string())? {
        Address::Tcp { port: 0, .. } => {
            Err("the screen could not tell which port was taken: write a number".to_owned())
        }
        _ => Ok(text.to_owned()),
    }
}

/// The words of an option that is a choice.
fn choices(option: &str) -> PossibleValuesParser {
    PossibleValuesParser::new(options::find(option).map(|spec| spec.kind.choices()).unwrap_or_default())
}
