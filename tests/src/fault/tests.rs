use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use super::{Cue, Door, End, FaultProxy, Flow, Way};
use crate::address::Address;

const SOON: Duration = Duration::from_millis(200);

/// A target that the test holds itself, and a fault proxy before it.
struct Bench {
    target: TcpListener,
    fault: FaultProxy,
}

impl Bench {
    fn start() -> Bench {
        let target = TcpListener::bind("127.0.0.1:0").unwrap();
        let fault = FaultProxy::start(&Address::Tcp(target.local_addr().unwrap())).unwrap();
        Bench { target, fault }
    }

    fn address(&self) -> SocketAddr {
        let Address::Tcp(address) = self.fault.address() else { unreachable!() };
        *address
    }

    /// A connection's two ends.
    fn connect(&self) -> (TcpStream, TcpStream) {
        let client = TcpStream::connect(self.address()).unwrap();
        let (target, _) = self.target.accept().unwrap();
        for end in [&client, &target] {
            end.set_read_timeout(Some(SOON)).unwrap();
        }
        (client, target)
    }
}

/// What comes within a short time, and how it ends.
fn read(stream: &mut TcpStream) -> (Vec<u8>, Option<io::ErrorKind>) {
    let mut bytes = Vec::new();
    let end = stream.read_to_end(&mut bytes).err().map(|error| error.kind());
    (bytes, end)
}

const SILENCE: Option<io::ErrorKind> = Some(io::ErrorKind::WouldBlock);
const RESET: Option<io::ErrorKind> = Some(io::ErrorKind::ConnectionReset);
const FIN: Option<io::ErrorKind> = None;

fn passes(from: &mut TcpStream, to: &mut TcpStream) -> bool {
    from.write_all(b"ping").unwrap();
    let mut bytes = [0; 4];
    to.read_exact(&mut bytes).is_ok_and(|()| &bytes == b"ping")
}

#[test]
fn bytes_pass_both_ways_and_an_end_is_handed_on() {
    let bench = Bench::start();
    let (mut client, mut target) = bench.connect();
    assert!(passes(&mut client, &mut target) && passes(&mut target, &mut client));
    assert_eq!(bench.fault.counts().unwrap().forth, 4);
    client.shutdown(std::net::Shutdown::Write).unwrap();
    assert_eq!(read(&mut target), (vec![], FIN));
    assert!(passes(&mut target, &mut client), "the other way is still open");
    drop((client, target));
}

#[test]
fn a_stalled_way_loses_nothing_and_the_other_way_passes() {
    let bench = Bench::start();
    let (mut client, mut target) = bench.connect();
    bench.fault.stall(Way::Forth).unwrap();
    assert!(!passes(&mut client, &mut target));
    assert!(passes(&mut target, &mut client));
    bench.fault.heal().unwrap();
    assert_eq!(read(&mut target).0, b"ping");
}

#[test]
fn what_is_swallowed_is_gone_for_good() {
    let bench = Bench::start();
    let (mut client, mut target) = bench.connect();
    bench.fault.give(Cue::Flow(Way::Forth, Flow::Swallowed)).unwrap();
    assert!(!passes(&mut client, &mut target));
    bench.fault.heal().unwrap();
    assert!(!passes(&mut client, &mut target));
    let (mut fresh, mut target) = bench.connect();
    assert!(passes(&mut fresh, &mut target));
}

#[test]
fn a_delay_and_a_throttle_take_their_time() {
    let bench = Bench::start();
    let (mut client, mut target) = bench.connect();
    bench.fault.give(Cue::Flow(Way::Forth, Flow::Delayed(SOON / 2))).unwrap();
    let started = Instant::now();
    assert!(passes(&mut client, &mut target));
    assert!(started.elapsed() >= SOON / 2);
    bench.fault.give(Cue::Flow(Way::Forth, Flow::Throttled(100_000))).unwrap();
    let started = Instant::now();
    client.write_all(&[7; 30_000]).unwrap();
    target.read_exact(&mut [0; 30_000]).unwrap();
    let took = started.elapsed();
    assert!(took > Duration::from_millis(250) && took < Duration::from_secs(2), "{took:?}");
}

