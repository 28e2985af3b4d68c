//! Random pipelines over few keys, with values from nothing to 8 MiB, bare and in transactions.

use std::fmt;
use std::io::{self, Write};

use fastrand::Rng;

/// Commands of a script, about.
const STEPS: usize = 60;

/// Bytes that one script may write: keeps a run of many short.
const BUDGET: usize = 40 << 20;

/// Largest value.
const LARGEST: usize = 8 << 20;

/// What the value argument of a step is written as.
const FIRST_BYTES: usize = 24;

/// One command: its arguments, of which at most one is a value that is made up when it is written.
#[derive(Clone, Debug)]
pub(crate) struct Step {
    arguments: Vec<Argument>,
}

#[derive(Clone, Debug)]
enum Argument {
    Text(String),
    /// So many bytes, told apart by a number.
    Value(usize, u64),
}

/// Commands that are sent without waiting for their replies.
#[derive(Clone, Debug)]
pub(crate) struct Script {
    steps: Vec<Step>,
}

impl fmt::Display for Step {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for argument in &self.arguments {
            match argument {
                Argument::Text(text) => write!(out, "{text} ")?,
                Argument::Value(size, _) => write!(out, "<{size} bytes> ")?,
            }
        }
        Ok(())
    }
}

impl fmt::Display for Script {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.steps.iter().enumerate().try_for_each(|(at, step)| writeln!(out, "  {at}: {step}"))
    }
}

impl Step {
    fn text(words: &[&str]) -> Step {
        Step { arguments: words.iter().map(|word| Argument::Text((*word).to_owned())).collect() }
    }

    fn is_set(&self) -> bool {
        matches!((&self.arguments[0], self.arguments.len()), (Argument::Text(name), 3) if name == "SET")
    }

    fn write_to(&self, out: &mut impl Write) -> io::Result<()> {
        write!(out, "*{}\r\n", self.arguments.len())?;
        for argument in &self.arguments {
            match argument {
                Argument::Text(text) => write!(out, "${}\r\n{text}\r\n", text.len())?,
                Argument::Value(size, number) => {
                    write!(out, "${size}\r\n")?;
                    out.write_all(&value(*size, *number))?;
                    out.write_all(b"\r\n")?;
                }
            }
        }
        Ok(())
    }
}

/// Digits now and then, else bytes that are no number and contain what looks like protocol.
fn value(size: usize, number: u64) -> Vec<u8> {
    let mut bytes = format!("{number}\r\n$3\r\n*2\r\n+OK\r\n:1\r\n").into_bytes();
    bytes.truncate(size.min(FIRST_BYTES));
    let mut random = Rng::with_seed(number);
    let block: Vec<u8> = (0..997).map(|_| random.u8(..)).collect();
    let missing = size - bytes.len();
    bytes.extend(block.iter().cycle().take(missing));
    bytes
}

impl Script {
    pub(crate) fn len(&self) -> usize {
        self.steps.len()
    }

    /// The steps up to and with `last`.
    pub(crate) fn until(&self, last: usize) -> Script {
        Script { steps: self.steps[..=last].to_vec() }
    }

    /// Exchanges the values of the first two SETs.
    pub(crate) fn swap_first_two_sets(&mut self) {
        let sets: Vec<usize> =
            self.steps.iter().enumerate().filter(|(_, step)| step.is_set()).map(|(at, _)| at).collect();
        self.steps.swap(sets[0], sets[1]);
    }

    pub(crate) fn write_to(&self, out: &mut impl Write) -> io::Result<()> {
        // Like a client with a buffer: small commands go together, values past it.
        let mut buffered = io::BufWriter::with_capacity(16 << 10, out);
        self.steps.iter().try_for_each(|step| step.write_to(&mut buffered))?;
        buffered.flush()
    }
}

struct Writer {
    random: Rng,
    steps: Vec<Step>,
    /// Bytes of values that may still be written.
    budget: usize,
    values: u64,
}

/// The script of a seed.
pub(crate) fn script(seed: u64) -> Script {
    let mut writer = Writer { random: Rng::with_seed(seed), steps: Vec::new(), budget: BUDGET, values: 0 };
    while writer.steps.len() < STEPS {
        if writer.random.u8(..) < 40 { writer.transaction() } else { writer.bare() }
    }
    Script { steps: writer.steps }
}

