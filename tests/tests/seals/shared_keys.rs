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

use crate::{LIMIT, noise, quoted};
use pdw_tests::{full_or, is_full};

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

/// How long one reply may take.
const SILENCE: Duration = Duration::from_secs(60);

/// Values of many sizes, written and read: a gibibyte each way with PDW_FULL=1, a tenth of it in small ones.
fn exchange(session: &mut Connection) {
    session.set_timeout(SILENCE).unwrap();
    let sizes = [0, 1, 1023, 1024, 1025, 16_383, 65_519, 131_072, 1 << 20, 10 << 20];
    sizes.into_iter().enumerate().for_each(|(number, size)| large(session, number, size));
    let (values, rounds) = full_or((18, 2200), (1, 20));
    (0..values).for_each(|number| large(session, 10 + number % 2, full_or(50, 20) << 20));
    (0..rounds).for_each(|round| small(session, round));
}

/// One value there and back.
fn large(session: &mut Connection, number: usize, size: usize) {
    let (key, value) = (format!("v:{number}"), noise(number as u64, size));
    session.demand(&[b"SET".as_slice(), key.as_bytes(), &value]).unwrap();
    assert!(session.demand(&["GET", &key]).unwrap().bytes() == value, "{size} bytes");
}

/// A hundred of them there and back, each way in one go.
fn small(session: &mut Connection, round: usize) {
    let value = noise(round as u64, 500);
    let set = |n: usize| encode(&[b"SET".as_slice(), format!("s:{n}").as_bytes(), &value]);
    session.send(&(0..100).flat_map(set).collect::<Vec<u8>>()).unwrap();
    assert!(session.receive_many(100).unwrap().iter().all(|reply| reply.raw == b"+OK\r\n"));
    session.send(&(0..100).flat_map(|n| encode(&["GET".to_owned(), format!("s:{n}")])).collect::<Vec<u8>>()).unwrap();
    assert!(session.receive_many(100).unwrap().iter().all(|reply| reply.value.bytes() == value));
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

/// What passes a daemon, a proxy and another daemon, with flags of theirs and a handshake of the proxy's. `whole`: also in
/// the short form of the test.
fn pass_between_daemons(flags: &[&str], handshake: &str, whole: bool) {
    if !is_installed() {
        return;
    }
    let keys = Keys::new();
    // `-d` wants a port of its target, or a path; an instance has the latter.
    let instance = Instance::start().unwrap();
    let entries = seal("spiped", &keys.file(0), &format!(", handshake = \"{handshake}\""));
    let behind = daemon(Way::Decrypts, instance.address(), &keys.file(0), flags);
    let (_proxy, sealed) = proxy(&entries, &table(behind.address(), &entries), "redis");
    let before = daemon(Way::Encrypts, &sealed, &keys.file(0), flags);
    let (mut session, started) = (open(before.address()), Instant::now());
    match is_full() || whole {
        true => exchange(&mut session),
        false => (0..3).for_each(|number| large(&mut session, number, 1 << (10 * number))),
    }
    println!("daemons with {flags:?}, proxy {handshake}: {:?}", started.elapsed());
    // The end of either side arrives at the other.
    session.send(&encode(&["QUIT"])).unwrap();
    assert_eq!(session.drain(Duration::from_secs(5)).unwrap(), (b"+OK\r\n".to_vec(), true));
}

#[test]
fn the_real_daemon_stands_before_the_proxy_and_behind_it() {
    pass_between_daemons(&[], "strong", true);
}

#[test]
fn so_do_daemons_without_forward_secrecy() {
    pass_between_daemons(&["-f"], "strong", false);
}

#[test]
fn so_do_daemons_that_demand_forward_secrecy() {
    pass_between_daemons(&["-g"], "strict", false);
}

#[test]
fn so_do_daemons_where_the_proxy_has_no_forward_secrecy() {
    pass_between_daemons(&[], "weak", false);
}

#[test]
fn so_do_daemons_where_nobody_has_forward_secrecy() {
    pass_between_daemons(&["-f"], "weak", false);
}

#[test]
fn a_weak_end_is_refused_where_the_other_is_strict() {
    if !is_installed() {
        return;
    }
    let (keys, instance) = (Keys::new(), Instance::start().unwrap());
    let strict = seal("spiped", &keys.file(0), ", handshake = \"strict\"");
    let behind = daemon(Way::Decrypts, instance.address(), &keys.file(0), &["-f"]);
    let (proxy, sealed) = proxy(&strict, &table(behind.address(), &strict), "redis");
    proxy.wait_log("peer=upstream").unwrap();
    let before = daemon(Way::Encrypts, &sealed, &keys.file(0), &["-f"]);
    Connection::open(before.address()).unwrap().call(&["PING"]).unwrap_err();
    proxy.wait_log("peer=client 127.0.0.1").unwrap();
}

#[test]
fn the_daemon_behind_is_killed_and_restarted_under_load_and_nobody_notices() {
    if !is_installed() {
        return;
    }
    let (keys, instance) = (Keys::new(), Instance::start().unwrap());
    for (flags, handshake) in [(&[][..], "strong"), (&["-f"], "weak"), (&["-g"], "strict")] {
        let entries = seal("spiped", &keys.file(0), &format!(", handshake = \"{handshake}\""));
        let mut behind = daemon(Way::Decrypts, instance.address(), &keys.file(0), flags);
        let (proxy, _) = proxy("", &table(behind.address(), &entries), "pdwfs");
        drop(open(proxy.address()));
        // Under profile pdwfs an error or a lost connection would end a writer.
        let acknowledged = write_while(proxy.address(), Lost::Never, || behind.restart().unwrap());
        check_written(&instance, &acknowledged);
    }
}

#[test]
fn the_daemon_before_is_killed_and_restarted_under_load_and_nothing_acknowledged_is_lost() {
    if !is_installed() {
        return;
    }
    let (keys, instance) = (Keys::new(), Instance::start().unwrap());
    for (flags, handshake) in [(&[][..], "strong"), (&["-f"], "weak"), (&["-g"], "strict")] {
        let entries = seal("spiped", &keys.file(0), &format!(", handshake = \"{handshake}\""));
        let (_proxy, sealed) = proxy(&entries, &table(instance.address(), "seal = \"plain\""), "pdwfs");
        let mut before = daemon(Way::Encrypts, &sealed, &keys.file(0), flags);
        drop(open(before.address()));
        let address = before.address().clone();
        // Their connections end with the daemon: they come again.
        let acknowledged = write_while(&address, Lost::ComesAgain, || before.restart().unwrap());
        check_written(&instance, &acknowledged);
    }
}

/// What a writer does whose connection is lost.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Lost {
    Never,
    ComesAgain,
}

