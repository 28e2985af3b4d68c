//! Clients that come, ask, go and come again, and count everything that is not as it should be.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use pdw_tests::address::Address;
use pdw_tests::connection::Connection;
use pdw_tests::reply::Value;

/// A connection that took this long was begun at a listener that turned it away.
const SECOND_TRY: Duration = Duration::from_millis(900);

/// What one client, or all of them, saw.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    pub(crate) connections: u64,
    pub(crate) requests: u64,
    /// Connections that had to be tried twice by the client's kernel.
    pub(crate) late: u64,
    pub(crate) failures: Vec<String>,
}

/// Clients that run until they are told to stop.
pub(crate) struct Load {
    stop: Arc<AtomicBool>,
    clients: Vec<JoinHandle<Seen>>,
}

impl Load {
    /// Starts `count` clients of `address`; sessions have up to `longest` requests, every
    /// other client's just one.
    pub(crate) fn start(address: &Address, count: usize, longest: u64) -> Load {
        let stop = Arc::new(AtomicBool::new(false));
        let client = |number| {
            let (address, stop) = (address.clone(), Arc::clone(&stop));
            std::thread::spawn(move || run(&address, number, longest, &stop))
        };
        let clients = (0..count).map(client).collect();
        Load { stop, clients }
    }

    /// Stops all clients; what they saw.
    pub(crate) fn stop(self) -> Seen {
        self.stop.store(true, Ordering::Relaxed);
        let mut sum = Seen::default();
        for client in self.clients {
            let seen = client.join().unwrap();
            sum.connections += seen.connections;
            sum.requests += seen.requests;
            sum.late += seen.late;
            sum.failures.extend(seen.failures);
        }
        sum
    }
}

fn run(address: &Address, number: usize, longest: u64, stop: &AtomicBool) -> Seen {
    let mut seen = Seen::default();
    let mut random = fastrand::Rng::with_seed(number as u64);
    while !stop.load(Ordering::Relaxed) {
        let requests = if number.is_multiple_of(2) { 1 } else { random.u64(1..=longest) };
        if let Err(error) = session(address, number, requests, &mut seen) {
            seen.failures.push(format!("client {number}, connection {}: {error}", seen.connections));
        }
    }
    seen
}

fn session(address: &Address, number: usize, requests: u64, seen: &mut Seen) -> io::Result<()> {
    let begun = Instant::now();
    let mut connection = Connection::open(address)?;
    seen.late += u64::from(begun.elapsed() > SECOND_TRY);
    seen.connections += 1;
    for _ in 0..requests {
        seen.requests += 1;
        let (key, value) = (format!("key-{number}"), seen.requests.to_string());
        connection.demand(&["SET", &key, &value])?;
        let got = connection.demand(&["GET", &key])?;
        if got != Value::Bulk(Some(value.clone().into_bytes())) {
            return Err(io::Error::other(format!("{got:?} instead of {value}")));
        }
    }
    Ok(())
}
