//! Upstreams' names, looked up again whenever a link to one of them is opened.
//!
//! A worker dials the address that it knows, and rings; it never waits. Who is rung looks the name up on a thread for
//! that purpose and tells all workers if the address has changed. One name is looked up at most once a [`REST`],
//! however many workers ring, and at most [`AT_ONCE`] names at the same time.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, Semaphore};
use tokio::task::{AbortHandle, JoinSet};

use crate::config::{Address, UpstreamConfig};
use crate::mutant::Mutant;
use crate::worker::{Dial, DialAddress};

/// Pause between two lookups of one name. Who rings meanwhile is heard at its end.
const REST: Duration = Duration::from_secs(1);
/// Lookups at the same time.
const AT_ONCE: usize = 8;

/// The lookups of all names. They end when this is dropped.
pub(super) struct Names {
    tasks: JoinSet<()>,
    /// By the upstream's index.
    lookups: BTreeMap<usize, AbortHandle>,
    turns: Arc<Semaphore>,
}

/// One upstream's name and what it was found to mean last.
struct Name {
    upstream: String,
    host: String,
    port: u16,
    current: SocketAddr,
    /// The last lookup failed, which has been told.
    failing: bool,
}

impl Names {
    /// No names.
    pub(super) fn new() -> Self {
        Self { tasks: JoinSet::new(), lookups: BTreeMap::new(), turns: Arc::new(Semaphore::new(AT_ONCE)) }
    }

    /// Follows the upstream of this index from the address that `dial` has, if it has a name.
    pub(super) fn follow(
        &mut self,
        index: usize,
        upstream: &UpstreamConfig,
        dial: &Dial,
        tell: impl Fn(DialAddress) + Send + 'static,
    ) {
        if let Some(lookups) = self.lookups.remove(&index) {
            lookups.abort();
        }
        let (Address::Tcp { host, port }, DialAddress::Tcp(current)) = (&upstream.address, &dial.address) else {
            return;
        };
        let Some(bell) = dial.opened.clone() else { return };
        let name = Name {
            upstream: upstream.name.clone(),
            host: host.clone(),
            port: *port,
            current: *current,
            failing: false,
        };
        let lookups = self.tasks.spawn(name.follow(bell, Arc::clone(&self.turns), tell));
        self.lookups.insert(index, lookups);
    }
}

/// The first address of a name.
///
/// # Errors
/// What the resolver says, or that there is none.
pub(super) async fn first(host: &str, port: u16) -> io::Result<SocketAddr> {
    let mut found = tokio::net::lookup_host((host, port)).await?;
    found.next().ok_or_else(|| io::Error::other("the name has no address"))
}

impl Name {
    async fn follow(mut self, bell: Arc<Notify>, turns: Arc<Semaphore>, tell: impl Fn(DialAddress)) {
        loop {
            bell.notified().await;
            // It is never closed.
            let turn = turns.acquire().await;
            let found = tokio::net::lookup_host((self.host.as_str(), self.port)).await;
            drop(turn);
            if let Some(address) = self.learn(found.map(Iterator::collect)) {
                tell(DialAddress::Tcp(address));
            }
            tokio::time::sleep(REST).await;
        }
    }

    /// Takes in what a lookup found; the new address, if it is one.
    fn learn(&mut self, found: io::Result<Vec<SocketAddr>>) -> Option<SocketAddr> {
        let found = found.and_then(|all| match all.is_empty() {
            true => Err(io::Error::other("the name has no address")),
            false => Ok(all),
        });
        let (upstream, host) = (&self.upstream, &self.host);
        match found {
            Err(error) => {
                if !std::mem::replace(&mut self.failing, true) {
                    let address = self.current;
                    tracing::warn!(upstream, host, %error, %address, "the name cannot be looked up; its last address stays in use");
                }
                Mutant::AddressForgotten.is_on().then(|| SocketAddr::from(([0, 0, 0, 0], 0)))
            }
            Ok(all) => {
                if std::mem::take(&mut self.failing) {
                    tracing::warn!(upstream, host, "the name can be looked up again");
                }
                // Names with several addresses give them in a different order every time.
                let next = all.first().copied().filter(|_| !all.contains(&self.current))?;
                tracing::warn!(upstream, host, from = %self.current, to = %next, "the upstream's address has changed");
                self.current = next;
                Some(next)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(last: u8) -> SocketAddr {
        SocketAddr::from(([10, 0, 0, last], 6379))
    }

    #[test]
    fn an_address_stays_in_use_as_long_as_the_name_has_it_or_nobody_knows() {
        let mut name = Name { upstream: "u".into(), host: "h".into(), port: 1, current: address(1), failing: false };
        assert_eq!(name.learn(Ok(vec![address(2), address(1)])), None, "another order");
        assert_eq!(name.learn(Ok(Vec::new())), None);
        assert!(name.failing);
        assert_eq!(name.learn(Err(io::Error::other("no server"))), None);
        assert_eq!(name.learn(Ok(vec![address(3), address(2)])), Some(address(3)));
        assert!(!name.failing);
        assert_eq!(name.learn(Ok(vec![address(2), address(3)])), None);
    }
}
