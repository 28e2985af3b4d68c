//! The listener, in all its moods.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use socket2::{Domain, Protocol, SockAddr, Socket, Type};

use super::cue::Door;

const BACKLOG: i32 = 128;

/// Connections that fill a queue of length nought: one waits in it, one more is tried and not answered.
const FILLERS: usize = 3;

/// Where new connections come in.
#[derive(Debug)]
pub(super) struct Entrance {
    address: SocketAddr,
    mood: Door,
    listener: Option<Socket>,
    /// Own connections that fill the queue while SYNs are to go unanswered.
    fillers: Vec<Socket>,
    /// Connections that were accepted and are ignored.
    ignored: Vec<Socket>,
}

impl Entrance {
    pub(super) fn open(address: SocketAddr) -> io::Result<Entrance> {
        let listener = Some(listen(address)?);
        Ok(Entrance { address, mood: Door::Open, listener, fillers: Vec::new(), ignored: Vec::new() })
    }

    /// The socket to wait at for new connections, if any are to be accepted.
    pub(super) fn awaited(&self) -> Option<&Socket> {
        if self.mood == Door::Unanswered { None } else { self.listener.as_ref() }
    }

    pub(super) fn change(&mut self, mood: Door) -> io::Result<()> {
        self.mood = mood;
        match mood {
            Door::Refusing => self.listener = None,
            Door::Unanswered => return self.fill(),
            Door::Open | Door::Ignoring => {
                if let Some(listener) = &self.listener {
                    listener.listen(BACKLOG)?;
                } else {
                    self.listener = Some(listen(self.address)?);
                }
            }
        }
        self.empty()
    }

    /// All who are at the door and are to be let in.
    pub(super) fn accept(&mut self) -> Vec<Socket> {
        let arrived: Vec<Socket> = self.awaited().map(waiting).unwrap_or_default();
        match self.mood {
            Door::Open => arrived,
            _ => {
                self.ignored.extend(arrived);
                Vec::new()
            }
        }
    }

    /// Has the kernel drop SYNs: the queue of what is not accepted is made as short as can be, and filled.
    fn fill(&mut self) -> io::Result<()> {
        if self.listener.is_none() {
            self.listener = Some(listen(self.address)?);
        }
        if let Some(listener) = &self.listener {
            listener.listen(0)?;
        }
        for _ in 0..FILLERS {
            let filler = Socket::new(Domain::for_address(self.address), Type::STREAM, Some(Protocol::TCP))?;
            // The last is meant to fail: that shows that the queue is full.
            let answered = filler.connect_timeout(&SockAddr::from(self.address), Duration::from_millis(100));
            self.fillers.push(filler);
            if answered.is_err() {
                return Ok(());
            }
        }
        Err(io::Error::other("the kernel answers SYNs though the listener's queue is full"))
    }

    /// Takes the own fillers out of the queue, and puts what was between them back to whom it belongs: ignored.
    fn empty(&mut self) -> io::Result<()> {
        if self.fillers.is_empty() {
            return Ok(());
        }
        self.fillers.clear();
        self.ignored.extend(self.listener.as_ref().map(waiting).unwrap_or_default());
        Ok(())
    }
}

fn waiting(listener: &Socket) -> Vec<Socket> {
    std::iter::from_fn(|| listener.accept().ok()).map(|(socket, _)| socket).collect()
}

fn listen(address: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket)
}
