//! Instances and proxies in front of them, as real processes that end with this one.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

use super::guard::Guard;
use super::{EmbeddedError, Event, Order, Setup, addresses, folder, instance};

/// Makes a proxy's arguments from the sockets of the instances and its own.
pub(crate) type Arguments<'a> = &'a dyn Fn(&[PathBuf], &Path) -> Vec<OsString>;

/// Processes that are watched, and can be broken on purpose. They end when this is dropped or ended.
#[derive(Debug)]
pub(crate) struct Tier {
    guard: Guard,
    folder: PathBuf,
    sockets: Vec<PathBuf>,
}

impl Tier {
    /// Starts `count` instances, and a proxy for each entry of `proxies`, which is made from the paths of the
    /// instances' sockets and of the proxy's own, on which it has to listen. Nothing is ready yet.
    pub(crate) fn start(count: usize, proxies: &[Arguments<'_>]) -> Result<Self, EmbeddedError> {
        let base = std::env::temp_dir();
        folder::sweep(&base);
        let server = instance::find_server().ok_or(EmbeddedError::NoServer)?;
        let placeholders = vec![Vec::new(); proxies.len()];
        let mut setup = Setup { server, folder: folder::fresh_path(&base), count, proxies: placeholders };
        let sockets = addresses(&setup)?;
        let own = sockets[count..].iter();
        setup.proxies = proxies.iter().zip(own).map(|(arguments, own)| arguments(&sockets[..count], own)).collect();
        let guard = Guard::spawn(&setup)?;
        Ok(Self { guard, folder: setup.folder, sockets })
    }

    /// The UNIX socket of each member, the instances' first.
    pub(crate) fn sockets(&self) -> &[PathBuf] {
        &self.sockets
    }

    /// The next thing that happens to a member; `None` when the watchdog is gone, and all members with it. Cancel safe.
    pub(crate) async fn next(&mut self) -> Option<Event> {
        self.guard.next().await
    }

    /// Does something to a member on purpose.
    pub(crate) async fn order(&mut self, order: Order, index: usize) -> io::Result<()> {
        self.guard.order(order, index).await
    }

    /// Ends all members and waits until they and their folder are gone.
    pub(crate) async fn end(self) {
        self.guard.end(&self.folder).await;
    }
}
