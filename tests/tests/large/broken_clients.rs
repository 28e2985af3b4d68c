//! Clients that die, stand still or lie about a length: in the middle of a value, before EXEC, before its reply.

use std::io::{self, Write};
use std::net::Shutdown;
use std::thread;
use std::time::{Duration, Instant};

use pdw_tests::address::Address;
use pdw_tests::connection::{Connection, encode};
use pdw_tests::proxy::Launch;
use socket2::SockRef;

use crate::memory::tcp_instances;
use crate::stage::{STALL_MAX, Stage, on_each_stage};
use crate::stripe::{Content, Mover, stripe_key};
use pdw_tests::full_or;

const FILE: &str = "/broken/file";

/// Clients that misbehave in one way at once.
const CLIENTS: u32 = 6;

/// `limits.bulk_lanes`.
const LANES: u32 = 2;

/// `limits.spare_lanes`.
const SPARE_LANES: u32 = 30;

/// Above what any profile retains.
const SIZE: usize = 3 << 20;

/// How far a client has come with its stripe.
#[derive(Clone, Copy, Debug)]
enum Point {
    MiddleOfValue,
    BeforeExec,
    BeforeReply,
}

/// What it does then.
#[derive(Clone, Copy, Debug)]
enum Turn {
    Fin,
    Reset,
    StandStill,
}

/// A client that has come so far; its stripe's old version is 0, its new one 1.
fn come_to(point: Point, address: &Address, number: u32) -> io::Result<Mover> {
    let mut mover = Mover::connect(address)?;
    // Where others stand still, nobody takes what it sends.
    mover.stream().set_write_timeout(Some(Duration::from_millis(300)))?;
    let content = Content::new(number, 1, full_or(50 << 20, SIZE));
    let sent = match point {
        Point::MiddleOfValue => mover.send_stripe_until(FILE, content, content.size() / 2),
        _ => mover.send_stripe(FILE, content),
    };
    let end = if matches!(point, Point::BeforeReply) { encode(&["EXEC"]) } else { Vec::new() };
    match sent.and_then(|()| mover.stream().write_all(&[b"\r\n".as_slice(), &end].concat())) {
        Err(error) if error.kind() != io::ErrorKind::WouldBlock => Err(error),
        _ => Ok(mover),
    }
}

fn turn(turn: Turn, mover: &mut Mover) -> io::Result<()> {
    match turn {
        Turn::Fin => mover.stream().shutdown(Shutdown::Write),
        Turn::Reset => SockRef::from(&*mover.stream()).set_linger(Some(Duration::ZERO)),
        Turn::StandStill => {
            thread::sleep(STALL_MAX / 2);
            Ok(())
        }
    }
}

fn misbehave(stage: &mut Stage, point: Point, way: Turn) -> io::Result<()> {
    stage.unharmed_while(&format!("{way:?} {point:?}"), |address| {
        let come = |number| come_to(point, address, number);
        let mut clients = (0..CLIENTS).map(come).collect::<io::Result<Vec<_>>>()?;
        clients.iter_mut().try_for_each(|client| turn(way, client))?;
        thread::sleep(Duration::from_millis(100));
        Ok(())
    })
}

/// A stripe is its old or its new version; the new one only after an EXEC.
fn is_whole(address: &Address, number: u32, point: Point) -> io::Result<()> {
    let size = full_or(50 << 20, SIZE);
    let version = Mover::connect(address)?.read_version(&stripe_key(FILE, number), Content::new(number, 0, size))?;
    assert!(version == 0 || matches!(point, Point::BeforeReply), "{point:?}: version {version}");
    Ok(())
}

fn write(address: &Address, number: u32) -> io::Result<()> {
    Mover::connect(address)?.write_stripe(FILE, Content::new(number, 0, full_or(50 << 20, SIZE)))
}

fn at(point: Point) -> io::Result<()> {
    on_each_stage(|stage| {
        for way in [Turn::Fin, Turn::Reset, Turn::StandStill] {
            let address = stage.proxy.address().clone();
            (0..CLIENTS).try_for_each(|number| write(&address, number))?;
            misbehave(stage, point, way)?;
            (0..CLIENTS).try_for_each(|number| is_whole(&address, number, point))?;
        }
        Ok(())
    })
}

#[test]
fn clients_that_die_or_stand_still_in_the_middle_of_a_value() -> io::Result<()> {
    at(Point::MiddleOfValue)
}

#[test]
fn clients_that_die_or_stand_still_before_exec() -> io::Result<()> {
    at(Point::BeforeExec)
}

#[test]
fn clients_that_die_or_stand_still_between_exec_and_its_reply() -> io::Result<()> {
    at(Point::BeforeReply)
}

