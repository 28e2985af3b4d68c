//! Fuzz targets `spiped` and `noise`, and what `tls` has in common with them: two ends of a sealed connection, and somebody between them who does as the script
//! says. Whatever he does, an end opens nothing but what the other end sealed, from its beginning and without a gap.

use std::num::NonZeroU16;
use std::sync::Arc;

use pdw_auth::spiped::{Pair, Pairs, Strength};
use pdw_auth::{Ending, Handshake, Identity, Keys, Progress, Role, Sealed, Secret, noise, spiped};

use super::script::Script;

/// Bytes that one end may have sealed, or under way to it, in a run; a script of a few bytes could ask for gigabytes.
const SEALED_MAX: usize = 1 << 20;

/// Runs one input: a byte that chooses how the ends are set up, then what happens, step by step.
pub fn spiped(input: &[u8]) {
    let mut script = Script::new(input);
    let mode = script.byte();
    let settings = |strength| Arc::new(spiped::Settings { keys: keys(mode & 1 != 0), strength });
    // Exponentiations are slow: few inputs have them.
    let strengths = match mode >> 5 {
        0 => [Strength::Strong, Strength::Strict],
        1 => [Strength::Weak, Strength::Strict],
        2 => [Strength::Strict, Strength::Weak],
        _ => [Strength::Weak, Strength::Weak],
    };
    let [opener, accepter] = strengths.map(settings);
    let ends = [
        spiped::begin(Role::Opens, opener, Arc::new(Always), [0xa1; 32]),
        spiped::begin(Role::Accepts, accepter, Arc::new(Always), [0xb2; 32]),
    ];
    run(ends, Case { undisturbed: mode & 2 == 0, fit: !matches!(mode >> 5, 1 | 2), listens_on: true }, script);
}

/// As [`spiped()`].
pub fn noise(input: &[u8]) {
    let mut script = Script::new(input);
    let mode = script.byte();
    let of = |own: u8, far: u8| {
        let far = [identity(0xf0).public(), identity(far).public()];
        let peers = noise::Peers { own: identity(own), far: far[usize::from(own == 1)..].to_vec() };
        Arc::new(noise::Settings {
            cipher: if mode & 4 == 0 { noise::Cipher::ChaChaPoly } else { noise::Cipher::AesGcm },
            peers: (mode & 8 != 0).then_some(peers),
            pad_to: NonZeroU16::new(if mode & 16 == 0 { 0 } else { u16::from(mode) << 4 }),
            ..noise::Settings::new(keys(mode & 1 != 0))
        })
    };
    let ends = [noise::begin(Role::Opens, of(1, 2), [0xa1; 32]), noise::begin(Role::Accepts, of(2, 1), [0xb2; 32])];
    run(ends, Case { undisturbed: mode & 2 == 0, fit: true, listens_on: true }, script);
}

fn keys(two: bool) -> Keys {
    let secret = |byte| Secret::from_file(&[byte; 32], 0o600).expect("32 bytes that nobody else can read");
    Keys { current: secret(7), previous: two.then(|| secret(8)) }
}

fn identity(byte: u8) -> Identity {
    Identity::from_file(Identity::file_of(&[byte; 32]).as_bytes(), 0o600).expect("an identity of ours")
}

/// The same pair for everybody: here nothing has to stay secret.
#[derive(Debug)]
struct Always;

impl Pairs for Always {
    fn take(&self) -> Option<Pair> {
        Some(Pair::new(&[0xc3; 32]))
    }
}

/// One end, and what is under way to it.
struct End {
    state: State,
    /// Sealed by the other end and not delivered.
    wire: Vec<u8>,
    /// Delivered and not consumed.
    inbox: Vec<u8>,
    /// All plaintext that this end has sealed, and that it has opened.
    sealed: Vec<u8>,
    opened: Vec<u8>,
    closed: bool,
}

enum State {
    /// `None` only while it goes on.
    Shaking(Option<Box<dyn Handshake>>),
    Sealed(Box<dyn Sealed>),
    /// It has closed the connection.
    Over,
}

/// Both ends.
struct Connection {
    ends: [End; 2],
    /// Somebody has changed something on the way.
    tampered: bool,
}

/// What is to be expected of two ends.
pub(super) struct Case {
    /// The handshake is done before anything happens.
    pub(super) undisturbed: bool,
    /// It can be done.
    pub(super) fit: bool,
    /// An end that has closed opens what the other one still sends.
    pub(super) listens_on: bool,
}

/// Runs a script with these ends.
pub(super) fn run(handshakes: [Box<dyn Handshake>; 2], case: Case, mut script: Script<'_>) {
    let ends = handshakes.map(End::new);
    let mut connection = Connection { ends, tampered: false };
    [0, 1].into_iter().for_each(|end| connection.deliver(end, 0));
    if case.undisturbed {
        connection.deliver_all();
    }
    while let Some(step) = script.next() {
        connection.step(step, &mut script);
        connection.check();
    }
    connection.deliver_all();
    connection.check();
    let [opener, accepter] = &connection.ends;
    if !case.fit {
        assert!(opener.opened.is_empty() && accepter.opened.is_empty(), "opened without a handshake");
    } else if !connection.tampered {
        let all = |near: &End, far: &End| near.opened == far.sealed || near.closed && !case.listens_on;
        assert!(all(opener, accepter) && all(accepter, opener), "something is missing");
    }
}

