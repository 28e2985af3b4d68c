//! Values that tell what they are: their own key's number and version, then bytes that follow from both.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::sync::LazyLock;
use std::time::Duration;

use pdw_tests::address::Address;
use pdw_tests::connection::encode;

/// Bytes of number and version at the start of a value.
const MARK: usize = 16;

/// Length of the pattern: a prime, so that no block of the kernel's or the proxy's falls on its period.
const PERIOD: usize = 1_000_003;

/// A client's write buffer: the first `write()` of a large value has so many bytes.
const FIRST_WRITE: usize = 4096;

/// How long a transfer may stand still.
const PATIENCE: Duration = Duration::from_secs(60);

/// The pattern twice, so that any part of one period is one slice.
static PATTERN: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let mut random = fastrand::Rng::with_seed(7);
    let once: Vec<u8> = (0..PERIOD).map(|_| random.u8(..)).collect();
    [once.as_slice(), &once].concat()
});

/// Bytes of a stripe: 50 MiB with `PDW_FULL`, else 8 MiB.
pub(crate) fn stripe_size() -> usize {
    pdw_tests::full_or(50 << 20, 8 << 20)
}

/// A value of `size` bytes, never held as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Content {
    number: u32,
    version: u32,
    size: usize,
}

impl Content {
    pub(crate) fn new(number: u32, version: u32, size: usize) -> Content {
        assert!(size >= MARK);
        Content { number, version, size }
    }

    pub(crate) fn size(self) -> usize {
        self.size
    }

    fn mark(self) -> [u8; MARK] {
        let text = format!("{:08}{:08}", self.number % 100_000_000, self.version % 100_000_000);
        let mut mark = [0; MARK];
        mark.copy_from_slice(text.as_bytes());
        mark
    }

    /// As much of the pattern from `at` on as is in one piece.
    fn piece(self, at: usize) -> &'static [u8] {
        let start = (self.number as usize * 7919 + self.version as usize * 104_729 + at) % PERIOD;
        &PATTERN[start..start + PERIOD.min(self.size - at)]
    }

    fn write_part(self, out: &mut impl Write, mut at: usize, end: usize) -> io::Result<()> {
        while at < end {
            let piece = self.piece(at);
            let piece = &piece[..piece.len().min(end - at)];
            out.write_all(piece)?;
            at += piece.len();
        }
        Ok(())
    }

    /// Reads a value of this number and size, of any version, and compares every byte; the version.
    fn compare(self, input: &mut impl Read) -> io::Result<u32> {
        let mut mark = [0; MARK];
        input.read_exact(&mut mark)?;
        let text = String::from_utf8_lossy(&mark).into_owned();
        let version = text.get(8..).and_then(|version| version.parse().ok());
        let found = Content { version: version.ok_or_else(|| wrong(&text))?, ..self };
        if found.mark() != mark {
            return Err(wrong(&text));
        }
        let (mut at, mut buffer) = (MARK, vec![0; 256 << 10]);
        while at < self.size {
            let piece = found.piece(at);
            let taken = piece.len().min(buffer.len());
            input.read_exact(&mut buffer[..taken])?;
            if buffer[..taken] != piece[..taken] {
                return Err(wrong(&format!("{text} near byte {at}")));
            }
            at += taken;
        }
        Ok(found.version)
    }
}

fn wrong(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("not what was written: {what}"))
}

/// A client that moves stripes.
#[derive(Debug)]
pub(crate) struct Mover {
    stream: TcpStream,
}

impl Mover {
    pub(crate) fn connect(address: &Address) -> io::Result<Mover> {
        let Address::Tcp(address) = address else { return Err(io::Error::other("no TCP address")) };
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(Mover { stream })
    }

    pub(crate) fn into_stream(self) -> TcpStream {
        self.stream
    }

    pub(crate) fn stream(&mut self) -> &mut TcpStream {
        &mut self.stream
    }

    /// Writes a stripe as pdwfs does: a full buffer, the rest of the value, the end with EXEC.
    pub(crate) fn write_stripe(&mut self, file: &str, content: Content) -> io::Result<()> {
        self.send_stripe(file, content)?;
        self.stream.write_all(&[b"\r\n".as_slice(), &encode(&["EXEC"])].concat())?;
        for wanted in ["+OK", "+QUEUED", "+QUEUED", "*2"] {
            self.expect(wanted)?;
        }
        let added = self.line()?;
        if !added.starts_with(':') {
            return Err(io::Error::other(added));
        }
        self.expect("+OK")
    }

