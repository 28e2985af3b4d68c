//! The proxy under test, started as an operator starts it.

use std::ffi::OsString;
use std::io;
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;

use crate::address::Address;
use crate::connection::{Connection, until};
use crate::guard::Guard;
use crate::hop::{End, Hop, Seal};
use crate::scrape::Scrape;
use crate::switched_off;

/// How old the numbers of a scrape may be, and a little more.
const STALE: Duration = Duration::from_millis(130);

const START_LIMIT: Duration = Duration::from_secs(60);

/// What an operator is to be told is told within this time, on a busy machine.
const LOG_LIMIT: Duration = Duration::from_secs(20);

/// pdwfs's sets of stripes as a rule, as its profile knows them: with it a stripe and its set are one transaction under
/// either profile.
pub const STRIPE_SETS: &str = r#"
[[rule]]
name = "stripe-set"
keys = "*:stripes"
unless = "{*"
layout = "partial-set"
member = "$1:$member"
"#;

/// What to start: the options of `pdw-proxy serve` that suites use.
#[derive(Clone, Debug, Default)]
pub struct Launch {
    profile: Option<&'static str>,
    placement: Option<&'static str>,
    mutant: Option<String>,
    config: Option<String>,
    /// The file says where it listens.
    listens_by_file: bool,
    listen: Option<Address>,
    upstreams: Vec<Address>,
    workers: usize,
    arguments: Vec<String>,
    admin: bool,
    tracer: Vec<String>,
    levels: usize,
    seal: Seal,
    /// The hops to the upstreams, if they are sealed, in order.
    hops: Vec<Arc<Hop>>,
    /// The hop by which others come, if it is sealed.
    door: Option<Arc<Hop>>,
    /// What the upstreams are called, if the hops to them are sealed: what they would be called without.
    names: Vec<String>,
}

impl Launch {
    /// A proxy of one worker in front of `upstreams`, with a profile's defaults.
    pub fn new(profile: &'static str, upstreams: &[Address]) -> Launch {
        let levels = chosen_levels();
        Launch {
            profile: Some(profile),
            upstreams: upstreams.to_vec(),
            workers: 1,
            levels,
            seal: Seal::chosen(),
            ..Launch::default()
        }
    }

    /// As many workers instead of one.
    #[must_use]
    pub fn workers(mut self, count: usize) -> Launch {
        self.workers = count;
        self
    }

    /// Stands before these instead.
    #[must_use]
    pub fn upstreams(mut self, upstreams: &[Address]) -> Launch {
        self.upstreams = upstreams.to_vec();
        self
    }

    /// A tree of so many levels, by framed links; what is said to the proxy is said to all of them. `PDW_LEVELS` is
    /// how many there are unless a test says so.
    #[must_use]
    pub fn levels(mut self, levels: usize) -> Launch {
        self.levels = levels;
        self
    }

    /// All its hops, and those of its tree, sealed by this; `PDW_SEAL` names it unless a test says so. Who has no end of
    /// his own, clients and instances, is given one ([`End`]): nothing changes for a test.
    #[must_use]
    pub fn seal(mut self, seal: Seal) -> Launch {
        self.seal = seal;
        self
    }

    /// Stands before other proxies, each of which reaches everything.
    #[must_use]
    pub fn before_peers(mut self, peers: &[Address]) -> Launch {
        self.upstreams = peers.to_vec();
        self.placement = None;
        self.levels = 1;
        self.argument("--group").argument("peers")
    }

    /// Places keys by `name`.
    #[must_use]
    pub fn placement(mut self, name: &'static str) -> Launch {
        self.placement = Some(name);
        self
    }

    /// A deliberate fault, for binaries built with feature `mutants`.
    #[must_use]
    pub fn mutant(mut self, name: &str) -> Launch {
        self.mutant = Some(name.to_owned());
        self
    }

    /// Text of a configuration file.
    #[must_use]
    pub fn config(mut self, text: &str) -> Launch {
        self.config = Some(text.to_owned());
        self
    }

    /// Listens there instead of on a free loopback port.
    #[must_use]
    pub fn listen(mut self, address: &Address) -> Launch {
        self.listen = Some(address.clone());
        self
    }

    /// Listens where the file says; `address` is one of these, plain.
    #[must_use]
    pub fn listens_by_file(mut self, address: &Address) -> Launch {
        self.listens_by_file = true;
        self.listen(address)
    }

    /// Serves its numbers too, for [`Proxy::scrape`].
    #[must_use]
    pub fn with_admin(mut self) -> Launch {
        self.admin = true;
        self
    }

    /// Further arguments of `serve`.
    #[must_use]
    pub fn argument(mut self, argument: &str) -> Launch {
        self.arguments.push(argument.to_owned());
        self
    }

