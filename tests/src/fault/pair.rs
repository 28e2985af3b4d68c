//! One connection through the fault proxy: a client's socket, the target's, and what is between them.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::time::{Duration, Instant};

use socket2::{Domain, SockAddr, Socket, Type};

use super::cue::{End, Flow, Way};
use crate::address::Address;

/// Bytes that may wait in one way before no more are read.
const HELD_MAX: usize = 1 << 20;

const CONNECT_LIMIT: Duration = Duration::from_secs(2);

/// What one way of all connections has in common.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rule {
    pub(super) flow: Flow,
    /// Bytes that may pass before the connection that passes the last of them ends.
    pub(super) cut: Option<(u64, End)>,
    /// Bytes that a throttle lets pass now.
    pub(super) allowance: u64,
    pub(super) passed: u64,
}

impl Rule {
    pub(super) fn new() -> Rule {
        Rule { flow: Flow::Free, cut: None, allowance: 0, passed: 0 }
    }

    /// How many of `wanted` bytes may pass now.
    fn grant(&self, wanted: usize) -> usize {
        let throttle = if matches!(self.flow, Flow::Throttled(_)) { self.allowance } else { u64::MAX };
        let most = throttle.min(self.cut.map_or(u64::MAX, |(left, _)| left));
        wanted.min(usize::try_from(most).unwrap_or(usize::MAX))
    }

    /// Notes that so many have passed; how the connection ends, if it does.
    fn note(&mut self, bytes: usize) -> Option<End> {
        let bytes = bytes as u64;
        self.passed += bytes;
        self.allowance = self.allowance.saturating_sub(bytes);
        let (left, end) = self.cut?;
        self.cut = Some((left - bytes, end));
        if left > bytes {
            return None;
        }
        self.cut = None;
        Some(end)
    }
}

/// One way of one connection.
#[derive(Debug, Default)]
struct Lane {
    /// What was read and has not passed, with the time at which it may.
    held: VecDeque<(Instant, Vec<u8>)>,
    bytes: usize,
    /// The source has said FIN.
    finished: bool,
    /// The FIN was handed on.
    shut: bool,
    /// Nothing passes until the release.
    stuck: bool,
    /// Bytes are lost, so none may pass any more.
    broken: bool,
}

/// What a socket is waited for.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Interest {
    pub(super) read: bool,
    pub(super) write: bool,
}

/// One connection.
#[derive(Debug)]
pub(super) struct Pair {
    client: Option<Socket>,
    target: Option<Socket>,
    forth: Lane,
    back: Lane,
}

impl Pair {
    /// Connects to the target for `client`.
    pub(super) fn connect(client: Socket, target: &Address) -> io::Result<Pair> {
        client.set_nonblocking(true)?;
        client.set_tcp_nodelay(true)?;
        let target = dial(target)?;
        Ok(Pair { client: Some(client), target: Some(target), forth: Lane::default(), back: Lane::default() })
    }

    /// Both sides are closed, or there is nothing left to say.
    pub(super) fn is_over(&self) -> bool {
        let ended = |socket: &Option<Socket>, lane: &Lane| socket.is_none() || lane.finished;
        let quiet = (self.forth.shut || self.forth.broken) && (self.back.shut || self.back.broken);
        ended(&self.client, &self.forth) && ended(&self.target, &self.back) && quiet
    }

    /// Reads and writes what can be, in one way; how the connection ends, if it does.
    pub(super) fn pass(&mut self, way: Way, rule: &mut Rule, now: Instant) -> Option<End> {
        let (source, sink, lane) = match way {
            Way::Forth => (&self.client, &self.target, &mut self.forth),
            Way::Back => (&self.target, &self.client, &mut self.back),
        };
        if lane.stands_still(rule) {
            return None;
        }
        let outcome = lane.read(source.as_ref(), rule, now).and_then(|()| lane.write(sink.as_ref(), rule, now));
        outcome.unwrap_or(Some(End::Reset))
    }

    /// Ends it in the way that was asked for.
    pub(super) fn end(&mut self, end: End) {
        if end == End::Reset {
            [&self.client, &self.target].into_iter().flatten().for_each(reset);
        }
        match end {
            End::Fin => [&self.client, &self.target].into_iter().flatten().for_each(finish),
            End::Reset => (self.client, self.target) = (None, None),
            End::TargetGone => self.target = None,
            End::ClientGone => self.client = None,
        }
        self.forth.give_up();
        self.back.give_up();
    }

    /// Stalls one way of this one alone.
    pub(super) fn hold(&mut self, way: Way) {
        self.lane(way).stuck = true;
    }

