//! One pipeline: written by one thread while another reads, so that neither waits for the other's buffers.

use std::fmt;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::thread;
use std::time::Duration;

use pdw_tests::address::Address;

use crate::script::Script;

/// A reply; of values only length and checksum, for they are large.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Answer {
    /// A simple string, an error, an integer, or nil: the line.
    Line(String),
    /// Length and checksum (CRC-32).
    Value(usize, u32),
    /// Elements of an array.
    Array(Vec<Answer>),
}

impl fmt::Debug for Answer {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Answer::Line(line) => write!(out, "{line:?}"),
            Answer::Value(length, sum) => write!(out, "{length} bytes/{sum:08x}"),
            Answer::Array(elements) => out.debug_list().entries(elements).finish(),
        }
    }
}

/// Sends all of `script` and reads as many answers as it has commands.
pub(crate) fn converse(address: &Address, script: &Script, patience: Duration) -> io::Result<Vec<Answer>> {
    match address {
        Address::Tcp(address) => {
            let (input, output) = {
                let stream = TcpStream::connect(address)?;
                (stream.try_clone()?, stream)
            };
            input.set_read_timeout(Some(patience))?;
            output.set_write_timeout(Some(patience))?;
            exchange(input, output, script)
        }
        Address::Unix(path) => {
            let (input, output) = {
                let stream = UnixStream::connect(path)?;
                (stream.try_clone()?, stream)
            };
            input.set_read_timeout(Some(patience))?;
            output.set_write_timeout(Some(patience))?;
            exchange(input, output, script)
        }
    }
}

fn exchange(input: impl Read, mut output: impl Write + Send, script: &Script) -> io::Result<Vec<Answer>> {
    thread::scope(|scope| {
        let writer = scope.spawn(move || script.write_to(&mut output));
        let mut input = BufReader::with_capacity(64 << 10, input);
        let answers: io::Result<Vec<Answer>> = (0..script.len()).map(|at| numbered(at, answer(&mut input))).collect();
        let answers = answers?;
        writer.join().map_err(|_| io::Error::other("the writer failed"))??;
        Ok(answers)
    })
}

fn numbered(at: usize, answer: io::Result<Answer>) -> io::Result<Answer> {
    answer.map_err(|error| io::Error::new(error.kind(), format!("instead of answer {at}: {error}")))
}

fn answer(input: &mut impl BufRead) -> io::Result<Answer> {
    let mut line = String::new();
    if input.read_line(&mut line)? == 0 {
        return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the connection was closed"));
    }
    let line = line.trim_end().to_owned();
    let count = line.get(1..).and_then(|count| count.parse::<usize>().ok());
    match (line.as_bytes().first(), count) {
        (Some(b'$'), Some(length)) => value(input, length),
        (Some(b'*'), Some(count)) => (0..count).map(|_| answer(input)).collect::<io::Result<_>>().map(Answer::Array),
        _ => Ok(Answer::Line(line)),
    }
}

fn value(input: &mut impl BufRead, length: usize) -> io::Result<Answer> {
    let (mut sum, mut left) = (crc32fast::Hasher::new(), length);
    while left > 0 {
        let bytes = input.fill_buf()?;
        if bytes.is_empty() {
            return Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                format!("closed {left} bytes before a value's end"),
            ));
        }
        let taken = bytes.len().min(left);
        sum.update(&bytes[..taken]);
        input.consume(taken);
        left -= taken;
    }
    let mut end = [0; 2];
    input.read_exact(&mut end)?;
    if end != *b"\r\n" {
        return Err(io::Error::new(io::ErrorKind::InvalidData, format!("{end:?} after a value of {length} bytes")));
    }
    Ok(Answer::Value(length, sum.finalize()))
}
