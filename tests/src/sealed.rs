//! One end of a sealed connection over a blocking socket, for tests without a proxy.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use pdw_auth::spiped::{Pair, Pairs, Strength};
use pdw_auth::{Ending, Handshake, Keys, Progress, Role, Sealed, Secret};

/// How long the other end may say nothing.
const SILENCE: Duration = Duration::from_secs(20);

/// Other pairs each time, as a driver would make of entropy.
#[derive(Debug)]
struct Numbered;

/// Bytes that are others each time.
fn unused() -> [u8; 32] {
    let mut bytes = [0; 32];
    fastrand::fill(&mut bytes);
    bytes
}

impl Pairs for Numbered {
    fn take(&self) -> Option<Pair> {
        Some(Pair::new(&unused()))
    }
}

/// The key in a file with this content.
///
/// # Errors
/// When it is none.
pub fn keys(file: &[u8]) -> io::Result<Keys> {
    Secret::from_file(file, 0o600).map(Keys::from).map_err(io::Error::other)
}

/// A handshake of `spiped`.
///
/// # Errors
/// When the key is none.
pub fn spiped(role: Role, key: &[u8], strength: Strength) -> io::Result<Box<dyn Handshake>> {
    let settings = pdw_auth::spiped::Settings { keys: keys(key)?, strength };
    Ok(pdw_auth::spiped::begin(role, Arc::new(settings), Arc::new(Numbered), unused()))
}

/// A handshake of `noise`, without names and identities.
///
/// # Errors
/// When the key is none.
pub fn noise(role: Role, key: &[u8]) -> io::Result<Box<dyn Handshake>> {
    Ok(noise_by(role, pdw_auth::noise::Settings::new(keys(key)?)))
}

/// A handshake of `noise` with these settings.
pub fn noise_by(role: Role, settings: pdw_auth::noise::Settings) -> Box<dyn Handshake> {
    pdw_auth::noise::begin(role, Arc::new(settings), unused())
}

/// A socket with a seal on it.
#[derive(Debug)]
pub struct SealedStream {
    socket: TcpStream,
    sealed: Box<dyn Sealed>,
    /// Arrived and not consumed.
    inbox: Vec<u8>,
}

impl SealedStream {
    /// Makes the handshake.
    ///
    /// # Errors
    /// What the socket reports, or what is wrong with the far end, as an operator would read it.
    pub fn new(mut socket: TcpStream, mut handshake: Box<dyn Handshake>) -> io::Result<Self> {
        socket.set_read_timeout(Some(SILENCE))?;
        socket.set_nodelay(true)?;
        let mut inbox = Vec::new();
        loop {
            let mut out = Vec::new();
            let advanced = handshake.advance(&inbox, &mut out).map_err(io::Error::other)?;
            socket.write_all(&out)?;
            inbox.drain(..advanced.consumed);
            handshake = match advanced.progress {
                Progress::Done(sealed) => return Ok(Self { socket, sealed, inbox }),
                Progress::Work(work) => work.run(),
                Progress::NeedsBytes(handshake) => match receive(&mut socket, &mut inbox)? {
                    0 => return Err(io::Error::other(handshake.given_up(Ending::Closed, &inbox))),
                    _ => handshake,
                },
            };
        }
    }

    /// After a handshake that was made elsewhere.
    pub fn after_handshake(socket: TcpStream, sealed: Box<dyn Sealed>) -> Self {
        Self { socket, sealed, inbox: Vec::new() }
    }

    /// The socket, the seal, and what has arrived and is not opened.
    pub fn into_parts(self) -> (TcpStream, Box<dyn Sealed>, Vec<u8>) {
        (self.socket, self.sealed, self.inbox)
    }

    /// Sends `plain`, sealed in one piece.
    ///
    /// # Errors
    /// What the socket reports.
    pub fn send(&mut self, plain: &[u8]) -> io::Result<()> {
        let wire = self.seal(plain)?;
        self.socket.write_all(&wire)
    }

    /// What [`send`](Self::send) would send, to be done something to first.
    ///
    /// # Errors
    /// When there is no sealing any more.
    pub fn seal(&mut self, plain: &[u8]) -> io::Result<Vec<u8>> {
        let mut wire = Vec::new();
        self.sealed.seal(plain, &mut wire).map_err(io::Error::other)?;
        Ok(wire)
    }

    /// What was opened of what arrives next; nothing at the end.
    ///
    /// # Errors
    /// What the socket reports, or that somebody tampered with the connection.
    pub fn receive(&mut self) -> io::Result<Vec<u8>> {
        let mut plain = Vec::new();
        while plain.is_empty() {
            let opened = self.sealed.open(&mut self.inbox, &mut plain).map_err(io::Error::other)?;
            self.inbox.drain(..opened.consumed);
            if plain.is_empty() && (opened.end || receive(&mut self.socket, &mut self.inbox)? == 0) {
                self.sealed.ended(&self.inbox).map_err(io::Error::other)?;
                break;
            }
        }
        Ok(plain)
    }

    /// As many bytes of plaintext as asked for, or the rest before the end.
    ///
    /// # Errors
    /// As [`receive`](Self::receive).
    pub fn receive_exactly(&mut self, count: usize) -> io::Result<Vec<u8>> {
        let mut plain = Vec::with_capacity(count);
        while plain.len() < count {
            match self.receive()? {
                nothing if nothing.is_empty() => break,
                some => plain.extend(some),
            }
        }
        Ok(plain)
    }

    /// The socket itself.
    pub fn socket(&self) -> &TcpStream {
        &self.socket
    }
}

fn receive(socket: &mut TcpStream, inbox: &mut Vec<u8>) -> io::Result<usize> {
    let mut buffer = [0; 16 * 1024];
    let count = socket.read(&mut buffer)?;
    inbox.extend_from_slice(&buffer[..count]);
    Ok(count)
}