#[test]
fn a_cut_is_exact_in_either_way() {
    for end in [End::Fin, End::Reset] {
        let bench = Bench::start();
        let (mut client, mut target) = bench.connect();
        bench.fault.cut_after(Way::Back, 5, end).unwrap();
        target.write_all(b"hello, world").unwrap();
        let how = if end == End::Fin { FIN } else { RESET };
        assert_eq!(read(&mut client), (b"hello".to_vec(), how));
        let (mut client, mut target) = bench.connect();
        assert!(passes(&mut target, &mut client), "the next connection is whole");
        bench.fault.cut_after(Way::Forth, 0, end).unwrap();
        client.write_all(b"x").unwrap();
        assert_eq!(read(&mut target), (vec![], how));
    }
}

#[test]
fn half_open_connections_tell_one_side_only() {
    let bench = Bench::start();
    let (mut client, mut target) = bench.connect();
    bench.fault.end(End::TargetGone).unwrap();
    assert_eq!(read(&mut target).1, FIN);
    client.write_all(b"into the void").unwrap();
    assert_eq!(read(&mut client), (vec![], SILENCE));
    let (mut client, mut target) = bench.connect();
    bench.fault.end(End::ClientGone).unwrap();
    assert_eq!(read(&mut client).1, FIN);
    assert_eq!(read(&mut target), (vec![], SILENCE));
}

#[test]
fn what_nobody_said_can_be_injected() {
    let bench = Bench::start();
    let (mut client, mut target) = bench.connect();
    bench.fault.give("inject back +OK".parse().unwrap()).unwrap();
    assert_eq!(read(&mut client).0, b"+OK\r\n");
    assert!(passes(&mut client, &mut target));
}

#[test]
fn what_is_held_is_late_while_new_connections_pass() {
    let bench = Bench::start();
    let (mut old, mut behind) = bench.connect();
    bench.fault.hold().unwrap();
    assert!(!passes(&mut old, &mut behind));
    let (mut fresh, mut target) = bench.connect();
    assert!(passes(&mut fresh, &mut target) && passes(&mut target, &mut fresh));
    bench.fault.heal().unwrap();
    assert_eq!(read(&mut behind).0, b"ping");
}

#[test]
fn every_door_treats_new_connections_in_its_way() {
    let bench = Bench::start();
    let (mut old, mut target) = bench.connect();
    let dial = || TcpStream::connect_timeout(&bench.address(), SOON);
    bench.fault.give(Cue::Door(Door::Refusing)).unwrap();
    assert_eq!(dial().unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
    bench.fault.give(Cue::Door(Door::Unanswered)).unwrap();
    assert_eq!(dial().unwrap_err().kind(), io::ErrorKind::TimedOut);
    assert_eq!(dial().unwrap_err().kind(), io::ErrorKind::TimedOut);
    bench.fault.give(Cue::Door(Door::Ignoring)).unwrap();
    let mut ignored = dial().unwrap();
    ignored.set_read_timeout(Some(SOON)).unwrap();
    assert_eq!(read(&mut ignored), (vec![], SILENCE));
    bench.fault.heal().unwrap();
    let (mut fresh, mut behind) = bench.connect();
    assert!(passes(&mut fresh, &mut behind) && passes(&mut old, &mut target));
}

#[test]
fn large_values_pass_unharmed_and_a_full_way_holds_its_sender_back() {
    let bench = Bench::start();
    let (mut client, mut target) = bench.connect();
    let sent: Vec<u8> = (0..20_000_000_u32).map(|at| (at * 7 % 251) as u8).collect();
    bench.fault.stall(Way::Forth).unwrap();
    client.set_write_timeout(Some(SOON)).unwrap();
    let mut at = 0;
    while let Ok(count) = client.write(&sent[at..]) {
        at += count;
    }
    assert!(at < sent.len(), "a stalled way takes what the kernel holds and no more");
    bench.fault.heal().unwrap();
    client.set_write_timeout(None).unwrap();
    let rest = sent[at..].to_vec();
    let writer = std::thread::spawn(move || client.write_all(&rest));
    let mut received = vec![0; sent.len()];
    target.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    target.read_exact(&mut received).unwrap();
    assert!(received == sent);
    writer.join().unwrap().unwrap();
}

#[test]
fn cues_are_text_too() {
    assert_eq!("delay back 250".parse(), Ok(Cue::Flow(Way::Back, Flow::Delayed(Duration::from_millis(250)))));
    assert_eq!("end-after forth 10 reset".parse(), Ok(Cue::EndAfter(Way::Forth, 10, End::Reset)));
    assert_eq!("door unanswered".parse(), Ok(Cue::Door(Door::Unanswered)));
    assert!("stall sideways".parse::<Cue>().is_err());
}
