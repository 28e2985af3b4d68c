//! What a client will send, and what it may expect.

use fastrand::Rng;
use pdw_router::limits::Limits;

use crate::resp::{Args, bulk, encode};

/// Keys that hold texts, numbers and sets. Those in braces share a home, the others are spread.
pub(crate) const TEXTS: [&str; 6] = ["a", "b", "c", "d", "{h}t", "{h}u"];
const NUMBERS: [&str; 2] = ["n", "{h}n"];
const SETS: [&str; 3] = ["s", "r", "{h}s"];

/// Marks what a request writes, so that its execution can be told from all others: client, number
/// of the request, and which of the request's elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Tag {
    pub(crate) client: usize,
    pub(crate) request: usize,
    pub(crate) element: usize,
}

impl Tag {
    fn text(self) -> String {
        format!("#{}.{}.{};", self.client, self.request, self.element)
    }

    /// The tag in an argument.
    pub(crate) fn find(arg: &[u8]) -> Option<Self> {
        let start = arg.iter().position(|byte| *byte == b'#')? + 1;
        let len = arg[start..].iter().position(|byte| *byte == b';')?;
        let mut numbers = std::str::from_utf8(&arg[start..start + len]).ok()?.split('.').map(str::parse);
        let mut number = || numbers.next()?.ok();
        Some(Self { client: number()?, request: number()?, element: number()? })
    }

    /// All tags of a request.
    pub(crate) fn all(args: &[Vec<u8>]) -> impl Iterator<Item = Self> + '_ {
        args.iter().filter_map(|arg| Self::find(arg))
    }
}

/// What a client may be answered, besides the proxy's refusals of what it cannot deliver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Expect {
    /// Exactly this, from the proxy itself.
    Exactly(Vec<u8>),
    /// Something that starts like this, from the proxy itself.
    Refusal(&'static str),
    /// As `Recorded`; or that it is too long, if it does not pass through as a large value.
    Long,
    /// What the instance that carried it out said.
    Recorded,
    /// As `Recorded`; or that there is no such command, if no instance could be asked.
    Learned,
    /// What the keys held at some moment between request and reply: one text, or an array in the keys' order.
    Texts { keys: Vec<String>, many: bool },
    /// What the set held at such a moment, or only how large it was.
    Members { key: String, count: bool },
    /// How many of so many keys.
    Count(usize),
    /// A number that nobody else was given.
    Claim(String),
    /// `+OK` after every element was carried out.
    AllDone,
    /// A reply of one of these kinds.
    Kind(&'static [u8]),
    /// The opening of a transaction.
    Begun,
    /// A command is queued. `apart`: its home may differ from that of the others.
    Queued { apart: bool },
    /// What the instance said to the transaction that began with request `multi`.
    Executed { multi: usize, apart: bool },
}

/// One request of a script.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) args: Args,
    pub(crate) bytes: Vec<u8>,
    pub(crate) expect: Expect,
    /// The MULTI it belongs to.
    pub(crate) transaction: Option<usize>,
    /// The client has all earlier replies before it sends this.
    pub(crate) patient: bool,
}

/// How a client's connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// It stays until everything is answered.
    Stays,
    /// After its last request it sends no more, but reads on.
    HalfCloses,
    /// The last request ends the session; what it sends afterwards is ignored.
    Hangs,
    /// It breaks when so many bytes are sent.
    Dies(usize),
}

/// A client's requests.
#[derive(Debug)]
pub(crate) struct Script {
    pub(crate) requests: Vec<Request>,
    pub(crate) ending: Ending,
}

impl Script {
    /// Where each request's bytes end.
    pub(crate) fn ends(&self) -> Vec<usize> {
        let lens = self.requests.iter().map(|request| request.bytes.len());
        lens.scan(0, |end, len| {
            *end += len;
            Some(*end)
        })
        .collect()
    }