    /// Starts it by way of a program that becomes the proxy, as `["strace", "-D"]`.
    #[must_use]
    pub fn under(mut self, tracer: &[&str]) -> Launch {
        self.tracer = tracer.iter().map(|word| (*word).to_owned()).collect();
        self
    }

    /// Starts the proxy and waits until it answers a PING.
    ///
    /// # Errors
    /// When it does not; the text holds what it wrote.
    pub fn start(&self) -> io::Result<Proxy> {
        if self.seal == Seal::Plain || self.listens_by_file {
            return self.grow();
        }
        let (mut launch, mut ends) = self.with_ends()?;
        if matches!(launch.listen, Some(Address::Unix(_))) {
            // Whoever connects there would be a client of the tests' own end, and not of the proxy.
            launch.door = Some(Arc::new(Hop::new(Seal::Plain)?));
            return Ok(Proxy { ends, ..launch.grow()? });
        }
        let outside = launch.listen.take().map_or_else(Address::free_loopback, Ok)?;
        let door = Arc::new(Hop::new(self.seal)?);
        launch.door = Some(Arc::clone(&door));
        let mut proxy = launch.grow()?;
        ends.push(door.client_end(&outside, &proxy.address)?);
        (proxy.address, proxy.ends) = (outside, ends);
        proxy.wait_ready()
    }

    /// Before ends of the sealed hops to its upstreams, so that something can be put between it and them. If those hops
    /// are not sealed, or there are ends already, nothing changes.
    ///
    /// # Errors
    /// When an end cannot be started.
    pub fn with_ends(&self) -> io::Result<(Launch, Vec<End>)> {
        let (mut launch, mut ends) = (self.clone(), Vec::new());
        if self.seal == Seal::Plain || !self.hops.is_empty() {
            return Ok((launch, ends));
        }
        launch.names = self.upstreams.iter().map(Address::to_string).collect();
        for upstream in &mut launch.upstreams {
            let hop = Hop::new(self.seal)?;
            let end = hop.instance_end(upstream)?;
            upstream.clone_from(end.address());
            launch.hops.push(Arc::new(hop));
            ends.push(end);
        }
        Ok((launch, ends))
    }

    /// What it stands before.
    pub fn chosen_upstreams(&self) -> &[Address] {
        &self.upstreams
    }

    /// The tree, without the ends of its outermost hops.
    fn grow(&self) -> io::Result<Proxy> {
        if self.levels == 1 || self.levels == 0 {
            return self.spawn()?.wait_ready();
        }
        let hop = if self.door.is_some() { Some(Arc::new(Hop::new(self.seal)?)) } else { None };
        let inner = Launch { listen: None, levels: self.levels - 1, door: hop.clone(), ..self.clone() }.grow()?;
        let mut leaf = self.clone().before_peers(std::slice::from_ref(&inner.address));
        leaf.names = vec![format!("level-{}", self.levels - 1)];
        leaf.hops = hop.into_iter().collect();
        let mut leaf = leaf.grow()?;
        leaf.behind = Some(Box::new(inner));
        Ok(leaf)
    }

    /// The tables of a configuration that has sealed hops.
    fn sealed_tables(&self, address: &Address) -> Option<String> {
        let door = self.door.as_ref()?;
        let upstream = |((hop, address), name): ((&Arc<Hop>, &Address), &String)| {
            format!("    {{ address = '{address}', name = '{name}'{} }},\n", hop.opens())
        };
        let upstreams: String = self.hops.iter().zip(&self.upstreams).zip(&self.names).map(upstream).collect();
        let listen = format!("listen = [{{ address = '{address}'{} }}]", door.accepts());
        Some(format!("{listen}\nupstreams = [\n{upstreams}]\n"))
    }

    /// Starts the proxy and waits for nothing.
    ///
    /// # Errors
    /// When the program cannot be started.
    pub fn spawn(&self) -> io::Result<Proxy> {
        let folder = tempfile::Builder::new().prefix("pdw-proxy-").tempdir()?;
        let address = self.listen.clone().map_or_else(Address::free_loopback, Ok)?;
        let admin = self.admin.then(Address::free_loopback).transpose()?;
        let mut words: Vec<OsString> = self.tracer.iter().map(OsString::from).collect();
        words.push(program()?.into());
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]).arg("serve");
        let sealed = self.sealed_tables(&address);
        if !self.listens_by_file && sealed.is_none() {
            command.args(["--listen", &address.to_string()]);
        }
        for upstream in self.upstreams.iter().filter(|_| sealed.is_none()) {
            command.args(["--upstream", &upstream.to_string()]);
        }
        if let Some(admin) = &admin {
            command.args(["--admin", &admin.to_string()]);
        }
        self.optional(&mut command);
        let text = [sealed, self.config.clone()].into_iter().flatten().reduce(|tables, text| tables + &text);
        if let Some(text) = text {
            let file = config_file(&folder);
            std::fs::write(&file, text)?;
            command.arg("--config").arg(file);
        }
        let guard = Guard::start(&mut command, &folder.path().join("log"))?;
        let (sealed, ends, behind) = (self.door.is_some(), Vec::new(), None);
        Ok(Proxy { address, admin, guard, folder, sealed, ends, behind })
    }

    fn optional(&self, command: &mut Command) {
        if let Some(profile) = self.profile {
            command.args(["--profile", profile]);
        }
        if let Some(placement) = self.placement {
            command.args(["--placement", placement]);
        }
        if self.workers > 0 {
            command.args(["--workers", &self.workers.to_string()]);
        }
        command.args(&self.arguments).env_remove("PDW_MUTANT");
        if let Some(mutant) = self.mutant.clone().map(OsString::from).or_else(switched_off::fault) {
            command.env("PDW_MUTANT", mutant);
        }
    }
}

