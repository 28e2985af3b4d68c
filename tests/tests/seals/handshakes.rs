//! Handshakes that come to nothing: other roles, other numbers, other protocols, ends that leave or say nothing.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use hmac::{Hmac, KeyInit, Mac};
use pdw_auth::Role;
use pdw_tests::address::Address;
use pdw_tests::certificates::{Authority, secret};
use pdw_tests::connection::until;
use pdw_tests::instance::{Instance, Server};
use pdw_tests::proxy::{Launch, Proxy};
use pdw_tests::sealed::SealedStream;
use rustix::process::Signal;
use sha2::{Digest, Sha256};

use crate::hostile::{HANDSHAKE, SLACK, closed};
use crate::house::House;
use crate::{LIMIT, noise, quoted};

/// HMAC-SHA256.
fn mac(key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
    parts.iter().for_each(|part| mac.update(part));
    mac.finalize().into_bytes().into()
}

/// The prime of group 14 (RFC 3526), less `less`.
fn prime(less: u8) -> Vec<u8> {
    let digits = concat!(
        "ffffffffffffffffc90fdaa22168c234c4c6628b80dc1cd129024e088a67cc74020bbea63b139b22514a08798e3404dd",
        "ef9519b3cd3a431b302b0a6df25f14374fe1356d6d51c245e485b576625e7ec6f44c42e9a637ed6b0bff5cb6f406b7ed",
        "ee386bfb5a899fa5ae9f24117c4b1fe649286651ece45b3dc2007cb8a163bf0598da48361c55d39a69163fa8fd24cf5f",
        "83655d23dca3ad961c62f356208552bb9ed529077096966d670c354e4abc9804f1746c08ca18217c32905e462e36ce3b",
        "e39e772c180e86039b2783a2ec07a28fb5c55df06f4c52c9de2bcbf6955817183995497cea956ae515d2261898fa0510",
        "15728e5a8aacaa68ffffffffffffffff"
    );
    let mut bytes: Vec<u8> =
        (0..digits.len()).step_by(2).map(|at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap()).collect();
    *bytes.last_mut().unwrap() -= less;
    bytes
}

/// A small number of 256 bytes.
fn small(number: u8) -> Vec<u8> {
    let mut bytes = vec![0; 256];
    bytes[255] = number;
    bytes
}

/// What a listener for `spiped` answers to a client that has the key and sends `y` (SPIPED.md, 4): how many bytes.
fn answer(house: &House, y: &[u8], key: &[u8]) -> usize {
    let mut stream = house.dial("spiped").unwrap();
    let (ours, mut theirs) = ([7; 32], [0; 32]);
    stream.write_all(&ours).unwrap();
    stream.read_exact(&mut theirs).unwrap();
    let secret: [u8; 32] = Sha256::digest(key).into();
    let signs = mac(&secret, &[&ours, &theirs, &1_u32.to_be_bytes()]);
    stream.write_all(&[y, &mac(&signs, &[y])].concat()).unwrap();
    let mut half = [0; 288];
    // What is refused is closed at once, without a word.
    stream.read_exact(&mut half).map_or(0, |()| half.len())
}

#[test]
fn every_number_that_a_spiped_with_the_key_may_send_is_taken_or_refused_and_told() {
    let numbers = [small(0), small(1), prime(1), prime(0)];
    let answers = |house: &House| numbers.each_ref().map(|y| answer(house, y, &house.key));
    // As the daemon: with `-g` y = 1 is refused; we refuse 0 and p - 1 with it, which no honest end sends.
    let mut strong = House::new("");
    assert_eq!(answers(&strong), [288, 288, 288, 0]);
    strong.wait_log("a public number that is not below the prime");
    assert_eq!(answer(&strong, &small(2), b"another key that is long enough for one"), 0);
    strong.wait_log("the far end has another key");
    let mut strict = House::with(", handshake = \"strict\"", "", "");
    assert_eq!(answers(&strict), [0, 0, 0, 0]);
    assert_eq!(answer(&strict, &small(2), &strict.key), 288);
    strict.wait_log("the far end takes no part in the key exchange");
    strict.proxy.connect().unwrap().demand(&["SET", "k", "v"]).unwrap();
}

#[test]
fn two_ends_that_both_accept_part_after_five_seconds_and_the_log_says_what_it_may_be() {
    let mut house = House::new("");
    for (seal, words) in [("spiped", "stopped half-way"), ("noise", "perhaps both ends have the same role")] {
        let stream = house.dial(seal).unwrap();
        let ended = SealedStream::new(stream, House::handshake(seal, Role::Accepts, &house.key));
        assert!(ended.is_err(), "{seal}");
        // Once a minute and kind of trouble: both are late.
        if seal == "spiped" {
            house.wait_log(words);
        }
    }
    let mut house = House::new("");
    let stream = house.dial("noise").unwrap();
    SealedStream::new(stream, House::handshake("noise", Role::Accepts, &house.key)).unwrap_err();
    house.wait_log("perhaps both ends have the same role");
}

