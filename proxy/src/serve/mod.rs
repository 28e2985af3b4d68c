//! `pdw-proxy serve`: start instances if there are none, open listeners, run workers, end tidily.

mod crew;
mod descriptors;
mod drain;
mod folders;
mod listeners;
mod names;
mod reload;
mod seals;
mod service;
mod signals;
mod state;
mod trim;
mod upstreams;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::watch;

use crate::admin::{self, AdminError, Bounds, ProcessReader, Standing, Workers};
use crate::bind::Stance;
use crate::cli::ServeArgs;
use crate::config::{Address, Config};
use crate::embedded::{self, Embedded, EmbeddedError};
use crate::worker;
pub(crate) use folders::Told;
use seals::Seals;
use service::Service;
use signals::Signals;
use state::StateError;

/// Why the proxy cannot run.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The kernel refuses something that every process has.
    #[error("the kernel refuses to {what} ({source}): are there descriptors and memory left?")]
    Kernel {
        /// What was tried.
        what: &'static str,
        /// Why it failed.
        source: io::Error,
    },
    /// A listener cannot be opened.
    #[error("cannot listen on {address} ({source}): {}", remedy(address, source))]
    Listen {
        /// As configured.
        address: Address,
        /// Why it failed.
        source: io::Error,
    },
    /// An upstream's name cannot be resolved.
    #[error("cannot find the address of upstream {name} ({source}): correct `upstreams`, or give an IP address")]
    Resolve {
        /// As configured.
        name: String,
        /// Why it failed.
        source: io::Error,
    },
    /// Keys or certificates cannot be had: for each whose they are, what is wrong, and what to do.
    #[error("{}", .0.join("\n"))]
    Seals(Vec<String>),
    /// The placement or its rules are impossible.
    #[error("{0}")]
    Placement(String),
    /// The proxy's own instances cannot be started.
    #[error(transparent)]
    Embedded(#[from] EmbeddedErrorBox),
    /// The admin server cannot be opened.
    #[error("admin: {0}")]
    Admin(String),
    /// Keys would be looked for where they are not.
    #[error("{0}")]
    State(String),
    /// Large requests cannot be kept.
    #[error(
        "the spool {} takes no files ({source}): give `spool` a folder of this machine that this user can write to, \
         or remove it",
        .folder.display()
    )]
    Spool {
        /// As configured.
        folder: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// A worker ended.
    #[error("a worker ended ({0}): please report this with the log")]
    Worker(String),
}

/// What to do when an address cannot be listened on.
fn remedy(address: &Address, source: &io::Error) -> &'static str {
    match (source.kind(), address) {
        (io::ErrorKind::AddrInUse, _) => {
            "is another program there? End it, choose another address, or take a proxy's place with --replace"
        }
        (io::ErrorKind::AddrNotAvailable, _) => "choose an address that this machine has, or 0.0.0.0 for all it has",
        (io::ErrorKind::AlreadyExists, _) => "remove the file, or choose another path",
        (io::ErrorKind::NotFound, Address::Unix(_)) => "make its folder first, or choose another path",
        (io::ErrorKind::PermissionDenied, Address::Unix(_)) => {
            "let this user write to its folder, or choose another path"
        }
        (io::ErrorKind::PermissionDenied, Address::Tcp { .. }) => {
            "choose a port from 1024 on, or give the process CAP_NET_BIND_SERVICE"
        }
        _ => "correct `listen`, or give an IP address",
    }
}

/// What went wrong with the proxy's own instances.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct EmbeddedErrorBox(String);

impl From<EmbeddedError> for ServeError {
    fn from(error: EmbeddedError) -> Self {
        Self::Embedded(EmbeddedErrorBox(error.to_string()))
    }
}

impl From<StateError> for ServeError {
    fn from(error: StateError) -> Self {
        Self::State(error.to_string())
    }
}

impl From<AdminError> for ServeError {
    fn from(error: AdminError) -> Self {
        Self::Admin(error.to_string())
    }
}

