//! The connections of a load, and the loop that keeps them busy.

use super::{Options, Outcome, Until};
use crate::workload::{Numbering, Op, Workload};
use crate::{Error, Result, interrupt, net};
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use std::io::{ErrorKind, Read, Write};
use std::time::{Duration, Instant};

/// A run without any event for so long has lost a reply.
const STALLED: Duration = Duration::from_secs(5);

/// One connection.
struct Client {
    socket: Option<TcpStream>,
    step: usize,
    number: u64,
    outstanding: usize,
    /// How many bytes of the reply that is arriving were right so far.
    matched: usize,
    sent: Instant,
    unsent: Vec<u8>,
    /// Bytes at the end of the step's request that follow `unsent` and have not been sent.
    tail: usize,
}

/// Connections and where each stands; may run several times.
pub struct Load {
    poll: Poll,
    events: Events,
    clients: Vec<Client>,
    workload: Workload,
    pipeline: usize,
    fresh: u64,
    random: fastrand::Rng,
    waiting: usize,
    sent: u64,
    limit: u64,
    outcome: Outcome,
    received: Vec<u8>,
    sending: Vec<u8>,
}

impl Load {
    /// Opens the connections.
    pub fn connect(options: &Options) -> Result<Self> {
        let poll = Poll::new().map_err(Error::system("create a poll"))?;
        let clients = (0..options.connections).map(|index| open(&poll, options, index)).collect::<Result<_>>()?;
        Ok(Self {
            poll,
            events: Events::with_capacity(1024),
            clients,
            workload: Workload::under(&options.prefix, options.op, options.value_size, options.keys),
            // The requests of a pdwfs item depend on each other's replies: one at a time.
            pipeline: if options.op == Op::Pdwfs { 1 } else { options.pipeline.max(1) },
            fresh: 0,
            random: fastrand::Rng::with_seed(1),
            waiting: 0,
            sent: 0,
            limit: 0,
            outcome: Outcome::empty()?,
            received: vec![0; 256 << 10],
            sending: Vec::new(),
        })
    }

    /// Sends and receives until the limit, then waits for the replies still outstanding.
    pub fn run(&mut self, until: Until) -> Result<Outcome> {
        let start = Instant::now();
        self.start(until.requests);
        for index in 0..self.clients.len() {
            self.send(index, start);
        }
        self.turn_until(start + until.elapsed)?;
        let mut outcome = std::mem::replace(&mut self.outcome, Outcome::empty()?);
        outcome.elapsed = start.elapsed();
        Ok(outcome)
    }

    /// One request on every connection, each answered before the next is sent.
    pub fn one_after_another(&mut self) -> Result<Outcome> {
        self.start(0);
        for index in 0..self.clients.len() {
            self.send_at_most(index, 1, Instant::now());
            self.turn_until(Instant::now())?;
        }
        Ok(std::mem::replace(&mut self.outcome, Outcome::empty()?))
    }

    /// One request on every connection before any reply is read.
    pub fn all_at_once(&mut self) -> Result<Outcome> {
        self.start(0);
        for index in 0..self.clients.len() {
            self.send_at_most(index, 1, Instant::now());
        }
        self.turn_until(Instant::now())?;
        Ok(std::mem::replace(&mut self.outcome, Outcome::empty()?))
    }

    fn start(&mut self, limit: u64) {
        (self.sent, self.limit) = (0, limit);
        let lost = self.clients.iter().filter(|client| client.socket.is_none()).count();
        if lost > 0 {
            self.outcome.errors = lost as u64;
            self.outcome.first_error = Some(format!("{lost} connections were lost in an earlier run"));
        }
    }

    fn turn_until(&mut self, end: Instant) -> Result<()> {
        let mut heard = Instant::now();
        while self.waiting > 0 {
            interrupt::check()?;
            let mut events = std::mem::replace(&mut self.events, Events::with_capacity(0));
            let polled = self.poll.poll(&mut events, Some(Duration::from_millis(100)));
            let now = Instant::now();
            if now >= end {
                self.limit = 0;
            }
            for event in &events {
                self.serve(event.token().0, event.is_writable(), now);
            }
            if !events.is_empty() {
                heard = now;
            }
            self.events = events;
            interrupted_is_fine(polled)?;
            if heard.elapsed() > STALLED {
                self.give_up();
            }
        }
        Ok(())
    }

    fn serve(&mut self, index: usize, writable: bool, now: Instant) {
        let client = &self.clients[index];
        if writable && client.unsent.len() + client.tail > 0 {
            self.flush(index);
        }
        self.receive(index, now);
        let client = &self.clients[index];
        if client.outstanding == 0 && client.socket.is_some() {
            self.send(index, now);
        }
    }

    fn send(&mut self, index: usize, now: Instant) {
        let left = self.limit.saturating_sub(self.sent);
        let count = self.pipeline.min(usize::try_from(left).unwrap_or(usize::MAX));
        self.send_at_most(index, count, now);
    }

