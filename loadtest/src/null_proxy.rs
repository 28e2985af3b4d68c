//! The least that a proxy can do: move bytes between many clients and one instance without looking at them.
//!
//! Every request has one size and every reply another, both told on the command line, so there is nothing to parse;
//! all ready clients' requests go upstream in one write. What another proxy costs more than this is its own work.

use crate::{Error, Result, interrupt, net};
use clap::Args;
use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};
use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::time::Duration;

const LISTENER: Token = Token(usize::MAX - 1);
const UPSTREAM: Token = Token(usize::MAX - 2);

/// What `pdw-loadtest null-proxy` takes.
#[derive(Args, Clone, Debug)]
pub struct Options {
    /// Where clients connect
    #[arg(long)]
    pub listen: SocketAddr,
    /// The instance
    #[arg(long)]
    pub upstream: SocketAddr,
    /// Bytes of every request
    #[arg(long)]
    pub request_size: NonZeroUsize,
    /// Bytes of every reply
    #[arg(long)]
    pub reply_size: NonZeroUsize,
}

/// A socket and the bytes that it did not take yet.
struct Pipe {
    socket: TcpStream,
    unsent: Vec<u8>,
}

impl Pipe {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        let taken = if self.unsent.is_empty() { would_block_is_zero(self.socket.write(bytes))? } else { 0 };
        self.unsent.extend_from_slice(&bytes[taken..]);
        Ok(())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        while !self.unsent.is_empty() {
            match would_block_is_zero(self.socket.write(&self.unsent))? {
                0 => break,
                size => drop(self.unsent.drain(..size)),
            }
        }
        Ok(())
    }
}

struct Client {
    pipe: Pipe,
    /// The beginning of a request whose end has not arrived.
    partial: Vec<u8>,
}

struct NullProxy {
    poll: Poll,
    listener: TcpListener,
    upstream: Pipe,
    /// Indexed by token. A slot is never used again: a late reply must not reach a later client.
    clients: Vec<Option<Client>>,
    /// Whose replies come next, and how many.
    order: VecDeque<(usize, usize)>,
    batch: Vec<u8>,
    received: Vec<u8>,
    replies: Vec<u8>,
    request_size: usize,
    reply_size: usize,
}

/// Serves until a signal or the instance ends it.
pub fn run(options: &Options) -> Result<()> {
    let mut proxy = NullProxy::new(options)?;
    let mut events = Events::with_capacity(512);
    loop {
        match proxy.poll.poll(&mut events, Some(Duration::from_millis(500))) {
            Err(source) if source.kind() != ErrorKind::Interrupted => {
                return Err(Error::System { doing: "wait", source });
            }
            _ => interrupt::check()?,
        }
        proxy.turn(&events).map_err(Error::system("talk to the instance"))?;
    }
}

impl NullProxy {
    fn new(options: &Options) -> Result<Self> {
        let poll = Poll::new().map_err(Error::system("create a poll"))?;
        let mut listener = TcpListener::from_std(net::listen(options.listen)?);
        let mut socket = TcpStream::from_std(net::connect(options.upstream, None)?);
        let mut register = |poll: &Poll| -> std::io::Result<()> {
            poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
            poll.registry().register(&mut socket, UPSTREAM, Interest::READABLE | Interest::WRITABLE)
        };
        register(&poll).map_err(Error::system("register the sockets"))?;
        Ok(Self {
            poll,
            listener,
            upstream: Pipe { socket, unsent: Vec::new() },
            clients: Vec::new(),
            order: VecDeque::new(),
            batch: Vec::new(),
            received: vec![0; 64 << 10],
            replies: Vec::new(),
            request_size: options.request_size.get(),
            reply_size: options.reply_size.get(),
        })
    }

