//! Our seal `spiped` and the real daemon, in both roles, without a proxy between: handshakes with every pair of
//! settings, data of many sizes, ends.

#![allow(clippy::unwrap_used, reason = "helpers of tests may unwrap as the tests do")]

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use pdw_auth::spiped::Strength;
use pdw_auth::{Handshake, Role};
use pdw_tests::address::Address;
use pdw_tests::connection::{Connection, encode};
use pdw_tests::instance::Instance;
use pdw_tests::sealed::SealedStream;
use pdw_tests::skipped;
use pdw_tests::spiped::{Spiped, Way};

const KEY: &[u8] = b"a key of the kind that is only used in tests\n";
/// The daemon's flags, and what they make of it.
const FLAGS: [(&[&str], Strength); 3] =
    [(&[], Strength::Strong), (&["-f"], Strength::Weak), (&["-g"], Strength::Strict)];
const STRENGTHS: [Strength; 3] = [Strength::Weak, Strength::Strong, Strength::Strict];

fn handshake(role: Role, key: &[u8], strength: Strength) -> Box<dyn Handshake> {
    pdw_tests::sealed::spiped(role, key, strength).unwrap()
}

/// Everything but one end that insists and one that does not take part.
fn fits(one: Strength, other: Strength) -> bool {
    !matches!((one, other), (Strength::Weak, Strength::Strict) | (Strength::Strict, Strength::Weak))
}

fn socket(address: &Address) -> io::Result<TcpStream> {
    let Address::Tcp(address) = address else { panic!("{address}") };
    TcpStream::connect(address)
}

/// `None`, and said so, where there is no daemon.
fn daemon(way: Way, target: &Address, flags: &[&str]) -> Option<Spiped> {
    let daemon = Spiped::start(way, target, KEY, flags).unwrap();
    if daemon.is_none() {
        skipped("spiped is not installed");
    }
    daemon
}

#[test]
fn we_open_to_the_daemon_with_every_pair_of_settings() {
    let instance = Instance::start().unwrap();
    for (flags, theirs) in FLAGS {
        let Some(daemon) = daemon(Way::Decrypts, instance.address(), flags) else { return };
        for ours in STRENGTHS {
            let stream = SealedStream::new(socket(daemon.address()).unwrap(), handshake(Role::Opens, KEY, ours));
            let answer = stream.and_then(|mut stream| {
                stream.send(b"PING\r\n")?;
                stream.receive()
            });
            let answer = answer.map_err(|error| error.to_string());
            assert_eq!(answer.as_deref() == Ok(b"+PONG\r\n"), fits(ours, theirs), "{ours:?} {flags:?}: {answer:?}");
        }
    }
}

/// Accepts one sealed connection and sends everything back, until it ends.
fn echo(listener: &TcpListener, strength: Strength) -> io::Result<usize> {
    let mut stream = SealedStream::new(listener.accept()?.0, handshake(Role::Accepts, KEY, strength))?;
    let mut count = 0;
    loop {
        match stream.receive()? {
            nothing if nothing.is_empty() => break,
            some => {
                stream.send(&some)?;
                count += some.len();
            }
        }
    }
    stream.socket().shutdown(Shutdown::Write)?;
    Ok(count)
}

/// Sends `data` to the daemon while it reads what comes back.
fn through(daemon: &Spiped, data: &[u8]) -> io::Result<Vec<u8>> {
    let mut socket = socket(daemon.address())?;
    socket.set_read_timeout(Some(Duration::from_secs(20)))?;
    let (mut sender, data) = (socket.try_clone()?, data.to_vec());
    let sent = thread::spawn(move || sender.write_all(&data).and_then(|()| sender.shutdown(Shutdown::Write)));
    let mut back = Vec::new();
    socket.read_to_end(&mut back)?;
    sent.join().unwrap()?;
    Ok(back)
}

#[test]
fn the_daemon_opens_to_us_with_every_pair_of_settings() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = Address::Tcp(listener.local_addr().unwrap());
    for (flags, theirs) in FLAGS {
        let Some(daemon) = daemon(Way::Encrypts, &address, flags) else { return };
        // The connection that showed that it listens was handed on too.
        drop(listener.accept().unwrap());
        for ours in STRENGTHS {
            let back = thread::scope(|scope| {
                let echo = scope.spawn(|| echo(&listener, ours));
                let back = through(&daemon, b"hello");
                (back, echo.join().unwrap())
            });
            let good = matches!(&back, (Ok(back), Ok(5)) if back == b"hello");
            assert_eq!(good, fits(ours, theirs), "{ours:?} {flags:?}: {back:?}");
        }
    }
}

#[test]
fn any_amount_passes_both_ways() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let Some(daemon) = daemon(Way::Encrypts, &Address::Tcp(listener.local_addr().unwrap()), &[]) else { return };
    drop(listener.accept().unwrap());
    let data: Vec<u8> = std::iter::repeat_with(|| fastrand::u8(..)).take(8 << 20).collect();
    for size in [1, 1023, 1024, 1025, 4097, 1 << 20, data.len()] {
        thread::scope(|scope| {
            let echo = scope.spawn(|| echo(&listener, Strength::Strict));
            assert!(through(&daemon, &data[..size]).unwrap() == data[..size], "{size} bytes");
            assert_eq!(echo.join().unwrap().unwrap(), size);
        });
    }
}

#[test]
fn values_of_many_sizes_are_kept_behind_the_daemon() {
    let instance = Instance::start().unwrap();
    let Some(daemon) = daemon(Way::Decrypts, instance.address(), &["-g"]) else { return };
    let mut stream =
        SealedStream::new(socket(daemon.address()).unwrap(), handshake(Role::Opens, KEY, Strength::Strict)).unwrap();
    for size in [1, 1000, 1024, 100_000, 8 << 20] {
        let value = vec![b'v'; size];
        stream.send(&encode(&[&b"SET"[..], b"k", &value])).unwrap();
        assert_eq!(stream.receive_exactly(5).unwrap(), b"+OK\r\n");
        stream.send(&encode(&[&b"GET"[..], b"k"])).unwrap();
        let expected = [format!("${size}\r\n").as_bytes(), &value, b"\r\n"].concat();
        assert!(stream.receive_exactly(expected.len()).unwrap() == expected, "{size} bytes");
    }
    let mut direct = Connection::open(instance.address()).unwrap();
    assert!(direct.demand(&["STRLEN", "k"]).is_ok());
}

#[test]
fn the_daemon_s_end_is_the_end_and_another_key_is_named() {
    let instance = Instance::start().unwrap();
    let Some(daemon) = daemon(Way::Decrypts, instance.address(), &[]) else { return };
    let open = |key: &[u8]| {
        SealedStream::new(socket(daemon.address()).unwrap(), handshake(Role::Opens, key, Strength::Strong))
    };
    let mut stream = open(KEY).unwrap();
    stream.send(b"QUIT\r\n").unwrap();
    assert_eq!(stream.receive_exactly(100).unwrap(), b"+OK\r\n");
    let told = open(b"another key, as long as a key has to be").unwrap_err().to_string();
    assert!(told.contains("its key is another"), "{told}");
}
