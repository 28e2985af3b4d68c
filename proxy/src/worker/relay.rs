//! Large values: bytes that the router ordered to be moved from one socket to another.
//!
//! Between plain sockets, and between a plain socket and a file, the kernel moves them through a pipe (splice(2)), at
//! about a third of what copying costs; they never enter this process. Where an end is sealed, or no descriptors are left
//! for a pipe, they pass through the worker's buffer, and a relay holds no more than what the other end did not take of
//! one read.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Instant;

use pdw_router::{End, Input, Wait};
use rustix::pipe::{PipeFlags, SpliceFlags, fcntl_setpipe_size, pipe_with, splice};

use super::ends::end_line;
use super::socket::{Socket, Written};
use super::wakes::Wakes;
use super::{Ahead, Worker};
use crate::seal::Peer;

/// Bytes that a pipe may hold on their way.
const PIPE: usize = 1 << 20;
/// Empty pipes that are kept for the next relay.
const PIPES_KEPT: usize = 16;
/// So many pipes there may be in any case, be there ever so many connections.
const PIPES_LEAST: usize = 4;

/// A relay on its way.
#[derive(Debug)]
pub(super) struct Pump {
    to: End,
    /// Bytes that have not been taken from the source, and where in a file the next one is.
    left: u64,
    at: u64,
    /// Bytes that were taken and have not reached the other end.
    carried: usize,
    /// For which end it stood still last, as the router knows it.
    waits: Option<Wait>,
    pub(super) wakes: Wakes,
    /// It is in the list of those that can go on.
    listed: bool,
    by: Carrier,
}

/// What carries the bytes.
#[derive(Debug)]
enum Carrier {
    /// The kernel.
    Pipe(Pipe),
    /// The worker; these the other end has not taken.
    Copy(Vec<u8>),
}

impl Pump {
    /// Bytes that have not been taken from the source.
    pub(super) fn left(&self) -> u64 {
        self.left
    }

    /// Bytes that were taken from the source and are lost with this pump.
    pub(super) fn carried(&self) -> u64 {
        self.carried as u64
    }
}

/// A pipe inside the kernel.
#[derive(Debug)]
pub(super) struct Pipe {
    outlet: OwnedFd,
    inlet: OwnedFd,
    /// For as long as there is it, it is counted.
    _counted: Arc<()>,
}

impl Pipe {
    fn open(count: &Arc<()>) -> io::Result<Self> {
        let (outlet, inlet) = pipe_with(PipeFlags::NONBLOCK | PipeFlags::CLOEXEC)?;
        // A smaller pipe works too, only with more calls.
        let _ = fcntl_setpipe_size(&inlet, PIPE);
        Ok(Self { outlet, inlet, _counted: Arc::clone(count) })
    }
}

/// Where one pass of a pump stopped.
pub(super) enum Halt {
    /// Everything has reached the other end.
    Done,
    /// The source has nothing, or the other end takes nothing; the kernel will tell.
    Blocked(Wait),
    /// It has had its share of this turn.
    Share,
    /// The source has ended or failed.
    Source(io::Error),
    /// The other end is gone or failed.
    Sink(io::Error),
}

impl Worker {
    /// Begins to move bytes.
    pub(super) fn begin_relay(&mut self, from: End, to: End, bytes: u64) {
        let by = self.carrier(from, to);
        let pump = Pump { to, left: bytes, at: 0, carried: 0, waits: None, wakes: Wakes::default(), listed: false, by };
        if self.put_pump(from, Some(Box::new(pump))) {
            self.take_unread(from);
            self.set_feeder(to, Some(from));
            self.list_relay(from);
        }
    }

    /// Has an end's relay go on, if it has one, when this turn's small requests are on their way.
    pub(super) fn list_relay(&mut self, from: End) {
        if let Some(pump) = self.pump_of(from)
            && !std::mem::replace(&mut pump.listed, true)
        {
            self.relays.push_back(from);
        }
    }

    /// Moves what can be moved, one relay after the other, until the turn has had its share.
    pub(super) fn move_relays(&mut self) {
        let mut share = self.pace.share();
        if share == 0 {
            return;
        }
        for _ in 0..self.relays.len() {
            let Some(from) = self.relays.pop_front() else { return };
            share = share.saturating_sub(self.pump(from, share));
            if share == 0 {
                break;
            }
        }
        if !self.relays.is_empty() {
            self.pace.begin_rest(self.now);
        }
    }

    fn carrier(&mut self, from: End, to: End) -> Carrier {
        if [from, to].into_iter().any(|end| self.socket(end).is_some_and(Socket::is_sealed)) {
            return Carrier::Copy(Vec::new());
        }
        match self.pipes.pop().map_or_else(|| self.open_pipe(), Ok) {
            Ok(pipe) => Carrier::Pipe(pipe),
            Err(error) => {
                if self.complaints.is_due(&Peer::Many, "no pipe", Instant::now()) {
                    tracing::warn!(%error, "no pipe for a large value, which is copied instead; raise `ulimit -n`");
                }
                Carrier::Copy(Vec::new())
            }
        }
    }

