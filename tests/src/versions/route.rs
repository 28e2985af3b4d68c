//! How a client reaches the keys: through a proxy, or past it to the instance on which each lives.

use std::collections::BTreeMap;
use std::io;
use std::time::Duration;

use crate::address::Address;
use crate::connection::Connection;
use crate::pdwfs::ring::Ring;
use crate::reply::Value;

/// The way a client takes.
#[derive(Clone, Debug)]
pub enum Route {
    /// By a proxy.
    Through(Address),
    /// To the instances themselves, in their order, as pdwfs places keys.
    Direct(Vec<Address>),
}

/// A client of its own connections, which it opens when it needs them.
#[derive(Debug)]
pub(super) struct Client {
    addresses: Vec<Address>,
    ring: Ring,
    open: BTreeMap<usize, Connection>,
    limit: Duration,
}

impl Client {
    /// A client that waits no longer than `limit` for anything.
    pub(super) fn new(route: &Route, limit: Duration) -> Client {
        let addresses = match route {
            Route::Through(address) => vec![address.clone()],
            Route::Direct(addresses) => addresses.clone(),
        };
        let ring = Ring::new(addresses.len());
        Client { addresses, ring, open: BTreeMap::new(), limit }
    }

    /// Sends `request` where `key` lives and waits for its replies; a connection that failed is not used again.
    pub(super) fn ask(&mut self, key: &str, request: &[u8], replies: usize) -> io::Result<Vec<Value>> {
        let home = self.ring.home(key.as_bytes());
        let mut connection = match self.open.remove(&home) {
            Some(connection) => connection,
            None => Connection::open_with(&self.addresses[home], self.limit)?,
        };
        connection.send(request)?;
        let replies = connection.receive_many(replies)?;
        self.open.insert(home, connection);
        Ok(replies.into_iter().map(|reply| reply.value).collect())
    }
}