impl End {
    fn new(handshake: Box<dyn Handshake>) -> Self {
        Self {
            state: State::Shaking(Some(handshake)),
            wire: Vec::new(),
            inbox: Vec::new(),
            sealed: Vec::new(),
            opened: Vec::new(),
            closed: false,
        }
    }

    /// Goes on with what was delivered; what it sends is appended to `out`.
    fn go_on(&mut self, out: &mut Vec<u8>) {
        while let State::Shaking(handshake) = &mut self.state {
            let Some(handshake) = handshake.take() else { return };
            let Ok(advanced) = handshake.advance(&self.inbox, out) else { return self.state = State::Over };
            self.inbox.drain(..advanced.consumed);
            match advanced.progress {
                Progress::NeedsBytes(handshake) => {
                    assert!(!format!("{handshake:?}{}", handshake.given_up(Ending::Late, &self.inbox)).is_empty());
                    return self.state = State::Shaking(Some(handshake));
                }
                Progress::Work(work) => self.state = State::Shaking(Some(work.run())),
                Progress::Done(sealed) => self.state = State::Sealed(sealed),
            }
        }
        self.open();
    }

    fn open(&mut self) {
        let State::Sealed(sealed) = &mut self.state else { return };
        match sealed.open(&mut self.inbox, &mut self.opened) {
            Ok(opened) => {
                self.inbox.drain(..opened.consumed);
                assert!(opened.end || self.inbox.len() < 65_537, "it waits for more than a record");
                assert!(!opened.end || sealed.ended(&[]).is_ok(), "it forgot the end");
            }
            Err(_) => self.state = State::Over,
        }
    }

    fn seal(&mut self, data: &[u8], wire: &mut Vec<u8>) {
        let State::Sealed(sealed) = &mut self.state else { return };
        if !self.closed && self.sealed.len() + data.len() <= SEALED_MAX {
            sealed.seal(data, wire).expect("it is not closed");
            self.sealed.extend_from_slice(data);
        }
    }

    fn close(&mut self, wire: &mut Vec<u8>) {
        let State::Sealed(sealed) = &mut self.state else { return };
        sealed.close(wire).expect("the end can be told");
        self.closed = true;
    }
}

impl Connection {
    /// A step's low bit says which end it is about.
    fn step(&mut self, step: u8, script: &mut Script<'_>) {
        let end = usize::from(step & 1);
        match step >> 1 & 15 {
            0..=3 => self.seal(end, script.bytes()),
            4 => self.seal(end, &vec![step; usize::from(script.byte()) << 6]),
            5..=8 => self.deliver(end, script.amount()),
            9 => self.deliver_all(),
            10 => {
                let [near, far] = self.pair(end);
                near.close(&mut far.wire);
            }
            change => self.tamper(end, change, script),
        }
    }

    /// An end and the other one.
    fn pair(&mut self, end: usize) -> [&mut End; 2] {
        let [opener, accepter] = &mut self.ends;
        if end == 0 { [opener, accepter] } else { [accepter, opener] }
    }

    fn seal(&mut self, end: usize, data: &[u8]) {
        let [near, far] = self.pair(end);
        near.seal(data, &mut far.wire);
    }

    /// Has so many bytes arrive at `end`.
    fn deliver(&mut self, end: usize, count: usize) {
        let [near, far] = self.pair(end);
        let count = count.min(near.wire.len());
        near.inbox.extend(near.wire.drain(..count));
        near.go_on(&mut far.wire);
    }

    fn deliver_all(&mut self) {
        while self.ends.iter().any(|end| !end.wire.is_empty()) {
            [0, 1].into_iter().for_each(|end| self.deliver(end, usize::MAX));
        }
    }

    /// Changes what is under way to `end`, somewhere.
    fn tamper(&mut self, end: usize, change: u8, script: &mut Script<'_>) {
        let at = usize::from(script.byte()) << 8 | usize::from(script.byte());
        let wire = &mut self.ends[end].wire;
        let at = at % (wire.len() + 1);
        let count = usize::from(script.byte()).min(wire.len() - at);
        match change {
            11 => drop(wire.drain(at..at + count)),
            12 => wire[at..at + count].iter_mut().for_each(|byte| *byte ^= change),
            13 => drop(wire.splice(at..at, script.bytes().iter().copied())),
            14 if wire.len() < SEALED_MAX => wire.extend_from_within(at..),
            _ => wire.rotate_left(at),
        }
        self.tampered = true;
    }

    /// What was opened is what the other end sealed, as far as it goes.
    fn check(&self) {
        let [opener, accepter] = &self.ends;
        for (from, to) in [(opener, accepter), (accepter, opener)] {
            assert!(from.sealed.starts_with(&to.opened), "something was opened that nobody sealed");
        }
    }
}