    /// The commands between a MULTI and its EXEC.
    pub(crate) fn queued(&self, multi: usize) -> impl Iterator<Item = &Args> {
        let own = move |request: &&Request| {
            request.transaction == Some(multi) && matches!(request.expect, Expect::Queued { .. })
        };
        self.requests.iter().filter(own).map(|request| &request.args)
    }

    /// Whether nobody hurries a request: what passes through as it comes, or begins before it is whole, has no deadline.
    pub(crate) fn is_unhurried(&self, request: usize, limits: &Limits) -> bool {
        let together =
            |other: &Request| other.transaction.is_some() && other.transaction == self.requests[request].transaction;
        let others = self.requests.iter().filter(|other| together(other));
        let held: usize = others.clone().map(|other| other.bytes.len()).sum();
        let large = |one: &Request| {
            one.bytes.len() > limits.request_buffer_max || one.args.iter().any(|arg| arg.len() >= limits.large_min)
        };
        held > limits.multi_max || large(&self.requests[request]) || others.clone().any(large)
    }

    /// The request with which a request goes on its way: the EXEC of its transaction, or itself.
    pub(crate) fn sent_with(&self, request: usize) -> usize {
        let Some(multi) = self.requests[request].transaction else { return request };
        let exec = |later: &Request| matches!(later.expect, Expect::Executed { multi: begun, .. } if begun == multi);
        self.requests.iter().position(exec).unwrap_or(request)
    }
}

/// Writes a script.
pub(crate) struct Author<'a> {
    pub(crate) rng: &'a mut Rng,
    pub(crate) limits: &'a Limits,
    pub(crate) client: usize,
    long_in: u8,
    /// How often it waits for its replies, of 256.
    pub(crate) patience: u8,
    requests: Vec<Request>,
    name: Option<String>,
}

impl<'a> Author<'a> {
    /// Of values one in `long_in` may be long.
    pub(crate) fn new(rng: &'a mut Rng, limits: &'a Limits, client: usize, long_in: u8) -> Self {
        let patience = *rng.choice([0, 20, 128, 255].iter()).unwrap_or(&0);
        Self { rng, limits, client, long_in, patience, requests: Vec::new(), name: None }
    }

    /// A script of about so many requests.
    pub(crate) fn write(mut self, len: usize) -> Script {
        while self.requests.len() < len {
            match self.rng.u8(0..20) {
                0..10 => {
                    let (text, expect) = self.single(None);
                    self.add(text, expect);
                }
                10..13 => self.several_keys(),
                13..17 => self.transaction(),
                17 => self.whole_keyspace(),
                18 => self.local(),
                _ => self.mistake(),
            }
        }
        let ending = self.ending();
        Script { requests: self.requests, ending }
    }

    fn ending(&mut self) -> Ending {
        match self.rng.u8(0..10) {
            0 => {
                self.add(words("QUIT"), Expect::Exactly(b"+OK\r\n".to_vec()));
                Ending::Hangs
            }
            1 => {
                self.add(words("SET x"), Expect::Refusal("-ERR Protocol error"));
                if let Some(last) = self.requests.last_mut() {
                    last.bytes = b"*3\r\n$3\r\nSET\r\n!\r\n".to_vec();
                }
                Ending::Hangs
            }
            2 => {
                // Longer than a read, so that it is never seen whole.
                let long = "x".repeat(self.limits.request_max + 4096 + self.rng.usize(1..300));
                self.add(vec!["SET".into(), long, "v".into()], Expect::Refusal("-ERR key is longer"));
                Ending::Stays
            }
            3 => Ending::HalfCloses,
            4 => {
                let bytes: usize = self.requests.iter().map(|request| request.bytes.len()).sum();
                Ending::Dies(self.rng.usize(0..=bytes))
            }
            _ => Ending::Stays,
        }
    }

    fn add(&mut self, text: Vec<String>, expect: Expect) {
        let args: Args = text.into_iter().map(String::into_bytes).collect();
        let patient = self.rng.u8(..) < self.patience;
        self.requests.push(Request { bytes: encode(&args), args, expect, transaction: None, patient });
    }

