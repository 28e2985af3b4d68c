//! Where a server listens, and free ports for those that need one.

use std::fmt;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr as SocketAddrUnix, UnixListener};
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

/// Address of an instance or a proxy, written as `pdw-proxy` takes it on its command line.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Address {
    /// A loopback address and port.
    Tcp(SocketAddr),
    /// The path of a UNIX socket.
    Unix(PathBuf),
}

impl fmt::Display for Address {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::Tcp(address) => write!(out, "{address}"),
            Address::Unix(path) => write!(out, "{}", path.display()),
        }
    }
}

impl Address {
    /// An address on the loopback interface whose port nobody listens on at the moment.
    ///
    /// Ports lie below the kernel's ephemeral range, so that no outgoing connection takes one
    /// between this check and the server's bind, and no other process of tests hands out the same.
    ///
    /// # Errors
    /// When no port of the range is free.
    pub fn free_loopback() -> io::Result<Address> {
        let mut ports = PORTS.lock().unwrap_or_else(PoisonError::into_inner);
        for _ in 0..BLOCK * BLOCKS {
            if let Some(address) = probe(ports.next()?) {
                return Ok(address);
            }
        }
        Err(io::Error::other("no free loopback port"))
    }

    /// The port of a TCP address; 0 for a UNIX socket.
    pub fn port(&self) -> u16 {
        match self {
            Address::Tcp(address) => address.port(),
            Address::Unix(_) => 0,
        }
    }
}

const FIRST_PORT: u16 = 11_000;

/// Ports that a process claims at a time.
const BLOCK: u16 = 50;
const BLOCKS: u16 = 400;

/// This process's ports, in the order in which they are handed out.
static PORTS: Mutex<Ports> = Mutex::new(Ports { claims: Vec::new(), handed_out: 0 });

/// Blocks that no other process hands out ports of: between finding a port free and listening there, nobody else may
/// find it free too.
struct Ports {
    /// A block, and the name that is taken for it as long as this process lives.
    claims: Vec<(u16, UnixListener)>,
    handed_out: usize,
}

impl Ports {
    fn next(&mut self) -> io::Result<u16> {
        let block = usize::from(BLOCK);
        if self.handed_out >= self.claims.len() * block
            && let Some(claim) = claim()
        {
            self.claims.push(claim);
        }
        if self.claims.is_empty() {
            return Err(io::Error::other("all loopback ports of tests are claimed by other processes"));
        }
        // With nothing left to claim, one's own again.
        let at = self.handed_out % (self.claims.len() * block);
        self.handed_out += 1;
        Ok(FIRST_PORT + self.claims[at / block].0 * BLOCK + (at % block) as u16)
    }
}

/// The first block from a place of this process's own on that is nobody's.
fn claim() -> Option<(u16, UnixListener)> {
    let origin = (std::process::id() % u32::from(BLOCKS)) as u16;
    (0..BLOCKS).map(|step| (origin + step) % BLOCKS).find_map(|block| {
        // A name that the kernel frees with the process, and of the network namespace, as ports are.
        let name = SocketAddrUnix::from_abstract_name(format!("pdw-tests-ports-{block}")).ok()?;
        UnixListener::bind_addr(&name).ok().map(|taken| (block, taken))
    })
}

fn probe(port: u16) -> Option<Address> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).ok()?;
    listener.local_addr().ok().map(Address::Tcp)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn two_free_addresses_differ() {
        let (one, other) = (Address::free_loopback().unwrap(), Address::free_loopback().unwrap());
        assert_ne!(one, other);
        assert!(one.port() >= FIRST_PORT);
    }

    #[test]
    fn a_block_that_is_claimed_is_nobody_elses() {
        let (one, other) = (claim().unwrap(), claim().unwrap());
        assert_ne!(one.0, other.0);
        let mut ports = Ports { claims: vec![one, other], handed_out: 0 };
        let all: BTreeSet<u16> = (0..2 * BLOCK).map(|_| ports.next().unwrap()).collect();
        assert_eq!(all.len(), usize::from(2 * BLOCK));
    }
}
