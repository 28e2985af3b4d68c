//! TLS by rustls behind the traits of `pdw-auth`: bytes in, bytes out.
//!
//! What costs much in a handshake (a signature, a key exchange) comes out as [`Work`]: each step that has a whole
//! record to look at goes to another thread, with the connection in it.

use std::io::{self, BufRead, Write};
use std::sync::Arc;

use pdw_auth::{Advanced, Ending, Handshake, Opened, Progress, Role, SealError, Sealed, Work};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, ServerConfig, ServerConnection};

use super::certificate::{alternative_names, common_name};
use super::tls_error::explain;
use crate::config::NamedBy;

/// The header of a record: type, version, length (RFC 8446, 5.1).
const HEADER: usize = 5;
/// A record that carries a handshake.
const HANDSHAKE: u8 = 22;
/// One that carries an alert.
const ALERT: u8 = 21;

/// The most that a record may have behind its header (RFC 8446, 5.2; RFC 5246, 6.2.3).
const RECORD_MAX: usize = (16 << 10) + 2048;
/// Memory of a connection: its own, and the buffer into which it reads.
const CONNECTION: usize = size_of::<rustls::Connection>() + 4096;

/// Either side's connection.
type Core = Box<rustls::Connection>;

fn role(core: &Core) -> Role {
    match **core {
        rustls::Connection::Client(_) => Role::Opens,
        rustls::Connection::Server(_) => Role::Accepts,
    }
}

/// Has the connection look at what has arrived, all of it. What it was told is appended to `plain`; whether the far
/// end has said that nothing follows.
fn look(core: &mut Core, mut wire: &[u8], plain: &mut Vec<u8>) -> Result<bool, SealError> {
    loop {
        if !wire.is_empty() {
            // Reading nothing would mean the end.
            core.read_tls(&mut wire).map_err(|error| SealError::Tls(error.to_string()))?;
        }
        let state = core.process_new_packets();
        let told = take_plain(core, plain);
        let state = state.map_err(|error| explain(&error, role(core)))?;
        told?;
        if wire.is_empty() || state.peer_has_closed() {
            return Ok(state.peer_has_closed());
        }
    }
}

