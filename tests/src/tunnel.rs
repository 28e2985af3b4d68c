//! The end of a sealed connection for whoever has none: it takes plain connections before a sealed listener, or sealed
//! ones before an instance, as Tarsnap's `spiped -e` and `-d` do.
//!
//! Two processes must not notice that it is there: what one ends or resets the other finds ended or reset, and who does
//! not read is not read for.

use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use pdw_auth::{Role, Sealed};
use rustix::event::{PollFd, PollFlags, poll};
use socket2::{Domain, SockAddr, Socket, Type};

use crate::address::Address;
use crate::sealed::SealedStream;

/// What makes a handshake over a socket.
pub type Shake = Arc<dyn Fn(TcpStream) -> io::Result<SealedStream> + Send + Sync>;

/// Bytes read at a time, and no more than this is ever held for who does not take it.
const PIECE: usize = 64 << 10;

/// A running tunnel; it ends, and all its connections with it, when dropped.
#[derive(Debug)]
pub struct Tunnel {
    address: Address,
    /// The other end of it is watched by all threads: its end is theirs.
    _alive: Socket,
}

impl Tunnel {
    /// Stands before `target` at a loopback address; `role`: which end of the sealed connections it is.
    ///
    /// # Errors
    /// What the sockets report.
    pub fn start(role: Role, shake: Shake, listen: &Address, target: &Address) -> io::Result<Tunnel> {
        let listener = TcpListener::bind(listen.to_string())?;
        let (alive, watched) = Socket::pair(Domain::UNIX, Type::STREAM, None)?;
        let (target, watched) = (target.clone(), Arc::new(watched));
        thread::spawn(move || {
            // Its end is the end of the tunnel.
            let _ = admit(&listener, &watched, |client| {
                let (target, shake, watched) = (target.clone(), Arc::clone(&shake), Arc::clone(&watched));
                thread::spawn(move || {
                    // Whoever is at either end finds its connection closed.
                    let _ = carry(role, &shake, client, &target, &watched);
                });
            });
        });
        Ok(Tunnel { address: listen.clone(), _alive: alive })
    }

    /// Where it listens.
    pub fn address(&self) -> &Address {
        &self.address
    }
}

fn admit(listener: &TcpListener, watched: &Socket, take: impl Fn(TcpStream)) -> io::Result<()> {
    loop {
        let mut fds = [PollFd::new(listener, PollFlags::IN), PollFd::new(watched, PollFlags::IN)];
        wait(&mut fds)?;
        if !fds[1].revents().is_empty() {
            return Ok(());
        }
        take(listener.accept()?.0);
    }
}

/// Connects and passes bytes both ways until both have ended.
fn carry(role: Role, shake: &Shake, client: TcpStream, target: &Address, watched: &Socket) -> io::Result<()> {
    client.set_nodelay(true)?;
    let (plain, sealed) = match (role, target) {
        (Role::Opens, Address::Tcp(target)) => (Socket::from(client), shake(TcpStream::connect(target)?)?),
        (Role::Opens, Address::Unix(_)) => return Err(io::ErrorKind::Unsupported.into()),
        (Role::Accepts, target) => (connect(target)?, shake(client)?),
    };
    let (sealed, seal, inbox) = sealed.into_parts();
    let mut pair = Pair { plain, sealed: sealed.into(), seal, inbox, forth: Flow::default(), back: Flow::default() };
    pair.plain.set_nonblocking(true)?;
    pair.sealed.set_nonblocking(true)?;
    let passed = pair.pass_all(watched);
    if passed.is_err() {
        // Neither end may take this for a regular end.
        pair.plain.set_linger(Some(Duration::ZERO))?;
        pair.sealed.set_linger(Some(Duration::ZERO))?;
    }
    passed
}

fn connect(target: &Address) -> io::Result<Socket> {
    match target {
        Address::Tcp(address) => {
            let stream = TcpStream::connect(address)?;
            stream.set_nodelay(true)?;
            Ok(stream.into())
        }
        Address::Unix(path) => {
            let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
            socket.connect(&SockAddr::unix(path)?)?;
            Ok(socket)
        }
    }
}

/// One way of a connection.
#[derive(Debug, Default)]
struct Flow {
    /// To be written, from `written` on.
    waiting: Vec<u8>,
    written: usize,
    /// Its source has ended.
    ended: bool,
    /// Its drain has been told so.
    closed: bool,
}

impl Flow {
    /// Whether its source is to be read.
    fn wants(&self) -> bool {
        self.waiting.is_empty() && !self.ended
    }

