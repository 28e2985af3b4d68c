//! The one thread of a fault proxy.

use std::io::{self, Read};
use std::net::SocketAddr;
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use socket2::Socket;

use super::cue::{Cue, Flow, Way};
use super::door::Entrance;
use super::pair::{Interest, Pair, Rule};
use super::{Counts, Letter};
use crate::address::Address;

/// How often a throttle lets something pass.
const TICK: Duration = Duration::from_millis(5);

/// Everything a fault proxy has.
#[derive(Debug)]
pub(super) struct Engine {
    target: Address,
    entrance: Entrance,
    wakened: Socket,
    pairs: Vec<Pair>,
    forth: Rule,
    back: Rule,
    accepted: u64,
    refilled: Instant,
}

impl Engine {
    pub(super) fn new(address: SocketAddr, target: &Address, wakened: Socket) -> io::Result<Engine> {
        wakened.set_nonblocking(true)?;
        let entrance = Entrance::open(address)?;
        let (forth, back) = (Rule::new(), Rule::new());
        let (target, pairs, refilled) = (target.clone(), Vec::new(), Instant::now());
        Ok(Engine { target, entrance, wakened, pairs, forth, back, accepted: 0, refilled })
    }

    /// Waits for something to do and does it; `false` once it is over.
    pub(super) fn turn(&mut self, inbox: &Receiver<Letter>) -> bool {
        // A wait that fails is a wait that was short.
        let _ = self.wait();
        while self.wakened.read(&mut [0; 64]).is_ok_and(|count| count > 0) {}
        while let Ok(letter) = inbox.try_recv() {
            let obeyed = letter.cue.map_or(Ok(()), |cue| self.obey(cue));
            // Who gave the cue may have stopped waiting.
            let _ = letter.done.send(obeyed.map(|()| self.counts()));
            if letter.last {
                return false;
            }
        }
        self.admit();
        self.pass();
        true
    }

    fn counts(&self) -> Counts {
        let (forth, back) = (self.forth.passed, self.back.passed);
        Counts { accepted: self.accepted, open: self.pairs.len() as u64, forth, back }
    }

    fn rule(&mut self, way: Way) -> &mut Rule {
        match way {
            Way::Forth => &mut self.forth,
            Way::Back => &mut self.back,
        }
    }

    fn obey(&mut self, cue: Cue) -> io::Result<()> {
        match cue {
            Cue::Flow(way, flow) => {
                let rule = self.rule(way);
                (rule.flow, rule.allowance) = (flow, 0);
            }
            Cue::EndAfter(way, bytes, end) => self.rule(way).cut = Some((bytes, end)),
            Cue::Hold(way) => self.pairs.iter_mut().for_each(|pair| pair.hold(way)),
            Cue::Release => self.pairs.iter_mut().for_each(Pair::release),
            Cue::Inject(way, bytes) => self.pairs.iter_mut().for_each(|pair| pair.inject(way, &bytes)),
            Cue::End(end) => self.pairs.iter_mut().for_each(|pair| pair.end(end)),
            Cue::Door(door) => return self.entrance.change(door),
        }
        Ok(())
    }

    fn admit(&mut self) {
        for client in self.entrance.accept() {
            // With no target there, its client is sent away.
            if let Ok(pair) = Pair::connect(client, &self.target) {
                self.accepted += 1;
                self.pairs.push(pair);
            }
        }
    }

    fn pass(&mut self) {
        let now = Instant::now();
        self.refill(now);
        for pair in &mut self.pairs {
            let forth = pair.pass(Way::Forth, &mut self.forth, now);
            if let Some(end) = forth.or_else(|| pair.pass(Way::Back, &mut self.back, now)) {
                pair.end(end);
            }
        }
        self.pairs.retain(|pair| !pair.is_over());
    }

    /// Gives throttled ways what the time since the last turn is worth, a second's worth at most.
    fn refill(&mut self, now: Instant) {
        let elapsed = now.duration_since(self.refilled).min(Duration::from_secs(1));
        let worth = |rate: u64| rate * u64::try_from(elapsed.as_micros()).unwrap_or(0) / 1_000_000;
        let rates =
            [self.forth.flow, self.back.flow].map(|flow| if let Flow::Throttled(rate) = flow { rate } else { 0 });
        // A turn that is worth nothing must not be lost.
        if rates.iter().all(|&rate| rate == 0 || worth(rate) > 0) {
            self.refilled = now;
            self.forth.allowance += worth(rates[0]);
            self.back.allowance += worth(rates[1]);
        }
    }

    fn wait(&self) -> io::Result<()> {
        let now = Instant::now();
        let mut fds = vec![PollFd::new(&self.wakened, PollFlags::IN)];
        fds.extend(self.entrance.awaited().map(|listener| PollFd::new(listener, PollFlags::IN)));
        let interests = self.pairs.iter().flat_map(|pair| pair.interests(&self.forth, &self.back, now));
        fds.extend(interests.filter_map(|(socket, interest)| Some(PollFd::new(socket?, flags(interest)?))));
        let limit = self.limit(now).map(Timespec::try_from).transpose().map_err(io::Error::other)?;
        poll(&mut fds, limit.as_ref())?;
        Ok(())
    }

    fn limit(&self, now: Instant) -> Option<Duration> {
        let throttled = |rule: &Rule| matches!(rule.flow, Flow::Throttled(_));
        let tick = (throttled(&self.forth) || throttled(&self.back)).then_some(TICK);
        let due = self.pairs.iter().filter_map(Pair::due).filter(|due| *due > now).min();
        due.map(|due| due - now).into_iter().chain(tick).min()
    }
}

fn flags(interest: Interest) -> Option<PollFlags> {
    match (interest.read, interest.write) {
        (false, false) => None,
        (true, false) => Some(PollFlags::IN),
        (false, true) => Some(PollFlags::OUT),
        (true, true) => Some(PollFlags::IN | PollFlags::OUT),
    }
}