/// Whether all keys and certificates of a configuration can be had.
///
/// # Errors
/// Every one that cannot.
pub fn try_seals(config: &Config) -> Result<(), ServeError> {
    Seals::load(config).map(drop)
}

/// What is wrong with the folders of a configuration, and what is probably not meant; found without a change on disk.
pub(crate) fn look_at_folders(config: &Config) -> Told {
    folders::look(config)
}

/// Serves until told to stop. `config` is what the arguments describe.
///
/// # Errors
/// Why serving could not begin, or had to end.
pub fn run(args: &ServeArgs, config: Config) -> Result<(), ServeError> {
    descriptors::prepare();
    let stance = if args.replace { Stance::Beside } else { Stance::Alone };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|source| ServeError::Kernel { what: "start a runtime", source })?;
    let outcome = runtime.block_on(serve(args, config, stance));
    // A lookup of a name may hang for long: nobody waits for it any more.
    runtime.shutdown_background();
    outcome
}

async fn serve(args: &ServeArgs, config: Config, stance: Stance) -> Result<(), ServeError> {
    let mut signals = Signals::listen()?;
    let embedded = match config.embedded {
        true => Some(embedded::start(config.instances).await?),
        false => None,
    };
    let served = serve_upstreams(args, &config, stance, embedded.as_ref(), &mut signals).await;
    if let Some(embedded) = embedded {
        embedded.stop().await;
    }
    served
}

async fn serve_upstreams(
    args: &ServeArgs,
    config: &Config,
    stance: Stance,
    embedded: Option<&Embedded>,
    signals: &mut Signals,
) -> Result<(), ServeError> {
    let pending = state::prepare(config, args.accept_upstreams)?;
    try_spool(config)?;
    let admin = match &config.admin {
        Some(address) => Some(admin::Listener::bind(&address.to_string(), stance).await?),
        None => None,
    };
    let service = Service::start(config.clone(), stance, embedded.map(Embedded::addresses), pending).await?;
    announce(config, stance, service.listen(), admin.as_ref());
    let (numbers, standing) = service.shown();
    tokio::select! {
        outcome = service.serve(args, signals) => outcome,
        () = serve_admin(admin, numbers, standing) => Ok(()),
    }
}

/// Whether large requests can be kept, if they are to be.
fn try_spool(config: &Config) -> Result<(), ServeError> {
    let Some(folder) = &config.spool else { return Ok(()) };
    worker::try_folder(folder).map_err(|source| ServeError::Spool { folder: folder.clone(), source })
}

async fn serve_admin(listener: Option<admin::Listener>, source: Arc<Workers>, stands: watch::Receiver<Standing>) {
    match listener {
        Some(listener) => match admin::serve(listener, source, ProcessReader::new(stands), Bounds::default()).await {},
        None => std::future::pending().await,
    }
}

/// Says where clients connect, and what to try.
fn announce(config: &Config, stance: Stance, listen: &[Address], admin: Option<&admin::Listener>) {
    for address in listen {
        tracing::info!(%address, "listening");
    }
    if stance == Stance::Beside {
        crate::cli::say("ready: new connections come here; end the proxy that is replaced with SIGTERM");
    }
    let Some(address) = listen.first() else { return };
    if !config.embedded {
        let all: Vec<_> = listen.iter().map(Address::to_string).collect();
        return crate::cli::say(&format!("pdw-proxy serves on {}; Ctrl-C or SIGTERM drains it", all.join(", ")));
    }
    let client = match address {
        Address::Tcp { host, port } => format!("redis-cli -h {host} -p {port}"),
        Address::Unix(path) => format!("redis-cli -s {}", path.display()),
    };
    let mut text = format!(
        "pdw-proxy serves on {address} in front of {} instances of its own (in memory, gone when it ends).\n\
         Try:  {client} set greeting hello\n      {client} get greeting\n      {client} dbsize\n",
        config.instances
    );
    if let Some(admin) = admin {
        text += &format!("      curl http://{}/metrics\n", admin.address());
    }
    text += "Ctrl-C ends it.";
    crate::cli::say(&text);
}