fn take_plain(core: &mut Core, plain: &mut Vec<u8>) -> Result<(), SealError> {
    let mut reader = core.reader();
    loop {
        match reader.fill_buf() {
            Ok([]) => return Ok(()),
            Ok(bytes) => {
                plain.extend_from_slice(bytes);
                let count = bytes.len();
                reader.consume(count);
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(SealError::Tls(error.to_string())),
        }
    }
}

/// Appends what the connection wants to be sent.
fn say(core: &mut Core, out: &mut Vec<u8>) {
    while core.wants_write() {
        // Writing to memory cannot fail.
        if core.write_tls(out).is_err() {
            return;
        }
    }
}

/// A client's handshake of which nothing has arrived: it costs next to nothing.
#[derive(Debug)]
pub(super) struct TlsAccept {
    config: Arc<ServerConfig>,
    /// Which names in a client's certificate may make a user of it.
    named: Option<NamedBy>,
}

impl TlsAccept {
    pub(super) fn new(config: Arc<ServerConfig>, named: Option<NamedBy>) -> Self {
        Self { config, named }
    }
}

impl Handshake for TlsAccept {
    fn advance(self: Box<Self>, wire: &[u8], out: &mut Vec<u8>) -> Result<Advanced, SealError> {
        if wire.is_empty() {
            return Ok(Advanced { consumed: 0, progress: Progress::NeedsBytes(self) });
        }
        let connection = ServerConnection::new(self.config).map_err(|error| explain(&error, Role::Accepts))?;
        Box::new(Greeting::new(connection.into(), self.named)).advance(wire, out)
    }

    fn given_up(&self, ending: Ending, _wire: &[u8]) -> SealError {
        gone(ending, "it said nothing; is it a TLS client?")
    }
}

/// A handshake with an upstream that has not begun.
#[derive(Debug)]
pub(super) struct TlsOpen {
    config: Arc<ClientConfig>,
    name: ServerName<'static>,
}

impl TlsOpen {
    pub(super) fn new(config: Arc<ClientConfig>, name: ServerName<'static>) -> Self {
        Self { config, name }
    }
}

impl Handshake for TlsOpen {
    fn advance(self: Box<Self>, _wire: &[u8], _out: &mut Vec<u8>) -> Result<Advanced, SealError> {
        // The key for the exchange is made here.
        let work = Work::new(move || -> Box<dyn Handshake> {
            match ClientConnection::new(self.config, self.name) {
                Ok(connection) => Box::new(Greeting::new(connection.into(), None)),
                Err(error) => Box::new(Hopeless(explain(&error, Role::Opens))),
            }
        });
        Ok(Advanced { consumed: 0, progress: Progress::Work(work) })
    }

    fn given_up(&self, ending: Ending, _wire: &[u8]) -> SealError {
        gone(ending, "nothing was said yet")
    }
}

/// A handshake that failed before it began.
#[derive(Debug)]
struct Hopeless(SealError);

impl Handshake for Hopeless {
    fn advance(self: Box<Self>, _wire: &[u8], _out: &mut Vec<u8>) -> Result<Advanced, SealError> {
        Err(self.0)
    }

    fn given_up(&self, _ending: Ending, _wire: &[u8]) -> SealError {
        self.0.clone()
    }
}

/// A handshake that is going on.
#[derive(Debug)]
struct Greeting {
    core: Core,
    /// It has said its first word, if that is its part.
    begun: bool,
    named: Option<NamedBy>,
    /// What another thread has found out.
    found: Option<Found>,
}

/// The outcome of one step.
#[derive(Debug)]
struct Found {
    outcome: Result<(), SealError>,
    out: Vec<u8>,
    plain: Vec<u8>,
}

impl Greeting {
    fn new(mut connection: rustls::Connection, named: Option<NamedBy>) -> Self {
        // Nothing is held back: who gives bytes to seal sends them at once.
        connection.set_buffer_limit(None);
        let begun = matches!(connection, rustls::Connection::Server(_));
        Self { begun, named, core: Box::new(connection), found: None }
    }

    /// Looks at what has arrived.
    fn step(mut self, wire: &[u8]) -> Self {
        let (mut out, mut plain) = (Vec::new(), Vec::new());
        let outcome = look(&mut self.core, wire, &mut plain).map(drop);
        // With an error, the alert that tells the far end.
        say(&mut self.core, &mut out);
        self.found = Some(Found { outcome, out, plain });
        self
    }
}

impl Handshake for Greeting {
    fn advance(mut self: Box<Self>, wire: &[u8], out: &mut Vec<u8>) -> Result<Advanced, SealError> {
        let mut plain = Vec::new();
        if let Some(found) = self.found.take() {
            out.extend_from_slice(&found.out);
            found.outcome?;
            plain = found.plain;
        }
        if !self.core.is_handshaking() {
            return Ok(Advanced {
                consumed: 0,
                progress: Progress::Done(Box::new(Tls::new(self.core, plain, self.named))),
            });
        }
        if self.begun && !has_record(wire)? {
            return Ok(Advanced { consumed: 0, progress: Progress::NeedsBytes(self) });
        }
        self.begun = true;
        let consumed = whole_records(wire);
        let fresh = wire[..consumed].to_vec();
        let work = Work::new(move || Box::new(self.step(&fresh)));
        Ok(Advanced { consumed, progress: Progress::Work(work) })
    }

    fn held(&self) -> usize {
        CONNECTION
    }

    fn given_up(&self, ending: Ending, _wire: &[u8]) -> SealError {
        gone(ending, "it stopped in the middle")
    }
}

/// Whether a whole record is there.
fn has_record(wire: &[u8]) -> Result<bool, SealError> {
    match wire {
        [] => Ok(false),
        [HANDSHAKE | ALERT | 20 | 23, ..] => {
            let len = wire.get(3..HEADER).map(|len| usize::from(len[0]) << 8 | usize::from(len[1]));
            Ok(len.is_some_and(|len| wire.len() >= HEADER + len))
        }
        [b'*' | b'-' | b'+' | b'A'..=b'Z' | b'a'..=b'z', ..] => Err(SealError::Foreign("plain RESP")),
        _ => Err(SealError::Tls("what came is no TLS; compare the seals of both ends".to_owned())),
    }
}

/// How much of `wire` whole records are; all of it if there is something that cannot be one, to be refused. Of the rest
/// nothing is given to rustls: it is held, and counted, where that of every seal is.
fn whole_records(wire: &[u8]) -> usize {
    let mut whole = 0;
    while let Some([_, _, _, high, low]) = wire.get(whole..whole + HEADER) {
        let len = usize::from(u16::from_be_bytes([*high, *low]));
        if len > RECORD_MAX {
            return wire.len();
        }
        if whole + HEADER + len > wire.len() {
            break;
        }
        whole += HEADER + len;
    }
    whole
}

fn gone(ending: Ending, what: &'static str) -> SealError {
    match ending {
        Ending::Closed => SealError::Closed(what),
        Ending::Late => SealError::Late(what),
    }
}

/// A TLS connection.
#[derive(Debug)]
struct Tls {
    core: Core,
    /// What came together with the end of the handshake.
    early: Vec<u8>,
    /// It has said that nothing follows.
    closed: bool,
    peer: Option<Box<str>>,
    names: Option<Arc<Vec<String>>>,
}

impl Tls {
    fn new(core: Core, early: Vec<u8>, named: Option<NamedBy>) -> Self {
        let certificate = core.peer_certificates().and_then(<[_]>::first);
        let peer = certificate.and_then(|certificate| common_name(certificate)).map(String::into_boxed_str);
        let names = named.zip(certificate).map(|(named, certificate)| match named {
            NamedBy::CommonName => peer.iter().map(|name| name.to_string()).collect(),
            NamedBy::AlternativeNames => alternative_names(certificate),
        });
        let names = names.filter(|names: &Vec<String>| !names.is_empty()).map(Arc::new);
        Self { core, early, closed: false, peer, names }
    }
}

impl Sealed for Tls {
    fn seal(&mut self, plain: &[u8], wire: &mut Vec<u8>) -> Result<(), SealError> {
        let taken = self.core.writer().write_all(plain);
        say(&mut self.core, wire);
        taken.map_err(|_| SealError::Broken("TLS takes nothing more"))
    }

    fn open(&mut self, wire: &mut [u8], plain: &mut Vec<u8>) -> Result<Opened, SealError> {
        plain.extend(std::mem::take(&mut self.early));
        if self.closed {
            // Of what it cannot open rustls would tell the far end, which it must not after its last word.
            return Ok(Opened { consumed: wire.len(), end: false });
        }
        let consumed = whole_records(wire);
        let end = look(&mut self.core, &wire[..consumed], plain)?;
        Ok(Opened { consumed, end })
    }

    fn held(&self) -> usize {
        self.early.capacity()
    }

    fn close(&mut self, wire: &mut Vec<u8>) -> Result<(), SealError> {
        self.closed = true;
        self.core.send_close_notify();
        say(&mut self.core, wire);
        Ok(())
    }

    /// Many clients close without a word. Where a request or a reply is whole RESP itself says.
    fn ended(&self, _left: &[u8]) -> Result<(), SealError> {
        Ok(())
    }

    fn peer(&self) -> Option<&str> {
        self.peer.as_deref()
    }

    fn names(&self) -> Option<Arc<Vec<String>>> {
        self.names.clone()
    }
}
