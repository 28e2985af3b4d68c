//! How large values share a worker, and its machine, with small requests.
//!
//! Nobody waits for a worker longer than one share of a relay takes. That is not all: where cores are few, who waits
//! for the small request's next step (an instance, a client) has to get one of them, and a worker that moves one share
//! after the other leaves none. So beside small requests it rests after each share. Measured on two cores, 50 writers
//! of 50 MiB: p99 at another instance half of what it is without the rest, large values as fast as before.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::Duration;

use mio::unix::SourceFd;
use mio::{Interest, Registry};
use pdw_router::Time;
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
};

use super::token::Source;

/// Bytes after which relays have had their share of a turn: about a fifth of a millisecond.
const SHARE: u64 = 1 << 20;
/// How long relays rest then beside small requests. The event queue's own time-outs are milliseconds.
const REST: Duration = Duration::from_micros(200);
/// So long after a session has sent something small requests count as being around.
const AROUND: Duration = Duration::from_millis(2);

/// When relays may go on, and how far.
#[derive(Debug)]
pub(super) struct Pace {
    timer: OwnedFd,
    resting: bool,
    /// Until then small requests are around.
    beside: Time,
}

impl Pace {
    /// Its timer is waited for as sockets are.
    ///
    /// # Errors
    /// The kernel has no timer to give: there are no descriptors left.
    pub(super) fn new(registry: &Registry) -> io::Result<Self> {
        let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
        let timer = timerfd_create(TimerfdClockId::Monotonic, flags)?;
        registry.register(&mut SourceFd(&timer.as_raw_fd()), Source::Rest.token(), Interest::READABLE)?;
        Ok(Self { timer, resting: false, beside: Time::default() })
    }

    /// A session has sent something.
    pub(super) fn note_request(&mut self, now: Time) {
        self.beside = now.after(AROUND);
    }

    /// Bytes that relays may move in this turn.
    pub(super) fn share(&self) -> u64 {
        if self.resting { 0 } else { SHARE }
    }

    /// Relays had their share and could go on: sees to the rest that they owe.
    pub(super) fn begin_rest(&mut self, now: Time) {
        if now < self.beside && !self.resting {
            let once = Itimerspec { it_interval: timespec(Duration::ZERO), it_value: timespec(REST) };
            // Without a timer they go on.
            self.resting = timerfd_settime(&self.timer, TimerfdTimerFlags::empty(), &once).is_ok();
        }
    }

    /// The timer says that the rest is over.
    pub(super) fn end_rest(&mut self) {
        self.resting = false;
    }

    /// Whether relays that could go on wait for the timer.
    pub(super) fn is_resting(&self) -> bool {
        self.resting
    }
}

fn timespec(span: Duration) -> Timespec {
    Timespec { tv_sec: span.as_secs() as i64, tv_nsec: span.subsec_nanos().into() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mio::{Events, Poll};

    fn at(micros: u64) -> Time {
        Time::from_micros(micros)
    }

    #[test]
    fn alone_relays_do_not_rest() {
        let poll = Poll::new().unwrap();
        let mut pace = Pace::new(poll.registry()).unwrap();
        pace.note_request(at(1000));
        pace.begin_rest(at(3001));
        assert_eq!((pace.share(), pace.is_resting()), (SHARE, false));
    }

    #[test]
    fn beside_small_requests_they_rest_until_the_timer_says_so_each_time() {
        let mut poll = Poll::new().unwrap();
        let mut pace = Pace::new(poll.registry()).unwrap();
        let mut events = Events::with_capacity(4);
        for turn in 0..3 {
            pace.note_request(at(turn * 1000));
            pace.begin_rest(at(turn * 1000 + 500));
            assert_eq!((pace.share(), pace.is_resting()), (0, true));
            poll.poll(&mut events, Some(Duration::from_secs(5))).unwrap();
            let sources: Vec<Source> = events.iter().map(|event| Source::of(event.token())).collect();
            assert_eq!(sources, [Source::Rest]);
            pace.end_rest();
            assert_eq!(pace.share(), SHARE);
        }
    }
}