    fn tag(&self, element: usize) -> String {
        Tag { client: self.client, request: self.requests.len(), element }.text()
    }

    fn pick(&mut self, keys: &[&str]) -> String {
        keys[self.rng.usize(0..keys.len())].to_owned()
    }

    /// A key that shares its home with `key`, exists nowhere and carries a tag.
    fn sibling(&self, key: &str, element: usize) -> String {
        let hashed = if key.starts_with('{') { "h" } else { key };
        format!("{{{hashed}}}{}", self.tag(element))
    }

    /// A command on one key, or on one home; one that writes if it is the first of a transaction.
    fn single(&mut self, home: Option<(&[&str], bool)>) -> (Vec<String>, Expect) {
        let (texts, write) = home.unwrap_or((&TEXTS, false));
        let (key, tag) = (self.pick(texts), self.tag(0));
        let sets = if home.is_some() { &SETS[2..] } else { &SETS[..] };
        let (set, number) = (self.pick(sets), self.pick(&NUMBERS));
        let pad_max = if self.rng.u8(0..self.long_in) == 0 { 900 } else { 30 };
        let pad = "-".repeat(self.rng.usize(0..pad_max));
        match self.rng.u8(if write { 0..8 } else { 0..16 }) {
            0 | 1 => (line("SET", [key, tag + &pad]), Expect::Recorded),
            2 => (line("SET", [key, tag, "GET".into()]), Expect::Recorded),
            3 => (line("APPEND", [key, tag]), Expect::Recorded),
            4 => (line("SETNX", [key, tag]), Expect::Recorded),
            5 => (line("SADD", [set, tag]), Expect::Recorded),
            6 => (line("SREM", [set, "gone".into(), tag]), Expect::Recorded),
            7 => {
                let sibling = self.sibling(&key, 0);
                (line("DEL", [key, sibling]), Expect::Recorded)
            }
            8 | 9 => (line("GET", [key.clone()]), Expect::Texts { keys: vec![key], many: false }),
            10 => (line("SMEMBERS", [set.clone()]), Expect::Members { key: set, count: false }),
            11 => (line("SCARD", [set.clone()]), Expect::Members { key: set, count: true }),
            12..15 if home.is_none() => (line("INCR", [number.clone()]), Expect::Claim(number)),
            12..15 => (line("SADD", [key, tag]), Expect::Recorded),
            _ => (line("GET", [set]), Expect::Kind(b"-$")),
        }
    }

    fn several_keys(&mut self) {
        let keys: Vec<String> = (0..self.rng.usize(1..6)).map(|_| self.pick(&TEXTS)).collect();
        match self.rng.u8(0..4) {
            0 | 1 => self.add(line("MGET", keys.clone()), Expect::Texts { keys, many: true }),
            2 => {
                let (long, pad) = (self.rng.usize(0..12), "-".repeat(self.rng.usize(0..900)));
                let value = |at: usize| self.tag(at) + if at == long { &pad } else { "" };
                let pairs = keys.iter().enumerate().flat_map(|(at, key)| [key.clone(), value(at)]);
                let text = line("MSET", pairs.collect::<Vec<_>>());
                self.add(text, Expect::AllDone);
            }
            _ => {
                let name = *self.rng.choice(["DEL", "UNLINK", "EXISTS", "TOUCH"].iter()).unwrap_or(&"DEL");
                let keys = keys.iter().enumerate().flat_map(|(at, key)| [key.clone(), self.sibling(key, at)]);
                let text = line(name, keys.collect::<Vec<_>>());
                self.add(text.clone(), Expect::Count((text.len() - 1) / 2));
            }
        }
    }

    fn whole_keyspace(&mut self) {
        match self.rng.u8(0..3) {
            0 => self.add(words("DBSIZE"), Expect::Kind(b":")),
            1 => self.add(words("KEYS *"), Expect::Kind(b"*")),
            _ => {
                let text = line("MARK", [self.pick(&TEXTS), self.tag(0)]);
                self.add(text, Expect::Learned);
            }
        }
    }

