//! Profile `pdwfs` and instances that say what is no answer: the link is lost, and its requests are as those of any.

use std::io;
use std::thread;
use std::time::Duration;

use pdw_tests::connection::encode;
use pdw_tests::fault::{Cue, End, Way};

use crate::scene::{Scene, UNKNOWN, assert_error, heard};

/// What is no RESP, or more than anybody could hold.
const NONSENSE: [&str; 4] = ["HTTP/1.1 400 Bad Request\r\n\r\n", "hello\r\n", "$x\r\n", "*-2\r\n"];

/// Has an instance say something before its answer to `request`, which arrives behind.
fn interrupted(
    scene: &Scene,
    session: &mut pdw_tests::connection::Connection,
    said: &str,
    request: &[u8],
) -> io::Result<()> {
    scene.faults[0].stall(Way::Back)?;
    session.send(request)?;
    thread::sleep(Duration::from_millis(50));
    scene.faults[0].give(Cue::Inject(Way::Back, said.into()))?;
    scene.faults[0].heal()
}

#[test]
fn nonsense_in_the_place_of_a_reply_loses_the_link_and_no_request() -> io::Result<()> {
    let scene = Scene::start("pdwfs", 1, &[])?;
    let mut session = scene.session()?;
    for said in NONSENSE {
        interrupted(&scene, &mut session, said, &encode(&["SET", "k", said]))?;
        assert_eq!(heard(&mut session)?, "+OK\r\n", "after {said:?}");
        assert_eq!(session.demand(&["GET", "k"])?.text(), said);
        interrupted(&scene, &mut session, said, &encode(&["INCR", "n"]))?;
        assert_error(&session.receive()?.value, UNKNOWN);
        session.demand(&["GET", "n"])?;
    }
    assert_eq!(session.demand(&["GET", "n"])?.text(), NONSENSE.len().to_string());
    Ok(())
}

#[test]
fn a_link_that_is_lost_again_and_again_is_tried_again_with_pauses() -> io::Result<()> {
    let scene = Scene::start("pdwfs", 1, &[])?;
    let mut session = scene.session()?;
    let before = scene.faults[0].counts()?.accepted;
    scene.faults[0].end(End::Reset)?;
    session.send(&encode(&["SET", "k", "v"]))?;
    for _ in 0..100 {
        scene.faults[0].cut_after(Way::Forth, 30, End::Reset)?;
        thread::sleep(Duration::from_millis(20));
    }
    let tried = scene.faults[0].counts()?.accepted - before;
    assert!((3..60).contains(&tried), "{tried} connections in two seconds");
    scene.faults[0].cut_after(Way::Forth, u64::MAX, End::Reset)?;
    assert_eq!(heard(&mut session)?, "+OK\r\n");
    assert_eq!(session.demand(&["GET", "k"])?.bytes(), b"v");
    Ok(())
}
