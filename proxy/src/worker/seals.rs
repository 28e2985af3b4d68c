//! Sealed sockets in the event loop: how they end, what breaks, what is counted.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use pdw_auth::{Ending, SealError, noise, spiped};
use pdw_metrics::{Family, Gauge, Handshake, Histogram, Seal, Side, WorkerSet};
use pdw_router::{End, Input, LinkKey, LossReason, SessionKey};

use super::greeting::{Greeting, Step};
use super::mailbox::Letter;
use super::{Ahead, Worker};
use crate::config::SealConfig;
use crate::seal::Peer;

/// Numbers of handshakes, by the seal's index in [`SealConfig::NAMES`].
#[derive(Debug, Default)]
pub(super) struct SealNumbers {
    pub(super) succeeded: [u64; SealConfig::NAMES.len()],
    pub(super) failed: BTreeMap<(usize, &'static str), u64>,
    /// Microseconds from the connection to the seal, over all that succeeded.
    pub(super) duration: pdw_router::stats::Histogram,
}

impl SealNumbers {
    /// A handshake is done.
    pub(super) fn succeeded(&mut self, seal: usize, took: Duration) {
        self.succeeded[seal] += 1;
        self.duration.observe(took.as_micros() as u64);
    }

    fn copy(&self, set: &mut WorkerSet) {
        // The first of the configuration's seals is none.
        let cell = |seal: usize, result: usize| seal.saturating_sub(1) * Handshake::VALUES.len() + result;
        for (seal, count) in self.succeeded.iter().enumerate().skip(1) {
            set.set_labelled(Family::Handshakes, cell(seal, Handshake::Done as usize), *count);
        }
        for ((seal, kind), count) in &self.failed {
            let known = Handshake::VALUES.iter().position(|value| value == kind);
            set.set_labelled(Family::Handshakes, cell(*seal, known.unwrap_or(Handshake::Broken as usize)), *count);
        }
        set.set_histogram(Histogram::HandshakeDuration, &self.duration.counts, self.duration.sum);
    }

    /// A handshake came to nothing.
    pub(super) fn failed(&mut self, seal: usize, why: &SealError) {
        *self.failed.entry((seal, why.kind())).or_default() += 1;
    }
}

impl Worker {
    /// Copies the numbers of sealed connections.
    pub(super) fn copy_seal_numbers(&self, set: &mut WorkerSet) {
        let links = self.links.values();
        let greeting = links.clone().filter(|link| link.greeting.is_some()).count();
        set.set(Gauge::HandshakesInProgress, (self.guests.len() + greeting) as u64);
        let links = links.map(|link| (Side::Upstream, &link.line.socket));
        let all = self.sessions.values().map(|session| (Side::Client, &session.socket)).chain(links);
        let mut counts = BTreeMap::<usize, u64>::new();
        for (side, socket) in all.filter(|(_, socket)| socket.is_sealed()) {
            *counts.entry(Seal::cell(socket.seal_kind().saturating_sub(1), side)).or_default() += 1;
        }
        counts.into_iter().for_each(|(cell, count)| set.set_labelled(Family::SealedConnections, cell, count));
        self.seal_numbers.copy(set);
    }

    /// Tells the router what a seal holds, if that is not what it was.
    pub(super) fn tell_buffered(&mut self, end: End) {
        if let Some(buffered) = self.line(end).and_then(|line| line.socket.news()) {
            self.router.handle(self.now, Input::Buffered(end, buffered));
        }
    }

    /// Takes note of what a relay carries between two ends, at one of them that is sealed.
    pub(super) fn note_carried(&mut self, from: End, to: End, bytes: usize) {
        for end in [to, from] {
            if self.line(end).is_some_and(|line| line.socket.set_carried(bytes)) {
                break;
            }
        }
        self.tell_buffered(to);
        self.tell_buffered(from);
    }

    /// Closes a session's connection; its output has been written.
    pub(super) fn close_session(&mut self, key: SessionKey) {
        if let Some(mut session) = self.sessions.remove(key) {
            session.socket.say_end(&mut self.scratch);
            self.closing.add(session.socket);
        }
    }

    /// Closes a link's connection, which the router has forgotten.
    pub(super) fn close_link(&mut self, key: LinkKey) {
        self.turned_away.retain(|(turned_away, _)| *turned_away != key);
        self.stop_spool(End::Link(key));
        let Some(mut link) = self.links.remove(key) else { return };
        link.line.socket.say_end(&mut self.scratch);
        // Before its time is up the router closes one that it does not need any more.
        let time = self.router.limits().connect_timeout / 10 * 9;
        let late = |greeting: &Greeting| greeting.begun().elapsed() >= time;
        if let Some(greeting) = link.greeting.take_if(|greeting| late(greeting)) {
            let why = greeting.given_up(Ending::Late);
            let kind =
                self.upstreams.get(link.upstream).and_then(|dial| dial.seal.as_ref()).map_or(0, |seal| seal.kind());
            self.seal_numbers.failed(kind, &why);
            self.complain_of_link(link.upstream, &why);
        }
    }

    /// Tells all sealed ends that nothing follows: the worker ends.
    pub(super) fn say_end_to_all(&mut self) {
        let links = self.links.values_mut().map(|link| &mut link.line);
        for line in self.sessions.values_mut().chain(links) {
            line.socket.say_end(&mut self.scratch);
        }
    }

