//! A blocking TLS client that trusts one authority, in parts, so that a test can stop it anywhere.

use std::fs;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use crate::address::Address;
use crate::certificates::Pair;
use crate::connection::{TIMEOUT, encode};
use crate::reply::{Value, parse};

/// What a client trusts and shows.
#[derive(Clone, Debug)]
pub struct TlsClient(Arc<ClientConfig>);

/// A TLS session with a proxy.
#[derive(Debug)]
pub struct TlsSession {
    stream: StreamOwned<ClientConnection, TcpStream>,
    input: Vec<u8>,
}

impl TlsClient {
    /// Trusts this authority, and shows a certificate if it has one.
    ///
    /// # Errors
    /// When the files are no certificates.
    pub fn new(authority: &Path, own: Option<&Pair>) -> io::Result<Self> {
        let mut roots = RootCertStore::empty();
        for certificate in chain(authority)? {
            roots.add(certificate).map_err(io::Error::other)?;
        }
        let builder = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(io::Error::other)?
            .with_root_certificates(roots);
        let config = match own {
            None => builder.with_no_client_auth(),
            Some(pair) => {
                let key = PrivateKeyDer::from_pem_slice(&fs::read(&pair.key)?).map_err(io::Error::other)?;
                builder.with_client_auth_cert(chain(&pair.certificate)?, key).map_err(io::Error::other)?
            }
        };
        Ok(Self(Arc::new(config)))
    }

    /// Connects and shakes hands.
    ///
    /// # Errors
    /// What the socket reports, or why there is no handshake.
    pub fn connect(&self, address: &Address) -> io::Result<TlsSession> {
        let stream = TcpStream::connect(address.to_string())?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(TIMEOUT))?;
        stream.set_write_timeout(Some(TIMEOUT))?;
        let connection = self.begin()?;
        let mut stream = StreamOwned::new(connection, stream);
        stream.conn.complete_io(&mut stream.sock)?;
        Ok(TlsSession { stream, input: Vec::new() })
    }

    /// The bytes of the first message.
    ///
    /// # Errors
    /// When there is no handshake to begin.
    pub fn hello(&self) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.begin()?.write_tls(&mut bytes)?;
        Ok(bytes)
    }

    /// A connection of which nothing has been said.
    pub(crate) fn begin(&self) -> io::Result<ClientConnection> {
        let name = ServerName::try_from("localhost").map_err(io::Error::other)?;
        ClientConnection::new(Arc::clone(&self.0), name).map_err(io::Error::other)
    }
}

pub(crate) fn chain(file: &Path) -> io::Result<Vec<CertificateDer<'static>>> {
    CertificateDer::pem_slice_iter(&fs::read(file)?).collect::<Result<_, _>>().map_err(io::Error::other)
}

impl TlsSession {
    /// Sends one command and waits for its reply.
    ///
    /// # Errors
    /// What the socket reports.
    pub fn call<A: AsRef<[u8]>>(&mut self, arguments: &[A]) -> io::Result<Value> {
        self.send(&encode(arguments))?;
        self.receive()
    }

    /// Sends bytes.
    ///
    /// # Errors
    /// What the socket reports.
    pub fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)?;
        self.stream.flush()
    }

    /// The next reply.
    ///
    /// # Errors
    /// What the socket reports; `UnexpectedEof` when the far end closed.
    pub fn receive(&mut self) -> io::Result<Value> {
        let mut chunk = vec![0; 64 << 10];
        loop {
            if let Some((value, length)) = parse(&self.input)? {
                self.input.drain(..length);
                return Ok(value);
            }
            let read = self.stream.read(&mut chunk)?;
            if read == 0 {
                return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the far end closed the connection"));
            }
            self.input.extend_from_slice(&chunk[..read]);
        }
    }

    /// Says that nothing follows; replies may still come.
    ///
    /// # Errors
    /// What the socket reports.
    pub fn say_end(&mut self) -> io::Result<()> {
        self.stream.conn.send_close_notify();
        self.stream.flush()
    }

    /// What comes until the far end says that nothing follows; an end without that word is an error.
    ///
    /// # Errors
    /// What the socket reports.
    pub fn read_to_end(&mut self) -> io::Result<Vec<u8>> {
        let mut rest = std::mem::take(&mut self.input);
        self.stream.read_to_end(&mut rest)?;
        Ok(rest)
    }

    /// The bare connection, to be broken.
    pub fn socket(&mut self) -> &mut TcpStream {
        &mut self.stream.sock
    }
}
