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
/// The buffer into which a connection reads.
const BUFFER: usize = 4096;
/// The most that it keeps of a message of the handshake's kind that is not whole.
const MESSAGE_MAX: usize = 64 << 10;
/// Memory of a connection: its own, and its buffer.
const CONNECTION: usize = size_of::<rustls::Connection>() + BUFFER;

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
    /// Bytes that the connection was given.
    given: usize,
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
        Self { begun, named, given: 0, core: Box::new(connection), found: None }
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
        self.given += consumed;
        let work = Work::new(move || Box::new(self.step(&fresh)));
        Ok(Advanced { consumed, progress: Progress::Work(work) })
    }

    fn held(&self) -> usize {
        CONNECTION + self.given.min(MESSAGE_MAX)
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
    /// Bytes of the wire since the last plaintext that were none: as much may be kept of a message that is not whole.
    mute: usize,
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
        Self { core, early, mute: 0, closed: false, peer, names }
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
        let before = plain.len();
        let end = look(&mut self.core, &wire[..consumed], plain)?;
        let opened = plain.len() - before;
        self.mute = if opened > 0 { 0 } else { self.mute } + consumed.saturating_sub(opened);
        Ok(Opened { consumed, end })
    }

    fn held(&self) -> usize {
        // What every record has besides its plaintext is not kept; who takes more for itself than a buffer keeps it.
        let kept = if self.mute > BUFFER { self.mute.min(MESSAGE_MAX) } else { 0 };
        self.early.capacity() + kept
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

#[cfg(test)]
mod tests {
    use rcgen::{CertifiedKey, generate_simple_self_signed};
    use rustls::ContentType::Handshake as HandshakeRecord;
    use rustls::crypto::aws_lc_rs::cipher_suite::TLS13_AES_256_GCM_SHA384 as SUITE;
    use rustls::crypto::cipher::{AeadKey, MessageEncrypter, OutboundChunks, OutboundPlainMessage};
    use rustls::crypto::{CryptoProvider, aws_lc_rs};
    use rustls::pki_types::PrivateKeyDer;
    use rustls::{ConnectionTrafficSecrets, ProtocolVersion, RootCertStore};

    use super::*;

    /// Both ends' settings, of the one suite with whose keys the tests can write records.
    fn settings() -> (Arc<ServerConfig>, Arc<ClientConfig>) {
        let CertifiedKey { cert, signing_key } = generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let key = PrivateKeyDer::Pkcs8(signing_key.serialize_der().into());
        let provider = Arc::new(CryptoProvider { cipher_suites: vec![SUITE], ..aws_lc_rs::default_provider() });
        let server = ServerConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions();
        let server = server.unwrap().with_no_client_auth().with_single_cert(vec![cert.der().clone()], key).unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(cert.der().clone()).unwrap();
        let client = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let mut client = client.with_root_certificates(roots).with_no_client_auth();
        client.enable_secret_extraction = true;
        (Arc::new(server), Arc::new(client))
    }

    /// Advances a handshake with `wire` until it needs more, or is done.
    fn advance(mut handshake: Box<dyn Handshake>, mut wire: &[u8], out: &mut Vec<u8>) -> Progress {
        loop {
            let advanced = handshake.advance(wire, out).unwrap();
            wire = &wire[advanced.consumed..];
            match advanced.progress {
                Progress::Work(work) => handshake = work.run(),
                other => return other,
            }
        }
    }

    /// A connection whose handshake is done, and what its client seals records with from now on.
    fn connected() -> (Box<dyn Sealed>, Box<dyn MessageEncrypter>, u64) {
        let (server, client) = settings();
        let mut client = ClientConnection::new(client, ServerName::try_from("localhost").unwrap()).unwrap();
        let mut accepting: Box<dyn Handshake> = Box::new(TlsAccept::new(server, None));
        loop {
            let (mut wire, mut out) = (Vec::new(), Vec::new());
            while client.wants_write() {
                client.write_tls(&mut wire).unwrap();
            }
            let progress = advance(accepting, &wire, &mut out);
            let mut out = &out[..];
            while !out.is_empty() {
                client.read_tls(&mut out).unwrap();
                client.process_new_packets().unwrap();
            }
            match progress {
                Progress::NeedsBytes(handshake) => accepting = handshake,
                Progress::Done(sealed) => {
                    let (number, secrets) = client.dangerous_extract_secrets().unwrap().tx;
                    let ConnectionTrafficSecrets::Aes256Gcm { key, iv } = secrets else { panic!("another suite") };
                    let key = AeadKey::from(<[u8; 32]>::try_from(key.as_ref()).unwrap());
                    return (sealed, SUITE.tls13().unwrap().aead_alg.encrypter(key, iv), number);
                }
                Progress::Work(_) => panic!("it was done"),
            }
        }
    }

    #[test]
    fn what_is_kept_of_a_message_without_end_is_counted() {
        let (mut sealed, mut client, mut number) = connected();
        let mut record = |typ, payload: &[u8]| {
            let payload = OutboundChunks::Single(payload);
            let plain = OutboundPlainMessage { typ, version: ProtocolVersion::TLSv1_2, payload };
            number += 1;
            client.encrypt(plain, number - 1).unwrap().encode()
        };
        let mut plain = Vec::new();
        for _ in 0..1000 {
            sealed.open(&mut record(rustls::ContentType::ApplicationData, b"PING\r\n"), &mut plain).unwrap();
        }
        assert_eq!((plain.len(), sealed.held()), (6000, 0));
        // A KeyUpdate that says it has 60,000 bytes; together with a request, so that there is plaintext as well.
        let fragment = [&[24, 0, 234, 96][..], &[0; 10_000]].concat();
        let request = record(rustls::ContentType::ApplicationData, b"PING\r\n");
        sealed.open(&mut [request, record(HandshakeRecord, &fragment)].concat(), &mut plain).unwrap();
        assert!(sealed.held() >= 10_000, "{}", sealed.held());
        for _ in 0..3 {
            sealed.open(&mut record(HandshakeRecord, &[0; 15_000]), &mut plain).unwrap();
        }
        assert!((55_000..80_000).contains(&sealed.held()), "{}", sealed.held());
    }

    #[test]
    fn what_is_kept_of_a_greeting_without_end_is_counted() {
        let (server, _) = settings();
        let hello = [&[1, 0, 234, 96, 3, 3][..], &[0; 16_000]].concat();
        let record = [&[HANDSHAKE, 3, 1][..], &(hello.len() as u16).to_be_bytes(), &hello].concat();
        let Progress::NeedsBytes(handshake) = advance(Box::new(TlsAccept::new(server, None)), &record, &mut Vec::new())
        else {
            panic!("it takes that for a greeting")
        };
        assert!(handshake.held() >= CONNECTION + 16_000);
    }
}
