//! A real server on a UNIX socket in a folder of its own, and a plain client.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use redis_protocol::resp2::decode::decode;
use redis_protocol::resp2::types::OwnedFrame;

/// How long a server may take to listen, and a reply to come.
const PATIENCE: Duration = Duration::from_secs(20);

/// Which server is compared; decides which differences from the table are expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Redis70,
    Valkey9,
}

pub(crate) struct Server {
    pub(crate) kind: Kind,
    pub(crate) socket: PathBuf,
    process: Child,
    _folder: tempfile::TempDir,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The servers at hand: always Redis, Valkey where it is installed.
pub(crate) fn servers() -> Vec<Server> {
    let valkey = std::env::var("PDW_VALKEY").unwrap_or_else(|_| "valkey-server".to_owned());
    std::iter::once(redis()).chain(start(Kind::Valkey9, &valkey)).collect()
}

pub(crate) fn redis() -> Server {
    start(Kind::Redis70, "redis-server").expect("install redis-server 7.0 (Debian: apt-get install redis-server)")
}

fn start(kind: Kind, program: &str) -> Option<Server> {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("socket");
    let mut command = Command::new(program);
    command.args(["--port", "0", "--save", "", "--unixsocket"]).arg(&socket).arg("--dir").arg(folder.path());
    let process = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().ok()?;
    let server = Server { kind, socket, process, _folder: folder };
    let deadline = Instant::now() + PATIENCE;
    while UnixStream::connect(&server.socket).is_err() {
        assert!(Instant::now() < deadline, "{program} does not listen");
        std::thread::sleep(Duration::from_millis(10));
    }
    Some(server)
}

pub(crate) struct Client {
    reader: BufReader<UnixStream>,
}

impl Client {
    pub(crate) fn new(server: &Server) -> Client {
        let stream = UnixStream::connect(&server.socket).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Client { reader: BufReader::new(stream) }
    }

    pub(crate) fn send(&mut self, arguments: &[Vec<u8>]) {
        let mut bytes = format!("*{}\r\n", arguments.len()).into_bytes();
        for argument in arguments {
            bytes.extend_from_slice(format!("${}\r\n", argument.len()).as_bytes());
            bytes.extend_from_slice(argument);
            bytes.extend_from_slice(b"\r\n");
        }
        self.reader.get_mut().write_all(&bytes).unwrap();
    }

    /// The next line as it came, CRLF included.
    pub(crate) fn line(&mut self) -> Vec<u8> {
        let mut line = Vec::new();
        self.reader.read_until(b'\n', &mut line).unwrap();
        line
    }

    /// The next whole reply, as the `redis-protocol` crate reads it.
    pub(crate) fn reply(&mut self) -> OwnedFrame {
        let mut bytes = Vec::new();
        self.copy_value(&mut bytes);
        decode(&bytes).unwrap().unwrap().0
    }

    fn copy_value(&mut self, bytes: &mut Vec<u8>) {
        let line = self.line();
        bytes.extend_from_slice(&line);
        let count = || std::str::from_utf8(&line[1..]).unwrap().trim_end().parse::<i64>().unwrap();
        match line[0] {
            b'*' => (0..count()).for_each(|_| self.copy_value(bytes)),
            b'$' if count() >= 0 => {
                let payload = count() as u64 + 2;
                self.reader.by_ref().take(payload).read_to_end(bytes).unwrap();
            }
            _ => {}
        }
    }
}

/// Arguments from text.
pub(crate) fn words(text: &[&str]) -> Vec<Vec<u8>> {
    text.iter().map(|word| word.as_bytes().to_vec()).collect()
}

/// Arguments as a `Request` sees them: bytes and spans.
pub(crate) struct Arguments {
    bytes: Vec<u8>,
    spans: Vec<pdw_router::resp::Span>,
}

impl Arguments {
    pub(crate) fn new(arguments: &[Vec<u8>]) -> Arguments {
        let mut start = 0;
        let span = |argument: &Vec<u8>| {
            let span = pdw_router::resp::Span { start, end: start + argument.len() as u32 };
            start = span.end;
            span
        };
        Arguments { spans: arguments.iter().map(span).collect(), bytes: arguments.concat() }
    }

    pub(crate) fn request(&self) -> pdw_router::resp::Request<'_> {
        pdw_router::resp::Request { bytes: &self.bytes, spans: &self.spans, missing: 0 }
    }
}
