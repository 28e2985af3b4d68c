//! The workers: made when everything is known to be good, then started together.

use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{SystemTime, UNIX_EPOCH};

use pdw_router::command::Table;
use pdw_router::limits::Limits;
use pdw_router::mutant::{Mutant, Mutation};
use pdw_router::place::{Homes, Placement};
use pdw_router::{Profile, Setup};
use rustix::process::{Resource, getrlimit};
use tokio::sync::mpsc;

use super::ServeError;
use crate::admin::Workers;
use crate::config::{self, Address, Config};
use crate::worker::{Dial, Letter, Listener, Liveness, Mailbox, Orders, Worker, names};

/// Workers that have their listeners but have not begun.
pub(super) struct Crew {
    workers: Vec<(Worker, Mailbox)>,
    /// Where they listen; a free port has been found for port 0.
    listen: Vec<Address>,
}

/// Running workers.
pub(super) struct Running {
    ended: mpsc::UnboundedReceiver<String>,
    mailboxes: Vec<Mailbox>,
    threads: Vec<JoinHandle<()>>,
}

impl Crew {
    /// Makes all workers and binds all listeners.
    pub(super) fn muster(config: &Config, dials: Vec<Dial>) -> Result<Self, ServeError> {
        let name = link_name();
        let liveness = Liveness { keepalive: config.times.tcp_keepalive, user_timeout: config.times.tcp_user_timeout };
        let table = Table::new();
        let names = Arc::new(names(&table, dials.iter().map(|dial| dial.name.clone())));
        let shared = unix_listeners(config)?;
        let sockets = tcp_sockets(config)?;
        let mut workers = Vec::new();
        for index in 0..config.workers {
            let mut listeners = tcp_listeners(&sockets, liveness)?;
            listeners.extend(handles(&shared)?);
            let setup = setup(config, &name, index as u64)?;
            let descriptors = descriptors_of_one(config);
            workers.push(worker(Orders {
                place: (index as u64, config.workers as u64),
                descriptors,
                setup,
                upstreams: dials.clone(),
                listeners,
                liveness,
                names: Arc::clone(&names),
            })?);
        }
        Ok(Self { workers, listen: config.listen.iter().map(|address| with_port(address, &sockets)).collect() })
    }

    /// Where clients connect, with the ports that were found for port 0.
    pub(super) fn listen(&self) -> Vec<Address> {
        self.listen.clone()
    }

    /// Where the admin server asks for numbers.
    pub(super) fn numbers(&self) -> Workers {
        let asks = self.workers.iter().map(|(_, mailbox)| {
            let mailbox = mailbox.clone();
            let ask = move |answer: crate::admin::Answer| {
                // A scrape that has given up waiting needs no answer any more.
                mailbox.put(Letter::Scrape(Box::new(move |set| drop(answer.send(set)))));
            };
            Box::new(ask) as Box<dyn Fn(crate::admin::Answer) + Send + Sync>
        });
        Workers::new(asks.collect())
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
        Running { ended, mailboxes, threads }
    }
}

impl Running {
    /// Why the first worker ended, if one does.
    pub(super) async fn first(&mut self) -> String {
        self.ended.recv().await.unwrap_or_else(|| "its thread died".to_owned())
    }

    /// Stops all workers and waits for them.
    pub(super) async fn stop_all(mut self) {
        self.mailboxes.iter().for_each(|mailbox| mailbox.put(Letter::Stop));
        while self.ended.recv().await.is_some() {}
        for thread in self.threads {
            // A thread that panicked has said so.
            let _ = thread.join();
        }
    }
}

fn worker(orders: Orders) -> Result<(Worker, Mailbox), ServeError> {
    Worker::new(orders).map_err(|source| ServeError::Kernel { what: "make a worker's event queue", source })
}

fn setup(config: &Config, name: &str, index: u64) -> Result<Setup, ServeError> {
    let placement = Placement::new(&config.placement, &config.targets())
        .map_err(|error| ServeError::Placement(error.to_string()))?;
    let homes =
        Homes::new(placement, config.rules.clone()).map_err(|error| ServeError::Placement(error.to_string()))?;
    let profile = match config.profile {
        config::Profile::Pdwfs => Profile::Pdwfs,
        config::Profile::Redis => Profile::Redis,
    };
    Ok(Setup {
        homes,
        table: Table::new(),
        limits: limits_of_one(config),
        profile,
        name: name.to_owned(),
        seed: incarnation().wrapping_add(index),
        mutation: Mutation::of(chosen_mutant()),
    })
}

/// What the program, its tables and the allocator's waste take of the ceiling; measured.
const OVERHEAD: usize = 24 << 20;

/// One worker's limits: its share of what the process may hold.
fn limits_of_one(config: &Config) -> Limits {
    let mut limits = config.limits.clone();
    let buffers = limits.memory_max.saturating_sub(OVERHEAD) / 4 * 3;
    limits.memory_max = buffers / config.workers;
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
    std::env::var("PDW_MUTANT").ok()?.parse().ok()
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

/// The TCP addresses to listen on, each with what the configuration calls it.
fn tcp_sockets(config: &Config) -> Result<Vec<(&Address, SocketAddr)>, ServeError> {
    let mut sockets = Vec::new();
    for address in &config.listen {
        if let Address::Tcp { host, port } = address {
            let failed = |source| ServeError::Listen { address: address.clone(), source };
            for resolved in (host.as_str(), *port).to_socket_addrs().map_err(failed)? {
                sockets.push((address, Listener::claim(resolved).map_err(failed)?));
            }
        }
    }
    Ok(sockets)
}

fn with_port(address: &Address, sockets: &[(&Address, SocketAddr)]) -> Address {
    let found = sockets.iter().find(|(listened, _)| *listened == address);
    match (address, found) {
        (Address::Tcp { host, .. }, Some((_, socket))) => Address::Tcp { host: host.clone(), port: socket.port() },
        _ => address.clone(),
    }
}

fn tcp_listeners(sockets: &[(&Address, SocketAddr)], liveness: Liveness) -> Result<Vec<Listener>, ServeError> {
    let listen = |(address, socket): &(&Address, SocketAddr)| {
        Listener::tcp(*socket, liveness).map_err(|source| ServeError::Listen { address: (*address).clone(), source })
    };
    sockets.iter().map(listen).collect()
}

fn unix_listeners(config: &Config) -> Result<Vec<std::os::unix::net::UnixListener>, ServeError> {
    let paths = config.listen.iter().filter_map(|address| match address {
        Address::Unix(path) => Some((address, path)),
        Address::Tcp { .. } => None,
    });
    let listen = |(address, path): (&Address, &std::path::PathBuf)| {
        Listener::unix(path).map_err(|source| ServeError::Listen { address: address.clone(), source })
    };
    paths.map(listen).collect()
}

fn handles(shared: &[std::os::unix::net::UnixListener]) -> Result<Vec<Listener>, ServeError> {
    let handle = |listener: &std::os::unix::net::UnixListener| {
        listener
            .try_clone()
            .map(|listener| Listener::Unix(mio::net::UnixListener::from_std(listener)))
            .map_err(|source| ServeError::Kernel { what: "share a listener", source })
    };
    shared.iter().map(handle).collect()
}
