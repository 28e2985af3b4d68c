//! A simulated client: it follows its script and judges every reply.

use crate::history::{Fate, History, Violation, ensure};
use crate::judge::Judge;
use crate::net::{ConnId, Net};
use crate::resp::{reply_len, shown};
use crate::script::Ending;
use crate::wire::Read;

/// What a client that was hung up on goes on sending.
const IGNORED: &[u8] = b"*1\r\n$4\r\nPING\r\n";

/// For how many microseconds a client has let something lie.
#[derive(Debug, Default)]
struct Idle {
    reading: u64,
    writing: u64,
    longest: u64,
}

/// One client.
#[derive(Debug)]
pub(crate) struct Client {
    index: usize,
    conn: ConnId,
    judge: Judge,
    /// All requests as bytes, and where each ends.
    stream: Vec<u8>,
    ends: Vec<usize>,
    sent: usize,
    ended: bool,
    input: Vec<u8>,
    /// Replies seen.
    answered: usize,
    /// How often it reads, of 256.
    eagerness: u8,
    /// How long it has left undone what it could have read or written, and the longest such time.
    idle: Idle,
    ending: Ending,
    pub(crate) over: bool,
}

impl Client {
    pub(crate) fn new(index: usize, conn: ConnId, history: &History, net: &mut Net) -> Self {
        let script = &history.scripts[index];
        let mut stream: Vec<u8> = script.requests.iter().flat_map(|request| request.bytes.clone()).collect();
        if script.ending == Ending::Hangs {
            stream.extend(IGNORED.repeat(net.rng.usize(0..200)));
        }
        let eagerness = [255, 255, 60, 10][net.rng.usize(0..4)];
        Self {
            index,
            conn,
            judge: Judge::new(index),
            stream,
            ends: script.ends(),
            sent: 0,
            ended: false,
            input: Vec::new(),
            answered: 0,
            eagerness,
            idle: Idle::default(),
            ending: script.ending,
            over: false,
        }
    }

    /// Whether it could do something now.
    pub(crate) fn is_ready(&self, net: &Net, history: &History) -> bool {
        !self.over && (self.may_write(net, history) || net.has_news(self.conn, false) || self.may_leave())
    }

    fn may_write(&self, net: &Net, history: &History) -> bool {
        let wants_to_end = self.ending == Ending::HalfCloses && self.sent == self.stream.len() && !self.ended;
        wants_to_end
            || self.ending == Ending::Dies(self.sent)
            || net.has_room(self.conn, true) && self.gate(history) > self.sent
    }

    /// How far it may send: before a request for which it waits until all earlier ones are answered.
    fn gate(&self, history: &History) -> usize {
        let sent = self.ends.partition_point(|end| *end <= self.sent);
        let requests = &history.scripts[self.index].requests;
        let closed = (sent..requests.len()).find(|at| requests[*at].patient && self.answered < *at);
        closed.map_or(self.stream.len(), |at| if at == 0 { 0 } else { self.ends[at - 1] })
    }

    fn may_leave(&self) -> bool {
        self.ending == Ending::Stays && self.answered == self.ends.len() && self.sent == self.stream.len()
    }

    /// So many microseconds pass without it.
    pub(crate) fn sleep(&mut self, micros: u64, net: &Net, history: &History) {
        self.idle.reading += if net.has_news(self.conn, false) { micros } else { 0 };
        self.idle.writing += if self.may_write(net, history) { micros } else { 0 };
        self.idle.longest = self.idle.longest.max(self.idle.reading).max(self.idle.writing);
    }

    /// Does something: writes, reads, leaves.
    pub(crate) fn act(&mut self, net: &mut Net, history: &mut History) -> Result<(), Violation> {
        if self.may_write(net, history) {
            self.write(net, history);
        }
        let eager = net.rng.u8(..) <= self.eagerness;
        if eager && !self.over && net.has_news(self.conn, false) {
            self.read(net, history)?;
        }
        if self.may_leave() && net.rng.u8(0..8) == 0 {
            self.leave(net);
        }
        Ok(())
    }

    fn write(&mut self, net: &mut Net, history: &mut History) {
        self.idle.writing = 0;
        let mut until = self.gate(history);
        if let Ending::Dies(at) = self.ending {
            until = until.min(at);
        }
        let written = net.write(self.conn, true, &self.stream[self.sent..until]);
        let asked = self.ends.partition_point(|end| *end <= self.sent);
        self.sent += written;
        let now_asked = self.ends.partition_point(|end| *end <= self.sent);
        history.asked[self.index][asked..now_asked].fill(history.seq);
        if self.ending == Ending::Dies(self.sent) && net.rng.u8(0..4) == 0 {
            net.trace.note(net.now, format_args!("client {} dies", self.index));
            net.conn(self.conn).broken = true;
            self.over = true;
        }
        if self.ending == Ending::HalfCloses && self.sent == self.stream.len() && !self.ended {
            net.trace.note(net.now, format_args!("client {} sends no more", self.index));
            net.conn(self.conn).up.end();
            self.ended = true;
        }
    }

    fn read(&mut self, net: &mut Net, history: &mut History) -> Result<(), Violation> {
        self.idle.reading = 0;
        ensure(!net.is_broken(self.conn), || format!("the connection of client {} broke", self.index))?;
        match net.read(self.conn, false, usize::MAX) {
            Read::Bytes(bytes) => self.input.extend(bytes),
            Read::Ended => return self.hung_up(net, history),
            Read::Blocked => {}
        }
        while let Some(len) = reply_len(&self.input)? {
            let reply: Vec<u8> = self.input.drain(..len).collect();
            net.trace.note(net.now, format_args!("client {} reply {}: {}", self.index, self.answered, shown(&reply)));
            ensure(self.has_begun(self.answered), || {
                format!("client {} got a reply to nothing: {}", self.index, shown(&reply))
            })?;
            self.judge.take(history, self.answered, &reply, net.now)?;
            self.answered += 1;
        }
        Ok(())
    }

    /// Whether a byte of a request was sent: what is too long is refused before its end.
    fn has_begun(&self, request: usize) -> bool {
        let start = if request == 0 { 0 } else { self.ends[request - 1] };
        request < self.ends.len() && start < self.sent
    }

    /// The proxy has closed the connection.
    fn hung_up(&mut self, net: &mut Net, history: &History) -> Result<(), Violation> {
        let expected = matches!(self.ending, Ending::Hangs | Ending::HalfCloses);
        let stood = self.idle.longest >= history.stall_micros();
        ensure(
            stood
                || history.upstream_lost
                || history.stalled_behind
                || expected && self.answered == self.ends.len() && self.input.is_empty(),
            || format!("client {} was hung up on after {} of {} replies", self.index, self.answered, self.ends.len()),
        )?;
        self.leave(net);
        Ok(())
    }

    fn leave(&mut self, net: &mut Net) {
        net.trace.note(net.now, format_args!("client {} leaves", self.index));
        net.close_below(self.conn);
        self.over = true;
    }

    /// How far it is, for people.
    pub(crate) fn progress(&self, history: &History) -> String {
        let open = history.fates[self.index].iter().filter(|fate| **fate == Fate::Open).count();
        format!(
            "client {}: sent {} of {} bytes, {} of {} replies, {open} open, {:?}",
            self.index,
            self.sent,
            self.stream.len(),
            self.answered,
            self.ends.len(),
            self.ending
        )
    }
}
