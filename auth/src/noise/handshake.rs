//! The handshake: `NNpsk0` or `KKpsk0`, done by `snow`; each message is work.

use std::fmt;
use std::mem;
use std::sync::Arc;

use hkdf::Hkdf;
use sha2::Sha256;
use snow::{Builder, HandshakeState};
use zeroize::Zeroizing;

use super::aead::{Aead, TAG};
use super::record::{Direction, Link};
use super::resolver::Resolver;
use super::{Cipher, PEERS_MAX, Settings};
use crate::steps::{self, Step, Steps};
use crate::{Advanced, Ending, Handshake, PublicKey, Role, SealError, Secret, foreign};

/// Bytes of either message of either pattern: a public key and a tag.
const MESSAGE: usize = 32 + TAG;
type Message = [u8; MESSAGE];

/// What the pre-shared key is derived for.
const PSK_INFO: &[u8] = b"pdw-proxy/noise-psk/1";
/// How what is bound into the handshake begins: this protocol, in this version.
const PROLOGUE: &[u8] = b"pdw-proxy/noise/1";

/// A handshake under way.
pub(super) struct Noise {
    role: Role,
    settings: Arc<Settings>,
    ephemeral: Zeroizing<[u8; 32]>,
    state: State,
}

/// In the order in which the end that opens, or the one that accepts, passes through them.
enum State {
    Fresh,
    /// O: the first message is written.
    Greeted(Box<HandshakeState>, Message),
    /// O: it is sent; the second one is awaited.
    Asked(Box<HandshakeState>),
    /// A: the first message is awaited.
    Listening,
    /// A: it was good. What answers it, and what the connection will be.
    Answered(Message, Box<Link>),
    /// A: the answer is sent; the far end's confirmation is awaited.
    Doubtful(Box<Link>),
    /// O: the second message was good.
    Agreed(Box<Link>),
    Failed(SealError),
}

impl Noise {
    pub(super) fn new(role: Role, settings: Arc<Settings>, ephemeral: [u8; 32]) -> Self {
        Self { role, settings, ephemeral: Zeroizing::new(ephemeral), state: State::Fresh }
    }

    fn go_on(&mut self, state: State, consumed: usize) -> Step<Self> {
        self.state = state;
        Step::Consumed(consumed)
    }

    /// Takes the message that `state` awaits, when all of it is there.
    fn read(&mut self, wire: &[u8], state: State) -> Result<Step<Self>, SealError> {
        foreign::refuse(wire)?;
        let Some(message) = wire.first_chunk::<MESSAGE>().copied() else {
            self.state = state;
            return Ok(Step::NeedsBytes);
        };
        Ok(Self::work(MESSAGE, move |this| match state {
            State::Asked(noise) => this.agree(noise, &message),
            _ => this.answer(&message),
        }))
    }

    fn confirm(&mut self, mut link: Box<Link>, wire: &[u8]) -> Result<Step<Self>, SealError> {
        match link.open_confirmation(wire)? {
            0 => {
                self.state = State::Doubtful(link);
                Ok(Step::NeedsBytes)
            }
            count => Ok(Step::Sealed(count, link)),
        }
    }

    /// O: writes the first message.
    fn greet(&self) -> Result<State, SealError> {
        let far = self.settings.peers.as_ref().and_then(|peers| peers.far.first());
        let mut noise = self.noise(&self.settings.keys.current, far)?;
        let message = write(&mut noise)?;
        Ok(State::Greeted(Box::new(noise), message))
    }

    /// O: reads the second message.
    fn agree(&self, mut noise: Box<HandshakeState>, message: &Message) -> Result<State, SealError> {
        noise.read_message(message, &mut []).map_err(|_| SealError::Key)?;
        Ok(State::Agreed(Box::new(self.link(noise)?)))
    }

    /// A: reads the first message, with every key and every peer that it may be of, and writes the second.
    fn answer(&self, message: &Message) -> Result<State, SealError> {
        let far = self.settings.peers.as_ref().map_or(&[][..], |peers| &peers.far);
        let far: Vec<Option<&PublicKey>> =
            if far.is_empty() { vec![None] } else { far.iter().take(PEERS_MAX).map(Some).collect() };
        let secrets = self.settings.keys.accepted();
        let mut candidates = secrets.flat_map(|secret| far.iter().map(move |far| (secret, *far)));
        let noise = candidates.find_map(|(secret, far)| {
            let mut noise = self.noise(secret, far).ok()?;
            noise.read_message(message, &mut []).ok()?;
            Some(Box::new(noise))
        });
        let mut noise = noise.ok_or(SealError::Key)?;
        let message = write(&mut noise)?;
        Ok(State::Answered(message, Box::new(self.link(noise)?)))
    }

    /// What `snow` begins with.
    fn noise(&self, secret: &Secret, far: Option<&PublicKey>) -> Result<HandshakeState, SealError> {
        let name = protocol(self.settings.peers.is_some(), self.settings.cipher);
        let resolver = Resolver { ephemeral: self.ephemeral.clone() };
        let (psk, prologue) = (psk(secret), self.prologue());
        let build = || -> Result<HandshakeState, snow::Error> {
            let mut builder =
                Builder::with_resolver(name.parse()?, Box::new(resolver)).psk(0, &psk)?.prologue(&prologue)?;
            if let (Some(peers), Some(far)) = (&self.settings.peers, far) {
                builder = builder.local_private_key(peers.own.secret())?.remote_public_key(far.bytes())?;
            }
            match self.role {
                Role::Opens => builder.build_initiator(),
                Role::Accepts => builder.build_responder(),
            }
        };
        build().map_err(|_| SealError::Broken("the handshake could not begin"))
    }

