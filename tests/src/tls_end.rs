//! Either end of a TLS connection over a blocking socket, as the seal that [`crate::tunnel`] takes it for.

use std::fs;
use std::io::{self, BufRead, Write};
use std::net::TcpStream;
use std::sync::Arc;

use pdw_auth::{Opened, SealError, Sealed};
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;
use rustls::{Connection, ServerConfig, ServerConnection};

use crate::certificates::Pair;
use crate::sealed::SealedStream;
use crate::tls_client::{TlsClient, chain};

/// A TLS connection whose handshake is done.
#[derive(Debug)]
struct TlsEnd(Connection);

/// What a server shows to its clients.
///
/// # Errors
/// When the files are no certificates.
pub fn server(pair: &Pair) -> io::Result<Arc<ServerConfig>> {
    let key = PrivateKeyDer::from_pem_slice(&fs::read(&pair.key)?).map_err(io::Error::other)?;
    let builder = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?;
    let config = builder.with_no_client_auth().with_single_cert(chain(&pair.certificate)?, key);
    config.map(Arc::new).map_err(io::Error::other)
}

/// Shakes hands as a server.
///
/// # Errors
/// What the socket reports, or why there is no handshake.
pub fn accept(socket: TcpStream, config: &Arc<ServerConfig>) -> io::Result<SealedStream> {
    shake(socket, ServerConnection::new(Arc::clone(config)).map_err(io::Error::other)?.into())
}

/// Shakes hands as a client.
///
/// # Errors
/// As [`accept`].
pub fn open(socket: TcpStream, client: &TlsClient) -> io::Result<SealedStream> {
    shake(socket, client.begin()?.into())
}

fn shake(mut socket: TcpStream, mut connection: Connection) -> io::Result<SealedStream> {
    socket.set_nodelay(true)?;
    socket.set_read_timeout(Some(crate::connection::TIMEOUT))?;
    while connection.is_handshaking() {
        connection.complete_io(&mut socket)?;
    }
    connection.set_buffer_limit(None);
    Ok(SealedStream::after_handshake(socket, Box::new(TlsEnd(connection))))
}

fn trouble(error: impl ToString) -> SealError {
    SealError::Tls(error.to_string())
}

impl TlsEnd {
    fn say(&mut self, wire: &mut Vec<u8>) -> Result<(), SealError> {
        while self.0.wants_write() {
            self.0.write_tls(wire).map_err(trouble)?;
        }
        Ok(())
    }

    fn take(&mut self, plain: &mut Vec<u8>) -> Result<(), SealError> {
        let mut reader = self.0.reader();
        loop {
            match reader.fill_buf() {
                Ok([]) => return Ok(()),
                Ok(bytes) => {
                    plain.extend_from_slice(bytes);
                    let count = bytes.len();
                    reader.consume(count);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(trouble(error)),
            }
        }
    }
}

impl Sealed for TlsEnd {
    fn seal(&mut self, plain: &[u8], wire: &mut Vec<u8>) -> Result<(), SealError> {
        self.0.writer().write_all(plain).map_err(trouble)?;
        self.say(wire)
    }

    fn open(&mut self, wire: &mut [u8], plain: &mut Vec<u8>) -> Result<Opened, SealError> {
        let mut left = &wire[..];
        let mut end = false;
        while !left.is_empty() && !end {
            self.0.read_tls(&mut left).map_err(trouble)?;
            end = self.0.process_new_packets().map_err(trouble)?.peer_has_closed();
            self.take(plain)?;
        }
        // What came with the handshake.
        self.take(plain)?;
        Ok(Opened { consumed: wire.len(), end })
    }

    fn close(&mut self, wire: &mut Vec<u8>) -> Result<(), SealError> {
        self.0.send_close_notify();
        self.say(wire)
    }

    fn ended(&self, _left: &[u8]) -> Result<(), SealError> {
        Err(SealError::Tls("the connection was cut".to_owned()))
    }
}
