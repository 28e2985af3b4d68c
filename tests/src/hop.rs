//! A hop between two neighbours in a tree, by what it is sealed, and the end of it for who has none of his own.

use std::io;
use std::sync::Arc;

use pdw_auth::{Role, Secret, noise};
use tempfile::TempDir;

use crate::address::Address;
use crate::certificates::{Authority, Pair, secret};
use crate::instance::on_path;
use crate::skipped;
use crate::spiped::{Spiped, Way};
use crate::tls_client::TlsClient;
use crate::tls_end;
use crate::tunnel::{Shake, Tunnel};

/// What protects the hops of a tree.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Seal {
    /// Nothing.
    #[default]
    Plain,
    /// As Tarsnap's daemon does it, which is also the end for clients and instances.
    Spiped,
    /// Noise by a shared key.
    Noise,
    /// TLS by an authority of the hop's own.
    Tls,
}

impl Seal {
    /// All of them.
    pub const ALL: [Seal; 4] = [Seal::Plain, Seal::Spiped, Seal::Noise, Seal::Tls];

    /// As configurations and `PDW_SEAL` call it.
    pub fn name(self) -> &'static str {
        match self {
            Seal::Plain => "plain",
            Seal::Spiped => "spiped",
            Seal::Noise => "noise",
            Seal::Tls => "tls",
        }
    }

    /// Whether what it needs is installed; says so if it is not.
    pub fn can_be_tried(self) -> bool {
        let found = self != Seal::Spiped || on_path("spiped").is_some();
        if !found {
            skipped("spiped is not on PATH");
        }
        found
    }

    /// The one that `PDW_SEAL` names; none unless it does.
    ///
    /// # Panics
    /// If it names something else: a run by a wrong seal would show nothing.
    pub fn chosen() -> Seal {
        let Some(name) = std::env::var_os("PDW_SEAL").filter(|name| !name.is_empty()) else { return Seal::Plain };
        let known = Seal::ALL.into_iter().find(|seal| name == seal.name());
        known.unwrap_or_else(|| panic!("PDW_SEAL is {}: plain, spiped, noise or tls", name.display()))
    }
}

/// Keys of one hop: no two hops share any.
#[derive(Debug)]
pub struct Hop(Keys);

#[derive(Debug)]
enum Keys {
    None,
    /// Of a file in a folder.
    Shared(Seal, TempDir, [u8; 32]),
    Certified(Box<Authority>, Pair),
}

/// The end of a sealed hop that a client or an instance lacks; it ends when dropped.
#[derive(Debug)]
pub enum End {
    /// The real daemon.
    Daemon(Box<Spiped>),
    /// One of this crate's.
    Tunnel(Tunnel),
}

impl End {
    /// Where it listens.
    pub fn address(&self) -> &Address {
        match self {
            End::Daemon(daemon) => daemon.address(),
            End::Tunnel(tunnel) => tunnel.address(),
        }
    }
}

impl Hop {
    /// With keys of its own.
    ///
    /// # Errors
    /// When they cannot be written.
    pub fn new(seal: Seal) -> io::Result<Hop> {
        let keys = match seal {
            Seal::Plain => Keys::None,
            Seal::Spiped | Seal::Noise => {
                let (folder, key) = (tempfile::Builder::new().prefix("pdw-hop-").tempdir()?, random());
                secret(&folder.path().join("key"), &key)?;
                Keys::Shared(seal, folder, key)
            }
            Seal::Tls => {
                let authority = Authority::new()?;
                let pair = authority.sign("server", "proxy", &["localhost", "127.0.0.1"])?;
                Keys::Certified(Box::new(authority), pair)
            }
        };
        Ok(Hop(keys))
    }

    /// Entries of a listener's table, each behind a comma.
    pub fn accepts(&self) -> String {
        match &self.0 {
            Keys::Certified(_, pair) => {
                format!(", seal = 'tls', certificate = {:?}, key = {:?}", pair.certificate, pair.key)
            }
            keys => keys.shared(),
        }
    }

    /// Entries of an upstream's table, each behind a comma.
    pub fn opens(&self) -> String {
        match &self.0 {
            Keys::Certified(authority, _) => format!(", seal = 'tls', ca = {:?}", authority.file()),
            keys => keys.shared(),
        }
    }

    /// What takes plain connections at `listen`, and leads them sealed to a listener.
    ///
    /// # Errors
    /// When it cannot be started, as the daemon where it is not installed.
    pub fn client_end(&self, listen: &Address, target: &Address) -> io::Result<End> {
        self.end(Role::Opens, listen, target)
    }

    /// What takes sealed connections, and leads them to an instance.
    ///
    /// # Errors
    /// As [`Hop::client_end`].
    pub fn instance_end(&self, target: &Address) -> io::Result<End> {
        self.end(Role::Accepts, &Address::free_loopback()?, target)
    }

