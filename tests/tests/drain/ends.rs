//! What becomes of sessions and of those who are about to connect.

use std::io::Write;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use pdw_tests::address::Address;
use pdw_tests::connection::{Connection, until};
use pdw_tests::instance::{Instance, addresses};
use pdw_tests::proxy::{Launch, Proxy};
use rustix::process::Signal;

use crate::{LIMIT, signal};

fn start(profile: &'static str, config: &str) -> (Vec<Instance>, Proxy) {
    let instances = Instance::start_many(2).unwrap();
    let proxy = Launch::new(profile, &addresses(&instances)).config(config).start().unwrap();
    (instances, proxy)
}

/// Longer than a session has to be silent under profile `redis`.
const SILENT: Duration = Duration::from_millis(2500);

#[test]
fn under_pdwfs_an_idle_session_is_served_until_it_leaves() {
    let (_instances, mut proxy) = start("pdwfs", "");
    let mut session = proxy.connect().unwrap();
    signal(proxy.guard(), Signal::TERM);
    std::thread::sleep(SILENT);
    session.demand(&["SET", "k", "v"]).unwrap();
    assert!(proxy.connect().is_err(), "nobody new is taken");
    assert!(proxy.guard().ended().unwrap().is_none());
    drop(session);
    assert!(proxy.guard().wait_end(LIMIT).unwrap().success());
}

#[test]
fn under_redis_a_silent_session_is_closed_and_one_that_asks_is_not() {
    let (_instances, mut proxy) = start("redis", "");
    let (mut silent, mut amid) = (proxy.connect().unwrap(), proxy.connect().unwrap());
    let mut busy = proxy.connect().unwrap();
    amid.demand(&["MULTI"]).unwrap();
    signal(proxy.guard(), Signal::TERM);
    let begun = Instant::now();
    while begun.elapsed() < SILENT {
        busy.demand(&["SET", "k", "v"]).unwrap();
        std::thread::sleep(Duration::from_millis(100));
    }
    assert!(silent.drain(Duration::from_millis(1)).unwrap().1, "a silent session is closed");
    amid.demand(&["SET", "k", "w"]).unwrap();
    amid.demand(&["EXEC"]).unwrap();
    assert!(proxy.guard().wait_end(LIMIT).unwrap().success(), "the others, silent by now, are closed too");
}

#[test]
fn the_deadline_or_a_second_signal_ends_what_is_left() {
    for (config, again) in [("[times]\ndrain = \"500ms\"\n", false), ("", true)] {
        let (_instances, mut proxy) = start("pdwfs", config);
        let mut session = proxy.connect().unwrap();
        session.demand(&["PING"]).unwrap();
        let begun = Instant::now();
        signal(proxy.guard(), Signal::INT);
        if again {
            std::thread::sleep(Duration::from_millis(600));
            assert!(proxy.guard().ended().unwrap().is_none());
            signal(proxy.guard(), Signal::TERM);
        }
        assert!(proxy.guard().wait_end(LIMIT).unwrap().success());
        assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
        assert!(session.drain(Duration::from_secs(1)).unwrap().1);
    }
}

#[test]
fn a_signal_that_is_sent_twice_does_not_cut_the_drain_short() {
    let (_instances, mut proxy) = start("pdwfs", "");
    let mut session = proxy.connect().unwrap();
    session.demand(&["PING"]).unwrap();
    for _ in 0..3 {
        signal(proxy.guard(), Signal::TERM);
        std::thread::sleep(Duration::from_millis(20));
    }
    std::thread::sleep(Duration::from_secs(1));
    session.demand(&["SET", "k", "v"]).unwrap();
    drop(session);
    assert!(proxy.guard().wait_end(LIMIT).unwrap().success());
}

#[test]
fn a_proxy_without_sessions_ends_soon() {
    let (_instances, mut proxy) = start("pdwfs", "");
    let begun = Instant::now();
    signal(proxy.guard(), Signal::TERM);
    assert!(proxy.guard().wait_end(LIMIT).unwrap().success());
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
}

/// Whom the kernel accepted while the proxy could not: here it is stopped, as a busy one would be.
#[test]
fn who_waits_in_the_queue_is_served() {
    let folder = tempfile::tempdir().unwrap();
    let tcp = Address::free_loopback().unwrap();
    for address in [tcp, Address::Unix(folder.path().join("s"))] {
        let instances = Instance::start_many(2).unwrap();
        let mut proxy = Launch::new("pdwfs", &addresses(&instances)).listen(&address).start().unwrap();
        signal(proxy.guard(), Signal::STOP);
        let mut waiting: Vec<_> = (0..600).map(|_| Connection::open(&address).unwrap()).collect();
        signal(proxy.guard(), Signal::TERM);
        signal(proxy.guard(), Signal::CONT);
        for (index, session) in waiting.iter_mut().enumerate() {
            session.demand(&["SET", "k", "v"]).unwrap_or_else(|error| panic!("{index}: {error}"));
        }
        drop(waiting);
        assert!(proxy.guard().wait_end(LIMIT).unwrap().success());
    }
}

/// Whom the kernel was just accepting: the first half of a request arrives, the second when draining.
#[test]
fn a_request_on_its_way_is_answered() {
    let (_instances, mut proxy) = start("redis", "");
    let mut session = proxy.connect().unwrap();
    session.send(b"*2\r\n$3\r\nGET\r\n").unwrap();
    signal(proxy.guard(), Signal::TERM);
    std::thread::sleep(SILENT);
    session.send(b"$1\r\nk\r\n").unwrap();
    session.receive().unwrap();
}

#[test]
fn readyz_says_so_while_draining() {
    let admin = Address::free_loopback().unwrap();
    let (_instances, mut proxy) = {
        let instances = Instance::start_many(2).unwrap();
        let launch = Launch::new("pdwfs", &addresses(&instances)).argument("--admin").argument(&admin.to_string());
        (instances, launch.start().unwrap())
    };
    let session = proxy.connect().unwrap();
    until("ready", LIMIT, || expect(&admin, "/readyz", "200 OK")).unwrap();
    signal(proxy.guard(), Signal::TERM);
    until("draining", LIMIT, || expect(&admin, "/readyz", "draining")).unwrap();
    expect(&admin, "/readyz", "503 Service Unavailable").unwrap();
    expect(&admin, "/healthz", "200 OK").unwrap();
    expect(&admin, "/metrics", "\npdw_draining 1\n").unwrap();
    drop(session);
    assert!(proxy.guard().wait_end(LIMIT).unwrap().success());
}

/// Asks the admin server, and expects a text in the response.
fn expect(admin: &Address, path: &str, text: &str) -> std::io::Result<()> {
    let mut stream = TcpStream::connect(admin.to_string())?;
    stream.set_read_timeout(Some(LIMIT))?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")?;
    let response = std::io::read_to_string(stream)?;
    if response.contains(text) { Ok(()) } else { Err(std::io::Error::other(response)) }
}
