//! Instances that close in the middle of a value or of a reply, send more than they announced, or take less than comes.

use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use pdw_tests::address::Address;
use pdw_tests::connection::{Connection, encode, until};
use pdw_tests::fault::{End, FaultProxy, Way};
use pdw_tests::instance::{Instance, Server};
use pdw_tests::latency::keys_at;
use pdw_tests::reply::parse;

use crate::broken_clients::said;
use crate::stage::on_each_stage_with;
use crate::stripe::{Content, Mover};
use pdw_tests::full_or;

/// How often an instance closes.
const ROUNDS: u32 = 4;

/// How long until the proxy has links again.
const LIMIT: Duration = Duration::from_secs(10);

fn size() -> usize {
    full_or(50 << 20, 3 << 20)
}

/// A key on the second of two instances: the one that is broken.
fn key() -> String {
    keys_at(1, 2).remove(0)
}

/// Does something with a value through an instance that closes in the middle of it.
fn closes_within(way: Way, ask: impl Fn(&mut Mover, Content) -> io::Result<()>) -> io::Result<()> {
    let instead = |second: &Address| FaultProxy::start(second).map(|fault| (fault.address().clone(), fault));
    on_each_stage_with(instead, |stage, fault| {
        let old = Content::new(0, 0, size());
        let address = stage.proxy.address().clone();
        Mover::connect(&address)?.set(&key(), old)?;
        stage.unharmed_while(&format!("closes within a value, {way:?}"), |address| {
            for round in 0..ROUNDS {
                fault.cut_after(way, size() as u64 / 2, if round % 2 == 0 { End::Fin } else { End::Reset })?;
                let ended = ask(&mut Mover::connect(address)?, Content::new(0, 1, size()));
                assert!(ended.is_err(), "its instance closed, and its client heard {ended:?}");
                let mended = || Mover::connect(address)?.read_version(&key(), old);
                assert_eq!(until("a value", LIMIT, mended)?, 0);
            }
            Ok(())
        })
    })
}

#[test]
fn an_instance_that_closes_in_the_middle_of_a_value() -> io::Result<()> {
    closes_within(Way::Forth, |mover, content| mover.set(&key(), content))
}

#[test]
fn an_instance_that_closes_in_the_middle_of_a_reply() -> io::Result<()> {
    closes_within(Way::Back, |mover, content| mover.read(&key(), content))
}

/// What a fake instance says when it is asked for the field `ANNOUNCED:SENT` of a hash.
fn too_much(field: &str) -> Option<Vec<u8>> {
    let (announced, sent) = field.split_once(':')?;
    Some([format!("${announced}\r\n").as_bytes(), &vec![b'j'; sent.parse().ok()?]].concat())
}

/// A reply that nobody asked for.
const JUNK: &str = "+JUNK\r\n";

/// How long the fake instance takes to say what looks like replies: others have asked it something by then.
const SLOW: Duration = Duration::from_millis(200);

/// What it says when it is asked for the length of the field `ANNOUNCED` of a hash: a value with no end, and replies to nothing
/// where they would be looked for if the value's end had been there.
fn lookalike(announced: &str) -> Option<Vec<u8>> {
    thread::sleep(SLOW);
    let value = vec![b'j'; announced.parse::<usize>().ok()? + 2];
    Some([format!("${announced}\r\n").as_bytes(), &value, JUNK.repeat(3).as_bytes()].concat())
}

fn answer(request: &[String]) -> Vec<u8> {
    match request[0].as_str() {
        "PING" => b"+PONG\r\n".to_vec(),
        "EXEC" => b"*0\r\n".to_vec(),
        "HGET" => too_much(&request[2]).unwrap_or_default(),
        "HSTRLEN" => lookalike(&request[2]).unwrap_or_default(),
        _ => b"+OK\r\n".to_vec(),
    }
}

/// Serves one connection of a fake instance.
fn serve(mut client: TcpStream) -> io::Result<()> {
    let (mut input, mut chunk) = (Vec::new(), [0; 16 << 10]);
    loop {
        while let Some((request, len)) = parse(&input)? {
            let words: Vec<String> = request.elements().iter().map(|word| word.text().to_uppercase()).collect();
            input.drain(..len);
            client.write_all(&answer(&words))?;
        }
        let read = client.read(&mut chunk)?;
        if read == 0 {
            return Ok(());
        }
        input.extend_from_slice(&chunk[..read]);
    }
}

