//! Upstreams that do not let the proxy run MULTI, and lanes that are lost amid a transaction.

use std::time::Duration;

use pdw_router::limits::Limits;
use pdw_router::{End, Input, LossReason, Profile};

use crate::world::{FIRST, SECOND, WITHOUT_MULTI, World};

#[test]
fn a_transaction_is_not_begun_on_a_lane_that_may_not_run_multi() {
    let mut world = World::new(Profile::Pdwfs, Limits::default());
    let session = world.open();
    world.send(session, &format!("MULTI\r\nSET {FIRST} 1\r\n"));
    world.proof = WITHOUT_MULTI;
    world.send(session, &format!("*3\r\n$3\r\nSET\r\n$1\r\n{FIRST}\r\n$2000000\r\nxx"));
    world.send(session, "*1\r\n$4\r\nEXEC\r\n");
    let told = world.take(session);
    assert!(told.starts_with("+OK\r\n+QUEUED\r\n-NOPERM"), "{told}");
    assert!(told.ends_with("-EXECABORT Transaction discarded because of previous errors.\r\n"), "{told}");
    assert!(!world.sent.concat().contains("SET\r\n"), "{:?}", world.sent);
}

#[test]
fn a_transaction_that_waits_for_its_link_is_refused_when_that_may_not_run_multi() {
    let mut world = World::new(Profile::Pdwfs, Limits::default());
    let (session, lost) = (world.open(), world.links[0]);
    world.router.handle(world.now, Input::LinkLost(lost.0, LossReason::Closed));
    let key = if lost.1 == 0 { FIRST } else { SECOND };
    world.send(session, &format!("MULTI\r\nSET {key} 1\r\nEXEC\r\nGET {key}\r\n"));
    world.proof = WITHOUT_MULTI;
    world.wait(Duration::from_secs(10));
    assert_eq!(world.take(session).matches("-NOPERM").count(), 3);
    let sent = world.sent.last().unwrap();
    assert!(sent.ends_with(&format!("GET\r\n$1\r\n{key}\r\n")) && !sent.contains("SET\r\n"), "{sent}");
}

#[test]
fn a_held_transaction_is_refused_when_its_upstream_has_come_back_without_multi() {
    let mut world = World::new(Profile::Pdwfs, Limits::default());
    let session = world.open();
    world.send(session, &format!("MULTI\r\nSET {FIRST} 1\r\n"));
    world.proof = WITHOUT_MULTI;
    for index in 0..2 {
        world.router.handle(world.now, Input::LinkLost(world.links[index].0, LossReason::Closed));
    }
    world.wait(Duration::from_secs(10));
    world.send(session, "EXEC\r\n");
    assert!(world.take(session).starts_with("+OK\r\n+QUEUED\r\n-NOPERM"));
    assert!(!world.sent.concat().contains("SET\r\n"), "{:?}", world.sent);
}

#[test]
fn a_transaction_that_has_begun_is_discarded_even_if_its_lane_is_lost() {
    let mut world = World::new(Profile::Pdwfs, Limits::default());
    let session = world.open();
    world.send(session, &format!("MULTI\r\n*3\r\n$3\r\nSET\r\n$1\r\n{FIRST}\r\n$2000000\r\n"));
    world.relayed(End::Session(session), 2_000_002);
    let lane = world.links.len() - 1;
    world.reply(lane, "+OK\r\n+QUEUED\r\n");
    assert_eq!(world.take(session), "+OK\r\n+QUEUED\r\n");
    world.router.handle(world.now, Input::SessionBytes(session, b"DISCARD\r\n"));
    world.router.handle(world.now, Input::LinkLost(world.links[lane].0, LossReason::Closed));
    world.send(session, "PING\r\n");
    assert_eq!(world.take(session), "+OK\r\n+PONG\r\n");
}
