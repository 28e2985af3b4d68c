//! Values above `limits.retain_max`, whose links die in the middle: no wrong byte, no torn value, each session counted.

use std::io;
use std::thread;
use std::time::Duration;

use pdw_tests::connection::{Connection, encode};
use pdw_tests::durable::Durable;
use pdw_tests::fault::{End, Way};
use pdw_tests::proxy::Launch;
use pdw_tests::reply::Value;
use pdw_tests::skipped_in_a_tree;
use pdw_tests::versions::{Content, Findings, Manner, Setup};

use crate::scene::{Scene, UNKNOWN, assert_error, heard, launch};
use crate::spool::spooling;
use pdw_tests::full_or;

/// Above what is retained.
const LARGE: usize = 3 << 20;

const BROKEN: &str = "pdw_sessions_closed_total{reason=\"upstream\"}";

fn value(version: u64, size: usize) -> Vec<u8> {
    Content { key: 0, version, size }.bytes()
}

/// Sends a value, loses all links when half of it is out, and hears what comes of it, if the session is not closed.
fn cut_and_hear(scene: &Scene, session: &mut Connection, size: usize) -> io::Result<Value> {
    let request = encode(&[b"SET".as_slice(), b"/m/f:0", &value(2, size)]);
    let (half, rest) = request.split_at(size / 2);
    session.send(half)?;
    thread::sleep(Duration::from_millis(100));
    scene.faults[0].end(End::Reset)?;
    // A session that is closed while it sends fails in sending.
    session.send(rest)?;
    Ok(session.receive()?.value)
}

fn holds(scene: &Scene, version: u64, size: usize) -> io::Result<bool> {
    Ok(scene.instances[0].connect()?.demand(&["GET", "/m/f:0"])?.bytes() == value(version, size))
}

#[test]
fn under_pdwfs_a_value_that_is_not_retained_costs_its_session_which_is_counted() -> io::Result<()> {
    let scene = Scene::start("pdwfs", 1, &[])?;
    let mut session = scene.session()?;
    session.demand(&[b"SET".as_slice(), b"/m/f:0", &value(1, LARGE)])?;
    let before = scene.proxy.scrape()?.value(BROKEN);
    // It may hear why before its session is closed.
    if let Ok(reply) = cut_and_hear(&scene, &mut session, LARGE) {
        assert_error(&reply, UNKNOWN);
    }
    let alive = session.call(&["ECHO", "alive"]);
    assert!(alive.is_err(), "{alive:?}");
    assert_eq!(scene.proxy.scrape()?.value(BROKEN), before + 1.0);
    assert!(holds(&scene, 1, LARGE)?);
    scene.session()?.demand(&[b"SET".as_slice(), b"/m/f:0", &value(3, LARGE)])?;
    assert!(holds(&scene, 3, LARGE)?);
    Ok(())
}

#[test]
fn under_redis_it_is_refused_and_its_session_lives_on() -> io::Result<()> {
    let scene = Scene::start("redis", 1, &[])?;
    let mut session = scene.session()?;
    session.demand(&[b"SET".as_slice(), b"/m/f:0", &value(1, LARGE)])?;
    assert_error(&cut_and_hear(&scene, &mut session, LARGE)?, UNKNOWN);
    assert_eq!(session.demand(&["ECHO", "alive"])?.bytes(), b"alive");
    assert!(holds(&scene, 1, LARGE)?);
    Ok(())
}

#[test]
fn a_value_that_is_retained_is_sent_again() -> io::Result<()> {
    for size in [1000, 70_000, 500_000, 1_000_000] {
        let scene = Scene::start("pdwfs", 1, &[])?;
        let mut session = scene.session()?;
        session.demand(&[b"SET".as_slice(), b"/m/f:0", &value(1, size)])?;
        let reply =
            cut_and_hear(&scene, &mut session, size).map_err(|error| io::Error::other(format!("{size}: {error}")))?;
        assert_eq!(reply.error(), None, "{size}");
        assert!(holds(&scene, 2, size)?);
        scene.lose_replies(&mut session, &encode(&[b"SET".as_slice(), b"/m/f:0", &value(3, size)]))?;
        assert_eq!(heard(&mut session)?, "+OK\r\n", "{size}");
    }
    Ok(())
}

