//! Clients that ask for much and never read, and many that never come to an end.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use pdw_tests::address::Address;
use pdw_tests::connection::{Connection, encode, until};

use rustix::net::sockopt::set_socket_send_buffer_size;

use crate::stage::on_each_stage;
use crate::stripe::{Content, Mover, stripe_key, stripe_size};
use pdw_tests::full_or;

const FILE: &str = "/greedy/file";

/// Clients of one kind.
const CLIENTS: u32 = 10;

/// Clients that begin at once where they are very many.
const WAVE: usize = 50;

/// How long nothing has to move until nothing will.
const QUIET: Duration = Duration::from_millis(500);

/// The same for a wave.
const WAVE_QUIET: Duration = Duration::from_millis(50);

/// What each of very many clients has of the kernel's memory: here it is the same kernel as the proxy's, and its limit
/// (`tcp_mem`, tcp(7)) would be reached.
const SEND_BUFFER: usize = 16 << 10;

/// How long clients may take to send what is taken of them.
const LIMIT: Duration = Duration::from_secs(120);

/// A client that sends and never reads.
struct Sender {
    stream: TcpStream,
    left: usize,
    closed: bool,
}

impl Sender {
    fn connect(address: &Address, bytes: usize) -> io::Result<Sender> {
        let stream = Mover::connect(address)?.into_stream();
        stream.set_nonblocking(true)?;
        Ok(Sender { stream, left: bytes, closed: false })
    }

    /// The same with `SEND_BUFFER`.
    fn connect_small(address: &Address, bytes: usize) -> io::Result<Sender> {
        let sender = Sender::connect(address, bytes)?;
        set_socket_send_buffer_size(&sender.stream, SEND_BUFFER)?;
        Ok(sender)
    }

    fn sends(&self) -> bool {
        self.left > 0 && !self.closed
    }

    /// Sends some of what is left, taken from `pattern` again and again; how much was taken.
    fn send(&mut self, pattern: &[u8], all: usize) -> usize {
        let at = (all - self.left) % pattern.len();
        let len = (pattern.len() - at).min(self.left);
        match self.stream.write(&pattern[at..at + len]) {
            Ok(taken) => {
                self.left -= taken;
                taken
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
            Err(_) => {
                self.closed = true;
                0
            }
        }
    }
}

/// All send at once, until nothing of theirs is taken any more; of how many not all was.
fn send_all(senders: &mut [Sender], pattern: &[u8], all: usize, quiet: Duration) -> usize {
    let started = Instant::now();
    let mut moved = started;
    while moved.elapsed() < quiet && started.elapsed() < LIMIT {
        let taken: usize = senders.iter_mut().filter(|one| one.sends()).map(|one| one.send(pattern, all)).sum();
        if taken > 0 {
            moved = Instant::now();
        } else {
            thread::sleep(Duration::from_millis(5));
        }
        if !senders.iter().any(Sender::sends) {
            break;
        }
    }
    senders.iter().filter(|sender| sender.sends()).count()
}

#[test]
fn clients_that_ask_for_a_stripe_and_never_read() -> io::Result<()> {
    on_each_stage(|stage| {
        let (size, key) = (stripe_size(), stripe_key(FILE, 0));
        Mover::connect(stage.proxy.address())?.set(&key, Content::new(0, 0, size))?;
        stage.unharmed_while("never read a stripe", |address| {
            let ask = |_| {
                let mut mover = Mover::connect(address)?;
                mover.stream().write_all(&encode(&["GET", &key])).map(|()| mover)
            };
            let silent = (0..CLIENTS).map(ask).collect::<io::Result<Vec<_>>>()?;
            thread::sleep(QUIET);
            drop(silent);
            Ok(())
        })?;
        Mover::connect(stage.proxy.address())?.read(&key, Content::new(0, 0, size))
    })
}

#[test]
fn clients_that_pipeline_very_many_gets_and_never_read() -> io::Result<()> {
    let count = full_or(10_000_000, 200_000);
    on_each_stage(|stage| {
        // So long that not all requests find room in sockets.
        let key = "greedy".repeat(20);
        let request = encode(&["GET", &key]);
        let reply = format!("$100\r\n{}\r\n", "v".repeat(100)).into_bytes();
        Mover::connect(stage.proxy.address())?.call(&["SET", &key, &"v".repeat(100)])?;
        let (pattern, all) = (request.repeat(1000), request.len() * count);
        stage.unharmed_while("never read many replies", |address| {
            let mut senders = (0..2).map(|_| Sender::connect(address, all)).collect::<io::Result<Vec<_>>>()?;
            // Sooner or later they are not read either.
            assert_eq!(send_all(&mut senders, &pattern, all, QUIET), 2);
            // Once it reads, one gets what it is owed.
            let sent = (all - senders[0].left) / request.len();
            senders[0].stream.set_nonblocking(false)?;
            let mut got = vec![0; reply.len() * 1000];
            for _ in 0..sent / 1000 {
                senders[0].stream.read_exact(&mut got)?;
                assert!(got.chunks(reply.len()).all(|one| one == reply));
            }
            Ok(())
        })
    })
}

/// All but the last byte of a request with a value of this size, of each client.
fn all_but_the_last_byte(sizes: fn(&str) -> usize) -> io::Result<()> {
    let count = full_or(10_000, 1_000);
    on_each_stage(|stage| {
        let request = encode(&["SET", "unfinished", &"v".repeat(sizes(stage.profile))]);
        let all = request.len() - 1;
        let address = stage.proxy.address().clone();
        let (full, waiting, closed) = stage.unharmed_while("all but the last byte", |address| {
            let (mut senders, mut waiting) = (Vec::new(), 0);
            while senders.len() < count {
                let mut wave: Vec<_> = (0..WAVE).filter_map(|_| Sender::connect_small(address, all).ok()).collect();
                waiting += send_all(&mut wave, &request[..all], all, WAVE_QUIET);
                senders.append(&mut wave);
            }
            let closed = senders.iter().filter(|sender| sender.closed).count();
            Ok((senders.len() - waiting - closed, waiting, closed))
        })?;
        println!("{full} have sent all, {waiting} wait, {closed} were closed");
        // Sessions are taken again when memory is there again.
        let exists = || Connection::open(&address)?.demand(&["EXISTS", "unfinished"]);
        assert_eq!(until("a session", LIMIT, exists)?.integer(), Some(0));
        Ok(())
    })
}

#[test]
fn many_requests_just_below_large_that_never_end() -> io::Result<()> {
    all_but_the_last_byte(|_| (64 << 10) - 1)
}

#[test]
fn many_requests_just_below_the_threshold_that_never_end() -> io::Result<()> {
    all_but_the_last_byte(|profile| if profile == "pdwfs" { (1 << 20) - 1 } else { 100 << 10 })
}