    /// Tells why an end is lost, if its seal broke.
    pub(super) fn tell_broken(&mut self, end: End) {
        let Some(line) = self.line(end) else { return };
        let Some(why) = line.socket.broken() else { return };
        match end {
            End::Session(key) => {
                let peer = self.sessions.get(key).map_or(Peer::Local, |session| session.socket.peer_address());
                self.complain(&peer, "", &why);
            }
            End::Link(key) => {
                let upstream = self.links.get(key).map_or(usize::MAX, |link| link.upstream);
                self.complain_of_link(upstream, &why);
            }
            End::Spool(_) => {}
        }
    }

    fn complain_of_link(&self, upstream: usize, why: &SealError) {
        if let Some(dial) = self.upstreams.get(upstream) {
            let seal = dial.seal.as_ref().map_or("", |seal| seal.name());
            self.complain(&Peer::Upstream(dial.name.clone()), seal, why);
        }
    }

    /// Goes on with a link's handshake.
    pub(super) fn greet_link(&mut self, key: LinkKey) {
        let Some(link) = self.links.get_mut(key) else { return };
        let Some(greeting) = &mut link.greeting else { return };
        let kind = self.upstreams[link.upstream].seal.as_ref().map_or(0, |seal| seal.kind());
        match greeting.go_on(link.line.socket.stream(), &mut self.scratch, true) {
            Ok(Step::Waits) => {}
            Ok(Step::Work(work)) => {
                let mailbox = self.mailbox.clone();
                self.pool.give(move || mailbox.put(Letter::LinkGreeted(key, work.run())));
            }
            Ok(Step::Done(wire)) => {
                self.seal_numbers.succeeded(kind, greeting.begun().elapsed());
                link.line.socket.seal(wire);
                (link.greeting, link.leave) = (None, None);
                self.unwritten.push(End::Link(key));
                self.queue(End::Link(key), Ahead::NextTurn);
            }
            Err(why) => {
                let upstream = link.upstream;
                self.seal_numbers.failed(kind, &why);
                self.complain_of_link(upstream, &why);
                self.links.remove(key);
                self.router.handle(self.now, Input::LinkLost(key, LossReason::Unsealed));
            }
        }
    }

    /// Takes back a handshake that another thread has worked at.
    pub(super) fn resume_link(&mut self, key: LinkKey, handshake: Box<dyn pdw_auth::Handshake>) {
        if let Some(greeting) = self.links.get_mut(key).and_then(|link| link.greeting.as_mut()) {
            greeting.give_back(handshake);
            self.greet_link(key);
        }
    }

    /// Whether a client on a plain listener began with something that belongs to a sealed one; it is told then.
    pub(super) fn complain_if_sealed(&self, key: SessionKey, bytes: &[u8]) -> bool {
        let Some(what) = sealed_beginning(bytes) else { return false };
        let peer = self.sessions.get(key).map_or(Peer::Local, |session| session.socket.peer_address());
        if self.complaints.is_due(&peer, "sealed", Instant::now()) {
            tracing::warn!(%peer, "it speaks {what} to a plain address; give it the address of a listener with that seal");
        }
        true
    }
}

/// Which seal the first bytes of a connection belong to, as far as that can be told: those of two begin with random
/// bytes, of which there are always as many.
fn sealed_beginning(bytes: &[u8]) -> Option<&'static str> {
    // Neither a request nor one that is typed, in any language or encoding.
    let random = || bytes.first() != Some(&b'*') && !bytes.ends_with(b"\n") && std::str::from_utf8(bytes).is_err();
    match bytes.len() {
        // A TLS record that carries a handshake (RFC 8446, 5.1).
        _ if bytes.starts_with(&[22, 3]) => Some("TLS"),
        spiped::BEGINNING if random() => Some("spiped, as it seems,"),
        noise::BEGINNING if random() => Some("noise, as it seems,"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_begins_as_a_seal_does_is_told_from_requests_in_any_language() {
        let random: Vec<u8> = (0..48_u32).map(|n| (n * 167 + 200) as u8).collect();
        assert_eq!(sealed_beginning(&random[..32]), Some("spiped, as it seems,"));
        assert_eq!(sealed_beginning(&random), Some("noise, as it seems,"));
        assert_eq!(sealed_beginning(&random[..40]), None);
        assert_eq!(sealed_beginning(&[22, 3, 1, 2, 0]), Some("TLS"));
        let typed = "SET a \u{1f680}\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}\r\n";
        assert_eq!(typed.len(), 32);
        assert_eq!(sealed_beginning(typed.as_bytes()), None);
        let latin = b"SET a \xfc\xfc\xfc\xfc\xfc\xfc\xfc\xfc\xfc\xfc\xfc\xfc\xfc\xfc\xfc\xfc\xfc\xfc\xfc\xfc\xfc\xfc\xfc\xfc\r\n";
        assert_eq!(latin.len(), 32);
        assert_eq!(sealed_beginning(latin), None);
        let mut binary = b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$4\r\n\xff\xfe\xfd\xfc\r\n".to_vec();
        binary.resize(32, 0xff);
        assert_eq!(sealed_beginning(&binary), None);
    }
}
