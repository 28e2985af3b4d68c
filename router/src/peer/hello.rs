//! How two proxies meet: the hello that opens a framed link, and notes about themselves later.
//!
//! ```text
//!   opener    PDW.HELLO 4 node=leaf-3 incarnation=pdw/... stream=262144 link=33554432          (RESP, a request)
//!   accepter  PDW.HELLO 4 node=spine-0 ... clock=1234 above=pdw/... spine-9 placement=...      (RESP, an array)
//!   both      frames
//! ```
//!
//! Whoever is no pdw-proxy answers an error that says so. The answer says who stands above, so that an opener that
//! finds itself there knows of a circle, through however many proxies; whenever that changes, a note says so. It says
//! where keys live, too, so that nobody below has to be told, and what the accepter calls the link, which can be resumed
//! by that name if its connection is lost (`resume.rs`, `severed.rs`).

use crate::limits::Limits;
use crate::link::{Lane, Link};
use crate::loss::Loss;
use crate::mutant::Mutant;
use crate::order::{LinkKey, Notice, Output, SessionKey};
use crate::peer::carrier::Grant;
use crate::peer::greeting::{Greeting, Peer, above_words, read_words, write_words};
use crate::place::Homes;
use crate::refusal::Refusal;
use crate::resp::{self, Request};
use crate::router::{Setup, Traffic};
use crate::time::Time;

/// The command.
const NAME: &str = "PDW.HELLO";
/// The version of everything that two proxies say to each other.
const VERSION: &str = "4";
/// A note that wants an answer, and the answer.
const PING: &str = "PING";
const PONG: &str = "PONG";
/// A note that the link is to be closed once nothing is left on it.
const LEAVING: &str = "LEAVING";
/// A note about who stands above.
const ABOVE: &str = "ABOVE";

/// Why a proxy will not do as a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unfit {
    /// It does not know the hello.
    #[error(
        "it does not answer {NAME} as a pdw-proxy does ({0}): group.kind = \"peers\" is for proxies, use \"shards\" before instances"
    )]
    NoProxy(&'static str),
    /// It wants to know who asks.
    #[error("it wants a password: give the upstream `user` and `password_file`")]
    Password,
    /// It speaks another version.
    #[error(
        "it speaks another version of the protocol between proxies: run the same version of pdw-proxy at both ends"
    )]
    Version,
    /// It is this proxy, or leads back to it.
    #[error("it leads back to this proxy: correct the upstreams of one of the proxies in that circle")]
    Loop,
    /// It has not reached its own peers yet.
    #[error("it does not know yet where keys live: it has not reached its own upstreams")]
    NotReady,
    /// It is about to end.
    #[error("it is about to end")]
    Leaving,
    /// It does not know the link that was to be resumed.
    #[error("it has forgotten the link, or is another process than it was")]
    Forgotten,
    /// It places keys otherwise than the peers that are in use.
    #[error(
        "it places keys otherwise than the other peers: give all of them the same upstreams, in the same order, with the same placement and rules"
    )]
    OtherPlacement,
    /// Its placement means nothing here.
    #[error("it places keys in a way that is not known here: run the same version of pdw-proxy at both ends")]
    UnknownPlacement,
}

/// The hello of an opener, with what it says besides.
pub(crate) fn hello(setup: &Setup, more: &[String]) -> Vec<u8> {
    let mut words = vec![NAME.to_owned(), VERSION.to_owned()];
    words.extend(introduction(setup));
    words.extend_from_slice(more);
    let mut out = Vec::new();
    write_words(&mut out, &words);
    out
}

fn introduction(setup: &Setup) -> [String; 4] {
    let grant = own_grant(&setup.limits);
    [
        format!("node={}", setup.node),
        format!("incarnation={}", setup.name),
        format!("stream={}", grant.stream),
        format!("link={}", grant.link),
    ]
}

/// What this end grants.
pub(crate) fn own_grant(limits: &Limits) -> Grant {
    Grant { stream: limits.stream_window as u64, link: limits.peer_window as u64 }
}