impl Writer {
    fn bare(&mut self) {
        let tag = self.tag();
        let step = if self.random.u8(..) < 20 { self.gathered() } else { self.command(&tag) };
        self.steps.push(step);
    }

    /// Values of all sizes from several homes, in one reply.
    fn gathered(&mut self) -> Step {
        let keys: Vec<String> =
            (0..self.random.usize(2..6)).map(|_| format!("{}{}", self.tag(), self.random.u8(1..4))).collect();
        let mut words = vec!["MGET"];
        words.extend(keys.iter().map(String::as_str));
        Step::text(&words)
    }

    fn transaction(&mut self) {
        let tag = self.tag();
        self.steps.push(Step::text(&["MULTI"]));
        for _ in 0..self.random.usize(0..7) {
            let step = if self.random.u8(..) < 12 { self.mistake(&tag) } else { self.command(&tag) };
            self.steps.push(step);
        }
        let end = if self.random.u8(..) < 40 { "DISCARD" } else { "EXEC" };
        self.steps.push(Step::text(&[end]));
    }

    /// All keys of a transaction have one tag, and so one home.
    fn tag(&mut self) -> String {
        format!("{{{}}}", self.random.choice(["a", "b", "c"]).unwrap_or("a"))
    }

    /// What a server refuses before it does anything: dooms a transaction.
    fn mistake(&mut self, tag: &str) -> Step {
        match self.random.u8(..3) {
            0 => Step::text(&["SET", &format!("{tag}1")]),
            1 => Step::text(&["NOSUCHCOMMAND", &format!("{tag}1"), "x"]),
            _ => self.with_value(&["STRLEN", &format!("{tag}1")], &[]),
        }
    }

    fn command(&mut self, tag: &str) -> Step {
        let key = format!("{tag}{}", self.random.u8(1..3));
        if self.random.bool() { self.write(&key) } else { self.read(tag, &key) }
    }

    fn write(&mut self, key: &str) -> Step {
        match self.random.u8(..16) {
            14 => self.with_value(&["MSET", &format!("{key}0"), "small", key], &[]),
            15 => self.with_value(&["EVAL", "return redis.call('SET',KEYS[1],ARGV[1])", "1", key], &[]),
            0..=5 => self.with_value(&["SET", key], &[]),
            6 => self.with_value(&["SET", key], &["XX"]),
            7 => self.with_value(&["SET", key], &["NX", "GET"]),
            8 => self.with_value(&["APPEND", key], &[]),
            9 => {
                let offset = self.random.usize(..200_000).to_string();
                self.with_value(&["SETRANGE", key, &offset], &[])
            }
            10 => self.with_value(&["GETSET", key], &[]),
            11 => self.with_value(&["SETEX", key, "1000"], &[]),
            12 => self.with_value(&["LPUSH", key], &["small"]),
            _ => Step::text(&["DEL", key]),
        }
    }

    fn read(&mut self, tag: &str, key: &str) -> Step {
        let ends = [self.random.i32(-3_000_000..3_000_000), self.random.i32(-3_000_000..9_000_000)];
        let [start, end] = ends.map(|end| end.to_string());
        match self.random.u8(..10) {
            0..=2 => Step::text(&["GET", key]),
            3..=4 => Step::text(&["GETRANGE", key, &start, &end]),
            5 => Step::text(&["GETRANGE", key, "0", "-1"]),
            6..=7 => Step::text(&["STRLEN", key]),
            8 => Step::text(&["MGET", &format!("{tag}1"), &format!("{tag}2"), &format!("{tag}none")]),
            _ => Step::text(&["GETDEL", key]),
        }
    }

    fn with_value(&mut self, before: &[&str], after: &[&str]) -> Step {
        let mut step = Step::text(before);
        let size = self.size();
        self.values += 1;
        step.arguments.push(Argument::Value(size, self.values));
        step.arguments.extend(after.iter().map(|word| Argument::Text((*word).to_owned())));
        step
    }

    /// From nothing to 8 MiB: every power of two as likely as another, and the threshold more likely than its neighbours.
    fn size(&mut self) -> usize {
        let size = match self.random.u8(..10) {
            0 => 0,
            1 => self.random.usize(65_530..65_545),
            _ => {
                let bits = self.random.u32(1..24);
                self.random.usize(1 << (bits - 1)..1 << bits).min(LARGEST)
            }
        };
        let size = if size > self.budget { size % 1000 } else { size };
        self.budget -= size.min(self.budget);
        size
    }
}
