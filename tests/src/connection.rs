//! A blocking client connection that sends exactly the bytes it is given and waits with an end.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use crate::address::Address;
use crate::reply::{Reply, Value, parse};

/// How long a connection waits for bytes, or for room to write them, unless told otherwise.
pub const TIMEOUT: Duration = Duration::from_secs(15);

/// One client connection.
#[derive(Debug)]
pub struct Connection {
    stream: Stream,
    input: Vec<u8>,
    consumed: usize,
}

#[derive(Debug)]
enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Stream {
    fn open(address: &Address) -> io::Result<Stream> {
        match address {
            Address::Tcp(address) => {
                let stream = TcpStream::connect_timeout(address, TIMEOUT)?;
                stream.set_nodelay(true)?;
                Ok(Stream::Tcp(stream))
            }
            Address::Unix(path) => UnixStream::connect(path).map(Stream::Unix),
        }
    }

    fn set_timeout(&self, timeout: Duration) -> io::Result<()> {
        match self {
            Stream::Tcp(stream) => {
                stream.set_read_timeout(Some(timeout))?;
                stream.set_write_timeout(Some(timeout))
            }
            Stream::Unix(stream) => {
                stream.set_read_timeout(Some(timeout))?;
                stream.set_write_timeout(Some(timeout))
            }
        }
    }

    fn end(&self) -> io::Result<()> {
        match self {
            Stream::Tcp(stream) => stream.shutdown(Shutdown::Write),
            Stream::Unix(stream) => stream.shutdown(Shutdown::Write),
        }
    }

    fn reader(&mut self) -> &mut dyn Read {
        match self {
            Stream::Tcp(stream) => stream,
            Stream::Unix(stream) => stream,
        }
    }

    fn writer(&mut self) -> &mut dyn Write {
        match self {
            Stream::Tcp(stream) => stream,
            Stream::Unix(stream) => stream,
        }
    }
}

impl Connection {
    /// Connects, with [`TIMEOUT`] on every later read and write.
    ///
    /// # Errors
    /// What the socket reports.
    pub fn open(address: &Address) -> io::Result<Connection> {
        Connection::open_with(address, TIMEOUT)
    }

    /// Connects, with a timeout of one's own.
    ///
    /// # Errors
    /// What the socket reports.
    pub fn open_with(address: &Address, timeout: Duration) -> io::Result<Connection> {
        let stream = Stream::open(address)?;
        stream.set_timeout(timeout)?;
        Ok(Connection { stream, input: Vec::new(), consumed: 0 })
    }

    /// Changes how long a read or a write may take.
    ///
    /// # Errors
    /// What the socket reports.
    pub fn set_timeout(&self, timeout: Duration) -> io::Result<()> {
        self.stream.set_timeout(timeout)
    }

    /// Sends `bytes` in one `write()` as far as the kernel takes them.
    ///
    /// # Errors
    /// What the socket reports, a timeout included.
    pub fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.writer().write_all(bytes)
    }

    /// Closes the direction in which requests go.
    ///
    /// # Errors
    /// What the socket reports.
    pub fn end(&self) -> io::Result<()> {
        self.stream.end()
    }

    /// The next reply.
    ///
    /// # Errors
    /// `UnexpectedEof` when the server closed, `TimedOut` when nothing came, `InvalidData` when it is no RESP2.
    pub fn receive(&mut self) -> io::Result<Reply> {
        loop {
            if let Some((value, length)) = parse(&self.input[self.consumed..])? {
                return Ok(self.take(value, length));
            }
            if self.fill()? == 0 {
                return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the server closed the connection"));
            }
        }
    }

    /// The next `count` replies.
    ///
    /// # Errors
    /// As [`Connection::receive`].
    pub fn receive_many(&mut self, count: usize) -> io::Result<Vec<Reply>> {
        (0..count).map(|_| self.receive()).collect()
    }

    /// Sends one command and waits for its reply.
    ///
    /// # Errors
    /// As [`Connection::receive`].
    pub fn call<A: AsRef<[u8]>>(&mut self, arguments: &[A]) -> io::Result<Value> {
        self.send(&encode(arguments))?;
        Ok(self.receive()?.value)
    }

    /// As [`Connection::call`], with an error reply made an error.
    ///
    /// # Errors
    /// As [`Connection::receive`], and when the reply is an error.
    pub fn demand<A: AsRef<[u8]>>(&mut self, arguments: &[A]) -> io::Result<Value> {
        let value = self.call(arguments)?;
        match value.error() {
            Some(text) => Err(io::Error::other(text)),
            None => Ok(value),
        }
    }

    /// Everything that comes until the server closes or is silent for `quiet`; whether it closed.
    ///
    /// # Errors
    /// What the socket reports; a reset counts as a close.
    pub fn drain(&mut self, quiet: Duration) -> io::Result<(Vec<u8>, bool)> {
        self.stream.set_timeout(quiet)?;
        let closed = loop {
            match self.fill() {
                Ok(0) => break true,
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::TimedOut => break false,
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => break true,
                Err(error) => return Err(error),
            }
        };
        let bytes = self.input.split_off(self.consumed);
        self.input.clear();
        self.consumed = 0;
        Ok((bytes, closed))
    }

    fn take(&mut self, value: Value, length: usize) -> Reply {
        let raw = self.input[self.consumed..self.consumed + length].to_vec();
        self.consumed += length;
        if self.consumed == self.input.len() {
            self.input.clear();
            self.consumed = 0;
        }
        Reply { raw, value }
    }

    fn fill(&mut self) -> io::Result<usize> {
        let mut chunk = [0; 16 * 1024];
        loop {
            match self.stream.reader().read(&mut chunk) {
                // This process was stopped and goes on (signal(7)).
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(name_timeout(error)),
                Ok(read) => {
                    self.input.extend_from_slice(&chunk[..read]);
                    return Ok(read);
                }
            }
        }
    }
}

/// A read timeout is reported as `WouldBlock` on some systems; here it is always `TimedOut`.
fn name_timeout(error: io::Error) -> io::Error {
    match error.kind() {
        io::ErrorKind::WouldBlock => io::Error::new(io::ErrorKind::TimedOut, "no reply in time"),
        _ => error,
    }
}

/// A command as a RESP array of bulk strings.
pub fn encode<A: AsRef<[u8]>>(arguments: &[A]) -> Vec<u8> {
    let mut bytes = format!("*{}\r\n", arguments.len()).into_bytes();
    for argument in arguments {
        let argument = argument.as_ref();
        bytes.extend_from_slice(format!("${}\r\n", argument.len()).as_bytes());
        bytes.extend_from_slice(argument);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes
}

/// Tries `attempt` every few milliseconds until it succeeds or `limit` has passed.
///
/// # Errors
/// The last failure, named by `what`.
pub fn until<T>(what: &str, limit: Duration, mut attempt: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    let started = Instant::now();
    loop {
        match attempt() {
            Ok(result) => return Ok(result),
            Err(error) if started.elapsed() > limit => {
                return Err(io::Error::new(error.kind(), format!("{what}: not within {limit:?}: {error}")));
            }
            Err(_) => std::thread::sleep(Duration::from_millis(5)),
        }
    }
}
