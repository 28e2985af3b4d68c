//! Peers that do what they should not on a sealed listener: nobody else notices, and nothing is kept of them.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use pdw_tests::address::Address;
use pdw_tests::connection::encode;
use pdw_tests::tls_client::TlsClient;

use crate::Stage;

/// A handshake may take so long, and a busy machine a little more.
pub(crate) const HANDSHAKE: Duration = Duration::from_secs(5);
pub(crate) const SLACK: Duration = Duration::from_secs(4);

fn dial(address: &Address) -> TcpStream {
    let stream = TcpStream::connect(address.to_string()).unwrap();
    stream.set_read_timeout(Some(HANDSHAKE + SLACK)).unwrap();
    stream
}

/// Waits until the far end closes; how long that took.
pub(crate) fn closed(stream: &mut impl Read) -> Duration {
    let started = Instant::now();
    let mut rest = Vec::new();
    // A reset is an end, too.
    match stream.read_to_end(&mut rest) {
        Ok(_) => {}
        Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => {}
        Err(error) => panic!("not closed: {error}"),
    }
    started.elapsed()
}

#[test]
fn a_handshake_that_stops_anywhere_is_closed_after_five_seconds_and_told_once() {
    let mut stage = Stage::new("", "");
    let hello = TlsClient::new(&stage.authority.file(), None).unwrap().hello().unwrap();
    let mut streams: Vec<_> = [0, 1, 4, 5, hello.len() / 2, hello.len() - 1, hello.len()]
        .into_iter()
        .map(|len| {
            let mut stream = dial(&stage.sealed);
            stream.write_all(&hello[..len]).unwrap();
            stream
        })
        .collect();
    let started = Instant::now();
    for stream in &mut streams {
        closed(stream);
    }
    assert!((HANDSHAKE - SLACK / 4..HANDSHAKE + SLACK).contains(&started.elapsed()), "{:?}", started.elapsed());
    assert_eq!(stage.proxy.guard().output().matches("took too long").count(), 1);
}

#[test]
fn plain_resp_on_a_sealed_listener_and_the_reverse_are_closed_and_told_once() {
    let mut stage = Stage::new("", "");
    for _ in 0..50 {
        let mut stream = dial(&stage.sealed);
        stream.write_all(&encode(&["PING"])).unwrap();
        assert!(closed(&mut stream) < SLACK);
    }
    let client = TlsClient::new(&stage.authority.file(), None).unwrap();
    for _ in 0..50 {
        let mut stream = dial(stage.proxy.address());
        stream.write_all(&client.hello().unwrap()).unwrap();
        assert!(closed(&mut stream) < SLACK);
    }
    stage.wait_log("speaks TLS to a plain address");
    let log = stage.proxy.guard().output();
    assert_eq!(log.matches("speaks plain RESP").count(), 1, "{log}");
    assert_eq!(log.matches("speaks TLS to a plain address").count(), 1, "{log}");
}

#[test]
fn garbage_in_a_handshake_and_forged_repeated_or_cut_records_cost_their_sender_its_connection_alone() {
    let mut stage = Stage::new("", "");
    let client = TlsClient::new(&stage.authority.file(), None).unwrap();
    let mut witness = client.connect(&stage.sealed).unwrap();
    let mut random = fastrand::Rng::with_seed(5);
    let hello = client.hello().unwrap();
    for round in 0..200 {
        let mut bytes = if round % 2 == 0 { hello.clone() } else { vec![22, 3, 3] };
        let noise = random.usize(1..400);
        bytes.extend(std::iter::repeat_with(|| random.u8(..)).take(noise));
        let at = random.usize(..bytes.len());
        bytes[at] ^= random.u8(1..);
        let mut stream = dial(&stage.sealed);
        // It may be closed already.
        let _ = stream.write_all(&bytes);
        let _ = stream.shutdown(std::net::Shutdown::Write);
        closed(&mut stream);
    }
    for forged in [vec![23, 3, 3, 0, 40], vec![23, 3, 3, 0xff, 0xff], vec![23, 3, 3, 0, 1, 7], vec![0; 100]] {
        let mut session = client.connect(&stage.sealed).unwrap();
        session.call(&["PING"]).unwrap();
        session.socket().write_all(&forged).unwrap();
        session.socket().write_all(&[9; 64]).unwrap();
        assert!(closed(session.socket()) < SLACK, "{forged:?}");
    }
    let mut cut = client.connect(&stage.sealed).unwrap();
    cut.send(&encode(&["SET", "whole", "1"])).unwrap();
    cut.receive().unwrap();
    cut.socket().write_all(&[23, 3, 3, 0, 200, 1, 2, 3]).unwrap();
    cut.socket().shutdown(std::net::Shutdown::Write).unwrap();
    assert!(closed(cut.socket()) < SLACK);
    assert_eq!(witness.call(&["GET", "whole"]).unwrap().bytes(), b"1");
    stage.wait_log("not sealed");
}

#[test]
fn ten_thousand_clients_that_never_finish_stay_cheap_are_closed_and_hold_up_nobody() {
    let mut stage = Stage::new("", "limits.handshakes_max = 64");
    let client = TlsClient::new(&stage.authority.file(), None).unwrap();
    client.connect(&stage.sealed).unwrap().call(&["PING"]).unwrap();
    let before = stage.proxy.guard().resident_kib().unwrap();
    let hello = client.hello().unwrap();
    let started = Instant::now();
    let crowd: Vec<TcpStream> = (0..10_000).map(|_| dial(&stage.sealed)).collect();
    for stream in crowd.iter().step_by(100) {
        // A hundred of them begin; more than may at a time.
        let mut stream = stream;
        stream.write_all(&hello[..200.min(hello.len() - 1)]).unwrap();
    }
    let mut plain = stage.proxy.connect().unwrap();
    let asked = Instant::now();
    plain.demand(&["PING"]).unwrap();
    assert!(asked.elapsed() < SLACK / 2, "{:?}", asked.elapsed());
    let grown = stage.proxy.guard().resident_kib().unwrap().saturating_sub(before);
    assert!(grown < 10_000, "{grown} KiB for 10,000 clients that say nothing");
    let mut late = client.connect(&stage.sealed).unwrap();
    late.call(&["PING"]).unwrap();
    for mut stream in crowd {
        closed(&mut stream);
    }
    assert!(started.elapsed() < HANDSHAKE * 3 + SLACK, "{:?}", started.elapsed());
    late.call(&["PING"]).unwrap();
}
