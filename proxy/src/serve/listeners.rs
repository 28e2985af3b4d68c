//! The listeners of all workers, opened together.

use std::net::{SocketAddr, ToSocketAddrs};
use std::os::unix::net::UnixListener;

use super::ServeError;
use crate::bind::{self, SocketFile, Stance};
use crate::config::{Address, Config, ListenConfig};
use crate::seal::Seal;
use crate::worker::{Listener, Liveness};

/// What is listened on: a socket for each worker on TCP, a shared one on a UNIX socket.
pub(super) struct Listeners {
    tcp: Vec<Port>,
    unix: Vec<(UnixListener, Option<Seal>)>,
    unix_doors: Vec<u16>,
    files: Vec<SocketFile>,
    stance: Stance,
}

struct Port {
    /// Which of the configured listeners it is.
    door: u16,
    /// As configured.
    address: Address,
    /// Resolved; a free port has been found for port 0.
    socket: SocketAddr,
    /// How many listened there before.
    elder: usize,
    /// The first worker's, where it keeps other proxies out.
    first: Option<Listener>,
    seal: Option<Seal>,
}

impl Listeners {
    /// Takes the addresses. `seals`: those of the listeners, in their order.
    pub(super) fn claim(
        config: &Config,
        seals: &[Option<Seal>],
        (stance, liveness): (Stance, Liveness),
    ) -> Result<Self, ServeError> {
        let mut listeners =
            Self { tcp: Vec::new(), unix: Vec::new(), unix_doors: Vec::new(), files: Vec::new(), stance };
        for (door, (ListenConfig { address, mode, .. }, seal)) in (0..).zip(config.listen.iter().zip(seals)) {
            let claimed = match address {
                Address::Tcp { host, port } => listeners.claim_port(door, address, (host, *port), (seal, liveness)),
                Address::Unix(path) => bind::listen_at(path, *mode, stance).map(|(listener, file)| {
                    listeners.unix.push((listener, seal.clone()));
                    listeners.files.push(file);
                    listeners.unix_doors.push(door);
                }),
            };
            claimed.map_err(|source| ServeError::Listen { address: address.clone(), source })?;
        }
        Ok(listeners)
    }

    fn claim_port(
        &mut self,
        door: u16,
        address: &Address,
        port: (&str, u16),
        (seal, liveness): (&Option<Seal>, Liveness),
    ) -> std::io::Result<()> {
        for mut socket in port.to_socket_addrs()? {
            // Without /proc newcomers are not steered; see `steer`.
            let elder = bind::listening(socket).unwrap_or(usize::MAX);
            let mut first = None;
            if self.stance == Stance::Alone || socket.port() == 0 {
                let (listener, found) = Listener::tcp(socket, Stance::Alone, liveness)?;
                (first, socket) = (Some(listener), found);
            }
            self.tcp.push(Port { door, address: address.clone(), socket, elder, first, seal: seal.clone() });
        }
        Ok(())
    }

    /// One worker's listeners, those on TCP first.
    pub(super) fn of_one(&mut self, liveness: Liveness) -> Result<Vec<Listener>, ServeError> {
        let failed = |source| ServeError::Kernel { what: "share a listener", source };
        let tcp = self.tcp.iter_mut().map(|port| {
            let another = || Ok(Listener::tcp(port.socket, Stance::Beside, liveness)?.0);
            let listener = port.first.take().map_or_else(another, Ok);
            listener
                .map(|listener| listener.sealed(port.seal.clone()))
                .map_err(|source| ServeError::Listen { address: port.address.clone(), source })
        });
        let unix = self.unix.iter().map(|(listener, seal)| {
            let listener = listener.try_clone().map_err(failed)?;
            Ok(Listener::unix(mio::net::UnixListener::from_std(listener)).sealed(seal.clone()))
        });
        tcp.chain(unix).collect()
    }

    /// Which of the configured listeners each of them is, in the same order.
    pub(super) fn doors(&self) -> Vec<u16> {
        self.tcp.iter().map(|port| port.door).chain(self.unix_doors.iter().copied()).collect()
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
