//! Instances and proxies in front of them, as real processes that end with this one.

use std::ffi::OsString;
use std::io;
use std::path::PathBuf;

use super::guard::Guard;
use super::{EmbeddedError, Event, Order, Setup, addresses, folder, instance};

/// Makes a proxy's arguments from the sockets of all members and which of them it is.
pub(crate) type Arguments<'a> = &'a dyn Fn(&[PathBuf], usize) -> Vec<OsString>;

/// Processes that are watched, and can be broken on purpose. They end when this is dropped or ended.
#[derive(Debug)]
pub(crate) struct Tier {
    guard: Guard,
    folder: PathBuf,
    sockets: Vec<PathBuf>,
}

impl Tier {
    /// Starts `count` instances, then so many proxies, with `arguments` that are made from the paths of all members'
    /// sockets; on its own each has to listen. Nothing is ready yet.
    pub(crate) fn start(count: usize, proxies: usize, arguments: Arguments<'_>) -> Result<Self, EmbeddedError> {
        let base = std::env::temp_dir();
        folder::sweep(&base);
        let server = instance::find_server().ok_or(EmbeddedError::NoServer)?;
        let placeholders = vec![Vec::new(); proxies];
        let mut setup = Setup { server, folder: folder::fresh_path(&base), count, proxies: placeholders };
        let sockets = addresses(&setup)?;
        setup.proxies = (count..count + proxies).map(|member| arguments(&sockets, member)).collect();
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