#[test]
fn sealed_bytes_on_a_plain_listener_are_told_once_for_many_connections() {
    for (seal, words) in
        [("spiped", "it speaks spiped, as it seems, to a plain address"), ("noise", "it speaks noise, as it seems,")]
    {
        let mut house = House::new("");
        for _ in 0..50 {
            let stream = TcpStream::connect(house.proxy.address().to_string()).unwrap();
            SealedStream::new(stream, House::handshake(seal, Role::Opens, &house.key)).unwrap_err();
        }
        house.wait_log(words);
        let log = house.proxy.guard().output();
        assert_eq!(log.matches(words).count(), 1, "{log}");
        house.proxy.connect().unwrap().demand(&["SET", "k", "v"]).unwrap();
    }
}

/// A proxy whose upstream is at `upstream`, with a seal.
fn before(seal: &str, upstream: &Address, options: &str) -> (Proxy, Authority) {
    let authority = Authority::new().unwrap();
    let file = authority.folder().join("key");
    secret(&file, &noise(1, 32)).unwrap();
    let entries = match seal {
        "tls" => format!("ca = {}", quoted(&authority.file())),
        _ => format!("key = {}", quoted(&file)),
    };
    let plain = Address::free_loopback().unwrap();
    let config = format!(
        "listen = \"{plain}\"\nupstreams = [{{ address = \"{upstream}\", seal = \"{seal}\", {entries} }}]\n{options}\n"
    );
    let launch = Launch::new("redis", &[]).levels(1).config(&config).listens_by_file(&plain);
    (launch.spawn().unwrap(), authority)
}

/// Listens, and does something with every connection.
fn host(with: impl Fn(TcpStream) + Send + 'static) -> Address {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = Address::Tcp(listener.local_addr().unwrap());
    // It ends with the test's process.
    thread::spawn(move || listener.incoming().flatten().for_each(with));
    address
}

#[test]
fn an_upstream_that_closes_in_the_middle_of_a_handshake_is_told_as_one_that_closed() {
    for seal in ["tls", "spiped", "noise"] {
        for heard in [0, 1, 32] {
            let address = host(move |mut stream| {
                let _ = stream.read_exact(&mut vec![0; heard]);
                // As a peer does that has its nonce out already.
                let _ = stream.write_all(&noise(9, heard));
                // And not before the far end waits for more.
                thread::sleep(Duration::from_millis(50));
            });
            let (mut proxy, _authority) = before(seal, &address, "");
            proxy.wait_log("not sealed").unwrap();
            let log = proxy.guard().output();
            // Of TLS a first byte is enough to tell that it is something else.
            let told = log.contains("closed during the handshake") || seal == "tls" && heard > 0;
            assert!(told && !log.contains("took too long"), "{seal}, {heard}: {log}");
        }
    }
}

#[test]
fn an_upstream_that_says_nothing_is_late_and_a_link_that_is_not_needed_any_more_is_not() {
    for seal in ["tls", "spiped", "noise"] {
        let silent = || {
            host(|stream| {
                thread::sleep(Duration::from_secs(20));
                drop(stream);
            })
        };
        let (late, _authority) = before(seal, &silent(), "times.connect_timeout = \"300ms\"");
        late.wait_log("took too long").unwrap();
        let (mut ends, _authority) = before(seal, &silent(), "");
        until("it listens", LIMIT, || ends.connect().map(drop)).unwrap();
        thread::sleep(Duration::from_millis(300));
        ends.guard().signal(Signal::TERM).unwrap();
        ends.guard().wait_end(LIMIT).unwrap();
        let log = ends.guard().output();
        assert!(!log.contains("took too long"), "{seal}: {log}");
    }
}

#[test]
fn an_instance_without_a_seal_is_told_from_one_with_it() {
    let address = Address::free_loopback().unwrap();
    let _instance = Instance::start_with(&Server::redis(), &["--port", &address.port().to_string()]).unwrap();
    for seal in ["spiped", "noise"] {
        // What it makes of random bytes depends on them: it answers with an error, or waits for a line's end.
        let (proxy, _authority) = before(seal, &address, "times.connect_timeout = \"500ms\"");
        proxy.wait_log("not sealed").unwrap();
    }
}

#[test]
fn a_valid_beginning_that_goes_on_no_further_is_closed_after_five_seconds() {
    let mut house = House::new("");
    let started = std::time::Instant::now();
    let mut spiped = house.dial("spiped").unwrap();
    spiped.write_all(&[7; 32]).unwrap();
    let mut noise = house.dial("noise").unwrap();
    let mut first = Vec::new();
    let begun = House::handshake("noise", Role::Opens, &house.key).advance(&[], &mut first).unwrap();
    let pdw_auth::Progress::Work(work) = begun.progress else { panic!("a key is made first") };
    work.run().advance(&[], &mut first).unwrap();
    assert_eq!(first.len(), 48);
    noise.write_all(&first).unwrap();
    for stream in [&mut spiped, &mut noise] {
        closed(stream);
        assert!((HANDSHAKE - SLACK / 4..HANDSHAKE + SLACK).contains(&started.elapsed()), "{:?}", started.elapsed());
    }
    house.wait_log("took too long");
}
