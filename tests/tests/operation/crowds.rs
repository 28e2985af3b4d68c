//! More clients than a worker hears of at once, all of which send as fast as they are answered.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use pdw_tests::address::Address;
use pdw_tests::instance::{Instance, Server};
use pdw_tests::proxy::{Launch, Proxy};

/// Nearly three times as many as there are events in a turn: while one third is answered, the others wait.
const CLIENTS: usize = 3_000;
const THREADS: usize = 3;
/// Requests that each of them sends at once: they cost the proxy much more than their senders.
const PIPELINE: usize = 200;
/// In it a dead upstream is dialled some twenty times by who has the time for it.
const PATIENCE: Duration = Duration::from_secs(20);

/// Sends and receives in turn on all of these, until `over`; how many waves there were.
fn crowd(proxy: &Proxy, over: &AtomicBool) -> io::Result<usize> {
    let connect = |_| TcpStream::connect(proxy.address().to_string());
    let mut clients: Vec<TcpStream> = (0..CLIENTS / THREADS).map(connect).collect::<io::Result<_>>()?;
    let (requests, mut replies) = ("PING\r\n".repeat(PIPELINE), vec![0; "+PONG\r\n".len() * PIPELINE]);
    for client in &mut clients {
        client.write_all(requests.as_bytes())?;
    }
    let mut waves = 0;
    while !over.load(Ordering::Relaxed) {
        for client in &mut clients {
            client.read_exact(&mut replies)?;
            client.write_all(requests.as_bytes())?;
        }
        waves += 1;
    }
    Ok(waves)
}

/// Until an instance that has come back is served through a session that there was before; an error if that takes too long.
fn wait_for_it(proxy: &Proxy, address: &Address) -> io::Result<()> {
    let mut session = proxy.connect()?;
    // Everybody is there, and as busy as can be.
    thread::sleep(Duration::from_secs(2));
    let server = ["--bind", "127.0.0.1", "--port", &address.port().to_string()];
    let _instance = Instance::start_with(&Server::redis(), &server)?;
    let begun = Instant::now();
    while session.call(&["SET", "k", "v"])?.error().is_some() {
        if begun.elapsed() > PATIENCE {
            return Err(io::Error::other("the instance is back, and was not found"));
        }
    }
    Ok(())
}

#[test]
fn what_is_due_is_done_however_many_clients_send_all_they_can() -> io::Result<()> {
    let address = Address::free_loopback()?;
    let proxy = Launch::new("redis", std::slice::from_ref(&address)).start()?;
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        let crowds: Vec<_> = (0..THREADS).map(|_| scope.spawn(|| crowd(&proxy, &over))).collect();
        let found = wait_for_it(&proxy, &address);
        over.store(true, Ordering::Relaxed);
        for crowd in crowds {
            assert!(crowd.join().map_err(|_| io::Error::other("a crowd failed"))?? > 0);
        }
        found
    })
}
