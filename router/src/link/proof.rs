//! What a new link has to show before anything travels on it.

use std::fmt;
use std::sync::Arc;

use crate::link::credentials::Credentials;
use crate::link::{Lane, Link, Proof, Stage, Standing};
use crate::loss::Loss;
use crate::loss::fence::Badge;
use crate::mutant::Mutant;
use crate::order::{End, LinkKey, Notice, Order, Output};
use crate::peer::hello;
use crate::refusal::Refusal;
use crate::resp::{self, write};
use crate::router::{Setup, Traffic};

impl Traffic {
    /// New links are asked something else from now on.
    pub(crate) fn renew_probes(&mut self, setup: &Setup) {
        for (index, upstream) in self.upstreams.iter_mut().enumerate() {
            upstream.probe = Probe::of(setup, index);
        }
    }

    /// Takes a reply to the probe: CLIENT SETNAME, MULTI, EXEC, PING, CLIENT INFO.
    pub(crate) fn prove(&mut self, setup: &Setup, key: LinkKey, reply: &[u8]) -> Result<(), Loss> {
        let Some(link) = self.links.get_mut(key) else { return Ok(()) };
        let index = link.upstream;
        let step = link.proof.replies;
        link.proof.replies += 1;
        let step = match step.checked_sub(link.proof.probe.greetings) {
            Some(step) => step,
            None => return let_in(reply),
        };
        match step {
            0 if reply.starts_with(b"-ERR LOOP") => {
                self.outputs.push_back(Output::Notice(Notice::UpstreamIsSelf(index)))
            }
            0 if reply.starts_with(b"-NOAUTH") => return Err(Loss::NeedsPassword),
            0 => {}
            1 => link.proof.multi = reply == b"+OK\r\n" || setup.mutation.is(Mutant::TrustsMulti),
            2 => link.proof.multi &= reply == b"*0\r\n" || setup.mutation.is(Mutant::TrustsMulti),
            3 if resp::is_error(reply) => return Err(Loss::Unusable),
            3 => {}
            _ => {
                link.badge = Badge::read(reply);
                self.proven(setup, key, index);
            }
        }
        Ok(())
    }

    fn proven(&mut self, setup: &Setup, key: LinkKey, index: usize) {
        // One link that may not is enough: any of them may get the next transaction.
        let may = |(other, link): (LinkKey, &Link)| (other != key && !link.is_ready()) || link.proof.multi;
        let multi = self.links.iter().filter(|(_, link)| link.upstream == index).all(may);
        if !multi {
            self.refuse_transactions(setup, key);
        }
        let candidate = self.links.get(key).is_some_and(|link| link.standing == Standing::Candidate);
        let upstream = &mut self.upstreams[index];
        upstream.failures = 0;
        if !candidate {
            // That one tells of the end of the trouble when it takes the silent link's place.
            upstream.trouble.clear();
        }
        if upstream.multi && !multi {
            self.outputs.push_back(Output::Notice(Notice::TransactionsForbidden(index)));
        }
        upstream.multi = multi;
        // It may know commands that it could not be asked about before.
        self.unknown.clear();
        let Some(link) = self.links.get_mut(key) else { return };
        link.stage = Stage::Ready;
        link.dirty = true;
        link.heard = self.now;
        if link.lane == Lane::Shared && !candidate {
            self.outputs.push_back(Output::Notice(Notice::UpstreamReady(index)));
        }
        if link.badge.is_none() {
            self.note_fenceable(setup, index, false);
        }
        self.freed_lanes.push(index);
        self.spool_freed = true;
        self.outputs.push_back(Output::Order(End::Link(key), Order::Inject));
    }

    /// Refuses the transactions that waited for this link.
    fn refuse_transactions(&mut self, setup: &Setup, key: LinkKey) {
        let targets = self.links.get_mut(key).map(|link| link.batch.take_transactions()).unwrap_or_default();
        for (target, tried) in targets {
            let why = if tried { Refusal::OutcomeUnknown } else { Refusal::TransactionsForbidden };
            self.deliver_refusal(setup, target, &why);
        }
        self.relieve(setup, key);
    }
}

/// What a new link has to answer before anything travels on it. With MULTI forbidden by the
/// instance's ACL the commands of a "transaction" would be applied one by one, hence the proof; CLIENT INFO
/// is for the fence. It is empty: a proxy answers it without its own upstreams, none of which may delay the others.
#[derive(Default)]
pub(crate) struct Probe {
    bytes: Vec<u8>,
    /// Replies that come before those to the probe itself: to AUTH.
    pub(crate) greetings: usize,
}

impl Probe {
    /// What the links to an upstream are asked.
    pub(crate) fn of(setup: &Setup, index: usize) -> Arc<Self> {
        Arc::new(Self::with(setup, index, &[]))
    }

    /// The same, of a peer with more words in the hello.
    pub(crate) fn with(setup: &Setup, index: usize, more: &[String]) -> Self {
        let mut bytes = Vec::new();
        let credentials = setup.credentials.get(index).and_then(Option::as_ref);
        if let Some(Credentials { user, password }) = credentials {
            let words = [Some("AUTH"), user.as_deref(), Some(password.reveal())];
            let words = words.iter().flatten().map(|word| word.as_bytes());
            write::request(&mut bytes, words.clone().count(), words);
        }
        if setup.has_peers() {
            bytes.extend_from_slice(&hello::hello(setup, more));
        } else {
            probe(&setup.name, &mut bytes);
        }
        Self { bytes, greetings: usize::from(credentials.is_some()) }
    }
}

impl fmt::Debug for Probe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // There may be a password in it.
        f.debug_struct("Probe").finish_non_exhaustive()
    }
}

impl Proof {
    /// What is not written yet.
    pub(crate) fn to_write(&self) -> &[u8] {
        &self.probe.bytes[self.written..]
    }
}

/// Takes the reply to AUTH.
pub(crate) fn let_in(reply: &[u8]) -> Result<(), Loss> {
    match reply {
        b"+OK\r\n" => Ok(()),
        _ if reply.starts_with(b"-ERR AUTH") => Err(Loss::NeedlessPassword),
        _ => Err(Loss::WrongPassword),
    }
}

fn probe(name: &str, probe: &mut Vec<u8>) {
    write::request(probe, 3, [b"CLIENT".as_slice(), b"SETNAME", name.as_bytes()].into_iter());
    for command in [b"MULTI".as_slice(), b"EXEC", b"PING"] {
        write::request(probe, 1, [command].into_iter());
    }
    write::request(probe, 2, [b"CLIENT".as_slice(), b"INFO"].into_iter());
}
