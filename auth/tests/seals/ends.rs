//! Two ends of a connection, and what travels between them.

use std::num::NonZeroU16;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use pdw_auth::noise::{self, Cipher, Names, Peers};
use pdw_auth::spiped::{self, Pair, Pairs, Strength};
use pdw_auth::{Handshake, Identity, Keys, Progress, PublicKey, Role, SealError, Sealed, Secret, join};

pub(crate) fn secret(byte: u8) -> Secret {
    Secret::from_file(&[byte; 32], 0o600).unwrap()
}

pub(crate) fn identity(byte: u8) -> Identity {
    Identity::from_file(Identity::file_of(&[byte; 32]).as_bytes(), 0o600).unwrap()
}

/// Pairs of different numbers, counted.
#[derive(Debug, Default)]
pub(crate) struct Counted(pub(crate) AtomicU8);

impl Pairs for Counted {
    fn take(&self) -> Option<Pair> {
        Some(Pair::new(&[self.0.fetch_add(1, Ordering::Relaxed) + 1; 32]))
    }
}

/// How both ends are set up. One field is enough to make an end that does not fit.
#[derive(Clone, Debug)]
pub(crate) enum Setup {
    Spiped(spiped::Settings),
    Noise(noise::Settings),
}

pub(crate) fn spiped(strength: Strength, keys: impl Into<Keys>) -> Setup {
    Setup::Spiped(spiped::Settings { keys: keys.into(), strength })
}

pub(crate) fn noise(keys: impl Into<Keys>) -> noise::Settings {
    noise::Settings::new(keys.into())
}

/// With identities: this end's, and those it knows.
pub(crate) fn known(own: u8, far: &[u8]) -> Setup {
    let far: Vec<PublicKey> = far.iter().map(|byte| identity(*byte).public()).collect();
    Setup::Noise(noise::Settings { peers: Some(Peers { own: identity(own), far }), ..noise(secret(7)) })
}

impl Setup {
    /// A handshake; `random` makes it differ from others.
    pub(crate) fn begin(&self, role: Role, random: u8) -> Box<dyn Handshake> {
        self.begin_with(role, random, Arc::new(Counted(AtomicU8::new(random))))
    }

    pub(crate) fn begin_with(&self, role: Role, random: u8, pairs: Arc<dyn Pairs>) -> Box<dyn Handshake> {
        match self {
            Self::Spiped(settings) => spiped::begin(role, Arc::new(settings.clone()), pairs, [random; 32]),
            Self::Noise(settings) => noise::begin(role, Arc::new(settings.clone()), [random; 32]),
        }
    }
}

/// Both setups of every kind of connection, the end that opens first.
pub(crate) fn every_kind() -> Vec<(&'static str, Setup, Setup)> {
    let alike = |name, setup: Setup| (name, setup.clone(), setup);
    let padded = noise::Settings { pad_to: NonZeroU16::new(1000), ..noise(secret(7)) };
    let named = Names { link: "a".into(), opener: "b".into(), accepter: "c".into() };
    vec![
        alike("spiped", spiped(Strength::Strong, secret(7))),
        alike("spiped, strict", spiped(Strength::Strict, secret(7))),
        alike("spiped, weak", spiped(Strength::Weak, secret(7))),
        ("spiped, weak opener", spiped(Strength::Weak, secret(7)), spiped(Strength::Strong, secret(7))),
        ("spiped, weak accepter", spiped(Strength::Strong, secret(7)), spiped(Strength::Weak, secret(7))),
        alike("noise", Setup::Noise(noise(secret(7)))),
        alike("noise, AES", Setup::Noise(noise::Settings { cipher: Cipher::AesGcm, ..noise(secret(7)) })),
        alike("noise, padded", Setup::Noise(padded)),
        alike("noise, names", Setup::Noise(noise::Settings { names: named, ..noise(secret(7)) })),
        ("noise, identities", known(1, &[2]), known(2, &[3, 1])),
    ]
}

/// One end: what it is at, and what has arrived for it.
#[derive(Debug)]
pub(crate) struct End {
    pub(crate) state: State,
    pub(crate) inbox: Vec<u8>,
}

