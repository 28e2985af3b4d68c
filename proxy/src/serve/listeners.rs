//! The listeners of all workers, opened together.

use std::net::{SocketAddr, ToSocketAddrs};
use std::os::unix::net::UnixListener;

use super::ServeError;
use crate::bind::{self, SocketFile, Stance};
use crate::config::{Address, Config, ListenConfig};
use crate::worker::{Listener, Liveness};

/// What is listened on: a socket for each worker on TCP, a shared one on a UNIX socket.
pub(super) struct Listeners {
    tcp: Vec<Port>,
    unix: Vec<UnixListener>,
    files: Vec<SocketFile>,
    stance: Stance,
}

struct Port {
    /// As configured.
    address: Address,
    /// Resolved; a free port has been found for port 0.
    socket: SocketAddr,
    /// How many listened there before.
    elder: usize,
}

impl Listeners {
    /// Takes the addresses.
    pub(super) fn claim(config: &Config, stance: Stance) -> Result<Self, ServeError> {
        let mut listeners = Self { tcp: Vec::new(), unix: Vec::new(), files: Vec::new(), stance };
        for ListenConfig { address, .. } in &config.listen {
            let claimed = match address {
                Address::Tcp { host, port } => listeners.claim_port(address, host, *port),
                Address::Unix(path) => bind::listen_at(path, stance).map(|(listener, file)| {
                    listeners.unix.push(listener);
                    listeners.files.push(file);
                }),
            };
            claimed.map_err(|source| ServeError::Listen { address: address.clone(), source })?;
        }
        Ok(listeners)
    }

    fn claim_port(&mut self, address: &Address, host: &str, port: u16) -> std::io::Result<()> {
        for resolved in (host, port).to_socket_addrs()? {
            let socket = bind::claim(resolved, self.stance)?;
            // Without /proc newcomers are not steered; see `steer`.
            let elder = bind::listening(socket).unwrap_or(usize::MAX);
            self.tcp.push(Port { address: address.clone(), socket, elder });
        }
        Ok(())
    }

    /// One worker's listeners, those on TCP first.
    pub(super) fn of_one(&self, liveness: Liveness) -> Result<Vec<Listener>, ServeError> {
        let failed = |source| ServeError::Kernel { what: "share a listener", source };
        let tcp = self.tcp.iter().map(|port| {
            Listener::tcp(port.socket, liveness)
                .map_err(|source| ServeError::Listen { address: port.address.clone(), source })
        });
        let unix = self.unix.iter().map(|listener| {
            let listener = listener.try_clone().map_err(failed)?;
            Ok(Listener::Unix(mio::net::UnixListener::from_std(listener)))
        });
        tcp.chain(unix).collect()
    }

    /// Has new connections come to these `workers` only, if others listen on the same ports; `of_one` are the
    /// listeners of one of them.
    pub(super) fn steer(&self, of_one: &[Listener], workers: usize) {
        if self.stance == Stance::Alone {
            return;
        }
        for (port, listener) in self.tcp.iter().zip(of_one) {
            if let Err(error) = listener.steer(port.elder, workers) {
                tracing::warn!(
                    address = %port.address, %error,
                    "new connections go to the other proxy too, and may take a second while it is ended"
                );
            }
        }
    }

    /// Where clients connect, with the ports that were found for port 0.
    pub(super) fn addresses(&self, config: &Config) -> Vec<Address> {
        let found = |ListenConfig { address, .. }: &ListenConfig| match (
            address,
            self.tcp.iter().find(|port| port.address == *address),
        ) {
            (Address::Tcp { host, .. }, Some(port)) => Address::Tcp { host: host.clone(), port: port.socket.port() },
            _ => address.clone(),
        };
        config.listen.iter().map(found).collect()
    }

    /// The files of UNIX sockets.
    pub(super) fn into_files(self) -> Vec<SocketFile> {
        self.files
    }
}
