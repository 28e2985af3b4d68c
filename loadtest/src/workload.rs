//! What a load sends: requests of constant size with a number written into each, and the one right reply to each.

use clap::ValueEnum;
use serde::Serialize;

/// Digits of the number in a key; constant, so that every request of a workload has the same size.
const DIGITS: usize = 10;

/// Stands for the number while a request is composed.
const HOLE: &str = "##########";

/// Requests of at least so many bytes are not copied to be sent.
const LARGE: usize = 32 << 10;

/// Bytes that a client with a usual buffer writes before it hands over the rest of a large value.
const FIRST_WRITE: usize = 4096;

/// What is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Op {
    /// `SET key value`.
    Set,
    /// `GET key`; the keys must have been set, see [`crate::net::fill`].
    Get,
    /// What pdwfs sends to create a file and write 100 bytes into it: five requests, ten commands, one after another.
    Pdwfs,
}

/// One request and its only right reply.
#[derive(Debug)]
pub struct Step {
    request: Vec<u8>,
    holes: Vec<usize>,
    /// The reply, byte for byte.
    pub reply: Vec<u8>,
}

impl Step {
    fn new(commands: &[&[&str]], reply: String) -> Self {
        let text: String = commands.iter().map(|words| encode(words)).collect();
        let holes = text.match_indices(HOLE).map(|(at, _)| at).collect();
        Self { request: text.into_bytes(), holes, reply: reply.into_bytes() }
    }

    /// Appends the request, numbered, to `out`.
    pub fn append(&self, number: u64, out: &mut Vec<u8>) {
        let start = out.len();
        out.extend_from_slice(&self.request);
        self.write_numbers(&mut out[start..], number);
    }

    /// Appends the first bytes of the request, numbered, to `out`; what follows is the same for every number. Of a
    /// large request as much as a client with a buffer of 4 KiB writes first, of a small one everything.
    pub fn append_head(&self, number: u64, out: &mut Vec<u8>) {
        let start = out.len();
        out.extend_from_slice(&self.request[..self.head()]);
        self.write_numbers(&mut out[start..], number);
    }

    /// What follows the head.
    pub fn tail(&self) -> &[u8] {
        &self.request[self.head()..]
    }

    fn head(&self) -> usize {
        let numbered = self.holes.last().map_or(0, |hole| hole + DIGITS);
        if self.request.len() < LARGE { self.request.len() } else { numbered.max(FIRST_WRITE) }
    }

    fn write_numbers(&self, request: &mut [u8], number: u64) {
        for hole in &self.holes {
            write_number(&mut request[*hole..hole + DIGITS], number);
        }
    }

    /// Bytes of the request.
    pub fn request_size(&self) -> usize {
        self.request.len()
    }
}

/// How the keys are numbered.
#[derive(Clone, Copy, Debug)]
pub enum Numbering {
    /// Any of so many, evenly.
    Random(u64),
    /// Every item a new one.
    Fresh,
}

/// The steps of one item, in order, and the numbering of items.
#[derive(Debug)]
pub struct Workload {
    /// Never empty.
    pub steps: Vec<Step>,
    /// Which number an item gets.
    pub numbering: Numbering,
}

impl Workload {
    /// A workload over `keys` keys with values of `value_size` bytes; the pdwfs mix has keys and sizes of its own.
    pub fn new(op: Op, value_size: usize, keys: u64) -> Self {
        Self::under("key:", op, value_size, keys)
    }

    /// The same with keys that begin with `prefix`.
    pub fn under(prefix: &str, op: Op, value_size: usize, keys: u64) -> Self {
        let value = "x".repeat(value_size);
        let key = format!("{prefix}{HOLE}");
        let numbering = Numbering::Random(keys.max(1));
        match op {
            Op::Set => Self { steps: vec![Step::new(&[&["SET", &key, &value]], "+OK\r\n".into())], numbering },
            Op::Get => {
                Self { steps: vec![Step::new(&[&["GET", &key]], format!("${value_size}\r\n{value}\r\n"))], numbering }
            }
            Op::Pdwfs => Self { steps: pdwfs_steps(), numbering: Numbering::Fresh },
        }
    }
}

/// "open O_CREAT, new" and "write within a stripe", as pdwfs sends them for a file of 100 bytes.
fn pdwfs_steps() -> Vec<Step> {
    let file = format!("/mnt/run/file.{HOLE}");
    let (mode, children) = (format!("{{{file}}}:mode"), format!("{{{file}}}:children"));
    let (stripes, stripe) = (format!("{file}:stripes"), format!("{file}:0"));
    let data = "d".repeat(100);
    vec![
        Step::new(&[&["EXISTS", &mode]], ":0\r\n".into()),
        Step::new(&[&["MULTI"], &["SETNX", &mode, "33188"], &["EXEC"]], transaction(&[":1"])),
        Step::new(&[&["SADD", "{/mnt/run}:children", &file]], ":1\r\n".into()),
        Step::new(&[&["EXISTS", &children]], ":0\r\n".into()),
        Step::new(
            &[&["MULTI"], &["SADD", &stripes, "0"], &["SETRANGE", &stripe, "0", &data], &["EXEC"]],
            transaction(&[":1", ":100"]),
        ),
    ]
}

fn transaction(replies: &[&str]) -> String {
    let queued = "+QUEUED\r\n".repeat(replies.len());
    let done: String = replies.iter().map(|reply| format!("{reply}\r\n")).collect();
    format!("+OK\r\n{queued}*{}\r\n{done}", replies.len())
}

/// A command as an array of bulk strings.
pub fn encode(words: &[&str]) -> String {
    let bulks: String = words.iter().map(|word| format!("${}\r\n{word}\r\n", word.len())).collect();
    format!("*{}\r\n{bulks}", words.len())
}

fn write_number(digits: &mut [u8], mut number: u64) {
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_is_written_into_every_key_and_the_size_stays() {
        let workload = Workload::new(Op::Pdwfs, 0, 1);
        let mut out = Vec::new();
        workload.steps[4].append(42, &mut out);
        assert_eq!(out.len(), workload.steps[4].request_size());
        let text = String::from_utf8(out).unwrap();
        assert!(text.contains("file.0000000042:stripes") && text.contains("file.0000000042:0\r\n"), "{text}");
        assert!(!text.contains('#'));
    }

    #[test]
    fn a_large_request_is_its_head_and_its_tail() {
        let workload = Workload::new(Op::Set, 100_000, 10);
        let (mut whole, mut head) = (Vec::new(), Vec::new());
        workload.steps[0].append(7, &mut whole);
        workload.steps[0].append_head(7, &mut head);
        assert_eq!(head.len(), FIRST_WRITE);
        assert_eq!([&head, workload.steps[0].tail()].concat(), whole);
    }

    #[test]
    fn a_get_expects_the_value_that_a_set_stored() {
        let mut out = Vec::new();
        let set = Workload::new(Op::Set, 5, 10);
        set.steps[0].append(7, &mut out);
        assert_eq!(out, b"*3\r\n$3\r\nSET\r\n$14\r\nkey:0000000007\r\n$5\r\nxxxxx\r\n");
        assert_eq!(Workload::new(Op::Get, 5, 10).steps[0].reply, b"$5\r\nxxxxx\r\n");
    }

    #[test]
    fn a_pdwfs_item_is_five_requests_with_ten_commands() {
        let steps = Workload::new(Op::Pdwfs, 0, 1).steps;
        let commands: usize = steps.iter().map(|step| step.request.iter().filter(|byte| **byte == b'*').count()).sum();
        assert_eq!((steps.len(), commands), (5, 10));
    }
}