impl Traffic {
    /// Takes the answer to the hello of a link.
    ///
    /// # Errors
    /// Why the other end will not do.
    pub(crate) fn greeted(&mut self, setup: &Setup, key: LinkKey, reply: &[u8]) -> Result<(), Loss> {
        let words = read_words(reply);
        if words.first().is_none_or(|word| word != NAME) {
            let why = reason(reply);
            if why == Unfit::Loop {
                let index = self.links.get(key).map_or(0, |link| link.upstream);
                self.outputs.push_back(Output::Notice(Notice::UpstreamIsSelf(index)));
            }
            return Err(Loss::Unfit(why));
        }
        if words.get(1).is_none_or(|word| !speaks(setup, word.as_bytes())) {
            return Err(Loss::Unfit(Unfit::Version));
        }
        let greeting = Greeting::read(words.into_iter().skip(2));
        greeting.grant.ok_or(Loss::Unfit(Unfit::Version))?;
        let above: Vec<Peer> = [greeting.peer.clone()].into_iter().chain(greeting.above.iter().cloned()).collect();
        let Some(index) = self.links.get(key).map(|link| link.upstream) else { return Ok(()) };
        self.check_circle(setup, key, &above)?;
        self.stand_below(setup, index, above);
        self.settle_homes(setup, key, &greeting.homes)?;
        self.begin_framed(setup, key, &greeting)?;
        self.met(index, &greeting.peer);
        self.order_write(key);
        Ok(())
    }

    fn met(&mut self, index: usize, peer: &Peer) {
        let upstream = &mut self.upstreams[index];
        upstream.failures = 0;
        upstream.trouble.clear();
        // It may know commands that it could not be asked about before.
        self.unknown.clear();
        self.outputs.push_back(Output::Notice(Notice::PeerMet(index, peer.node.clone())));
        self.outputs.push_back(Output::Notice(Notice::UpstreamReady(index)));
        self.resume_waiting();
    }

    /// Finds out whether a link leads back to this proxy.
    fn check_circle(&mut self, setup: &Setup, key: LinkKey, above: &[Peer]) -> Result<(), Loss> {
        if !above.iter().any(|peer| is_self(setup, peer)) {
            return Ok(());
        }
        let index = self.links.get(key).map_or(0, |link| link.upstream);
        let way: Vec<&str> = above.iter().map(|peer| peer.node.as_str()).collect();
        self.outputs.push_back(Output::Notice(Notice::Circle(index, way.join(", "))));
        Err(Loss::Unfit(Unfit::Loop))
    }

    /// Takes over where keys live, or sees that it is known.
    fn settle_homes(&mut self, setup: &Setup, key: LinkKey, words: &[String]) -> Result<(), Loss> {
        let same = setup.homes.describe() == words || setup.mutation.is(Mutant::AnyPlacement);
        if self.homes_known && same {
            return Ok(());
        }
        let other = |(other, link): (LinkKey, &Link)| other != key && link.lane == Lane::Framed && link.is_met();
        if self.links.iter().any(other) {
            return Err(Loss::Unfit(Unfit::OtherPlacement));
        }
        if words.is_empty() {
            return Err(Loss::Unfit(Unfit::NotReady));
        }
        let homes = Homes::from_description(words.iter().map(String::as_str));
        self.learned_homes = Some(homes.map_err(|_| Loss::Unfit(Unfit::UnknownPlacement))?);
        Ok(())
    }

    /// Keys live elsewhere than was thought: whoever has begun by the old homes finishes first.
    pub(crate) fn homes_changed(&mut self, setup: &Setup) {
        for session in self.sessions.values_mut() {
            session.settling |= session.first.is_some();
            session.held.iter_mut().for_each(|held| held.find_home_again(setup));
        }
        if std::mem::replace(&mut self.homes_known, true) {
            // Whoever stands below was told otherwise, and asks again.
            self.accepted.clone().into_iter().for_each(|key| self.end_accepted(setup, key));
        }
    }

    /// Takes note of who stands above by way of an upstream, and tells those below if that is new.
    fn stand_below(&mut self, setup: &Setup, index: usize, above: Vec<Peer>) {
        if std::mem::replace(&mut self.upstreams[index].above, above) == self.upstreams[index].above {
            return;
        }
        let mut words = vec![ABOVE.to_owned()];
        words.extend(above_words(&self.above()));
        let mut note = Vec::new();
        write_words(&mut note, &words);
        for key in self.accepted.clone() {
            self.note_below(setup, key, &note);
        }
    }

