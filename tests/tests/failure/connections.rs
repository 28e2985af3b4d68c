//! Links that break in every way TCP knows, under profile `redis`, which repeats nothing: one answer for each request.

use std::io;
use std::time::{Duration, Instant};

use pdw_tests::connection::{encode, until};
use pdw_tests::fault::{Cue, Door, End, Flow, Way};
use pdw_tests::latency::Load;

use crate::scene::{LIMIT, NOT_SENT, Scene, UNKNOWN, assert_error, assert_fine, assert_given_up};

/// Waits until requests for the first instance are answered again.
fn until_back(scene: &Scene) -> io::Result<()> {
    let mut session = scene.session()?;
    until("service", LIMIT, || session.demand(&["GET", &scene.keys(0)[0]]).map(drop))
}

#[test]
fn a_reply_cut_at_any_byte_is_no_answer_and_harms_no_other() -> io::Result<()> {
    let scene = Scene::start("redis", 1, &[])?;
    let (mut session, key) = (scene.session()?, &scene.keys(0)[0]);
    session.demand(&["SET", key, "hello"])?;
    let whole = "$5\r\nhello\r\n".len() as u64;
    for bytes in 0..whole {
        let end = if bytes % 2 == 0 { End::Fin } else { End::Reset };
        scene.faults[0].cut_after(Way::Back, bytes, end)?;
        assert_error(&session.call(&["GET", key])?, UNKNOWN);
        until_back(&scene)?;
        assert_eq!(session.demand(&["GET", key])?.bytes(), b"hello", "after a cut at byte {bytes}");
    }
    Ok(())
}

#[test]
fn a_request_cut_at_any_byte_is_answered_once_and_carried_out_or_not() -> io::Result<()> {
    let scene = Scene::start("redis", 1, &[])?;
    let (mut session, key) = (scene.session()?, &scene.keys(0)[0]);
    let whole = encode(&["SET", key, "new"]).len() as u64;
    for bytes in (0..=whole).step_by(5) {
        session.demand(&["SET", key, "old"])?;
        scene.faults[0].cut_after(Way::Forth, bytes, End::Reset)?;
        session.send(&[encode(&["SET", key, "new"]), encode(&["ECHO", "behind"])].concat())?;
        let replies = session.receive_many(2)?;
        assert!(replies[0].value.error().is_some_and(|text| text == UNKNOWN || text == NOT_SENT), "{replies:?}");
        assert_eq!(replies[1].value.bytes(), b"behind");
        until_back(&scene)?;
        let found = session.demand(&["GET", key])?;
        assert!(found.bytes() == b"old" || bytes == whole && found.bytes() == b"new", "{found:?} after {bytes}");
    }
    Ok(())
}

#[test]
fn a_half_open_link_with_unanswered_requests_is_given_up() -> io::Result<()> {
    let scene = Scene::start("redis", 1, &["link_dead = '1s'", "ping_interval = '900ms'", "patience = '10s'"])?;
    let (mut session, key) = (scene.session()?, &scene.keys(0)[0]);
    session.demand(&["SET", key, "kept"])?;
    scene.faults[0].end(End::TargetGone)?;
    let started = Instant::now();
    assert_error(&session.call(&["SET", key, "lost"])?, UNKNOWN);
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
    until_back(&scene)?;
    assert_eq!(session.demand(&["GET", key])?.bytes(), b"kept");
    Ok(())
}

#[test]
fn an_idle_half_open_link_is_found_before_a_request_needs_it() -> io::Result<()> {
    let scene = Scene::start("redis", 1, &["link_dead = '1s'", "ping_interval = '300ms'"])?;
    let (mut session, key) = (scene.session()?, &scene.keys(0)[0]);
    session.demand(&["SET", key, "kept"])?;
    let before = scene.faults[0].counts()?.accepted;
    scene.faults[0].end(End::TargetGone)?;
    let replaced = || (scene.faults[0].counts()?.accepted > before).then_some(()).ok_or(io::ErrorKind::NotFound.into());
    until("a new link", Duration::from_secs(10), replaced)?;
    until_back(&scene)?;
    assert_eq!(session.demand(&["GET", key])?.bytes(), b"kept");
    Ok(())
}

