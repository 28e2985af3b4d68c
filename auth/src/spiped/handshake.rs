//! The handshake (section 4).

use std::fmt;
use std::mem;
use std::sync::Arc;

use zeroize::Zeroizing;

use super::group::{self, Number, ONE};
use super::packet::Link;
use super::schedule::{Introduction, Nonces};
use super::{MAC, NONCE, NUMBER, Pair, Pairs, Settings, Strength};
use crate::steps::{self, Step, Steps};
use crate::{Advanced, Ending, Handshake, Role, SealError, foreign};

/// A number with its MAC.
const HALF: usize = NUMBER + MAC;

/// A handshake under way.
pub(super) struct Spiped {
    role: Role,
    settings: Arc<Settings>,
    pairs: Arc<dyn Pairs>,
    nonce: [u8; NONCE],
    /// This end's half, once it was taken. A weak end has none.
    pair: Option<Pair>,
    state: State,
}

enum State {
    /// Nothing was sent.
    Fresh,
    /// This end's nonce was sent; the far one's is awaited.
    Nonce,
    /// Both nonces are known, and what each of our secrets makes of them; the far half is awaited.
    Half(Vec<Introduction>),
    /// The far half is good; what comes of both halves is to be computed.
    Far(Introduction, Number),
    /// It is computed.
    Agreed(Introduction, Zeroizing<Number>),
    /// There was no entropy for this end's half.
    Helpless,
}

impl Spiped {
    pub(super) fn new(role: Role, settings: Arc<Settings>, pairs: Arc<dyn Pairs>, nonce: [u8; NONCE]) -> Self {
        Self { role, settings, pairs, nonce, pair: None, state: State::Fresh }
    }

    fn wait(&mut self, state: State) -> Step<Self> {
        self.state = state;
        Step::NeedsBytes
    }

    fn is_weak(&self) -> bool {
        self.settings.strength == Strength::Weak
    }

    /// Sends the nonce at once, not waiting for the far one's. The end that opens takes its half meanwhile; the other end
    /// does when it knows that somebody with the key is there, or strangers would have it compute.
    fn start(&mut self, out: &mut Vec<u8>) -> Step<Self> {
        out.extend_from_slice(&self.nonce);
        self.state = State::Nonce;
        match self.role {
            Role::Opens if !self.is_weak() => Step::Work(0, Box::new(Self::take_pair)),
            _ => Step::Consumed(0),
        }
    }

    fn take_pair(&mut self) {
        self.pair = self.pairs.take();
        if self.pair.is_none() {
            self.state = State::Helpless;
        }
    }

    fn read_nonce(&mut self, wire: &[u8], out: &mut Vec<u8>) -> Result<Step<Self>, SealError> {
        foreign::refuse(wire)?;
        let Some(far) = wire.first_chunk::<NONCE>() else { return Ok(self.wait(State::Nonce)) };
        let nonces = Nonces::new(self.role, self.nonce, *far);
        let accepted = match self.role {
            Role::Opens => 1,
            Role::Accepts => 2,
        };
        let secrets = self.settings.keys.accepted().take(accepted);
        let introductions: Vec<_> = secrets.map(|secret| Introduction::new(self.role, secret, nonces)).collect();
        if self.role == Role::Opens {
            introductions.iter().for_each(|introduction| self.send_half(introduction, out));
        }
        self.state = State::Half(introductions);
        Ok(Step::Consumed(NONCE))
    }

    /// This end's number and its MAC.
    fn send_half(&self, introduction: &Introduction, out: &mut Vec<u8>) {
        let number = self.pair.as_ref().map_or(&ONE, Pair::number);
        out.extend_from_slice(number);
        out.extend_from_slice(&introduction.sign(number));
    }