    /// Sends all of that but the end of the value and EXEC.
    pub(crate) fn send_stripe(&mut self, file: &str, content: Content) -> io::Result<()> {
        self.send_stripe_until(file, content, content.size)
    }

    /// The same, up to `end` bytes of its value.
    pub(crate) fn send_stripe_until(&mut self, file: &str, content: Content, end: usize) -> io::Result<()> {
        let head = stripe_head(file, content);
        let first = FIRST_WRITE.saturating_sub(head.len()).max(MARK);
        let mut buffer = [head.as_slice(), &content.mark()].concat();
        content.write_part(&mut buffer, MARK, first)?;
        self.stream.write_all(&buffer)?;
        content.write_part(&mut self.stream, first, end)
    }

    /// A plain SET, up to `end` bytes of its value; past the value also its end.
    pub(crate) fn send_set(&mut self, key: &str, content: Content, end: usize) -> io::Result<()> {
        let head = format!("*3\r\n$3\r\nSET\r\n${}\r\n{key}\r\n${}\r\n", key.len(), content.size);
        self.stream.write_all(&[head.as_bytes(), &content.mark()].concat())?;
        content.write_part(&mut self.stream, MARK, end.min(content.size))?;
        if end > content.size { self.stream.write_all(b"\r\n") } else { Ok(()) }
    }

    /// The rest of a SET of which the value was sent up to `sent`, and its reply.
    pub(crate) fn finish_set(&mut self, content: Content, sent: usize) -> io::Result<()> {
        content.write_part(&mut self.stream, sent, content.size)?;
        self.stream.write_all(b"\r\n")?;
        self.expect("+OK")
    }

    /// A whole SET and its reply.
    pub(crate) fn set(&mut self, key: &str, content: Content) -> io::Result<()> {
        self.send_set(key, content, usize::MAX)?;
        self.expect("+OK")
    }

    /// Asks for a value and compares what comes; its version.
    pub(crate) fn read_version(&mut self, key: &str, content: Content) -> io::Result<u32> {
        self.stream.write_all(&encode(&["GET", key]))?;
        self.expect(&format!("${}", content.size))?;
        let version = content.compare(&mut self.stream)?;
        self.expect("").map(|()| version)
    }

    /// The same; any version will do.
    pub(crate) fn read(&mut self, key: &str, content: Content) -> io::Result<()> {
        self.read_version(key, content).map(drop)
    }

    /// A small command and the line it is answered with.
    pub(crate) fn call(&mut self, words: &[&str]) -> io::Result<String> {
        self.stream.write_all(&encode(words))?;
        self.line()
    }

    /// The next line, which must be this one.
    pub(crate) fn expect(&mut self, wanted: &str) -> io::Result<()> {
        let line = self.line()?;
        if line == wanted { Ok(()) } else { Err(wrong(&format!("{line:?} instead of {wanted:?}"))) }
    }

    /// The next line, byte by byte: what follows it may be a value.
    pub(crate) fn line(&mut self) -> io::Result<String> {
        let (mut line, mut byte) = (Vec::new(), [0]);
        while !line.ends_with(b"\r\n") {
            self.stream.read_exact(&mut byte)?;
            line.push(byte[0]);
        }
        line.truncate(line.len() - 2);
        Ok(String::from_utf8_lossy(&line).into_owned())
    }
}

fn stripe_head(file: &str, content: Content) -> Vec<u8> {
    let (stripes, number) = (format!("{file}:stripes"), content.number.to_string());
    let key = stripe_key(file, content.number);
    let set = format!("*3\r\n$3\r\nSET\r\n${}\r\n{key}\r\n${}\r\n", key.len(), content.size);
    [encode(&["MULTI"]), encode(&["SADD", &stripes, &number]), set.into_bytes()].concat()
}

/// Key of a file's stripe.
pub(crate) fn stripe_key(file: &str, number: u32) -> String {
    format!("{file}:{number}")
}

#[test]
fn a_changed_byte_is_noticed() {
    let content = Content::new(3, 4, 3_000_000);
    let mut bytes = content.mark().to_vec();
    content.write_part(&mut bytes, MARK, 3_000_000).unwrap();
    let unchanged = bytes.clone();
    assert!(content.compare(&mut bytes.as_slice()).is_ok());
    bytes[2_345_678] ^= 1;
    assert!(content.compare(&mut bytes.as_slice()).is_err());
    let other = Content::new(4, 4, 3_000_000);
    assert!(other.compare(&mut unchanged.as_slice()).is_err());
}