#[derive(Debug)]
pub(crate) enum State {
    Shaking(Option<Box<dyn Handshake>>),
    Sealed(Box<dyn Sealed>),
    Failed(SealError),
}

impl End {
    pub(crate) fn new(handshake: Box<dyn Handshake>) -> Self {
        Self { state: State::Shaking(Some(handshake)), inbox: Vec::new() }
    }

    /// Goes on as far as it can; what it sends is appended to `out`.
    pub(crate) fn advance(&mut self, out: &mut Vec<u8>) {
        while let State::Shaking(handshake) = &mut self.state {
            match handshake.take().unwrap().advance(&self.inbox, out) {
                Err(error) => self.state = State::Failed(error),
                Ok(advanced) => {
                    self.inbox.drain(..advanced.consumed);
                    match advanced.progress {
                        Progress::NeedsBytes(handshake) => return self.state = State::Shaking(Some(handshake)),
                        Progress::Work(work) => self.state = State::Shaking(Some(work.run())),
                        Progress::Done(sealed) => self.state = State::Sealed(sealed),
                    }
                }
            }
        }
    }

    pub(crate) fn sealed(self) -> Box<dyn Sealed> {
        match self.state {
            State::Sealed(sealed) => sealed,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn error(&self) -> Option<&SealError> {
        match &self.state {
            State::Failed(error) => Some(error),
            _ => None,
        }
    }
}

/// Two ends that talk, at most `step` bytes in a piece, until both are silent.
pub(crate) fn talk(opener: Box<dyn Handshake>, accepter: Box<dyn Handshake>, step: usize) -> [End; 2] {
    let mut ends = [End::new(opener), End::new(accepter)];
    let mut wires = [Vec::new(), Vec::new()];
    for (end, wire) in ends.iter_mut().zip(&mut wires) {
        end.advance(wire);
    }
    while ends.iter().all(|end| end.error().is_none()) && wires.iter().any(|wire| !wire.is_empty()) {
        for from in [0, 1] {
            let piece = step.min(wires[from].len());
            let piece: Vec<u8> = wires[from].drain(..piece).collect();
            ends[1 - from].inbox.extend(piece);
            let mut out = Vec::new();
            ends[1 - from].advance(&mut out);
            wires[1 - from].extend(out);
        }
    }
    ends
}

/// Two ends of which both are sealed, the opener first.
pub(crate) fn connected(opener: &Setup, accepter: &Setup) -> [Box<dyn Sealed>; 2] {
    join(opener.begin(Role::Opens, 11), accepter.begin(Role::Accepts, 22)).unwrap()
}

/// What `opener` and `accepter` come to when they do not fit.
pub(crate) fn misfits(opener: &Setup, accepter: &Setup) -> [Option<SealError>; 2] {
    let ends = talk(opener.begin(Role::Opens, 11), accepter.begin(Role::Accepts, 22), usize::MAX);
    ends.map(|end| end.error().cloned())
}

/// Whether two ends come to be sealed, with nothing left over.
pub(crate) fn fits(opener: &Setup, accepter: &Setup) -> bool {
    let ends = talk(opener.begin(Role::Opens, 11), accepter.begin(Role::Accepts, 22), usize::MAX);
    ends.iter().all(|end| matches!(end.state, State::Sealed(_)) && end.inbox.is_empty())
}

/// `plain` sealed, in one call for each of its pieces.
pub(crate) fn sealed(end: &mut dyn Sealed, pieces: &[&[u8]]) -> Vec<Vec<u8>> {
    let seal = |piece: &&[u8]| {
        let mut wire = Vec::new();
        end.seal(piece, &mut wire).unwrap();
        wire
    };
    pieces.iter().map(seal).collect()
}

/// Opens what is whole of `wire`; what there is before an error is returned with it.
pub(crate) fn open(end: &mut dyn Sealed, wire: &[u8]) -> (Vec<u8>, Result<(usize, bool), SealError>) {
    let mut plain = Vec::new();
    let opened = end.open(&mut wire.to_vec(), &mut plain);
    (plain, opened.map(|opened| (opened.consumed, opened.end)))
}