    /// The checks of section 4.5, in its order. An end with two keys learns here which one the far end has.
    fn read_half(&mut self, introductions: Vec<Introduction>, wire: &[u8]) -> Result<Step<Self>, SealError> {
        let Some((far, mac)) = split_half(wire) else { return Ok(self.wait(State::Half(introductions))) };
        let signed = introductions.into_iter().find(|introduction| introduction.is_signed(far, mac));
        let introduction = signed.ok_or(SealError::Key)?;
        if !group::is_in_group(far) {
            return Err(SealError::Protocol("a public number that is not below the prime"));
        }
        if self.settings.strength == Strength::Strict && group::is_degenerate(far) {
            return Err(SealError::Refused(
                "the far end takes no part in the key exchange, as spiped with -f; run it without, or allow that here",
            ));
        }
        self.state = match self.is_weak() {
            true => State::Agreed(introduction, Zeroizing::new(ONE)),
            false => State::Far(introduction, *far),
        };
        Ok(Step::Consumed(HALF))
    }

    /// The exponentiation, and before it this end's half if it was not taken yet.
    fn agree(&mut self) {
        if self.pair.is_none() {
            self.pair = self.pairs.take();
        }
        self.state = match (mem::replace(&mut self.state, State::Helpless), &self.pair) {
            (State::Far(introduction, far), Some(pair)) => State::Agreed(introduction, pair.agree(&far)),
            _ => State::Helpless,
        };
    }

    fn finish(&mut self, introduction: &Introduction, agreed: &Number, out: &mut Vec<u8>) -> Box<Link> {
        if self.role == Role::Accepts {
            self.send_half(introduction, out);
        }
        Box::new(Link::new(introduction.directions(self.role, agreed)))
    }
}

/// Number and MAC, when all of them is there.
fn split_half(wire: &[u8]) -> Option<(&Number, &[u8; MAC])> {
    let (number, rest) = wire.split_first_chunk()?;
    Some((number, rest.first_chunk()?))
}

impl Steps for Spiped {
    fn step(&mut self, wire: &[u8], out: &mut Vec<u8>) -> Result<Step<Self>, SealError> {
        match mem::replace(&mut self.state, State::Helpless) {
            State::Fresh => Ok(self.start(out)),
            State::Nonce => self.read_nonce(wire, out),
            State::Half(introductions) => self.read_half(introductions, wire),
            State::Far(introduction, far) => {
                self.state = State::Far(introduction, far);
                Ok(Step::Work(0, Box::new(Self::agree)))
            }
            State::Agreed(introduction, agreed) => Ok(Step::Sealed(0, self.finish(&introduction, &agreed, out))),
            State::Helpless => Err(SealError::Broken("this machine gives no random numbers")),
        }
    }
}

impl Handshake for Spiped {
    fn advance(self: Box<Self>, wire: &[u8], out: &mut Vec<u8>) -> Result<Advanced, SealError> {
        steps::advance(self, wire, out)
    }

    fn given_up(&self, ending: Ending, wire: &[u8]) -> SealError {
        let halfway = matches!(self.state, State::Half(_));
        match ending {
            Ending::Closed => SealError::Closed(match (halfway, self.role) {
                (true, Role::Opens) => {
                    "it was there, and closed when it had this end's half: its key is another, what it forwards to is down, \
                     or it refuses a weak handshake"
                }
                (true, Role::Accepts) => "it closed when it had this end's nonce; its log may say why",
                (false, _) if wire.is_empty() => {
                    "it sent nothing; it is no spiped, both ends have the same role, or what it forwards to is down"
                }
                (false, _) => "it sent too little to be a spiped",
            }),
            Ending::Late => SealError::Late(match halfway {
                true => "the far end stopped half-way",
                false if wire.is_empty() => {
                    "nothing was heard of the far end; it is no spiped, or it has too many connections"
                }
                false => "the far end sent too little to be a spiped",
            }),
        }
    }
}

impl fmt::Debug for Spiped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match self.state {
            State::Fresh => "Fresh",
            State::Nonce => "Nonce",
            State::Half(_) => "Half",
            State::Far(..) => "Far",
            State::Agreed(..) => "Agreed",
            State::Helpless => "Helpless",
        };
        write!(f, "spiped::Handshake({:?}, {state})", self.role)
    }
}
