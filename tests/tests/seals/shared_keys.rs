//! Links by a key that both ends have: `noise` between proxies, `spiped` to and from the real daemon.

use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use pdw_tests::address::Address;
use pdw_tests::certificates::secret;
use pdw_tests::connection::{Connection, encode, until};
use pdw_tests::instance::Instance;
use pdw_tests::instance::on_path;
use pdw_tests::proxy::{Launch, Proxy};
use pdw_tests::skipped;
use pdw_tests::spiped::{Spiped, Way};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::{LIMIT, noise, quoted, wait_log};

/// A folder with keys.
struct Keys(TempDir);

impl Keys {
    fn new() -> Self {
        let keys = Self(tempfile::tempdir().unwrap());
        (0..3).for_each(|seed| secret(&keys.file(seed), &noise(seed, 32)).unwrap());
        keys
    }

    fn file(&self, seed: u64) -> PathBuf {
        self.0.path().join(format!("{seed}.key"))
    }
}

/// A proxy with a plain listener, and a sealed one if `listens` has entries for it; `upstream`: its table.
fn proxy(listens: &str, upstream: &str, profile: &'static str) -> (Proxy, Address) {
    let (plain, sealed) = (Address::free_loopback().unwrap(), Address::free_loopback().unwrap());
    let further = if listens.is_empty() { String::new() } else { format!(", {{ address = \"{sealed}\", {listens} }}") };
    let config = format!("listen = [\"{plain}\"{further}]\nupstreams = [{upstream}]\n");
    let launch = Launch::new(profile, &[]).config(&config).listens_by_file(&plain).with_admin();
    let mut proxy = launch.spawn().unwrap();
    until("the proxy", LIMIT, || proxy.connect().map(drop)).map_err(|error| (error, proxy.guard().output())).unwrap();
    (proxy, sealed)
}

fn is_installed() -> bool {
    let found = on_path("spiped").is_some();
    if !found {
        skipped("spiped is not on PATH");
    }
    found
}

fn daemon(way: Way, target: &Address, key: &Path, flags: &[&str]) -> Spiped {
    Spiped::start(way, target, &std::fs::read(key).unwrap(), flags).unwrap().unwrap()
}

fn table(address: &Address, entries: &str) -> String {
    format!("{{ address = \"{address}\", {entries} }}")
}

fn seal(name: &str, key: &Path, entries: &str) -> String {
    format!("seal = \"{name}\", key = {}{entries}", quoted(key))
}

fn open(address: &Address) -> Connection {
    let mut session = Connection::open(address).unwrap();
    until("ready", LIMIT, || {
        session = Connection::open(address)?;
        session.demand(&["SET", "ready", "1"]).map(drop)
    })
    .unwrap();
    session
}

/// Bytes that a test sends each way.
fn volume() -> usize {
    if std::env::var_os("PDW_FULL").is_some() { 1 << 30 } else { 40 << 20 }
}

/// Values of many sizes, small ones in pipelines, written and read through `path`.
fn exchange(session: &mut Connection) {
    session.set_timeout(Duration::from_secs(60)).unwrap();
    let sizes = [0, 1, 1023, 1024, 1025, 16_383, 65_519, 131_072, 1 << 20, 10 << 20, volume() / 2];
    for (number, size) in sizes.into_iter().enumerate() {
        let value = noise(number as u64, size);
        session.demand(&[b"SET".as_slice(), format!("v:{number}").as_bytes(), &value]).unwrap();
        assert!(session.demand(&["GET", &format!("v:{number}")]).unwrap().bytes() == value, "{size} bytes");
    }
    let value = noise(99, 500);
    for _ in 0..volume() / (40 << 10) / 50 {
        let set = |n: usize| encode(&[b"SET".as_slice(), format!("s:{n}").as_bytes(), &value]);
        session.send(&(0..50).flat_map(set).collect::<Vec<u8>>()).unwrap();
        assert!(session.receive_many(50).unwrap().iter().all(|reply| reply.raw == b"+OK\r\n"));
        session
            .send(&(0..50).flat_map(|n| encode(&["GET".to_owned(), format!("s:{n}")])).collect::<Vec<u8>>())
            .unwrap();
        assert!(session.receive_many(50).unwrap().iter().all(|reply| reply.value.bytes() == value));
    }
}

