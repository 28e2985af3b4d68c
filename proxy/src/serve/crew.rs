//! The workers: made when everything is known to be good, then started together.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use pdw_router::command::Table;
use pdw_router::limits::Limits;
use pdw_router::mutant::{Mutant, Mutation};
use pdw_router::place::{Homes, Placement};
use pdw_router::{Attempts, Credentials, Gate, Peers, Profile, Setup};
use rustix::process::{Resource, getrlimit};
use tokio::sync::mpsc;

use super::ServeError;
use super::listeners::Listeners;
use super::seals::Seals;
use crate::admin::Ask;
use crate::bind::{SocketFile, Stance};
use crate::config::{self, Address, Config};
use crate::mutant;
use crate::seal::{Complaints, Pool};
use crate::worker::{Dial, DialAddress, Letter, Liveness, Mailbox, Orders, Worker, names};

/// What the workers of a process have in common, those of later configurations too.
#[derive(Clone, Debug)]
pub(super) struct Shared {
    attempts: Attempts,
    /// When their time began.
    started: Instant,
}

impl Default for Shared {
    fn default() -> Self {
        Self { attempts: Attempts::default(), started: Instant::now() }
    }
}

/// Workers that have their listeners but have not begun.
pub(super) struct Crew {
    workers: Vec<(Worker, Mailbox)>,
    /// Where they listen; a free port has been found for port 0.
    listen: Vec<Address>,
    files: Vec<SocketFile>,
}

/// Running workers.
pub(super) struct Running {
    ended: mpsc::UnboundedReceiver<String>,
    mailboxes: Vec<Mailbox>,
    threads: Vec<JoinHandle<()>>,
    /// Their UNIX sockets.
    files: Vec<SocketFile>,
}

impl Crew {
    /// Makes all workers and opens all listeners.
    pub(super) fn muster(
        config: &Config,
        dials: Vec<Dial>,
        seals: &Seals,
        stance: Stance,
        shared: &Shared,
    ) -> Result<Self, ServeError> {
        let name = link_name();
        let liveness = liveness(config);
        let table = Table::new();
        let names = Arc::new(names(&table, dials.iter().map(|dial| dial.name.clone())));
        let mut claimed = Listeners::claim(config, &seals.listeners, (stance, liveness))?;
        let (pool, complaints) = (Pool::default(), Complaints::default());
        let gate: Arc<dyn Gate> = Arc::new(config.gate());
        let mut workers = Vec::new();
        for index in 0..config.workers {
            let listeners = claimed.of_one(liveness)?;
            if index + 1 == config.workers {
                claimed.steer(&listeners, config.workers);
            }
            let setup = setup(config, &name, (&gate, &shared.attempts), index as u64)?;
            let descriptors = descriptors_of_one(config);
            workers.push(worker(Orders {
                place: (index, config.workers),
                descriptors,
                setup,
                started: shared.started,
                upstreams: dials.clone(),
                listeners,
                doors: claimed.doors(),
                liveness,
                handshakes: config.handshakes_max,
                pool: pool.clone(),
                complaints: complaints.clone(),
                spool: config.spool.clone(),
                names: Arc::clone(&names),
            })?);
        }
        let crew: Vec<Mailbox> = workers.iter().map(|(_, mailbox): &(Worker, Mailbox)| mailbox.clone()).collect();
        workers.iter_mut().for_each(|(worker, _)| worker.meet(crew.clone()));
        Ok(Self { workers, listen: claimed.addresses(config), files: claimed.into_files() })
    }

    /// Where clients connect, with the ports that were found for port 0.
    pub(super) fn listen(&self) -> Vec<Address> {
        self.listen.clone()
    }

    /// How the admin server asks each worker for its numbers.
    pub(super) fn questions(&self) -> Vec<Ask> {
        let asks = self.workers.iter().map(|(_, mailbox)| {
            let mailbox = mailbox.clone();
            let ask = move |answer: crate::admin::Answer| {
                // A scrape that has given up waiting needs no answer any more.
                mailbox.put(Letter::Scrape(Box::new(move |set| drop(answer.send(set)))));
            };
            Box::new(ask) as Ask
        });
        asks.collect()
    }

    /// Starts one thread for each worker.
    pub(super) fn start(self) -> Running {
        let (tell, ended) = mpsc::unbounded_channel();
        let (mut mailboxes, mut threads) = (Vec::new(), Vec::new());
        for (worker, mailbox) in self.workers {
            let tell = tell.clone();
            mailboxes.push(mailbox);
            threads.push(std::thread::spawn(move || {
                let outcome = worker.run();
                // Nobody listens once all are being stopped.
                let _ = tell.send(outcome.map_or_else(|error| error.to_string(), |()| "stopped".to_owned()));
            }));
        }
        Running { ended, mailboxes, threads, files: self.files }
    }
}

impl Running {
    /// Why the first worker ended, if one does.
    pub(super) async fn first(&mut self) -> String {
        self.ended.recv().await.unwrap_or_else(|| "its thread died".to_owned())
    }

    /// Tells all workers that the upstream of this index is elsewhere now.
    pub(super) fn redirect(&self, index: usize, dial: &Dial) {
        self.tell(|| Letter::Redirect(index, dial.clone()));
    }

    /// Has all workers keep to other limits and times.
    pub(super) fn adopt(&self, config: &Config) {
        self.tell(|| Letter::Adopt(Box::new(limits_of_one(config)), liveness(config)));
        self.tell(|| Letter::Credentials(credentials(config)));
    }