    /// Writes what waits, and passes the end on; whether some of it left.
    fn write(&mut self, drain: &Socket) -> io::Result<bool> {
        let before = self.written;
        while self.written < self.waiting.len() {
            match (&mut &*drain).write(&self.waiting[self.written..]) {
                Ok(count) => self.written += count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(self.written > before),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        let left = self.written > before;
        self.waiting.clear();
        self.written = 0;
        if self.ended && !self.closed {
            self.closed = true;
            drain.shutdown(std::net::Shutdown::Write)?;
        }
        Ok(left)
    }
}

#[derive(Debug)]
struct Pair {
    plain: Socket,
    sealed: Socket,
    seal: Box<dyn Sealed>,
    /// Arrived sealed and not opened.
    inbox: Vec<u8>,
    /// From the plain side to the sealed one.
    forth: Flow,
    back: Flow,
}

impl Pair {
    fn pass_all(&mut self, watched: &Socket) -> io::Result<()> {
        // What came with the handshake.
        self.open()?;
        let mut broken = false;
        while !(self.forth.closed && self.back.closed) {
            let came = self.read_plain()? | self.read_sealed()?;
            let left = self.forth.write(&self.sealed)? | self.back.write(&self.plain)?;
            match (came || left, broken) {
                // What had come before a reset is passed on before it is, as far as it is taken: a kernel does so too.
                (true, _) => {}
                (false, true) => return Err(io::ErrorKind::ConnectionAborted.into()),
                (false, false) => broken = self.wait(watched)?,
            }
        }
        Ok(())
    }

    /// Whether something came.
    fn read_plain(&mut self) -> io::Result<bool> {
        if !self.forth.wants() {
            return Ok(false);
        }
        let mut piece = [0; PIECE];
        match read(&self.plain, &mut piece)? {
            None => return Ok(false),
            Some(0) => {
                self.forth.ended = true;
                self.seal.close(&mut self.forth.waiting).map_err(io::Error::other)?;
            }
            Some(count) => self.seal.seal(&piece[..count], &mut self.forth.waiting).map_err(io::Error::other)?,
        }
        Ok(true)
    }

    /// Whether something came.
    fn read_sealed(&mut self) -> io::Result<bool> {
        if !self.back.wants() {
            return Ok(false);
        }
        let mut piece = [0; PIECE];
        match read(&self.sealed, &mut piece)? {
            None => return Ok(false),
            Some(0) => {
                self.seal.ended(&self.inbox).map_err(io::Error::other)?;
                self.back.ended = true;
                return Ok(true);
            }
            Some(count) => self.inbox.extend_from_slice(&piece[..count]),
        }
        self.open()?;
        Ok(true)
    }

    fn open(&mut self) -> io::Result<()> {
        let opened = self.seal.open(&mut self.inbox, &mut self.back.waiting).map_err(io::Error::other)?;
        self.inbox.drain(..opened.consumed);
        self.back.ended |= opened.end;
        Ok(())
    }

    /// Waits until either socket has something, or takes something; whether one of them is broken.
    fn wait(&self, watched: &Socket) -> io::Result<bool> {
        let flags = |source: &Flow, drain: &Flow| {
            let (read, write) = (source.wants(), !drain.waiting.is_empty());
            // What is over would only ever say that it is.
            let over = source.ended && drain.closed;
            (!over).then_some([(read, PollFlags::IN), (write, PollFlags::OUT)])
        };
        let chosen = |(wanted, flag): (bool, PollFlags)| if wanted { flag } else { PollFlags::empty() };
        let mut fds = vec![PollFd::new(watched, PollFlags::IN)];
        for (socket, source, drain) in [(&self.plain, &self.forth, &self.back), (&self.sealed, &self.back, &self.forth)]
        {
            fds.extend(flags(source, drain).map(|[read, write]| PollFd::new(socket, chosen(read) | chosen(write))));
        }
        wait(&mut fds)?;
        if !fds[0].revents().is_empty() {
            return Err(io::ErrorKind::ConnectionAborted.into());
        }
        if fds.iter().any(|fd| fd.revents().intersects(PollFlags::ERR)) {
            return Ok(true);
        }
        if fds.iter().all(|fd| !fd.revents().intersects(PollFlags::IN | PollFlags::OUT)) {
            // A UNIX socket whose peer is gone says so again and again, while the other end takes nothing.
            thread::sleep(Duration::from_millis(2));
        }
        Ok(false)
    }
}

fn wait(fds: &mut [PollFd<'_>]) -> io::Result<()> {
    while let Err(error) = poll(fds, None) {
        if error != rustix::io::Errno::INTR {
            return Err(error.into());
        }
    }
    Ok(())
}

/// Bytes read; none when there is nothing yet.
fn read(mut socket: &Socket, piece: &mut [u8]) -> io::Result<Option<usize>> {
    match socket.read(piece) {
        Ok(count) => Ok(Some(count)),
        Err(error) if [io::ErrorKind::WouldBlock, io::ErrorKind::Interrupted].contains(&error.kind()) => Ok(None),
        Err(error) => Err(error),
    }
}
