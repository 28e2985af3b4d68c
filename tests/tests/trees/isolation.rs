//! What holds up one session, or one shard, holds up nobody else on the framed link.
//!
//! With `PDW_FULL` a leaf has a thousand clients, else a hundred.

use std::io::{self, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use pdw_tests::address::Address;
use pdw_tests::connection::{Connection, encode};
use pdw_tests::instance::Instance;
use pdw_tests::latency::keys_at;
use pdw_tests::proxy::Proxy;

use super::{LIMIT, leaf, spine, wait_served};
use pdw_tests::full_or;

/// Bytes of a stripe.
const STRIPE: usize = 50 << 20;
/// Threads that ask for the clients.
const THREADS: usize = 2;
/// So many of a thread's clients ask at once.
const WAVE: usize = 5;
/// How long a look at their waits is.
const WATCH: Duration = Duration::from_secs(1);
/// A wait below this is the machine's.
const NOISE: Duration = Duration::from_millis(5);
/// Looks of each kind, in turn: whoever else is at work on the machine is so in both.
const LOOKS: usize = 5;
/// How often it is looked again at what seems too long.
const TRIES: usize = 3;

/// Clients of a leaf that ask for small values of the first of two instances.
struct Crowd(Vec<Vec<Connection>>);

impl Crowd {
    /// With a session for each; the one that misbehaves comes on top.
    fn connect(leaf: &Address) -> io::Result<Crowd> {
        let share = full_or(1000, 100) / THREADS;
        let connect = |_| Connection::open_with(leaf, LIMIT);
        let some = |_| (0..share).map(connect).collect::<io::Result<Vec<_>>>();
        (0..THREADS).map(some).collect::<io::Result<_>>().map(Crowd)
    }

    /// The p99 of what they wait for an answer.
    fn p99(&mut self) -> io::Result<Duration> {
        let mut waits = thread::scope(|scope| {
            let threads: Vec<_> = self.0.iter_mut().map(|clients| scope.spawn(move || waits(clients))).collect();
            let joined =
                threads.into_iter().map(|thread| thread.join().map_err(|_| io::Error::other("a client failed"))?);
            joined.collect::<io::Result<Vec<_>>>().map(|waits| waits.concat())
        })?;
        waits.sort_unstable();
        Ok(waits[waits.len() * 99 / 100])
    }
}

/// What these wait, each in its turn.
fn waits(clients: &mut [Connection]) -> io::Result<Vec<Duration>> {
    let (keys, begun, mut waits) = (keys_at(0, 2), Instant::now(), Vec::new());
    while begun.elapsed() < WATCH {
        for wave in clients.chunks_mut(WAVE) {
            let asked = Instant::now();
            for (at, client) in wave.iter_mut().enumerate() {
                client.send(&encode(&["SET", &keys[at % keys.len()], "x"]))?;
            }
            for client in wave {
                client.receive()?;
                waits.push(asked.elapsed());
            }
            thread::sleep(Duration::from_millis(1));
        }
    }
    Ok(waits)
}

fn median(mut looks: Vec<Duration>) -> Duration {
    looks.sort_unstable();
    looks[looks.len() / 2]
}

/// That their p99 is at most twice what it is while nothing is held up: `begin` has something held up, `end` lets it go.
fn unharmed<T>(
    leaf: &Address,
    while_what: &str,
    mut begin: impl FnMut() -> io::Result<T>,
    mut end: impl FnMut(T) -> io::Result<()>,
) -> io::Result<()> {
    let mut crowd = Crowd::connect(leaf)?;
    crowd.p99()?;
    for _ in 0..TRIES {
        let (mut calm, mut held) = (Vec::new(), Vec::new());
        for _ in 0..LOOKS {
            calm.push(crowd.p99()?);
            let what = begin()?;
            held.push(crowd.p99()?);
            end(what)?;
        }
        println!("{while_what}: p99 {held:?}, undisturbed {calm:?}");
        if median(held) <= NOISE.max(2 * median(calm)) {
            return Ok(());
        }
    }
    Err(io::Error::other(format!("{while_what}: the others wait more than twice as long")))
}

/// Two instances and two levels.
fn tree() -> io::Result<(Vec<Instance>, Proxy, Proxy)> {
    let instances = Instance::start_many(2)?;
    let spine = spine("pdwfs", &instances, "spine")?;
    let leaf = leaf("pdwfs", &[&spine], "leaf")?;
    wait_served(&leaf)?;
    Ok((instances, spine, leaf))
}

#[test]
fn a_shard_that_is_stopped_holds_up_only_who_asks_it() -> io::Result<()> {
    let (mut instances, _spine, leaf) = tree()?;
    let (stopped, instance) = (keys_at(1, 2), instances.remove(1));
    let mut instance = instance;
    let stop = || {
        instance.guard().freeze()?;
        let ask = |key: &String| {
            let mut client = Connection::open_with(leaf.address(), LIMIT)?;
            client.send(&encode(&["SET", key, "late"])).map(|()| client)
        };
        let waiting = stopped.iter().take(50).map(ask).collect::<io::Result<Vec<_>>>()?;
        Ok((instance.guard().pid(), waiting))
    };
    let go_on = |(pid, mut waiting): (u32, Vec<Connection>)| {
        signal(pid, rustix::process::Signal::CONT)?;
        waiting.iter_mut().try_for_each(|client| client.receive().map(drop))
    };
    unharmed(leaf.address(), "a shard is stopped", stop, go_on)
}

fn signal(pid: u32, signal: rustix::process::Signal) -> io::Result<()> {
    let pid = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw);
    Ok(rustix::process::kill_process(pid.ok_or(io::ErrorKind::NotFound)?, signal)?)
}