    /// Has all workers let other users in, and close who may not stay.
    pub(super) fn let_in(&self, config: &Config) {
        let gate: Arc<dyn Gate> = Arc::new(config.gate());
        self.tell(|| Letter::Users(Arc::clone(&gate)));
    }

    fn tell(&self, letter: impl Fn() -> Letter) {
        self.mailboxes.iter().for_each(|mailbox| mailbox.put(letter()));
    }

    /// What tells all workers that the upstream of this index is elsewhere now.
    pub(super) fn redirection(&self, index: usize) -> impl Fn(DialAddress) + Send + 'static {
        let mailboxes = self.mailboxes.clone();
        move |address| mailboxes.iter().for_each(|mailbox| mailbox.put(Letter::Moved(index, address.clone())))
    }

    /// Has all workers end when their clients have left; `close_silent`: or are silent.
    pub(super) fn drain(&self, close_silent: bool) {
        // Nobody shall find a listener that is about to be closed.
        self.files.iter().for_each(SocketFile::remove);
        self.tell(|| Letter::Drain { close_silent });
    }

    /// Returns when all workers have ended. Cancel safe.
    pub(super) async fn all_ended(&mut self) {
        while self.ended.recv().await.is_some() {}
    }

    /// Stops all workers and waits for them.
    pub(super) async fn stop_all(mut self) {
        self.files.iter().for_each(SocketFile::remove);
        self.tell(|| Letter::Stop);
        self.all_ended().await;
        for thread in self.threads {
            // A thread that panicked has said so.
            let _ = thread.join();
        }
    }
}

fn liveness(config: &Config) -> Liveness {
    Liveness { keepalive: config.times.tcp_keepalive, user_timeout: config.times.tcp_user_timeout }
}

fn worker(orders: Orders) -> Result<(Worker, Mailbox), ServeError> {
    Worker::new(orders).map_err(|source| ServeError::Kernel { what: "make a worker's event queue", source })
}

fn setup(
    config: &Config,
    name: &str,
    (gate, attempts): (&Arc<dyn Gate>, &Attempts),
    index: u64,
) -> Result<Setup, ServeError> {
    let homes = homes(config)?;
    let peers = config.peer_links.map(|links| Peers { count: config.upstreams.len(), links });
    let profile = match config.profile {
        config::Profile::Pdwfs => Profile::Pdwfs,
        config::Profile::Redis => Profile::Redis,
    };
    Ok(Setup {
        homes,
        peers,
        node: node(config),
        table: Table::new(),
        limits: limits_of_one(config),
        profile,
        spool: config.spool.is_some(),
        name: name.to_owned(),
        seed: incarnation().wrapping_add(index),
        gate: Arc::clone(gate),
        attempts: attempts.clone(),
        credentials: credentials(config),
        mutation: Mutation::of(chosen_mutant()),
    })
}

/// Where keys live; peers say it themselves.
fn homes(config: &Config) -> Result<Homes, ServeError> {
    if config.peer_links.is_some() {
        return Ok(Homes::single());
    }
    let impossible = |error: String| ServeError::Placement(error);
    let placement = Placement::new(&config.placement, &config.targets());
    let placement = placement.map_err(|error| impossible(error.to_string()))?;
    Homes::new(placement, config.rules.clone()).map_err(|error| impossible(error.to_string()))
}

/// What other proxies call this one.
fn node(config: &Config) -> String {
    if !config.name.is_empty() {
        return config.name.clone();
    }
    let machine = rustix::system::uname().nodename().to_string_lossy().into_owned();
    match config.listen.first().map(|listener| &listener.address) {
        Some(Address::Tcp { port, .. }) => format!("{machine}:{port}"),
        Some(Address::Unix(path)) => format!("{machine}:{}", path.display()),
        None => machine,
    }
}

/// By what links authenticate, for each upstream.
fn credentials(config: &Config) -> Vec<Option<Credentials>> {
    config.upstreams.iter().map(|upstream| upstream.credentials.clone()).collect()
}

/// What the program, its tables and the allocator's waste take of the ceiling; measured.
const OVERHEAD: usize = 24 << 20;

/// One worker's limits: its share of what the process may hold, in memory and in files.
fn limits_of_one(config: &Config) -> Limits {
    let mut limits = config.limits.clone();
    let buffers = limits.memory_max.saturating_sub(OVERHEAD) / 4 * 3;
    limits.memory_max = buffers / config.workers;
    limits.spool_max /= config.workers;
    limits
}

/// How many sockets one worker may have open, so that some descriptors are left for links and the admin server.
fn descriptors_of_one(config: &Config) -> usize {
    let limit = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    usize::try_from(limit).unwrap_or(usize::MAX).saturating_sub(RESERVED_DESCRIPTORS) / config.workers
}

/// Descriptors that clients' connections never take.
const RESERVED_DESCRIPTORS: usize = 100;

/// A deliberate fault for tests; a release has none compiled in.
fn chosen_mutant() -> Option<Mutant> {
    if !cfg!(feature = "mutants") {
        return None;
    }
    mutant::chosen()?.parse().ok()
}

/// How this process's links name themselves at instances.
fn link_name() -> String {
    format!("pdw/{:016x}", incarnation())
}

/// A number that no other run of the program has, for all practical purposes.
fn incarnation() -> u64 {
    let nanos = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos() as u64);
    nanos ^ u64::from(std::process::id()) << 40
}