#[test]
fn small_and_large_values_pass_between_proxies_by_every_seal_with_a_shared_key() {
    let (keys, instance) = (Keys::new(), Instance::start().unwrap());
    let cases = [
        ("noise", ""),
        ("noise", ", cipher = \"aesgcm\", link = \"a\", opener = \"b\", accepter = \"c\", pad_to = 256"),
        ("spiped", ""),
        ("spiped", ", handshake = \"weak\""),
    ];
    for (name, entries) in cases {
        let entries = seal(name, &keys.file(0), entries);
        let (_lower, sealed) = proxy(&entries, &table(instance.address(), "seal = \"plain\""), "redis");
        let (upper, _) = proxy("", &table(&sealed, &entries), "redis");
        exchange(&mut open(upper.address()));
    }
}

#[test]
fn the_real_daemon_stands_before_the_proxy_and_behind_it_with_every_handshake() {
    if !is_installed() {
        return;
    }
    let keys = Keys::new();
    // `-d` wants a port of its target, or a path; an instance has the latter.
    let instance = Instance::start().unwrap();
    for (flags, handshake) in
        [(&[][..], "strong"), (&["-f"], "strong"), (&["-g"], "strict"), (&[], "weak"), (&["-f"], "weak")]
    {
        let entries = seal("spiped", &keys.file(0), &format!(", handshake = \"{handshake}\""));
        let behind = daemon(Way::Decrypts, instance.address(), &keys.file(0), flags);
        let (proxy, sealed) = proxy(&entries, &table(behind.address(), &entries), "redis");
        let before = daemon(Way::Encrypts, &sealed, &keys.file(0), flags);
        let mut session = open(before.address());
        match flags.is_empty() && handshake == "strong" {
            true => exchange(&mut session),
            false => drop(session.demand(&["GET", "ready"]).unwrap()),
        }
        // The end of either side arrives at the other.
        session.send(&encode(&["QUIT"])).unwrap();
        assert_eq!(session.drain(Duration::from_secs(5)).unwrap(), (b"+OK\r\n".to_vec(), true));
        drop(proxy);
    }
}

#[test]
fn a_weak_end_is_refused_where_the_other_is_strict() {
    if !is_installed() {
        return;
    }
    let (keys, instance) = (Keys::new(), Instance::start().unwrap());
    let strict = seal("spiped", &keys.file(0), ", handshake = \"strict\"");
    let behind = daemon(Way::Decrypts, instance.address(), &keys.file(0), &["-f"]);
    let (mut proxy, sealed) = proxy(&strict, &table(behind.address(), &strict), "redis");
    wait_log(&mut proxy, "peer=upstream");
    let before = daemon(Way::Encrypts, &sealed, &keys.file(0), &["-f"]);
    Connection::open(before.address()).unwrap().call(&["PING"]).unwrap_err();
    wait_log(&mut proxy, "peer=client 127.0.0.1");
}