#[test]
fn who_does_not_take_fifty_megabytes_holds_up_nobody() -> io::Result<()> {
    let (_instances, mut spine, mut leaf) = tree()?;
    let key = format!("{{{}}}big", keys_at(0, 2)[0]);
    let mut writer = Connection::open_with(leaf.address(), LIMIT)?;
    writer.demand(&["SET", &key, &"x".repeat(STRIPE)])?;
    let address = leaf.address().clone();
    let before = [leaf.guard().resident_kib()?, spine.guard().resident_kib()?];
    let ask = || {
        let mut slow = Connection::open_with(&address, LIMIT)?;
        slow.send(&encode(&["GET", &key]))?;
        thread::sleep(Duration::from_millis(300));
        Ok(slow)
    };
    let take = |mut slow: Connection| {
        assert_eq!(slow.receive()?.value.text().len(), STRIPE, "when it takes, it gets");
        Ok(())
    };
    unharmed(&address, "one does not take 50 MiB", ask, take)?;
    for (proxy, before) in [&mut leaf, &mut spine].into_iter().zip(before) {
        let grown = proxy.guard().resident_kib()?.saturating_sub(before);
        assert!(grown < 16 << 10, "{grown} KiB are held for who does not take them");
    }
    Ok(())
}

/// Begins to write a value of 50 MiB.
fn begin_write(leaf: &Address) -> io::Result<TcpStream> {
    let (key, mut stream) = (format!("{{{}}}big", keys_at(0, 2)[0]), TcpStream::connect(leaf.to_string())?);
    stream.set_read_timeout(Some(LIMIT))?;
    stream.write_all(format!("*3\r\n$3\r\nSET\r\n${}\r\n{key}\r\n${STRIPE}\r\n", key.len()).as_bytes())?;
    Ok(stream)
}

/// Ends it, when so many bytes are written.
fn end_write(mut stream: TcpStream, written: usize) -> io::Result<()> {
    stream.write_all(&vec![b'x'; STRIPE - written])?;
    stream.write_all(b"\r\n")?;
    let mut answer = [0; 5];
    io::Read::read_exact(&mut stream, &mut answer)?;
    assert_eq!(&answer, b"+OK\r\n");
    Ok(())
}

#[test]
fn a_write_of_fifty_megabytes_that_stands_still_holds_up_nobody() -> io::Result<()> {
    let (_instances, _spine, leaf) = tree()?;
    let write = || {
        let mut stream = begin_write(leaf.address())?;
        stream.write_all(&vec![b'x'; STRIPE / 2]).map(|()| stream)
    };
    unharmed(leaf.address(), "half of 50 MiB is written", write, |stream| end_write(stream, STRIPE / 2))
}

/// Bytes that a client which writes passes at a time, ten times in a hundredth of its value's time.
const PIECE: usize = STRIPE / 1000;

#[test]
fn a_write_of_fifty_megabytes_that_goes_on_holds_up_nobody() -> io::Result<()> {
    let (_instances, _spine, leaf) = tree()?;
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        let (address, over) = (leaf.address(), &over);
        let write = || {
            over.store(false, Ordering::Relaxed);
            let mut stream = begin_write(address)?;
            // As fast as a client's network of 400 Mbit/s: all of it in a second.
            Ok(scope.spawn(move || {
                let mut written = 0;
                while written + PIECE <= STRIPE && !over.load(Ordering::Relaxed) {
                    stream.write_all(&[b'x'; PIECE])?;
                    written += PIECE;
                    thread::sleep(Duration::from_millis(1));
                }
                end_write(stream, written)
            }))
        };
        let end = |writer: thread::ScopedJoinHandle<'_, io::Result<()>>| {
            over.store(true, Ordering::Relaxed);
            writer.join().map_err(|_| io::Error::other("the writer failed"))?
        };
        unharmed(address, "50 MiB are being written", write, end)
    })
}