/// Eight write numbers that grow, each to a key of its own, a value of 200 KB beside it, while something is killed again
/// and again; the last number of each that was acknowledged.
fn write_while(address: &Address, lost: Lost, mut kill: impl FnMut()) -> Vec<u64> {
    let ends = Instant::now() + Duration::from_secs(full_or(60, 5));
    let write = |writer: usize| {
        let address = address.clone();
        std::thread::spawn(move || -> io::Result<u64> {
            let mut session = Connection::open_with(&address, SILENCE)?;
            let (mut acknowledged, large) = (0, noise(writer as u64, 200_000));
            while Instant::now() < ends {
                let number = (acknowledged + 1).to_string();
                let written = session
                    .demand(&[&b"SET"[..], format!("l:{writer}").as_bytes(), &large])
                    .and_then(|_| session.demand(&["SET", &format!("w:{writer}"), &number]));
                match written {
                    Ok(_) => acknowledged += 1,
                    Err(error) if lost == Lost::Never => return Err(error),
                    Err(_) => session = until("a connection", LIMIT, || Connection::open_with(&address, SILENCE))?,
                }
            }
            Ok(acknowledged)
        })
    };
    let writers: Vec<_> = (0..8).map(write).collect();
    while Instant::now() + Duration::from_secs(2) < ends {
        std::thread::sleep(Duration::from_secs(1));
        kill();
    }
    writers.into_iter().map(|thread| thread.join().unwrap().unwrap()).collect()
}

/// Whether everything acknowledged is there; what was not may be there, too.
fn check_written(instance: &Instance, acknowledged: &[u64]) {
    let mut direct = instance.connect().unwrap();
    for (writer, last) in acknowledged.iter().enumerate() {
        assert!(*last > 5, "{last}");
        let found: u64 = direct.demand(&["GET", &format!("w:{writer}")]).unwrap().text().parse().unwrap();
        assert!(found == *last || found == last + 1, "{found} of {last}");
        assert!(direct.demand(&["GET", &format!("l:{writer}")]).unwrap().bytes() == noise(writer as u64, 200_000));
    }
}

#[test]
fn another_key_is_refused_and_two_are_taken_while_one_replaces_the_other() {
    let (keys, instance) = (Keys::new(), Instance::start().unwrap());
    for name in ["noise", "spiped"] {
        let both = format!("seal = \"{name}\", key = [{}, {}]", quoted(&keys.file(0)), quoted(&keys.file(1)));
        let (lower, sealed) = proxy(&both, &table(instance.address(), "seal = \"plain\""), "redis");
        for seed in [0, 1] {
            let (upper, _) = proxy("", &table(&sealed, &seal(name, &keys.file(seed), "")), "redis");
            assert_eq!(open(upper.address()).demand(&["GET", "ready"]).unwrap().text(), "1");
        }
        let (mut upper, _) = proxy("", &table(&sealed, &seal(name, &keys.file(2), "")), "redis");
        lower.wait_log("the far end has another key").unwrap();
        upper.wait_log("not sealed").unwrap();
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
            // The proxy's first listener is there a little before the others.
            let connect = || std::net::TcpStream::connect(sealed.to_string());
            let mut stream = until("the sealed listener", LIMIT, connect).unwrap();
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
        proxy.wait_log("speaks plain RESP").unwrap();
        for stream in &mut silent {
            let _ = stream.read_to_end(&mut Vec::new());
        }
        let log = proxy.guard().output();
        assert_eq!(log.matches("took too long").count(), 1, "{log}");
        assert_eq!(log.matches("the far end has another key").count(), 1, "{log}");
        proxy.connect().unwrap().demand(&["GET", "k"]).unwrap();
        let scrape = proxy.scrape().unwrap();
        drop(scrape);
    }
}