/// More clients than there are lanes stand still; the time that a good one needs meanwhile.
fn wait_behind(address: &Address, lanes: u32, stand: impl Fn(u32) -> io::Result<Mover>) -> io::Result<Duration> {
    let standing = (0..=lanes).map(stand).collect::<io::Result<Vec<_>>>()?;
    let start = Instant::now();
    write(address, 0)?;
    drop(standing);
    Ok(start.elapsed())
}

#[test]
fn more_clients_than_lanes_stand_still_and_the_others_go_on_within_stall_max() -> io::Result<()> {
    on_each_stage(|stage| {
        let (size, key) = (full_or(50 << 20, 16 << 20), stripe_key(FILE, 0));
        for reading in [false, true] {
            let waited = stage.unharmed_while(&format!("more than lanes, reading {reading}"), |address| {
                Mover::connect(address)?.set(&key, Content::new(0, 0, size))?;
                let lanes = if reading { LANES } else { LANES + SPARE_LANES };
                wait_behind(address, lanes, |_| {
                    let mut mover = Mover::connect(address)?;
                    match reading {
                        true => mover.stream().write_all(&encode(&["GET", &key]))?,
                        // Less than the sockets hold, so that each has sent what it will.
                        false => mover.send_set(&key, Content::new(0, 1, size), 200 << 10)?,
                    }
                    thread::sleep(Duration::from_millis(20));
                    Ok(mover)
                })
            })?;
            println!("the next one after {waited:?}");
            assert!(waited < STALL_MAX + STALL_MAX / 2, "{}: {waited:?}", stage.profile);
        }
        Ok(())
    })
}

/// A job is suspended in the middle of its stripes: ten times as many clients as there are lanes, which keep theirs for
/// longer than anybody would like to wait.
#[test]
fn the_clients_of_a_suspended_job_do_not_hold_up_the_others() -> io::Result<()> {
    let (_instances, addresses) = tcp_instances(1)?;
    let proxy = Launch::new("pdwfs", &addresses).config("[times]\nstall_max = \"10min\"\n").start()?;
    let address = proxy.address();
    let suspended = (0..10 * LANES).map(|number| {
        let mut mover = Mover::connect(address)?;
        mover.send_set(&stripe_key(FILE, 1 + number), Content::new(1 + number, 0, SIZE), 200 << 10)?;
        Ok(mover)
    });
    let suspended = suspended.collect::<io::Result<Vec<_>>>()?;
    let start = Instant::now();
    write(address, 0)?;
    let waited = start.elapsed();
    println!("after {waited:?}");
    // Two more lanes every tenth of a second.
    assert!(waited < Duration::from_secs(5), "{waited:?}");
    // Once it goes on, nothing of it is lost.
    for (number, mut mover) in (1..).zip(suspended) {
        mover.finish_set(Content::new(number, 0, SIZE), 200 << 10)?;
        Mover::connect(address)?.read(&stripe_key(FILE, number), Content::new(number, 0, SIZE))?;
    }
    Ok(())
}

/// What a server says to these bytes and to a request behind them, and whether it closes.
pub(crate) fn said(address: &Address, bytes: &[u8]) -> io::Result<(String, bool)> {
    let mut connection = Connection::open(address)?;
    connection.send(bytes)?;
    // The server may have closed.
    let _ = connection.send(&encode(&["GET", "after"]));
    let (said, closed) = connection.drain(Duration::from_millis(200))?;
    Ok((String::from_utf8_lossy(&said).into_owned(), closed))
}

#[test]
fn clients_that_lie_about_a_length_hear_what_redis_says_to_it() -> io::Result<()> {
    let value = vec![b'v'; SIZE];
    let head = |len: usize| format!("*3\r\n$3\r\nSET\r\n$1\r\nk\r\n${len}\r\n").into_bytes();
    let (multi, exec) = (encode(&["MULTI"]), encode(&["EXEC"]));
    let longer = [head(SIZE - 1000), value.clone(), b"\r\n".to_vec()].concat();
    let shorter = [head(SIZE + 1000), value, b"\r\n".to_vec()].concat();
    let lies = [&longer, &shorter].map(|lie| [lie.clone(), [&multi[..], lie, &exec].concat()]);
    on_each_stage(|stage| {
        let direct = stage.addresses[0].clone();
        for (number, lie) in lies.iter().flatten().enumerate() {
            let wanted = said(&direct, lie)?;
            let found = stage.unharmed_while(&format!("lie {number}"), |address| said(address, lie))?;
            assert_eq!(found, wanted, "lie {number}");
        }
        Ok(())
    })
}