    /// A new pipe, if it leaves descriptors to connections: a link is needed more.
    fn open_pipe(&self) -> io::Result<Pipe> {
        let left = self.descriptors.saturating_sub(self.open_descriptors());
        match Arc::strong_count(&self.pipes_open) <= PIPES_LEAST.max(left / 2) {
            true => Pipe::open(&self.pipes_open),
            false => Err(io::Error::other("the descriptors that are left are for connections")),
        }
    }

    /// Moves an end's bytes, if it has a relay, until `share` are moved; how many that were.
    fn pump(&mut self, from: End, share: u64) -> u64 {
        let Some(mut pump) = self.take_pump(from) else { return 0 };
        pump.listed = false;
        let mut moved = 0;
        let halt = self.move_bytes(from, &mut pump, share, &mut moved);
        self.attune(from, &mut pump, &halt);
        let to = pump.to;
        if let Carrier::Copy(held) = &pump.by {
            self.note_carried(from, to, held.capacity());
        }
        match halt {
            Halt::Done => {
                self.set_feeder(to, None);
                if let Carrier::Pipe(pipe) = pump.by
                    && self.pipes.len() < PIPES_KEPT
                {
                    self.pipes.push(pipe);
                }
                if !matches!(from, End::Spool(_)) {
                    self.queue(from, Ahead::NextTurn);
                }
            }
            Halt::Share => {
                self.put_pump(from, Some(pump));
                self.list_relay(from);
            }
            Halt::Blocked(_) | Halt::Source(_) | Halt::Sink(_) => {
                self.put_pump(from, Some(pump));
            }
        }
        if moved > 0 {
            self.router.handle(self.now, Input::Relayed(from, moved));
        }
        match halt {
            Halt::Blocked(wait) => self.report_wait(from, wait),
            Halt::Source(error) => self.lose(from, &error),
            Halt::Sink(error) => self.lose(to, &error),
            _ => {}
        }
        moved
    }

    /// Tells the router for which end a relay stands still, if it does not know.
    fn report_wait(&mut self, from: End, wait: Wait) {
        if self.pump_of(from).is_some_and(|pump| pump.waits.replace(wait) != Some(wait)) {
            self.router.handle(self.now, Input::RelayWaits(from, wait));
        }
    }

    fn move_bytes(&mut self, from: End, pump: &mut Pump, share: u64, moved: &mut u64) -> Halt {
        if !self.router.may_relay(self.now, from) {
            return Halt::Blocked(Wait::Sink);
        }
        loop {
            let (taken, given) = match self.carry(from, pump) {
                Ok(both) => both,
                Err(halt) => return halt,
            };
            *moved += given as u64;
            if pump.left == 0 && pump.carried == 0 {
                return Halt::Done;
            }
            if given == 0 && (taken == 0 || pump.carried > 0) {
                let more = pump.carried == 0 && self.socket(from).is_some_and(Socket::has_more);
                return match pump.carried {
                    0 if more => Halt::Share,
                    0 => Halt::Blocked(Wait::Source),
                    _ => Halt::Blocked(Wait::Sink),
                };
            }
            if *moved >= share {
                return Halt::Share;
            }
        }
    }

    /// One step; how much was taken from the source, and how much the other end took.
    fn carry(&mut self, from: End, pump: &mut Pump) -> Result<(usize, usize), Halt> {
        if matches!(pump.by, Carrier::Copy(_)) {
            return self.copy(from, pump);
        }
        let taken = self.take_in(from, pump).map_err(Halt::Source)?;
        let given = self.give_out(pump).map_err(Halt::Sink)?;
        Ok((taken, given))
    }

    /// The same where an end is sealed.
    fn copy(&mut self, from: End, pump: &mut Pump) -> Result<(usize, usize), Halt> {
        let Carrier::Copy(held) = &mut pump.by else { return Ok((0, 0)) };
        let mut given = 0;
        if !held.is_empty() {
            given = self.give(pump.to, held).map_err(Halt::Sink)?;
            held.drain(..given);
        }
        let mut taken = 0;
        if held.is_empty() {
            let wanted = usize::try_from(pump.left).unwrap_or(usize::MAX).min(self.buffer.len());
            taken = self.take(from, wanted, pump.at).map_err(Halt::Source)?;
            pump.at += taken as u64;
            pump.left -= taken as u64;
            let now = self.give_read(pump.to, taken).map_err(Halt::Sink)?;
            held.extend_from_slice(&self.buffer[now..taken]);
            given += now;
        }
        if held.is_empty() {
            *held = Vec::new();
        }
        pump.carried = held.len();
        Ok((taken, given))
    }

