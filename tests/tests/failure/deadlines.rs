//! No request is sent after its deadline, whoever stood still in between.

use std::io;
use std::thread;
use std::time::{Duration, Instant};

use pdw_tests::connection::{Connection, encode, until};
use pdw_tests::fault::{Cue, Door, End, Way};
use pdw_tests::trouble::Trouble;

use crate::scene::{LIMIT, NOT_SENT, Scene, UNKNOWN, assert_error};

const PATIENCE: Duration = Duration::from_secs(1);

const TIMES: [&str; 2] = ["patience = '1s'", "connect_timeout = '1s'"];

/// How often the instance was asked for a `SETRANGE`, carried out or not.
fn calls(scene: &Scene) -> io::Result<u64> {
    let text = scene.instances[0].connect()?.demand(&["INFO", "commandstats"])?.text();
    let line = text.lines().find_map(|line| line.strip_prefix("cmdstat_setrange:calls="));
    Ok(line.and_then(|rest| rest.split(',').next()).and_then(|number| number.parse().ok()).unwrap_or(0))
}

/// The proxy, with all its tree, stands still until the patience is over.
fn stand_still(scene: &mut Scene, meanwhile: impl FnOnce(&mut Scene) -> io::Result<()>) -> io::Result<()> {
    scene.proxy.freeze()?;
    meanwhile(scene)?;
    thread::sleep(PATIENCE * 2);
    scene.proxy.thaw()
}

/// That nothing was sent, and that the client hears so.
fn assert_not_sent((reply, calls): &(String, u64)) {
    assert_eq!((reply.as_str(), *calls), (NOT_SENT, 0));
}

fn request() -> Vec<u8> {
    encode(&["SETRANGE", "k", "0", "late"])
}

fn until_back(session: &mut Connection) -> io::Result<()> {
    until("service", LIMIT, || session.demand(&["GET", "other"]).map(drop))
}

/// What becomes of a request that the client sent while the proxy stood still: its reply, and how often it was sent.
fn sent_to_a_frozen_proxy() -> io::Result<(String, u64)> {
    let mut scene = Scene::mutated(&TIMES, None)?;
    let mut session = scene.session()?;
    session.demand(&["GET", "k"])?;
    stand_still(&mut scene, |_| session.send(&request()))?;
    let reply = session.receive()?.value.error().unwrap_or_default();
    until_back(&mut session)?;
    Ok((reply, calls(&scene)?))
}

#[test]
fn what_came_while_the_proxy_stood_still_counts_from_before() -> io::Result<()> {
    assert_not_sent(&sent_to_a_frozen_proxy()?);
    Ok(())
}

/// What becomes of one that waits for a link while the proxy stands still and the link comes back.
fn waiting_in_a_frozen_proxy() -> io::Result<(String, u64)> {
    let mut scene = Scene::mutated(&TIMES, None)?;
    let mut session = scene.session()?;
    scene.faults[0].give(Cue::Door(Door::Refusing))?;
    scene.faults[0].end(End::Reset)?;
    thread::sleep(Duration::from_millis(100));
    session.send(&request())?;
    thread::sleep(Duration::from_millis(100));
    stand_still(&mut scene, |scene| scene.faults[0].heal())?;
    let reply = session.receive()?.value.error().unwrap_or_default();
    until_back(&mut session)?;
    Ok((reply, calls(&scene)?))
}

#[test]
fn what_waits_in_a_proxy_that_stands_still_is_not_sent_late() -> io::Result<()> {
    assert_not_sent(&waiting_in_a_frozen_proxy()?);
    Ok(())
}

/// What becomes of one whose link is lost, and which could be repeated only after its deadline.
fn lost_before_a_freeze() -> io::Result<(String, u64)> {
    let mut scene = Scene::mutated(&TIMES, None)?;
    let mut session = scene.session()?;
    scene.faults[0].stall(Way::Back)?;
    session.send(&request())?;
    thread::sleep(Duration::from_millis(100));
    stand_still(&mut scene, |scene| {
        scene.faults[0].end(End::Reset)?;
        scene.faults[0].heal()
    })?;
    let reply = session.receive()?.value.error().unwrap_or_default();
    until_back(&mut session)?;
    Ok((reply, calls(&scene)?))
}

#[test]
fn what_was_lost_is_not_repeated_after_its_deadline() -> io::Result<()> {
    assert_eq!(lost_before_a_freeze()?, (UNKNOWN.to_owned(), 1));
    Ok(())
}

/// What becomes of one that the instance could not carry out, and which could be tried again only after its deadline:
/// its reply, and what it wrote.
fn put_aside_before_a_freeze(mutant: Option<&str>) -> io::Result<(String, String)> {
    let mut scene = Scene::mutated(&TIMES, mutant)?;
    let mut session = scene.session()?;
    Trouble::OutOfMemory.begin(&mut scene.instances[0])?;
    session.send(&request())?;
    thread::sleep(PATIENCE / 4);
    stand_still(&mut scene, |scene| Trouble::OutOfMemory.end(&mut scene.instances[0]).map(drop))?;
    let reply = session.receive()?.value.error().unwrap_or_default();
    until_back(&mut session)?;
    Ok((reply, session.demand(&["GET", "k"])?.text()))
}

#[test]
fn what_was_put_aside_is_not_tried_again_after_its_deadline() -> io::Result<()> {
    let (reply, written) = put_aside_before_a_freeze(None)?;
    assert!(reply.starts_with("OOM") && written.is_empty(), "{reply:?}, {written:?} was written");
    Ok(())
}

#[test]
fn a_proxy_that_tries_again_after_the_deadline_is_caught() -> io::Result<()> {
    assert_eq!(put_aside_before_a_freeze(Some("repeat-after-deadline"))?.1, "late");
    Ok(())
}

#[test]
fn at_the_deadline_clients_hear_whether_anything_was_sent() -> io::Result<()> {
    let scene = Scene::mutated(&TIMES, None)?;
    let (mut first, mut second) = (scene.session()?, scene.session()?);
    scene.faults[0].black_hole(Door::Unanswered)?;
    let started = Instant::now();
    first.send(&request())?;
    assert_error(&first.receive()?.value, UNKNOWN);
    let waited = started.elapsed();
    assert!(waited >= PATIENCE - Duration::from_millis(200) && waited < PATIENCE * 3, "{waited:?}");
    scene.faults[0].end(End::Reset)?;
    thread::sleep(Duration::from_millis(200));
    let started = Instant::now();
    second.send(&request())?;
    assert_error(&second.receive()?.value, NOT_SENT);
    let waited = started.elapsed();
    assert!(waited >= PATIENCE - Duration::from_millis(200) && waited < PATIENCE * 3, "{waited:?}");
    scene.faults[0].heal()?;
    until_back(&mut second)
}