    /// Every proxy above this one.
    fn above(&self) -> Vec<Peer> {
        let mut above: Vec<Peer> = Vec::new();
        for peer in self.upstreams.iter().flat_map(|upstream| &upstream.above) {
            if !above.contains(peer) {
                above.push(peer.clone());
            }
        }
        above
    }

    /// Another proxy wants to make a framed link of a session.
    pub(crate) fn accept_hello(&mut self, setup: &Setup, key: SessionKey, request: &Request<'_>) {
        let words = request.args(2).map(|word| String::from_utf8_lossy(word).into_owned());
        let greeting = Greeting::read(words);
        let fit = self.sessions.get(key).is_some_and(|session| session.may_become_framed());
        if self.is_outside(key) {
            return self.refuse(setup, key, &Refusal::NotAuthenticated);
        }
        let ill = |text: String| Some(Refusal::AsRedis(text.into()));
        let refused = match (speaks(setup, request.arg(1)), greeting.grant) {
            (true, Some(_)) if is_self(setup, &greeting.peer) => Some(Refusal::Loop),
            (true, Some(_)) if self.leaving => ill(format!("ERR {NAME}: {}", Unfit::Leaving)),
            (true, Some(_)) if !fit => ill(format!("ERR {NAME} has to be the first thing said")),
            (true, Some(grant)) => match &greeting.claim {
                Some(claim) if !self.accept_claim(setup, key, claim, (&greeting, request.bytes)) => {
                    ill(format!("ERR {NAME}: {}", Unfit::Forgotten))
                }
                Some(_) => None,
                None => {
                    self.accept_new(setup, key, greeting.peer, grant);
                    None
                }
            },
            _ => ill(foreign_version(request.arg(1))),
        };
        refused.into_iter().for_each(|why| self.refuse(setup, key, &why));
    }

    /// Without knowing where keys live there can be no link, but who stands above is said all the same: two proxies
    /// that wait for each other find out so.
    fn accept_new(&mut self, setup: &Setup, key: SessionKey, peer: Peer, grant: Grant) {
        let name = self.name_link();
        let word = (setup.limits.resume_max > 0).then(|| format!("name={name}"));
        self.answer_hello(setup, key, word.as_slice());
        if self.homes_known {
            self.become_framed(setup, key, (peer, name), grant);
        }
    }

    /// Answers a hello, with what there is to say besides.
    pub(crate) fn answer_hello(&mut self, setup: &Setup, key: SessionKey, more: &[String]) {
        let mut words = vec![NAME.to_owned(), VERSION.to_owned()];
        words.extend(introduction(setup));
        words.push(format!("clock={}", self.now.micros()));
        words.extend_from_slice(more);
        words.extend(above_words(&self.above()));
        if self.homes_known {
            words.extend(setup.homes.describe());
        }
        self.answer_new(setup, key, |out| write_words(out, &words));
    }

    /// A note from above.
    pub(crate) fn note_from_above(&mut self, setup: &Setup, key: LinkKey, note: &[u8]) -> Result<(), Loss> {
        let words = read_words(note);
        let kind = words.first().map(String::as_str).unwrap_or_default();
        let Some(link) = self.links.get_mut(key) else { return Ok(()) };
        let index = link.upstream;
        match (kind, &mut link.framed) {
            (PONG, Some(framed)) => framed.compare_clocks(Greeting::read(words.into_iter().skip(1)).clock, self.now),
            (LEAVING, _) => self.retire_framed(setup, key),
            (ABOVE, _) => {
                let own = self.upstreams[index].above.first().cloned();
                let above = Greeting::read(words.into_iter().skip(1)).above;
                let above: Vec<Peer> = own.into_iter().chain(above).collect();
                self.check_circle(setup, key, &above)?;
                self.stand_below(setup, index, above);
            }
            _ => {}
        }
        Ok(())
    }

    /// Asks the proxies below to take other links; new ones are refused.
    pub(crate) fn leave(&mut self, setup: &Setup) {
        self.leaving = true;
        self.leave_severed(setup);
        let mut note = Vec::new();
        write_words(&mut note, &[LEAVING.to_owned()]);
        self.accepted.clone().into_iter().for_each(|key| self.note_below(setup, key, &note));
    }