    /// From the source into the worker's buffer. 0: nothing is there.
    fn take(&mut self, from: End, wanted: usize, at: u64) -> io::Result<usize> {
        if wanted == 0 {
            return Ok(0);
        }
        if let End::Spool(key) = from {
            let spool = self.spools.get(key).ok_or(io::ErrorKind::NotFound)?;
            return spool.read(&mut self.buffer[..wanted], at);
        }
        let line = end_line(&mut self.sessions, &mut self.links, from).ok_or(io::ErrorKind::NotConnected)?;
        match line.socket.read(&mut self.buffer[..wanted], &mut self.scratch)? {
            Some(0) => Err(io::ErrorKind::UnexpectedEof.into()),
            taken => Ok(taken.unwrap_or(0)),
        }
    }

    /// What was read to the other end, as far as it takes it.
    fn give_read(&mut self, to: End, count: usize) -> io::Result<usize> {
        if count == 0 {
            return Ok(0);
        }
        if let End::Spool(key) = to {
            let spool = self.spools.get_mut(key).ok_or(io::ErrorKind::NotFound)?;
            return spool.write(&self.buffer[..count]).map(|()| count);
        }
        let line = end_line(&mut self.sessions, &mut self.links, to).ok_or(io::ErrorKind::NotConnected)?;
        let given = line.socket.write(&self.buffer[..count], &mut self.scratch, Written::Sent)?;
        Ok(given.unwrap_or(0))
    }

    /// What is left over to the other end, as far as it takes it.
    fn give(&mut self, to: End, held: &[u8]) -> io::Result<usize> {
        let line = end_line(&mut self.sessions, &mut self.links, to).ok_or(io::ErrorKind::NotConnected)?;
        Ok(line.socket.write(held, &mut self.scratch, Written::Sent)?.unwrap_or(0))
    }

    /// From the source into the pipe. 0: nothing is there, or the pipe is full.
    fn take_in(&self, from: End, pump: &mut Pump) -> io::Result<usize> {
        let Carrier::Pipe(pipe) = &pump.by else { return Ok(0) };
        let room = PIPE.saturating_sub(pump.carried);
        let wanted = usize::try_from(pump.left).unwrap_or(usize::MAX).min(room);
        if wanted == 0 {
            return Ok(0);
        }
        let (inlet, flags) = (&pipe.inlet, SpliceFlags::MOVE | SpliceFlags::NONBLOCK);
        let spliced = match from {
            End::Spool(key) => {
                let spool = self.spools.get(key).ok_or(io::ErrorKind::NotFound)?;
                splice(&spool.file, Some(&mut pump.at), inlet, None, wanted, flags)
            }
            _ => splice(self.socket(from).ok_or(io::ErrorKind::NotConnected)?, None, inlet, None, wanted, flags),
        };
        match spliced {
            Ok(0) => Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(taken) => {
                pump.left -= taken as u64;
                pump.carried += taken;
                Ok(taken)
            }
            Err(rustix::io::Errno::AGAIN) => Ok(0),
            Err(error) => Err(error.into()),
        }
    }

    /// From the pipe to the other end. 0: it takes nothing now.
    fn give_out(&mut self, pump: &mut Pump) -> io::Result<usize> {
        let Carrier::Pipe(pipe) = &pump.by else { return Ok(0) };
        if pump.carried == 0 {
            return Ok(0);
        }
        let mut flags = SpliceFlags::MOVE | SpliceFlags::NONBLOCK;
        if pump.left > 0 {
            flags |= SpliceFlags::MORE;
        }
        let (outlet, carried) = (&pipe.outlet, pump.carried);
        let spliced = match pump.to {
            End::Spool(key) => {
                let spool = self.spools.get_mut(key).ok_or(io::ErrorKind::NotFound)?;
                splice(outlet, None, &spool.file, Some(&mut spool.len), carried, flags)
            }
            to => splice(outlet, None, self.socket(to).ok_or(io::ErrorKind::NotConnected)?, None, carried, flags),
        };
        match spliced {
            Ok(given) => {
                pump.carried -= given;
                Ok(given)
            }
            Err(rustix::io::Errno::AGAIN) => Ok(0),
            Err(error) => Err(error.into()),
        }
    }

    /// Ends the relay of an end whose other end is gone; how many bytes are lost on the way.
    pub(super) fn cancel_relay(&mut self, from: End) -> u64 {
        let Some(mut pump) = self.take_pump(from) else { return 0 };
        self.attune(from, &mut pump, &Halt::Done);
        if let Carrier::Copy(_) = &pump.by {
            self.note_carried(from, pump.to, 0);
        }
        // A pipe that holds bytes cannot be used again.
        pump.carried()
    }
}