    fn local(&mut self) {
        match self.rng.u8(0..5) {
            0 => self.add(words("PING"), Expect::Exactly(b"+PONG\r\n".to_vec())),
            1 => {
                let text = format!("{}", self.requests.len());
                self.add(line("ECHO", [text.clone()]), Expect::Exactly(bulk(text.as_bytes())));
            }
            2 => {
                let name = format!("client-{}-{}", self.client, self.requests.len());
                self.name = Some(name.clone());
                self.add(line("CLIENT", ["SETNAME".into(), name]), Expect::Exactly(b"+OK\r\n".to_vec()));
            }
            3 => {
                let name = self.name.as_ref().map_or(b"$-1\r\n".to_vec(), |name| bulk(name.as_bytes()));
                self.add(words("CLIENT GETNAME"), Expect::Exactly(name));
            }
            _ => self.add(words("INFO"), Expect::Kind(b"$")),
        }
    }

    fn mistake(&mut self) {
        let tag = self.tag(0);
        match self.rng.u8(0..6) {
            0 => self.add(words("GET"), Expect::Refusal("-ERR wrong number of arguments for 'get'")),
            1 => self.add(line("NOSUCH", [tag]), Expect::Refusal("-ERR unknown command 'NOSUCH'")),
            2 => {
                let key = "k".repeat(self.limits.key_max + 1);
                self.add(line("SET", [key, tag]), Expect::Refusal("-ERR key is longer"));
            }
            3 => {
                let value = tag + &"x".repeat(self.limits.request_max + self.rng.usize(0..300));
                self.add(line("SET", ["a".into(), value]), Expect::Long);
            }
            4 => self.add(line("SUBSCRIBE", [tag]), Expect::Refusal("-ERR")),
            _ => self.add(words("EXEC"), Expect::Refusal("-ERR EXEC without MULTI")),
        }
    }

    /// MULTI, commands, and EXEC or DISCARD.
    fn transaction(&mut self) {
        let apart = self.rng.u8(0..4) == 0;
        let keys = if apart { &TEXTS[..] } else { &TEXTS[4..] };
        let multi = self.requests.len();
        self.add(words("MULTI"), Expect::Begun);
        for at in 0..self.rng.usize(0..5) {
            let (text, _) = self.single(Some((keys, at == 0)));
            self.add(text, Expect::Queued { apart });
        }
        let empty = self.requests.len() == multi + 1;
        let doomed = self.rng.u8(0..6) == 0;
        if doomed {
            self.add(words("GET"), Expect::Refusal("-ERR wrong number of arguments for 'get'"));
        }
        match self.rng.u8(0..6) {
            0 => self.add(words("DISCARD"), Expect::Exactly(b"+OK\r\n".to_vec())),
            _ if doomed => self.add(words("EXEC"), Expect::Refusal("-EXECABORT")),
            _ if empty => self.add(words("EXEC"), Expect::Exactly(b"*0\r\n".to_vec())),
            _ => self.add(words("EXEC"), Expect::Executed { multi, apart }),
        }
        let style = self.rng.u8(0..3);
        for request in &mut self.requests[multi..] {
            request.transaction = Some(multi);
            request.patient = if style == 2 { request.patient } else { style == 1 };
        }
    }
}

fn words(text: &str) -> Vec<String> {
    text.split(' ').map(str::to_owned).collect()
}

fn line(name: &str, args: impl IntoIterator<Item = String>) -> Vec<String> {
    std::iter::once(name.to_owned()).chain(args).collect()
}

#[test]
fn a_tag_is_found_where_it_is() {
    let tag = Tag { client: 3, request: 17, element: 0 };
    assert_eq!(Tag::find(format!("{{h}}{}---", tag.text()).as_bytes()), Some(tag));
    assert_eq!(Tag::find(b"#1.2;"), None);
}
