//! Where a server listens, and free ports for those that need one.

use std::fmt;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU16, Ordering};

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
    /// between this check and the server's bind.
    ///
    /// # Errors
    /// When no port of the range is free.
    pub fn free_loopback() -> io::Result<Address> {
        (0..PORT_SPAN).find_map(|_| probe(next_port())).ok_or_else(|| io::Error::other("no free loopback port"))
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
const PORT_SPAN: u16 = 20_000;

/// Ports in an order that two test processes started at different moments do not share.
fn next_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let taken = NEXT.fetch_add(1, Ordering::Relaxed);
    let origin = (std::process::id().wrapping_mul(7919) % u32::from(PORT_SPAN)) as u16;
    FIRST_PORT + origin.wrapping_add(taken) % PORT_SPAN
}

fn probe(port: u16) -> Option<Address> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).ok()?;
    listener.local_addr().ok().map(Address::Tcp)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_free_addresses_differ() {
        let (one, other) = (Address::free_loopback().unwrap(), Address::free_loopback().unwrap());
        assert_ne!(one, other);
        assert!(one.port() >= FIRST_PORT);
    }
}