#[test]
fn a_reply_to_nothing_shifts_no_other() -> io::Result<()> {
    let scene = Scene::start("redis", 1, &[])?;
    let (mut session, key) = (scene.session()?, &scene.keys(0)[0]);
    session.demand(&["SET", key, "right"])?;
    for said in ["$5\r\nwrong\r\n", "+\r\n", "no RESP at all\r\n", "$10000000000000\r\n"] {
        scene.faults[0].give(Cue::Inject(Way::Back, said.into()))?;
        std::thread::sleep(Duration::from_millis(100));
        until_back(&scene)?;
        for _ in 0..5 {
            assert_eq!(session.demand(&["GET", key])?.bytes(), b"right", "after {said:?}");
        }
    }
    Ok(())
}

#[test]
fn a_slow_instance_is_slow_and_nobody_else_is() -> io::Result<()> {
    let scene = Scene::start("redis", 2, &[])?;
    let load = Load::start(scene.proxy.address(), 2)?;
    let before = load.watch(Duration::from_secs(1));
    let delay = Duration::from_millis(100);
    scene.faults[0].give(Cue::Flow(Way::Back, Flow::Delayed(delay)))?;
    drop(load.watch(delay * 2));
    let slow = load.watch(Duration::from_secs(2));
    assert!(slow[0].errors.is_empty() && slow[0].p99() >= delay, "{}", slow[0]);
    scene.faults[0].heal()?;
    let after = load.watch(Duration::from_secs(1));
    slow[1].demand_unharmed(&[&before[1], &after[1]], 3.0)
}

#[test]
fn a_throttled_value_arrives_whole_and_small_requests_pass_it() -> io::Result<()> {
    let scene = Scene::start("pdwfs", 1, &[])?;
    let value: Vec<u8> = (0..300_000_u32).map(|at| (at % 251) as u8).collect();
    scene.instances[0].connect()?.demand(&[b"SET".as_slice(), b"/m/f:0", &value])?;
    scene.faults[0].give(Cue::Flow(Way::Back, Flow::Throttled(300_000)))?;
    let mut session = scene.session()?;
    assert!(session.demand(&["GET", "/m/f:0"])?.bytes() == value);
    assert_fine(&session.call(&["SET", "/m/f:1", "x"])?);
    Ok(())
}

#[test]
fn while_the_port_is_closed_requests_are_refused_at_once_and_nothing_else() -> io::Result<()> {
    let scene = Scene::start("redis", 2, &["reconnect_max = '200ms'"])?;
    let mut session = scene.session()?;
    let [gone, there] = [0, 1].map(|at| scene.keys(at)[0].clone());
    scene.faults[0].give(Cue::Door(Door::Refusing))?;
    scene.faults[0].end(End::Reset)?;
    until("a refusal", Duration::from_secs(5), || match session.call(&["GET", &gone])?.error().as_deref() {
        Some(NOT_SENT) => Ok(()),
        other => Err(io::Error::other(format!("{other:?}"))),
    })?;
    let started = Instant::now();
    for _ in 0..50 {
        assert_error(&session.call(&["GET", &gone])?, NOT_SENT);
        assert_fine(&session.call(&["SET", &there, "x"])?);
    }
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
    scene.faults[0].heal()?;
    let healed = Instant::now();
    until_back(&scene)?;
    assert!(healed.elapsed() < Duration::from_secs(2), "{:?}", healed.elapsed());
    Ok(())
}

#[test]
fn a_stalled_link_costs_its_requests_a_deadline_and_no_session_its_order() -> io::Result<()> {
    let scene = Scene::start("redis", 2, &["patience = '1s'", "connect_timeout = '1s'"])?;
    let mut session = scene.session()?;
    let [stalled, there] = [0, 1].map(|at| scene.keys(at)[0].clone());
    session.demand(&["SET", &stalled, "x"])?;
    scene.faults[0].stall(Way::Back)?;
    let pipeline = [["GET", &stalled], ["GET", &there], ["ECHO", "end"]].map(|words| encode(&words)).concat();
    let started = Instant::now();
    session.send(&pipeline)?;
    let replies = session.receive_many(3)?;
    assert_error(&replies[0].value, UNKNOWN);
    assert_eq!(replies[1].raw, b"$-1\r\n");
    assert_eq!(replies[2].value.bytes(), b"end");
    assert_given_up(started.elapsed());
    scene.faults[0].heal()?;
    until_back(&scene)?;
    // The late reply is nobody's.
    assert_eq!(session.demand(&["ECHO", "mine"])?.bytes(), b"mine");
    assert_eq!(session.demand(&["GET", &stalled])?.bytes(), b"x");
    Ok(())
}