    fn end(&self, role: Role, listen: &Address, target: &Address) -> io::Result<End> {
        let tunnel = |shake| Tunnel::start(role, shake, listen, target).map(End::Tunnel);
        match &self.0 {
            Keys::None => Err(io::Error::other("a plain hop needs no end")),
            Keys::Shared(Seal::Spiped, _, key) => {
                let way = if role == Role::Opens { Way::Encrypts } else { Way::Decrypts };
                let missing = || io::Error::new(io::ErrorKind::NotFound, "spiped is not on PATH");
                let daemon = Spiped::listen(way, listen, target, key, CROWD)?.ok_or_else(missing)?;
                Ok(End::Daemon(Box::new(daemon)))
            }
            Keys::Shared(_, _, key) => tunnel(by_noise(role, key)?),
            Keys::Certified(authority, pair) => tunnel(by_tls(role, authority, pair)?),
        }
    }
}

/// As many connections as a test's clients make.
const CROWD: &[&str] = &["-n", "0"];

impl Keys {
    fn shared(&self) -> String {
        match self {
            Keys::Shared(seal, folder, _) => {
                format!(", seal = '{}', key = {:?}", seal.name(), folder.path().join("key"))
            }
            _ => String::new(),
        }
    }
}

fn random() -> [u8; 32] {
    let mut bytes = [0; 32];
    fastrand::fill(&mut bytes);
    bytes
}

fn by_noise(role: Role, key: &[u8]) -> io::Result<Shake> {
    let secret = Secret::from_file(key, 0o600).map_err(io::Error::other)?;
    let settings = Arc::new(noise::Settings::new(secret.into()));
    Ok(Arc::new(move |socket| {
        crate::sealed::SealedStream::new(socket, noise::begin(role, Arc::clone(&settings), random()))
    }))
}

fn by_tls(role: Role, authority: &Authority, pair: &Pair) -> io::Result<Shake> {
    if role == Role::Opens {
        let client = TlsClient::new(&authority.file(), None)?;
        return Ok(Arc::new(move |socket| tls_end::open(socket, &client)));
    }
    let config = tls_end::server(pair)?;
    Ok(Arc::new(move |socket| tls_end::accept(socket, &config)))
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};
    use std::thread::{self, JoinHandle};
    use std::time::Duration;

    use socket2::SockRef;

    use super::*;

    const LIMIT: Option<Duration> = Some(Duration::from_secs(20));

    /// Somebody who says what came and how it ended.
    type Listener = JoinHandle<(Vec<u8>, io::Result<()>)>;

    /// Both ends of a hop, one before the other, before a listener.
    fn hop(seal: Seal) -> (End, End, Listener) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let target = Address::Tcp(listener.local_addr().unwrap());
        let heard = thread::spawn(move || {
            let mut stream = listener.accept().unwrap().0;
            stream.set_read_timeout(LIMIT).unwrap();
            let mut came = Vec::new();
            let ended = stream.read_to_end(&mut came).and_then(|_| stream.write_all(&came));
            (came, ended)
        });
        let hop = Hop::new(seal).unwrap();
        let accepts = hop.instance_end(&target).unwrap();
        let opens = hop.client_end(&Address::free_loopback().unwrap(), accepts.address()).unwrap();
        (accepts, opens, heard)
    }

    fn connect(end: &End) -> TcpStream {
        let stream = TcpStream::connect(end.address().to_string()).unwrap();
        stream.set_read_timeout(LIMIT).unwrap();
        stream
    }

    #[test]
    fn bytes_and_their_end_pass_both_ways() {
        for seal in [Seal::Noise, Seal::Tls] {
            let (_accepts, opens, heard) = hop(seal);
            let (mut client, sent) = (connect(&opens), b"0123456789".repeat(100_000));
            client.write_all(&sent).unwrap();
            client.shutdown(std::net::Shutdown::Write).unwrap();
            let mut back = Vec::new();
            client.read_to_end(&mut back).map_err(|error| (seal, error)).unwrap();
            let (came, ended) = heard.join().unwrap();
            ended.unwrap();
            assert!(came == sent && back == sent, "{seal:?}");
        }
    }

    #[test]
    fn a_connection_that_is_reset_is_not_taken_for_one_that_ends() {
        for seal in [Seal::Noise, Seal::Tls] {
            let (_accepts, opens, heard) = hop(seal);
            let mut client = connect(&opens);
            // Until there are connections all the way.
            client.write_all(b"half").unwrap();
            thread::sleep(Duration::from_millis(100));
            let half = [b'x'; 30_000];
            client.write_all(&half).unwrap();
            SockRef::from(&client).set_linger(Some(Duration::ZERO)).unwrap();
            drop(client);
            let (came, ended) = heard.join().unwrap();
            assert!(ended.is_err(), "{seal:?}");
            // As over one connection: a kernel gives what it has before it tells of a reset.
            assert_eq!(came.len(), 4 + half.len(), "{seal:?}");
        }
    }
}