    fn send_at_most(&mut self, index: usize, count: usize, now: Instant) {
        let client = &mut self.clients[index];
        if count == 0 || client.socket.is_none() {
            return;
        }
        self.sending.clear();
        for _ in 0..count {
            if client.step == 0 {
                client.number = number(self.workload.numbering, &mut self.random, &mut self.fresh);
            }
            let step = &self.workload.steps[client.step];
            if self.pipeline == 1 {
                step.append_head(client.number, &mut self.sending);
                client.tail = step.tail().len();
            } else {
                step.append(client.number, &mut self.sending);
            }
        }
        (client.outstanding, client.sent) = (count, now);
        self.waiting += 1;
        self.sent += count as u64;
        let written = client.socket.as_mut().map_or(Ok(0), |socket| socket.write(&self.sending));
        match written {
            Ok(size) => client.unsent.extend_from_slice(&self.sending[size..]),
            Err(error) if error.kind() == ErrorKind::WouldBlock => client.unsent.extend_from_slice(&self.sending),
            Err(error) => return self.fail(index, format!("write: {error}")),
        }
        if client.tail > 0 {
            self.flush(index);
        }
    }

    fn flush(&mut self, index: usize) {
        let client = &mut self.clients[index];
        let Some(socket) = &mut client.socket else { return };
        while !client.unsent.is_empty() {
            match socket.write(&client.unsent) {
                Ok(size) => drop(client.unsent.drain(..size)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(error) => return self.fail(index, format!("write: {error}")),
            }
        }
        let tail = self.workload.steps[client.step].tail();
        while client.tail > 0 {
            match socket.write(&tail[tail.len() - client.tail..]) {
                Ok(size) => client.tail -= size,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(error) => return self.fail(index, format!("write: {error}")),
            }
        }
    }

    /// Reads until the socket is empty: the poll tells of each arrival only once.
    fn receive(&mut self, index: usize, now: Instant) {
        while let Some(socket) = &mut self.clients[index].socket {
            match socket.read(&mut self.received) {
                Ok(0) => return self.fail(index, "the connection was closed".into()),
                Ok(size) => {
                    self.match_replies(index, size, now);
                    if size < self.received.len() {
                        return;
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(error) => return self.fail(index, format!("read: {error}")),
            }
        }
    }

    fn match_replies(&mut self, index: usize, size: usize, now: Instant) {
        let mut at = 0;
        while at < size {
            let client = &mut self.clients[index];
            let expected = &self.workload.steps[client.step].reply[client.matched..];
            let compared = expected.len().min(size - at);
            if client.outstanding == 0 || expected[..compared] != self.received[at..at + compared] {
                let shown = String::from_utf8_lossy(&self.received[at..size.min(at + 80)]).into_owned();
                return self.fail(index, format!("a wrong reply: {shown:?}"));
            }
            at += compared;
            client.matched += compared;
            if compared == expected.len() {
                self.answered(index, now);
            }
        }
    }

    fn answered(&mut self, index: usize, now: Instant) {
        let client = &mut self.clients[index];
        client.matched = 0;
        client.outstanding -= 1;
        if client.outstanding == 0 {
            self.waiting -= 1;
            client.step = (client.step + 1) % self.workload.steps.len();
        }
        self.outcome.requests += 1;
        let elapsed = now.saturating_duration_since(client.sent).as_micros();
        self.outcome.latency.saturating_record(u64::try_from(elapsed).unwrap_or(u64::MAX));
    }

    fn fail(&mut self, index: usize, what: String) {
        let client = &mut self.clients[index];
        (client.socket, client.tail) = (None, 0);
        self.outcome.errors += client.outstanding.max(1) as u64;
        self.outcome.first_error.get_or_insert(what);
        self.waiting -= usize::from(client.outstanding > 0);
        client.outstanding = 0;
    }

    fn give_up(&mut self) {
        for index in 0..self.clients.len() {
            if self.clients[index].outstanding > 0 {
                self.fail(index, format!("no reply for {} s", STALLED.as_secs()));
            }
        }
    }
}

fn open(poll: &Poll, options: &Options, index: usize) -> Result<Client> {
    let address = options.destinations[index % options.destinations.len()];
    let source = options.sources.get(index % options.sources.len().max(1)).copied();
    let mut socket = TcpStream::from_std(net::connect(address, source)?);
    let both = Interest::READABLE | Interest::WRITABLE;
    poll.registry().register(&mut socket, Token(index), both).map_err(Error::system("register a connection"))?;
    let socket = Some(socket);
    let (sent, unsent) = (Instant::now(), Vec::new());
    Ok(Client { socket, step: 0, number: 0, outstanding: 0, matched: 0, sent, unsent, tail: 0 })
}

fn number(numbering: Numbering, random: &mut fastrand::Rng, fresh: &mut u64) -> u64 {
    match numbering {
        Numbering::Random(keys) => random.u64(..keys),
        Numbering::Fresh => {
            *fresh += 1;
            *fresh
        }
    }
}

fn interrupted_is_fine(polled: std::io::Result<()>) -> Result<()> {
    match polled {
        Err(source) if source.kind() != ErrorKind::Interrupted => {
            Err(Error::System { doing: "wait for replies", source })
        }
        _ => Ok(()),
    }
}