    fn turn(&mut self, events: &Events) -> std::io::Result<()> {
        let mut replied = false;
        for event in events {
            match event.token() {
                LISTENER => self.accept()?,
                UPSTREAM => {
                    self.upstream.flush()?;
                    replied = true;
                }
                Token(index) => self.read_client(index),
            }
        }
        if !self.batch.is_empty() {
            self.upstream.write(&self.batch)?;
            self.batch.clear();
        }
        if replied { self.read_upstream() } else { Ok(()) }
    }

    fn accept(&mut self) -> std::io::Result<()> {
        while let Ok((mut socket, _)) = self.listener.accept() {
            socket.set_nodelay(true)?;
            let both = Interest::READABLE | Interest::WRITABLE;
            self.poll.registry().register(&mut socket, Token(self.clients.len()), both)?;
            self.clients.push(Some(Client { pipe: Pipe { socket, unsent: Vec::new() }, partial: Vec::new() }));
        }
        Ok(())
    }

    fn read_client(&mut self, index: usize) {
        let Some(client) = &mut self.clients[index] else { return };
        if client.pipe.flush().is_err() {
            self.clients[index] = None;
            return;
        }
        loop {
            match client.pipe.socket.read(&mut self.received) {
                Ok(size) if size > 0 => {
                    let requests = take(client, &self.received[..size], self.request_size, &mut self.batch);
                    if requests > 0 {
                        self.order.push_back((index, requests));
                    }
                    if size < self.received.len() {
                        return;
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                _ => {
                    self.clients[index] = None;
                    return;
                }
            }
        }
    }

    /// A read that does not fill the buffer has emptied the socket.
    fn read_upstream(&mut self) -> std::io::Result<()> {
        loop {
            let size = would_block_is_zero(self.upstream.socket.read(&mut self.received).and_then(closed_is_error))?;
            self.give_replies(size);
            if size < self.received.len() {
                return Ok(());
            }
        }
    }

    fn give_replies(&mut self, size: usize) {
        let received = &self.received[..size];
        if self.replies.is_empty() {
            let given = give(&mut self.order, &mut self.clients, self.reply_size, received);
            self.replies.extend_from_slice(&received[given..]);
        } else {
            self.replies.extend_from_slice(received);
            let given = give(&mut self.order, &mut self.clients, self.reply_size, &self.replies);
            self.replies.drain(..given);
        }
    }
}

/// Moves the whole requests to the batch and says how many they are; keeps a partial one with the client.
fn take(client: &mut Client, bytes: &[u8], request_size: usize, batch: &mut Vec<u8>) -> usize {
    let requests = (client.partial.len() + bytes.len()) / request_size;
    if requests == 0 {
        client.partial.extend_from_slice(bytes);
        return 0;
    }
    let whole = requests * request_size - client.partial.len();
    batch.append(&mut client.partial);
    batch.extend_from_slice(&bytes[..whole]);
    client.partial.extend_from_slice(&bytes[whole..]);
    requests
}

/// Writes whole replies to those whose turn it is, and says how many bytes that took.
fn give(
    order: &mut VecDeque<(usize, usize)>,
    clients: &mut [Option<Client>],
    reply_size: usize,
    bytes: &[u8],
) -> usize {
    let mut at = 0;
    while let Some((index, owed)) = order.front_mut() {
        let count = (*owed).min((bytes.len() - at) / reply_size);
        if count == 0 {
            break;
        }
        let end = at + count * reply_size;
        let failed = clients[*index].as_mut().is_some_and(|client| client.pipe.write(&bytes[at..end]).is_err());
        if failed {
            clients[*index] = None;
        }
        at = end;
        *owed -= count;
        if *owed == 0 {
            order.pop_front();
        }
    }
    at
}

fn would_block_is_zero(done: std::io::Result<usize>) -> std::io::Result<usize> {
    match done {
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(0),
        other => other,
    }
}

fn closed_is_error(size: usize) -> std::io::Result<usize> {
    if size == 0 {
        Err(std::io::Error::new(ErrorKind::UnexpectedEof, "the instance closed the connection"))
    } else {
        Ok(size)
    }
}