    /// A note from below.
    pub(crate) fn note_from_below(&mut self, setup: &Setup, key: SessionKey, note: &[u8]) {
        let words = read_words(note);
        if words.first().is_some_and(|word| word == PING) {
            let lease = Time::from_micros(Greeting::read(words.into_iter().skip(1)).lease);
            let framed = self.sessions.get_mut(key).and_then(|session| session.framed.as_mut());
            framed.into_iter().for_each(|accepted| accepted.lease = accepted.lease.max(lease));
            let mut pong = Vec::new();
            write_words(&mut pong, &[PONG.to_owned(), format!("clock={}", self.now.micros())]);
            self.note_below(setup, key, &pong);
        }
    }
}

/// Whether another proxy's version is understood here.
fn speaks(setup: &Setup, version: &[u8]) -> bool {
    version == VERSION.as_bytes() || setup.mutation.is(Mutant::AnyVersion)
}

/// Whether another proxy is this one.
fn is_self(setup: &Setup, peer: &Peer) -> bool {
    peer.incarnation == setup.name && !setup.mutation.is(Mutant::CircleUnseen)
}

/// A note that wants an answer, and says until when, on the other end's clock, what was asked for may be sent.
pub(crate) fn ping(lease: u64) -> Vec<u8> {
    let mut note = Vec::new();
    write_words(&mut note, &[PING.to_owned(), format!("lease={lease}")]);
    note
}

/// Whether a request is a hello.
pub(crate) fn is_hello(request: &Request<'_>) -> bool {
    request.arg(0).eq_ignore_ascii_case(NAME.as_bytes())
}

fn foreign_version(version: &[u8]) -> String {
    let version: String = String::from_utf8_lossy(version).chars().take(32).collect();
    format!(
        "ERR {NAME} version '{version}' is not spoken here, but version {VERSION}: run the same version of pdw-proxy at both ends"
    )
}

/// Why the other end answered with an error.
fn reason(reply: &[u8]) -> Unfit {
    let is = |why: &Refusal| resp::line(reply) == why.text();
    match reply {
        _ if is(&Refusal::Loop) => Unfit::Loop,
        _ if reply.starts_with(b"-ERR PDW.HELLO version") => Unfit::Version,
        _ if reply.starts_with(b"-ERR PDW.HELLO: it is about to end") => Unfit::Leaving,
        _ if reply.starts_with(b"-ERR PDW.HELLO: it has forgotten") => Unfit::Forgotten,
        _ if reply.starts_with(b"-ERR unknown command") => Unfit::NoProxy("it does not know that command"),
        _ if reply.starts_with(b"-NOAUTH") => Unfit::Password,
        _ if reply.starts_with(b"-NOPERM") => Unfit::NoProxy("its user may not ask"),
        _ => Unfit::NoProxy("it answers something else"),
    }
}

/// Where a moment of this clock lies on the other end's, at the earliest.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Clocks {
    /// The other's minus this one's, at least.
    offset: i64,
    /// When that was found out.
    known: Time,
}

impl Clocks {
    /// What the other end's clock said some time before `now`. It has moved on since, so a moment is never placed too
    /// late; the best of what was found out lately holds, since two clocks need not run equally fast.
    pub(crate) fn compare(&mut self, other: u64, now: Time) {
        let offset = i64::try_from(other).unwrap_or(i64::MAX).saturating_sub_unsigned(now.micros());
        let old = self.known == Time::default() || now.since(self.known).as_secs() >= 60;
        if old || offset >= self.offset {
            (self.offset, self.known) = (offset, now);
        }
    }

    /// A moment of this clock on the other's; `None` if it never comes.
    pub(crate) fn translate(self, moment: Time) -> Option<u64> {
        (moment != Time::NEVER).then(|| moment.micros().saturating_add_signed(self.offset))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_another_clock_is_said_to_show_moments_can_be_translated() {
        let now = Time::from_micros(1_000);
        for other in [0, 1_500, 1 << 63, u64::MAX] {
            let mut clocks = Clocks::default();
            clocks.compare(other, now);
            let shown = clocks.translate(now).unwrap();
            assert!(shown <= other && shown >= other.min(1 << 62), "{other}: {shown}");
        }
    }
}
