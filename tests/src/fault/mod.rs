//! A fault proxy: it stands between two processes and passes bytes, until a test cues a fault.
//!
//! One thread does everything, so a cue that has returned has taken effect: after [`FaultProxy::stall`] no further
//! byte passes, after [`FaultProxy::cut_after`] exactly so many pass. The program `fault_proxy` takes the same cues as
//! lines of text ([`Cue`]).

mod cue;
mod door;
mod engine;
mod pair;
#[cfg(test)]
mod tests;

use std::io;
use std::net::SocketAddr;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

pub use cue::{Cue, Door, End, Flow, Way};

use crate::address::Address;
use engine::Engine;

/// How long a cue may take.
const LIMIT: Duration = Duration::from_secs(10);

/// What has passed so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Connections that were accepted and connected to the target.
    pub accepted: u64,
    /// Those of them that are open now, on one side at least.
    pub open: u64,
    /// Bytes written to the target.
    pub forth: u64,
    /// Bytes written to clients.
    pub back: u64,
}

/// A cue on its way to the thread, and where to say that it has been obeyed.
#[derive(Debug)]
struct Letter {
    /// `None` ends the thread, or only asks for the counts, by `last`.
    cue: Option<Cue>,
    last: bool,
    done: Sender<io::Result<Counts>>,
}

/// A running fault proxy; it ends, and all its connections with it, when dropped.
#[derive(Debug)]
pub struct FaultProxy {
    address: Address,
    letters: Sender<Letter>,
    waker: socket2::Socket,
    thread: Option<JoinHandle<()>>,
}

impl FaultProxy {
    /// Stands before `target`, on a free loopback port.
    ///
    /// # Errors
    /// What the sockets report.
    pub fn start(target: &Address) -> io::Result<FaultProxy> {
        FaultProxy::listen(&Address::free_loopback()?, target)
    }

    /// Stands before `target`, listening at a TCP address.
    ///
    /// # Errors
    /// What the sockets report.
    pub fn listen(address: &Address, target: &Address) -> io::Result<FaultProxy> {
        let Address::Tcp(at) = address else { return Err(io::Error::other("a fault proxy listens on TCP")) };
        let (waker, wakened) = socket2::Socket::pair(socket2::Domain::UNIX, socket2::Type::STREAM, None)?;
        let (letters, inbox) = channel();
        let thread = run(*at, target, wakened, inbox)?;
        Ok(FaultProxy { address: address.clone(), letters, waker, thread: Some(thread) })
    }

    /// Where clients connect.
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// Gives a cue; when this returns it is in effect.
    ///
    /// # Errors
    /// What the sockets report.
    pub fn give(&self, cue: Cue) -> io::Result<()> {
        self.post(Some(cue), false).map(drop)
    }

    /// What has passed so far.
    ///
    /// # Errors
    /// When the proxy has ended.
    pub fn counts(&self) -> io::Result<Counts> {
        self.post(None, false)
    }

    /// Nothing passes one way any more: the peers feel full sockets, and nothing is lost.
    ///
    /// # Errors
    /// As [`FaultProxy::give`].
    pub fn stall(&self, way: Way) -> io::Result<()> {
        self.give(Cue::Flow(way, Flow::Stalled))
    }

    /// Packets are no longer delivered: both ways stall, and new connections are treated by `door`.
    ///
    /// What is in flight is late, not lost: after [`FaultProxy::heal`] it arrives, as TCP has it.
    ///
    /// # Errors
    /// As [`FaultProxy::give`].
    pub fn black_hole(&self, door: Door) -> io::Result<()> {
        self.stall(Way::Forth)?;
        self.stall(Way::Back)?;
        self.give(Cue::Door(door))
    }

    /// The connections that are open now are as if their path were lost, while new ones take another: nothing passes
    /// on them either way, until [`FaultProxy::heal`] has it arrive late.
    ///
    /// # Errors
    /// As [`FaultProxy::give`].
    pub fn hold(&self) -> io::Result<()> {
        self.give(Cue::Hold(Way::Forth))?;
        self.give(Cue::Hold(Way::Back))
    }

    /// Everything passes again, at once; connections that were cut stay cut.
    ///
    /// # Errors
    /// As [`FaultProxy::give`].
    pub fn heal(&self) -> io::Result<()> {
        self.give(Cue::Flow(Way::Forth, Flow::Free))?;
        self.give(Cue::Flow(Way::Back, Flow::Free))?;
        self.give(Cue::Release)?;
        self.give(Cue::Door(Door::Open))
    }

    /// Ends all connections that are open now.
    ///
    /// # Errors
    /// As [`FaultProxy::give`].
    pub fn end(&self, end: End) -> io::Result<()> {
        self.give(Cue::End(end))
    }

    /// Ends the connection that passes the last of the next `bytes` of one way, behind that byte.
    ///
    /// # Errors
    /// As [`FaultProxy::give`].
    pub fn cut_after(&self, way: Way, bytes: u64, end: End) -> io::Result<()> {
        self.give(Cue::EndAfter(way, bytes, end))
    }

    fn post(&self, cue: Option<Cue>, last: bool) -> io::Result<Counts> {
        let (done, answer) = channel();
        let gone = |_| io::Error::other("the fault proxy has ended");
        self.letters.send(Letter { cue, last, done }).map_err(|_| io::Error::other("the fault proxy has ended"))?;
        self.waker.send(&[1])?;
        answer.recv_timeout(LIMIT).map_err(gone)?
    }
}

impl Drop for FaultProxy {
    fn drop(&mut self) {
        // It fails only when the thread has ended already.
        let _ = self.post(None, true);
        self.thread.take().map(JoinHandle::join);
    }
}

fn run(
    address: SocketAddr,
    target: &Address,
    wakened: socket2::Socket,
    inbox: Receiver<Letter>,
) -> io::Result<JoinHandle<()>> {
    let mut engine = Engine::new(address, target, wakened)?;
    Ok(thread::spawn(move || while engine.turn(&inbox) {}))
}
