//! Seals: how connections are protected. Below the core, which never sees anything but plaintext.
//!
//! ```text
//!  SealConfig ── load ──► Seal ── begin ──► Handshake ◄── bytes, Work ──► Sealed
//!  (paths, words)   keys, certificates       pdw-auth, or `tls`     in the socket, `worker/wire.rs`
//! ```
//!
//! A [`Seal`] belongs to a listener or an upstream and outlives what is read anew into it: connections that begin
//! later have the new keys, those that are open keep theirs.

mod certificate;
mod complaints;
mod files;
mod pool;
mod shared;
mod tls;
mod tls_config;
mod tls_error;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use pdw_auth::{Handshake, KeyError, Role, SealError, spiped};

use crate::config::{Address, SealConfig};
use shared::{Noise, Spiped};

pub(crate) use complaints::{Complaints, Peer};
pub(crate) use pool::Pool;

/// Why keys or certificates cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// A file cannot be read.
    #[error("{file} cannot be read ({source}): correct the path, or let this user read it")]
    Read {
        /// The file.
        file: String,
        /// Why.
        source: std::io::Error,
    },
    /// Others can read a secret.
    #[error("{0} can be read by others, so it is no secret: chmod 600 it; if others may have read it, make a new one")]
    Open(String),
    /// What is in a key file is no key.
    #[error("{file}: {why}")]
    Key {
        /// The file.
        file: String,
        /// What is wrong, and what to do.
        why: KeyError,
    },
    /// A node would expect itself at the far end.
    #[error(
        "`far` has the public key of {0}, which is this node's own `identity`: write that of the far node, which `pdw-proxy \
         keygen identity` printed there; each node needs an identity of its own"
    )]
    OwnKey(String),
    /// What is in a file is not what it should be.
    #[error("{file} {what}")]
    Content {
        /// The file.
        file: String,
        /// What is wrong, and what to do.
        what: String,
    },
}

/// Something to be done on another thread.
pub(crate) type Job = Box<dyn FnOnce() + Send>;

/// Begins handshakes with the keys of one moment.
pub(super) trait Keys: std::fmt::Debug + Send + Sync {
    /// A handshake with this address.
    fn begin(&self) -> Result<Box<dyn Handshake>, SealError>;

    /// What can be done beforehand for handshakes to come.
    fn prepare(&self) -> Option<Job> {
        None
    }
}

/// How one listener's or one upstream's connections are protected.
#[derive(Clone, Debug)]
pub struct Seal(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    /// Its index in [`SealConfig::NAMES`].
    kind: usize,
    keys: RwLock<Arc<dyn Keys>>,
    /// Handshakes of ours that are going on.
    opening: AtomicUsize,
}

/// Leave to shake hands with an upstream, until it is dropped.
#[derive(Debug)]
pub(crate) struct Leave(Seal);

impl Drop for Leave {
    fn drop(&mut self) {
        self.0.0.opening.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Seal {
    /// The seal of a listener; none if it is plain.
    ///
    /// # Errors
    /// A file is missing, readable by others, or has something else in it.
    pub fn accepting(config: &SealConfig) -> Result<Option<Self>, LoadError> {
        let keys: Arc<dyn Keys> = match config {
            SealConfig::Plain => return Ok(None),
            SealConfig::Tls(tls) => Arc::new(tls_config::accepting(tls)?),
            SealConfig::Spiped(config) => Arc::new(Spiped::load(config, Role::Accepts)?),
            SealConfig::Noise(config) => Arc::new(Noise::load(config, Role::Accepts)?),
        };
        Ok(Some(Self::new(config, keys)))
    }

    /// The seal of an upstream; none if it is plain.
    ///
    /// # Errors
    /// As [`accepting`](Self::accepting).
    pub fn opening(config: &SealConfig, address: &Address) -> Result<Option<Self>, LoadError> {
        let keys: Arc<dyn Keys> = match config {
            SealConfig::Plain => return Ok(None),
            SealConfig::Tls(tls) => Arc::new(tls_config::opening(tls, address)?),
            SealConfig::Spiped(config) => Arc::new(Spiped::load(config, Role::Opens)?),
            SealConfig::Noise(config) => Arc::new(Noise::load(config, Role::Opens)?),
        };
        Ok(Some(Self::new(config, keys)))
    }

    fn new(config: &SealConfig, keys: Arc<dyn Keys>) -> Self {
        Self(Arc::new(Inner { kind: config.kind(), keys: RwLock::new(keys), opening: AtomicUsize::new(0) }))
    }

    /// Takes over what was read anew.
    pub(crate) fn renew(&self, new: &Self) {
        let keys = Arc::clone(&new.0.keys.read().unwrap_or_else(PoisonError::into_inner));
        *self.0.keys.write().unwrap_or_else(PoisonError::into_inner) = keys;
    }

    /// Leave to open one more connection. None if as many are going on as the far end takes at a time: a real daemon
    /// has room for few.
    pub(crate) fn leave(&self) -> Option<Leave> {
        let most = if self.name() == "spiped" { spiped::HANDSHAKES_MAX } else { usize::MAX };
        let taken = self
            .0
            .opening
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |going_on| (going_on < most).then_some(going_on + 1));
        taken.is_ok().then(|| Leave(self.clone()))
    }

    /// What can be done on another thread for handshakes to come.
    pub(crate) fn prepare(&self) -> Option<Job> {
        self.0.keys.read().unwrap_or_else(PoisonError::into_inner).prepare()
    }

    /// Begins a handshake.
    ///
    /// # Errors
    /// This end's cryptography fails.
    pub fn begin(&self) -> Result<Box<dyn Handshake>, SealError> {
        self.0.keys.read().unwrap_or_else(PoisonError::into_inner).begin()
    }

    /// Its index in [`SealConfig::NAMES`].
    pub(crate) fn kind(&self) -> usize {
        self.0.kind
    }

    /// Its name in the configuration.
    pub(crate) fn name(&self) -> &'static str {
        SealConfig::NAMES[self.0.kind]
    }
}
