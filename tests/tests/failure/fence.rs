//! Fencing: what a lost link still has in it must not arrive after what was repeated in its place.
//!
//! The path of the links there are is lost while new ones pass, so a write waits on the old link, is repeated on a new
//! one, and others follow it; then the old path comes back and delivers. Without the fence that is certain to overwrite.

use std::io;
use std::thread;
use std::time::Duration;

use pdw_tests::connection::{encode, until};
use pdw_tests::fault::{Cue, End, Way};
use pdw_tests::versions::{Findings, Manner, Setup};

use crate::scene::{LIMIT, Scene, heard};
use pdw_tests::full_or;

/// How long a writer rests, so that what overwrites its value can be seen.
const PAUSE: Duration = Duration::from_millis(100);

const NO_FENCE: &str = "missing-fence";

/// What the key holds after an old write had every chance to arrive late.
fn late_write(mutant: Option<&str>) -> io::Result<String> {
    let scene = Scene::mutated(&[], mutant)?;
    let (mut session, fault) = (scene.session()?, &scene.faults[0]);
    session.demand(&["SET", "k", "first"])?;
    let accepted = fault.counts()?.accepted;
    fault.hold()?;
    session.send(&encode(&["SET", "k", "old"]))?;
    // A fresh link takes over once the old one has been silent for `times.probe_after`.
    assert_eq!(heard(&mut session)?, "+OK\r\n");
    session.demand(&["SET", "k", "new"])?;
    assert!(fault.counts()?.accepted > accepted, "there is no new link");
    fault.heal()?;
    thread::sleep(Duration::from_millis(300));
    Ok(scene.instances[0].connect()?.demand(&["GET", "k"])?.text())
}

#[test]
fn a_write_that_arrives_late_overwrites_nothing() -> io::Result<()> {
    assert_eq!(late_write(None)?, "new");
    Ok(())
}

#[test]
fn without_the_fence_it_does() -> io::Result<()> {
    assert_eq!(late_write(Some(NO_FENCE))?, "old");
    Ok(())
}

/// Writers and readers while paths are lost and come back.
fn verified(mutant: Option<&str>) -> io::Result<Findings> {
    let scene = Scene::mutated(&[], mutant)?;
    let setup = Setup::new(&scene.through()).reader(&scene.through()).reader(&scene.direct());
    let setup = setup.pause(PAUSE);
    let verifier = setup.keys(6, 100, Manner::Plain).keys(6, 3000, Manner::Stripe).keys(4, 300, Manner::Range).start();
    for _ in 0..full_or(10, 1) {
        // First what the proxy sends: every writer has a write on the old link by the time that the answers stop too.
        scene.faults[0].give(Cue::Hold(Way::Forth))?;
        thread::sleep(PAUSE * 2);
        scene.faults[0].give(Cue::Hold(Way::Back))?;
        // The old link is given up and replaced, and its writers write on.
        thread::sleep(Duration::from_millis(2500));
        scene.faults[0].heal()?;
        thread::sleep(Duration::from_millis(300));
    }
    verifier.finish(&scene.direct())
}

#[test]
fn no_version_goes_back_while_paths_are_lost_and_found() -> io::Result<()> {
    let findings = verified(None)?;
    assert!(findings.answers > 100, "{findings}");
    findings.demand_flawless()
}

#[test]
fn without_the_fence_the_verifier_sees_versions_go_back() -> io::Result<()> {
    let findings = verified(Some(NO_FENCE))?;
    assert!(findings.violations.iter().any(|what| what.contains("went back")), "{findings}");
    Ok(())
}

#[test]
fn a_link_that_only_the_proxy_thinks_lost_is_closed_at_the_instance() -> io::Result<()> {
    let scene = Scene::mutated(&[], None)?;
    let (mut session, fault) = (scene.session()?, &scene.faults[0]);
    session.demand(&["SET", "k", "v"])?;
    let mut direct = scene.instances[0].connect()?;
    let old = links(&direct.demand(&["CLIENT", "LIST"])?.text());
    fault.stall(Way::Back)?;
    session.send(&encode(&["SET", "k", "w"]))?;
    until("the write", LIMIT, || {
        let written = direct.demand(&["GET", "k"])?.bytes() == b"w";
        written.then_some(()).ok_or(io::ErrorKind::NotFound.into())
    })?;
    fault.end(End::ClientGone)?;
    fault.heal()?;
    assert_eq!(heard(&mut session)?, "+OK\r\n");
    let new = links(&direct.demand(&["CLIENT", "LIST"])?.text());
    assert!(!new.is_empty() && new.iter().all(|id| !old.contains(id)), "{old:?} became {new:?}");
    Ok(())
}

/// Ids of the proxy's links in a `CLIENT LIST`.
fn links(list: &str) -> Vec<String> {
    let named = list.lines().filter(|line| line.contains("name=pdw/"));
    named.filter_map(|line| line.split(' ').next().map(str::to_owned)).collect()
}