/// An instance that can do little but send too much.
fn fake() -> io::Result<Address> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    thread::spawn(move || {
        for client in listener.incoming().flatten() {
            thread::spawn(move || serve(client));
        }
    });
    Ok(Address::Tcp(address))
}

#[test]
fn an_instance_that_sends_more_than_it_announced() -> io::Result<()> {
    on_each_stage_with(
        |_| Ok((fake()?, ())),
        |stage, ()| {
            for (announced, sent) in [(100, 7000), (size(), size() + 7000), (size(), 2 * size())] {
                stage.unharmed_while(&format!("sends {sent} instead of {announced}"), |address| {
                    let mut other = Connection::open(address)?;
                    let mut session = Mover::connect(address)?.into_stream();
                    session.set_read_timeout(Some(Duration::from_millis(300)))?;
                    session.write_all(&encode(&["HGET", &key(), &format!("{announced}:{sent}")]))?;
                    let beside = other.call(&["SET", &key(), "v"])?;
                    assert_eq!(beside.text().replace("OK", ""), "", "{beside:?}");
                    let mut heard = Vec::new();
                    let _ = session.read_to_end(&mut heard);
                    // Of what follows, the place of the value's line end at most.
                    let junk = heard.iter().filter(|byte| **byte == b'j').count();
                    assert!(junk <= announced + 2, "{junk} bytes of a value of {announced}");
                    // Under profile pdwfs it is asked for again, but not for ever: each time all lose their link.
                    let mended = || Connection::open(address)?.demand(&["SET", &key(), "v"]);
                    until("the next link", LIMIT, mended).map(drop)
                })?;
            }
            Ok(())
        },
    )
}

#[test]
fn what_an_instance_sends_too_much_is_nobodys_answer() -> io::Result<()> {
    on_each_stage_with(
        |_| Ok((fake()?, ())),
        |stage, ()| {
            stage.unharmed_while("sends replies to nothing behind a value", |address| {
                let mut session = Connection::open(address)?;
                let mut behind = Connection::open(address)?;
                session.send(&encode(&["HSTRLEN", &key(), &size().to_string()]))?;
                thread::sleep(SLOW / 4);
                let heard = behind.call(&["SET", &key(), "v"])?;
                assert_ne!(heard.text(), "JUNK", "{heard:?}");
                let whole = session.receive();
                assert!(whole.is_err(), "a value that has no end: {} bytes", whole?.raw.len());
                let mended = || Connection::open(address)?.demand(&["SET", &key(), "v"]);
                until("the next link", LIMIT, mended).map(drop)
            })
        },
    )
}

/// Whether a session whose value was refused when it had `begun` answers once the `rest` of it has come.
fn goes_on(address: &Address, begun: &[u8], rest: &[u8]) -> io::Result<bool> {
    let mut session = Connection::open(address)?;
    session.send(begun)?;
    assert!(session.receive()?.value.error().is_some());
    session.send(rest)?;
    Ok(session.demand(&["PING"])?.text() == "PONG")
}

#[test]
fn an_instance_whose_bulk_length_is_smaller_than_the_value() -> io::Result<()> {
    let narrow = |_: &Address| {
        let port = Address::free_loopback()?;
        let arguments = ["--proto-max-bulk-len", "1mb", "--port", &port.port().to_string()];
        Instance::start_with(&Server::redis(), &arguments).map(|instance| (port, instance))
    };
    on_each_stage_with(narrow, |stage, instance| {
        let head = format!("*3\r\n$3\r\nSET\r\n${}\r\n{}\r\n${}\r\n", key().len(), key(), 3 << 20);
        // Not more than sockets hold: a server that closes with bytes unread resets the connection, its error included.
        let begun = [head.as_bytes(), &[b'v'; 10_000]].concat();
        for request in [begun.clone(), [encode(&["MULTI"]), begun.clone()].concat()] {
            let wanted = said(instance.address(), &request)?;
            let found = stage.unharmed_while("a narrow instance", |address| said(address, &request))?;
            // Its error is told, and the connection is closed as directly or stays usable: profile redis skips the rest.
            let lives_on = stage.profile == "redis" && found == (wanted.0.clone(), false);
            assert!(found == wanted || lives_on, "{found:?}, directly {wanted:?}");
            Mover::connect(stage.proxy.address())?.call(&["SET", &key(), "small"])?;
        }
        if stage.profile == "redis" {
            let rest = [&vec![b'v'; (3 << 20) - 10_000], b"\r\n".as_slice()].concat();
            assert!(goes_on(stage.proxy.address(), &begun, &rest)?, "the session does not answer any more");
        }
        Ok(())
    })
}
