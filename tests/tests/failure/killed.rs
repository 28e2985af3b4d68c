//! The proxy itself is killed: what its clients see, and what the instance keeps.

use std::io;
use std::thread;
use std::time::Duration;

use pdw_tests::connection::{Connection, encode};
use rustix::process::Signal;

use crate::scene::Scene;

/// Above what is retained.
const LARGE: usize = 3 << 20;

#[test]
fn clients_see_their_connections_close_and_nothing_half_done_is_kept() -> io::Result<()> {
    let mut scene = Scene::start("pdwfs", 1, &[])?;
    let (mut asks, mut queues, mut writes) = (scene.session()?, scene.session()?, scene.session()?);
    scene.instances[0].guard()?.freeze()?;
    asks.send(&encode(&["SET", "asked", "x"]))?;
    for words in [&["MULTI"][..], &["SET", "queued", "x"]] {
        queues.demand(words)?;
    }
    writes.send(&encode(&[b"SET".as_slice(), b"large", &vec![b'x'; LARGE]])[..LARGE / 2])?;
    thread::sleep(Duration::from_millis(300));
    scene.proxy.guard().signal(Signal::KILL)?;
    for session in [&mut asks, &mut queues, &mut writes] {
        assert!(is_closed(session), "it is still there");
    }
    scene.instances[0].guard()?.thaw()?;
    thread::sleep(Duration::from_millis(300));
    let kept = scene.instances[0].connect()?.demand(&["EXISTS", "queued", "large"])?;
    assert_eq!(kept.integer(), Some(0));
    Ok(())
}

fn is_closed(session: &mut Connection) -> bool {
    let closed = [io::ErrorKind::UnexpectedEof, io::ErrorKind::ConnectionReset];
    session.receive().is_err_and(|error| closed.contains(&error.kind()))
}
