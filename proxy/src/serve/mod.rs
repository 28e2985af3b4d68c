//! `pdw-proxy serve`: start instances if there are none, open listeners, run workers, end tidily.

mod crew;
mod upstreams;

use std::io;
use std::path::PathBuf;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::signal::unix::{SignalKind, signal};

use crate::admin::{self, AdminError, Bounds, ProcessReader};
use crate::config::{Address, Config};
use crate::embedded::{self, Embedded, EmbeddedError};
use crew::Crew;

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
    #[error("cannot listen on {address} ({source}): is another program there, or is the address not this machine's?")]
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
    /// The placement or its rules are impossible.
    #[error("{0}")]
    Placement(String),
    /// The proxy's own instances cannot be started.
    #[error(transparent)]
    Embedded(#[from] EmbeddedErrorBox),
    /// The admin server cannot be opened.
    #[error("admin: {0}")]
    Admin(String),
    /// A worker ended.
    #[error("a worker ended ({0}): please report this with the log")]
    Worker(String),
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

impl From<AdminError> for ServeError {
    fn from(error: AdminError) -> Self {
        Self::Admin(error.to_string())
    }
}

/// Serves until told to stop.
///
/// # Errors
/// Why serving could not begin, or had to end.
pub fn run(config: Config) -> Result<(), ServeError> {
    raise_descriptor_limit();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|source| ServeError::Kernel { what: "start a runtime", source })?;
    runtime.block_on(serve(config))
}

async fn serve(config: Config) -> Result<(), ServeError> {
    let mut stop = StopSignal::new()?;
    let embedded = match config.embedded {
        true => Some(embedded::start(config.instances).await?),
        false => None,
    };
    let served = serve_upstreams(&config, embedded.as_ref(), &mut stop).await;
    if let Some(embedded) = embedded {
        embedded.stop().await;
    }
    served
}

async fn serve_upstreams(
    config: &Config,
    embedded: Option<&Embedded>,
    stop: &mut StopSignal,
) -> Result<(), ServeError> {
    let dials = upstreams::dials(config, embedded.map(Embedded::addresses)).await?;
    let crew = Crew::muster(config, dials)?;
    let admin = match &config.admin {
        Some(address) => Some(admin::Listener::bind(&address.to_string()).await?),
        None => None,
    };
    let (source, listen) = (crew.numbers(), crew.listen());
    let mut ended = crew.start();
    announce(config, &listen, admin.as_ref());
    let outcome = tokio::select! {
        () = stop.wait() => Ok(()),
        why = ended.first() => Err(ServeError::Worker(why)),
        () = serve_admin(admin, source) => Ok(()),
    };
    ended.stop_all().await;
    remove_unix_listeners(config);
    outcome
}

async fn serve_admin(listener: Option<admin::Listener>, source: admin::Workers) {
    match listener {
        Some(listener) => match admin::serve(listener, source, ProcessReader::new(None), Bounds::default()).await {},
        None => std::future::pending().await,
    }
}

/// Says where clients connect, and what to try.
fn announce(config: &Config, listen: &[Address], admin: Option<&admin::Listener>) {
    for address in listen {
        tracing::info!(%address, "listening");
    }
    if !config.embedded {
        return;
    }
    let Some(address) = listen.first() else { return };
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

fn remove_unix_listeners(config: &Config) {
    let paths = config.listen.iter().filter_map(|address| match address {
        Address::Unix(path) => Some(PathBuf::from(path)),
        Address::Tcp { .. } => None,
    });
    for path in paths {
        // Somebody may have removed it before; there is nothing to do about it then.
        let _ = std::fs::remove_file(path);
    }
}

/// 100,000 clients need descriptors: take as many as the operator allows.
fn raise_descriptor_limit() {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        tracing::warn!(%error, "the limit on open files could not be raised");
    }
}

/// SIGINT or SIGTERM.
struct StopSignal {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

impl StopSignal {
    fn new() -> Result<Self, ServeError> {
        let listen = |kind| signal(kind).map_err(|source| ServeError::Kernel { what: "listen for signals", source });
        Ok(Self { interrupt: listen(SignalKind::interrupt())?, terminate: listen(SignalKind::terminate())? })
    }

    async fn wait(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}