    /// The names, each with its length before it.
    fn prologue(&self) -> Vec<u8> {
        let names = &self.settings.names;
        let mut prologue = PROLOGUE.to_vec();
        for name in [&names.link, &names.opener, &names.accepter] {
            prologue.extend_from_slice(&(name.len() as u64).to_be_bytes());
            prologue.extend_from_slice(name.as_bytes());
        }
        prologue
    }

    /// Both directions, of a handshake of which all was said.
    fn link(&self, mut noise: Box<HandshakeState>) -> Result<Link, SealError> {
        if !noise.is_handshake_finished() {
            return Err(SealError::Broken("the handshake did not end"));
        }
        let (opener, accepter) = noise.dangerously_get_raw_split();
        let [opener, accepter] = [opener, accepter].map(Zeroizing::new);
        let (sends, receives) = match self.role {
            Role::Opens => (opener, accepter),
            Role::Accepts => (accepter, opener),
        };
        let direction = |key: &[u8; 32]| Aead::new(self.settings.cipher, key).map(Direction::new);
        Ok(Link::new(direction(&sends)?, direction(&receives)?, self.settings.pad_to))
    }

    /// Work that leads to the next state.
    fn work(consumed: usize, work: impl FnOnce(&Self) -> Result<State, SealError> + Send + 'static) -> Step<Self> {
        Step::Work(consumed, Box::new(move |this| this.state = work(this).unwrap_or_else(State::Failed)))
    }
}

fn write(noise: &mut HandshakeState) -> Result<Message, SealError> {
    let mut message = [0; MESSAGE];
    match noise.write_message(&[], &mut message) {
        Ok(MESSAGE) => Ok(message),
        _ => Err(SealError::Broken("a handshake message")),
    }
}

/// The name of the protocol, of which everything follows.
fn protocol(identities: bool, cipher: Cipher) -> &'static str {
    match (identities, cipher) {
        (false, Cipher::ChaChaPoly) => "Noise_NNpsk0_25519_ChaChaPoly_BLAKE2s",
        (false, Cipher::AesGcm) => "Noise_NNpsk0_25519_AESGCM_BLAKE2s",
        (true, Cipher::ChaChaPoly) => "Noise_KKpsk0_25519_ChaChaPoly_BLAKE2s",
        (true, Cipher::AesGcm) => "Noise_KKpsk0_25519_AESGCM_BLAKE2s",
    }
}

/// The pre-shared key of a secret: not the secret itself, which may be spiped's too.
fn psk(secret: &Secret) -> Zeroizing<[u8; 32]> {
    let mut psk = Zeroizing::new([0; 32]);
    // Fails only for more than 8,160 bytes.
    let _ = Hkdf::<Sha256>::new(None, secret.bytes()).expand(PSK_INFO, &mut *psk);
    psk
}

impl Steps for Noise {
    fn step(&mut self, wire: &[u8], out: &mut Vec<u8>) -> Result<Step<Self>, SealError> {
        match mem::replace(&mut self.state, State::Failed(SealError::Broken("a step was left out"))) {
            State::Fresh if self.role == Role::Opens => Ok(Self::work(0, Self::greet)),
            State::Fresh => Ok(self.go_on(State::Listening, 0)),
            State::Greeted(noise, message) => {
                out.extend_from_slice(&message);
                Ok(self.go_on(State::Asked(noise), 0))
            }
            State::Asked(noise) => self.read(wire, State::Asked(noise)),
            State::Listening => self.read(wire, State::Listening),
            State::Answered(message, link) => {
                out.extend_from_slice(&message);
                Ok(self.go_on(State::Doubtful(link), 0))
            }
            State::Doubtful(link) => self.confirm(link, wire),
            State::Agreed(mut link) => {
                link.seal_empty(out)?;
                Ok(Step::Sealed(0, link))
            }
            State::Failed(error) => Err(error),
        }
    }
}

impl Handshake for Noise {
    fn advance(self: Box<Self>, wire: &[u8], out: &mut Vec<u8>) -> Result<Advanced, SealError> {
        steps::advance(self, wire, out)
    }

    fn given_up(&self, ending: Ending, wire: &[u8]) -> SealError {
        match (ending, &self.state) {
            (Ending::Closed, State::Asked(_)) => SealError::Closed(
                "it closed when it had this end's first message: its key is another, or its settings are (cipher, \
                 identities, names of link and nodes)",
            ),
            (Ending::Closed, State::Doubtful(_)) => SealError::Closed(
                "it closed when it had this end's answer: its settings are other ones, or somebody repeated what another \
                 connection began with",
            ),
            (Ending::Closed, _) if wire.is_empty() => {
                SealError::Closed("it sent nothing; perhaps both ends have the same role")
            }
            (Ending::Closed, _) => SealError::Closed("it sent too little to be a pdw-proxy with this seal"),
            (Ending::Late, _) if wire.is_empty() => {
                SealError::Late("the far end says nothing; perhaps both ends have the same role")
            }
            (Ending::Late, _) => SealError::Late("the far end stopped half-way, or is no pdw-proxy with this seal"),
        }
    }
}

impl fmt::Debug for Noise {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match self.state {
            State::Fresh => "Fresh",
            State::Greeted(..) => "Greeted",
            State::Asked(_) => "Asked",
            State::Listening => "Listening",
            State::Answered(..) => "Answered",
            State::Doubtful(_) => "Doubtful",
            State::Agreed(_) => "Agreed",
            State::Failed(_) => "Failed",
        };
        write!(f, "noise::Handshake({:?}, {state})", self.role)
    }
}
