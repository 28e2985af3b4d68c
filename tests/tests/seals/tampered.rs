//! Somebody on the way, who has no key: packets and records cut, repeated, left out, in another order, and forged.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use pdw_auth::Role;
use pdw_tests::address::Address;
use pdw_tests::certificates::secret;
use pdw_tests::connection::{encode, until};
use pdw_tests::instance::{Instance, Server};
use pdw_tests::proxy::Launch;
use pdw_tests::sealed::SealedStream;

use crate::hostile::{SLACK, closed};
use crate::house::House;
use crate::{LIMIT, noise, quoted};

const SEALS: [&str; 2] = ["spiped", "noise"];

/// What becomes of three sealed requests on their way, and how many of them are carried out.
type Way = (&'static str, fn([Vec<u8>; 3]) -> Vec<u8>, &'static str);

const WAYS: [Way; 7] = [
    ("as they are", |all| all.concat(), "3"),
    (
        "the second forged",
        |[one, mut two, three]| {
            let middle = two.len() / 2;
            two[middle] ^= 1;
            [one, two, three].concat()
        },
        "1",
    ),
    ("the first repeated", |[one, two, _]| [one.clone(), one, two].concat(), "1"),
    ("the second left out", |[one, _, three]| [one, three].concat(), "1"),
    ("in another order", |[one, two, three]| [two, one, three].concat(), "0"),
    ("the second cut", |[one, two, _]| [&one[..], &two[..two.len() - 5]].concat(), "1"),
    ("something between", |[one, two, _]| [one, vec![0; 1060], two].concat(), "1"),
];

#[test]
fn requests_that_were_tampered_with_are_not_carried_out_and_cost_their_sender_its_connection_alone() {
    let mut house = House::new("");
    let mut witness = house.proxy.connect().unwrap();
    for seal in SEALS {
        let mut bystander = house.open(seal).unwrap();
        for (number, (way, tamper, carried_out)) in WAYS.iter().enumerate() {
            let key = format!("{seal}:{number}");
            witness.demand(&["SET", &key, "0"]).unwrap();
            let mut stream = house.open(seal).unwrap();
            let packets = [(); 3].map(|()| stream.seal(&encode(&["INCR", &key])).unwrap());
            stream.socket().write_all(&tamper(packets)).unwrap();
            stream.socket().shutdown(Shutdown::Write).unwrap();
            assert!(closed(&mut stream.socket()) < SLACK, "{seal}, {way}");
            assert_eq!(witness.demand(&["GET", &key]).unwrap().text(), *carried_out, "{seal}, {way}");
        }
        bystander.send(&encode(&["PING"])).unwrap();
        assert_eq!(bystander.receive().unwrap(), b"+PONG\r\n", "{seal}");
    }
    let log = house.proxy.guard().output();
    // Once a minute for each peer and kind of trouble, however many connections it has.
    assert_eq!(log.matches("was altered, repeated, left out").count(), 1, "{log}");
    assert_eq!(log.matches("ended before the far end said so").count(), 1, "{log}");
}

/// Stands for an instance behind a seal: hands on what is asked, and does something to what is answered of keys
/// whose name says so.
fn stand_between(mut near: SealedStream, instance: &str) -> io::Result<()> {
    let mut far = TcpStream::connect(instance)?;
    far.set_read_timeout(Some(Duration::from_millis(20)))?;
    loop {
        let asked = near.receive()?;
        if asked.is_empty() {
            return Ok(());
        }
        far.write_all(&asked)?;
        let mut answer = Vec::new();
        let mut chunk = [0; 4096];
        while let Ok(count @ 1..) = far.read(&mut chunk) {
            answer.extend_from_slice(&chunk[..count]);
        }
        let sealed = near.seal(&answer)?;
        let is = |word: &str| asked.windows(word.len()).any(|bytes| bytes == word.as_bytes());
        let wire = match () {
            () if is("forged") => sealed.iter().enumerate().map(|(at, byte)| byte ^ u8::from(at == 9)).collect(),
            () if is("repeated") => [&sealed[..], &sealed].concat(),
            () if is("cut") => sealed[..sealed.len() - 1].to_vec(),
            () => sealed,
        };
        near.socket().write_all(&wire)?;
        if is("cut") {
            return Ok(());
        }
    }
}

/// Where such a one listens.
fn between(seal: &'static str, instance: &Address, key: &[u8]) -> Address {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = Address::Tcp(listener.local_addr().unwrap());
    let (instance, key) = (instance.to_string(), key.to_vec());
    // It ends with the test's process.
    thread::spawn(move || {
        for socket in listener.incoming().flatten() {
            let (instance, key) = (instance.clone(), key.clone());
            thread::spawn(move || {
                let near = SealedStream::new(socket, House::handshake(seal, Role::Accepts, &key))?;
                stand_between(near, &instance)
            });
        }
    });
    address
}

#[test]
fn replies_that_were_tampered_with_reach_nobody_and_the_link_is_opened_anew() {
    let target = Address::free_loopback().unwrap();
    let instance = Instance::start_with(&Server::redis(), &["--port", &target.port().to_string()]).unwrap();
    let mut direct = instance.connect().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (file, key) = (folder.path().join("key"), noise(1, 32));
    secret(&file, &key).unwrap();
    for seal in SEALS {
        let upstream = between(seal, &target, &key);
        let plain = Address::free_loopback().unwrap();
        let config = format!(
            "listen = \"{plain}\"\nupstreams = [{{ address = \"{upstream}\", seal = \"{seal}\", key = {} }}]\n",
            quoted(&file)
        );
        let launch = Launch::new("redis", &[]).levels(1).config(&config).listens_by_file(&plain);
        let mut proxy = launch.spawn().unwrap();
        for name in ["good", "forged", "repeated", "cut"] {
            direct.demand(&["SET", name, name]).unwrap();
            until("served", LIMIT, || proxy.connect()?.demand(&["GET", "good"]).map(drop)).unwrap();
            let answer = proxy.connect().unwrap().call(&["GET", name]);
            // Of what is repeated the first is good.
            let whole = matches!(name, "good" | "repeated");
            let told = answer.is_ok_and(|value| value.error().is_none());
            assert_eq!(told, whole, "{seal}, {name}");
        }
        until("served", LIMIT, || proxy.connect()?.demand(&["GET", "good"]).map(drop)).unwrap();
        proxy.wait_log("was altered, repeated, left out").unwrap();
        assert!(proxy.guard().output().contains("peer=upstream"), "{}", proxy.guard().output());
    }
}