/// How many levels `PDW_LEVELS` names; one unless it does.
pub fn chosen_levels() -> usize {
    std::env::var("PDW_LEVELS").ok().and_then(|text| text.parse().ok()).unwrap_or(1)
}

fn config_file(folder: &TempDir) -> PathBuf {
    folder.path().join("config.toml")
}

/// The proxy's binary: `PDW_PROXY_BIN`, else the one cargo built beside the running test.
///
/// # Errors
/// When there is none.
pub fn program() -> io::Result<PathBuf> {
    if let Some(named) = std::env::var_os("PDW_PROXY_BIN") {
        return Ok(PathBuf::from(named));
    }
    let test = std::env::current_exe()?;
    let beside = test.parent().and_then(|deps| deps.parent()).map(|profile| profile.join("pdw-proxy"));
    let missing = "no pdw-proxy beside the tests: `cargo build -p pdw-proxy --features mutants` or set PDW_PROXY_BIN";
    beside.filter(|file| file.is_file()).ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, missing))
}

/// A running proxy.
#[derive(Debug)]
pub struct Proxy {
    address: Address,
    admin: Option<Address>,
    guard: Guard,
    folder: TempDir,
    /// Its listener is, and no client's end stands before it yet.
    sealed: bool,
    /// Of its tree's outermost hops.
    ends: Vec<End>,
    /// The next level of its tree.
    behind: Option<Box<Proxy>>,
}

impl Proxy {
    fn wait_ready(mut self) -> io::Result<Proxy> {
        let (address, answers) = (self.address.clone(), !self.sealed || !self.ends.is_empty());
        self.guard.wait_ready(START_LIMIT, || match &address {
            Address::Tcp(address) if !answers => TcpStream::connect(address).map(drop),
            address => Connection::open(address)?.demand(&["PING"]).map(drop),
        })?;
        Ok(self)
    }

    /// The next level of its tree.
    pub fn behind(&mut self) -> Option<&mut Proxy> {
        self.behind.as_deref_mut()
    }

    /// The level of its tree that stands before the instances: without a tree, itself.
    pub fn nearest(&self) -> &Proxy {
        self.behind.as_deref().map_or(self, Proxy::nearest)
    }

    /// Stops all levels of its tree.
    ///
    /// # Errors
    /// As [`Guard::freeze`].
    pub fn freeze(&self) -> io::Result<()> {
        self.guard.freeze()?;
        self.behind.as_deref().map_or(Ok(()), Proxy::freeze)
    }

    /// Has all of them go on.
    ///
    /// # Errors
    /// As [`Guard::thaw`].
    pub fn thaw(&self) -> io::Result<()> {
        self.behind.as_deref().map_or(Ok(()), Proxy::thaw)?;
        self.guard.thaw()
    }

    /// What it has written so far.
    pub fn log(&self) -> String {
        self.guard.output()
    }

    /// Waits until it has written this.
    ///
    /// # Errors
    /// When it does not for some time: what it has written instead.
    pub fn wait_log(&self, text: &str) -> io::Result<()> {
        until(text, LOG_LIMIT, || {
            let log = self.log();
            if log.contains(text) { Ok(()) } else { Err(io::Error::other(log)) }
        })
    }

    /// Where it listens.
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// Its process.
    pub fn guard(&mut self) -> &mut Guard {
        &mut self.guard
    }

    /// Its configuration file, if it was given the text of one.
    pub fn config_file(&self) -> PathBuf {
        config_file(&self.folder)
    }

    /// Its numbers now, or a little later: it gathers them at most ten times a second.
    ///
    /// # Errors
    /// When it was not launched with [`Launch::with_admin`], or does not answer.
    pub fn scrape(&self) -> io::Result<Scrape> {
        std::thread::sleep(STALE);
        Scrape::take(self.admin.as_ref().ok_or_else(|| io::Error::other("this proxy has no admin address"))?)
    }

    /// A new session.
    ///
    /// # Errors
    /// What the socket reports.
    pub fn connect(&self) -> io::Result<Connection> {
        Connection::open(&self.address)
    }
}