#[test]
fn the_daemon_is_killed_and_restarted_under_load_and_nothing_acknowledged_is_lost() {
    if !is_installed() {
        return;
    }
    let (keys, instance) = (Keys::new(), Instance::start().unwrap());
    let entries = seal("spiped", &keys.file(0), "");
    let mut behind = daemon(Way::Decrypts, instance.address(), &keys.file(0), &[]);
    let (proxy, _) = proxy("", &table(behind.address(), &entries), "pdwfs");
    let address = proxy.address().clone();
    drop(open(&address));
    let ends = Instant::now() + Duration::from_secs(if std::env::var_os("PDW_FULL").is_some() { 60 } else { 6 });
    let writers: Vec<_> = (0..8)
        .map(|writer| {
            let address = address.clone();
            std::thread::spawn(move || -> io::Result<u64> {
                let mut session = Connection::open_with(&address, Duration::from_secs(60))?;
                let mut number = 0;
                while Instant::now() < ends {
                    number += 1;
                    session.demand(&["SET", &format!("w:{writer}"), &number.to_string()])?;
                }
                Ok(number)
            })
        })
        .collect();
    while Instant::now() + Duration::from_secs(2) < ends {
        std::thread::sleep(Duration::from_secs(1));
        behind.restart().unwrap();
    }
    let mut direct = instance.connect().unwrap();
    for (writer, thread) in writers.into_iter().enumerate() {
        let last = thread.join().unwrap().unwrap();
        assert!(last > 10, "{last}");
        assert_eq!(direct.demand(&["GET", &format!("w:{writer}")]).unwrap().text(), last.to_string());
    }
}

#[test]
fn another_key_is_refused_and_two_are_taken_while_one_replaces_the_other() {
    let (keys, instance) = (Keys::new(), Instance::start().unwrap());
    for name in ["noise", "spiped"] {
        let both = format!("seal = \"{name}\", key = [{}, {}]", quoted(&keys.file(0)), quoted(&keys.file(1)));
        let (mut lower, sealed) = proxy(&both, &table(instance.address(), "seal = \"plain\""), "redis");
        for seed in [0, 1] {
            let (upper, _) = proxy("", &table(&sealed, &seal(name, &keys.file(seed), "")), "redis");
            assert_eq!(open(upper.address()).demand(&["GET", "ready"]).unwrap().text(), "1");
        }
        let (mut upper, _) = proxy("", &table(&sealed, &seal(name, &keys.file(2), "")), "redis");
        wait_log(&mut lower, "the far end has another key");
        wait_log(&mut upper, "not sealed");
        // The key is replaced in its file: a reload takes it, and who is there stays.
        std::fs::copy(keys.file(0), keys.file(2)).unwrap();
        kill_process(Pid::from_raw(upper.guard().pid() as i32).unwrap(), Signal::HUP).unwrap();
        assert_eq!(open(upper.address()).demand(&["GET", "ready"]).unwrap().text(), "1");
        secret(&keys.file(2), &noise(2, 32)).unwrap();
    }
}

#[test]
fn a_peer_that_stops_or_talks_nonsense_is_closed_and_told_once() {
    use std::io::{Read, Write};
    let (keys, instance) = (Keys::new(), Instance::start().unwrap());
    for name in ["noise", "spiped"] {
        let (mut proxy, sealed) =
            proxy(&seal(name, &keys.file(0), ""), &table(instance.address(), "seal = \"plain\""), "redis");
        let talk = |bytes: &[u8]| {
            let mut stream = std::net::TcpStream::connect(sealed.to_string()).unwrap();
            stream.set_read_timeout(Some(Duration::from_secs(9))).unwrap();
            stream.write_all(bytes).unwrap();
            stream
        };
        let mut silent: Vec<_> = [0, 1, 31].into_iter().map(|len| talk(&noise(7, len))).collect();
        for seed in 0..100 {
            let mut stream = talk(&noise(seed, 400));
            let mut rest = Vec::new();
            // A reset is an end, too.
            let _ = stream.read_to_end(&mut rest);
            assert!(rest.len() <= 320, "{}", rest.len());
        }
        let mut plain = talk(&encode(&["PING"]));
        let _ = plain.read_to_end(&mut Vec::new());
        wait_log(&mut proxy, "speaks plain RESP");
        for stream in &mut silent {
            let _ = stream.read_to_end(&mut Vec::new());
        }
        let log = proxy.guard().output();
        assert_eq!(log.matches("took longer than 5 seconds").count(), 1, "{log}");
        assert_eq!(log.matches("the far end has another key").count(), 1, "{log}");
        proxy.connect().unwrap().demand(&["GET", "k"]).unwrap();
        let scrape = proxy.scrape().unwrap();
        drop(scrape);
    }
}