#[test]
fn a_spooled_value_is_sent_again_and_nobody_sees_an_error() -> io::Result<()> {
    if skipped_in_a_tree(crate::spool::NO_TREE) {
        return Ok(());
    }
    let spool = tempfile::tempdir()?;
    let scene = Scene::before(vec![Durable::start()?], &spooling(spool.path(), ""))?;
    let mut session = scene.session()?;
    for size in full_or(vec![LARGE, 20 << 20, 50 << 20], vec![LARGE, 8 << 20]) {
        session.demand(&[b"SET".as_slice(), b"/m/f:0", &value(1, size)])?;
        // It is sent when all of it is there, so the link is cut from this end, after as many bytes.
        for cut in [1, size / 2, size] {
            scene.faults[0].cut_after(Way::Forth, cut as u64, End::Reset)?;
            session.demand(&[b"SET".as_slice(), b"/m/f:0", &value(2, size)])?;
            assert!(holds(&scene, 2, size)?);
        }
        scene.lose_replies(&mut session, &encode(&[b"SET".as_slice(), b"/m/f:0", &value(3, size)]))?;
        assert_eq!(heard(&mut session)?, "+OK\r\n", "{size}");
        assert!(holds(&scene, 3, size)?);
    }
    let scrape = scene.proxy.scrape()?;
    assert!(scrape.value("pdw_repeats_total{reply=\"same\"}") >= 4.0, "the cuts met nobody");
    assert_eq!(scrape.value("pdw_spool_files"), 0.0);
    Ok(())
}

#[test]
fn a_reply_of_which_something_has_left_is_never_begun_again() -> io::Result<()> {
    for profile in ["pdwfs", "redis"] {
        let scene = Scene::start(profile, 1, &[])?;
        let mut session = scene.session()?;
        session.demand(&[b"SET".as_slice(), b"/m/f:0", &value(1, LARGE)])?;
        let before = scene.proxy.scrape()?.value(BROKEN);
        // Not by a reset, which takes with it what has arrived and was not read: then nothing has left.
        scene.faults[0].cut_after(Way::Back, LARGE as u64 / 2, End::Fin)?;
        let ended = session.call(&["GET", "/m/f:0"]);
        assert!(ended.is_err(), "{profile}: {ended:?}");
        assert_eq!(scene.proxy.scrape()?.value(BROKEN), before + 1.0, "{profile}");
        assert!(scene.session()?.demand(&["GET", "/m/f:0"])?.bytes() == value(1, LARGE));
    }
    Ok(())
}

/// Whether a finding is about a value that is not retained: one whose bytes were all sent before its link was lost.
fn is_large(finding: &str) -> bool {
    (0..4).any(|number| finding.contains(&format!("writing /v/{number}:{number} ")))
}

/// Stripes of several sizes while their links are cut within them.
fn stripes(launch: &Launch) -> io::Result<(Findings, f64)> {
    let scene = Scene::before(Durable::start_many(2)?, launch)?;
    let setup = Setup::new(&scene.through()).reader(&scene.through()).reader(&scene.direct());
    let setup = setup.keys(2, full_or(50, 4) << 20, Manner::Stripe).keys(2, 2 << 20, Manner::Range);
    let before = scene.proxy.scrape()?.value(BROKEN);
    let verifier = setup.keys(4, 400_000, Manner::Plain).start();
    for round in 0..full_or(40, 6) {
        thread::sleep(Duration::from_millis(full_or(1000, 250)));
        let way = if round % 3 == 2 { Way::Back } else { Way::Forth };
        scene.faults[round % 2].cut_after(way, 700_000, if round % 2 == 0 { End::Reset } else { End::Fin })?;
    }
    thread::sleep(Duration::from_millis(500));
    let findings = verifier.finish(&scene.direct())?;
    Ok((findings, scene.proxy.scrape()?.value(BROKEN) - before))
}

#[test]
fn with_a_spool_no_writer_sees_that_the_links_of_stripes_are_cut() -> io::Result<()> {
    if skipped_in_a_tree(crate::spool::NO_TREE) {
        return Ok(());
    }
    let folder = tempfile::tempdir()?;
    let (findings, closed) = stripes(&spooling(folder.path(), ""))?;
    assert_eq!(findings.closed.len() as f64, closed, "{findings}");
    assert!(findings.answers > 20, "{findings}");
    findings.demand_no_write_harmed()
}

#[test]
fn stripes_whose_links_are_cut_are_never_torn_and_broken_sessions_are_counted() -> io::Result<()> {
    let (findings, counted) = stripes(&launch("pdwfs", &[]))?;
    findings.demand_consistent()?;
    assert!(findings.errors.iter().all(|text| text.ends_with(UNKNOWN) && is_large(text)), "{findings}");
    assert!(!findings.closed.is_empty(), "the cuts met nobody: {findings}");
    assert_eq!(findings.closed.len() as f64, counted, "{findings}");
    Ok(())
}
