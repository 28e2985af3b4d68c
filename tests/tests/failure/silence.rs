//! Upstreams that say nothing: requests for them wait, others do not, and work goes on within a second.

use std::io;
use std::thread;
use std::time::{Duration, Instant};

use pdw_tests::connection::encode;
use pdw_tests::fault::{Cue, Door, Flow, Way};

use crate::full_or;
use crate::scene::{Scene, assert_fine, at_once, heard};

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn after_a_black_hole_work_goes_on_within_a_second() -> io::Result<()> {
    at_once(&[Door::Ignoring, Door::Unanswered, Door::Refusing], |door| {
        for lasts in full_or(vec![3, 20, 45], vec![3]) {
            let scene = Scene::start("pdwfs", 2, &[])?;
            let (mut lost, mut fine) = (scene.session()?, scene.session()?);
            let (gone, there) = (&scene.keys(0)[0], &scene.keys(1)[0]);
            scene.faults[0].black_hole(door)?;
            lost.send(&encode(&["SET", gone, "v"]))?;
            let started = Instant::now();
            while started.elapsed() < Duration::from_secs(lasts) {
                assert_fine(&fine.call(&["SET", there, "v"])?);
                thread::sleep(Duration::from_millis(20));
            }
            scene.faults[0].heal()?;
            let healed = Instant::now();
            assert_eq!(heard(&mut lost)?, "+OK\r\n", "{door:?}");
            assert!(healed.elapsed() < SECOND, "{door:?}: {:?} after the end of {lasts} s", healed.elapsed());
            let again = Instant::now();
            assert_fine(&fine.call(&["SET", gone, "v"])?);
            assert!(again.elapsed() < SECOND, "{door:?}: {:?} for the next", again.elapsed());
        }
        Ok(())
    })
}

#[test]
fn a_silent_link_is_replaced_when_a_fresh_one_answers() -> io::Result<()> {
    let scene = Scene::start("pdwfs", 1, &[])?;
    let mut sessions = (0..20).map(|_| scene.session()).collect::<io::Result<Vec<_>>>()?;
    let closed = scene.proxy.scrape()?.sum("pdw_sessions_closed_total");
    scene.faults[0].hold()?;
    let started = Instant::now();
    for (at, session) in sessions.iter_mut().enumerate() {
        session.send(&encode(&["SET", &format!("k:{at}:x"), "v"]))?;
    }
    for session in &mut sessions {
        assert_eq!(heard(session)?, "+OK\r\n");
    }
    assert!(started.elapsed() < SECOND * 3, "{:?}", started.elapsed());
    assert_eq!(scene.proxy.scrape()?.sum("pdw_sessions_closed_total"), closed);
    Ok(())
}

#[test]
fn no_session_is_closed_for_being_idle() -> io::Result<()> {
    let times = ["patience = '500ms'", "connect_timeout = '500ms'", "ping_interval = '200ms'", "link_dead = '1s'"];
    let scene = Scene::start("pdwfs", 1, &times)?;
    let (mut idle, mut queueing) = (scene.session()?, scene.session()?);
    queueing.demand(&["MULTI"])?;
    queueing.demand(&["SET", "k", "v"])?;
    thread::sleep(SECOND * 3);
    assert_fine(&idle.call(&["SET", "k", "w"])?);
    assert_eq!(queueing.demand(&["EXEC"])?.elements().len(), 1);
    Ok(())
}

#[test]
fn swallowed_bytes_are_made_good() -> io::Result<()> {
    at_once(&[Way::Forth, Way::Back], |way| {
        let scene = Scene::start("pdwfs", 1, &[])?;
        let mut session = scene.session()?;
        scene.faults[0].give(Cue::Flow(way, Flow::Swallowed))?;
        session.send(&encode(&["SETRANGE", "k", "0", "hello"]))?;
        thread::sleep(Duration::from_millis(300));
        scene.faults[0].heal()?;
        let healed = Instant::now();
        assert_eq!(heard(&mut session)?, ":5\r\n", "{way:?}");
        assert!(healed.elapsed() < SECOND * 3, "{way:?}: {:?}", healed.elapsed());
        Ok(())
    })
}

#[test]
fn a_slow_instance_is_not_taken_for_a_lost_one() -> io::Result<()> {
    let scene = Scene::start("pdwfs", 1, &[])?;
    let mut session = scene.session()?;
    let before = scene.proxy.scrape()?.sum("pdw_repeats_total");
    // Fresh links are as slow as old ones, so nothing says that the old one is lost.
    scene.faults[0].give(Cue::Flow(Way::Back, Flow::Delayed(Duration::from_millis(2500))))?;
    let started = Instant::now();
    assert_eq!(session.call(&["INCR", "n"])?.integer(), Some(1));
    assert!(started.elapsed() > SECOND * 2);
    scene.faults[0].heal()?;
    assert_eq!(session.call(&["INCR", "n"])?.integer(), Some(2));
    assert_eq!(scene.proxy.scrape()?.sum("pdw_repeats_total"), before);
    Ok(())
}