    /// Ends that.
    pub(super) fn release(&mut self) {
        (self.forth.stuck, self.back.stuck) = (false, false);
    }

    fn lane(&mut self, way: Way) -> &mut Lane {
        match way {
            Way::Forth => &mut self.forth,
            Way::Back => &mut self.back,
        }
    }

    /// Has bytes pass that nobody has sent.
    pub(super) fn inject(&mut self, way: Way, bytes: &[u8]) {
        let lane = self.lane(way);
        if !lane.broken && !lane.shut {
            lane.hold(bytes, Flow::Free, Instant::now());
        }
    }

    /// Its sockets, with what each is waited for.
    pub(super) fn interests(&self, forth: &Rule, back: &Rule, now: Instant) -> [(Option<&Socket>, Interest); 2] {
        let client = Interest { read: self.forth.wants(forth), write: self.back.has(back, now) };
        let target = Interest { read: self.back.wants(back), write: self.forth.has(forth, now) };
        [(self.client.as_ref(), client), (self.target.as_ref(), target)]
    }

    /// When the first delayed byte is due.
    pub(super) fn due(&self) -> Option<Instant> {
        let moving = [&self.forth, &self.back].into_iter().filter(|lane| !lane.stuck);
        moving.filter_map(|lane| lane.held.front()).map(|(due, _)| *due).min()
    }
}

impl Lane {
    fn stands_still(&self, rule: &Rule) -> bool {
        (self.stuck || rule.flow == Flow::Stalled) && !self.broken
    }

    fn wants(&self, rule: &Rule) -> bool {
        !self.finished && !self.stands_still(rule) && self.bytes < HELD_MAX
    }

    fn has(&self, rule: &Rule, now: Instant) -> bool {
        let due = self.held.front().is_some_and(|(due, _)| *due <= now);
        due && !self.stands_still(rule) && rule.grant(1) > 0
    }

    fn give_up(&mut self) {
        self.broken = true;
        self.held.clear();
        self.bytes = 0;
    }

    fn read(&mut self, source: Option<&Socket>, rule: &Rule, now: Instant) -> io::Result<()> {
        let (Some(mut source), true) = (source, self.wants(rule)) else { return Ok(()) };
        let mut chunk = [0; 64 << 10];
        match source.read(&mut chunk) {
            Ok(0) => self.finished = true,
            Ok(_) if self.broken => {}
            Ok(_) if rule.flow == Flow::Swallowed => self.give_up(),
            Ok(count) => self.hold(&chunk[..count], rule.flow, now),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }

    fn hold(&mut self, bytes: &[u8], flow: Flow, now: Instant) {
        let delay = if let Flow::Delayed(delay) = flow { delay } else { Duration::ZERO };
        self.held.push_back((now + delay, bytes.to_vec()));
        self.bytes += bytes.len();
    }

    fn write(&mut self, sink: Option<&Socket>, rule: &mut Rule, now: Instant) -> io::Result<Option<End>> {
        let Some(mut sink) = sink else { return Ok(None) };
        while let Some((due, chunk)) = self.held.front_mut() {
            // A cut after no byte at all ends the connection that would pass the next.
            if let Some((0, end)) = rule.cut {
                rule.cut = None;
                return Ok(Some(end));
            }
            let granted = rule.grant(chunk.len());
            if *due > now || granted == 0 {
                return Ok(None);
            }
            let count = match sink.write(&chunk[..granted]) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
                other => other?,
            };
            chunk.drain(..count);
            self.bytes -= count;
            if chunk.is_empty() {
                self.held.pop_front();
            }
            if let Some(end) = rule.note(count) {
                return Ok(Some(end));
            }
        }
        if self.finished && !self.shut && !self.broken {
            self.shut = true;
            finish(sink);
        }
        Ok(None)
    }
}

fn dial(target: &Address) -> io::Result<Socket> {
    let (domain, address) = match target {
        Address::Tcp(address) => (Domain::for_address(*address), SockAddr::from(*address)),
        Address::Unix(path) => (Domain::UNIX, SockAddr::unix(path)?),
    };
    let socket = Socket::new(domain, Type::STREAM, None)?;
    socket.connect_timeout(&address, CONNECT_LIMIT)?;
    socket.set_nonblocking(true)?;
    if domain != Domain::UNIX {
        socket.set_tcp_nodelay(true)?;
    }
    Ok(socket)
}

/// FIN. It fails only when the other end is gone.
fn finish(socket: &Socket) {
    let _ = socket.shutdown(std::net::Shutdown::Write);
}

/// Has the kernel send RST when the socket is closed. A UNIX socket knows no such thing.
fn reset(socket: &Socket) {
    let _ = socket.set_linger(Some(Duration::ZERO));
}
