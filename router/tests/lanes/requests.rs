//! Which requests pass as they come, and which are refused.

use pdw_router::limits::Limits;
use pdw_router::{End, Input, Profile};

use crate::world::{FIRST, World, world};

/// Sends the beginning of a request whose last argument is a large value; whether it has gone to a lane.
fn passes(world: &mut World, head: &str) -> bool {
    let (session, before) = (world.open(), world.sent.concat().len());
    world.send(session, &format!("{head}$2000000\r\n"));
    let passed = world.sent.concat().len() - before >= head.len();
    world.router.handle(world.now, Input::SessionLost(session));
    world.turn();
    // Its lane is fenced off.
    (0..2).for_each(|link| {
        if world.sent[link].contains("KILL") {
            world.sent[link].clear();
            world.reply(link, ":1\r\n");
        }
    });
    passed
}

#[test]
fn a_large_value_passes_as_soon_as_all_keys_are_known() {
    let mut world = World::new(Profile::Pdwfs, Limits { bulk_lanes: 8, ..Limits::default() });
    let mset = |second: &str| format!("*5\r\n$4\r\nMSET\r\n$4\r\n{{b}}1\r\n$1\r\nx\r\n$4\r\n{second}\r\n");
    assert!(passes(&mut world, &mset("{b}2")));
    assert!(!passes(&mut world, &mset("{a}2")));
    assert!(passes(&mut world, "*5\r\n$4\r\nEVAL\r\n$8\r\nreturn 1\r\n$1\r\n1\r\n$1\r\nb\r\n"));
    assert!(!passes(&mut world, "*5\r\n$4\r\nEVAL\r\n"), "the script comes before the keys");
    assert!(!passes(&mut world, "*5\r\n$4\r\nMSET\r\n$1\r\nb\r\n"), "another key is to come");
}

#[test]
fn what_has_to_be_whole_and_is_too_long_is_refused_at_once_and_skipped() {
    let mut world = world();
    let session = world.open();
    world.send(session, "*5\r\n$4\r\nMSET\r\n$1\r\nb\r\n$1\r\nx\r\n$1\r\na\r\n$2000000\r\n");
    assert!(world.take(session).contains("several shards"));
    assert!(world.router.holding().request_bytes < 1000);
    world.send(session, "*5\r\n$4\r\nEVAL\r\n$2000000\r\n");
    assert!(world.take(session).contains("before large values"));
    // The driver has skipped the script; so are the arguments behind it.
    world.send(session, "$1\r\n1\r\n$1\r\nb\r\n$1\r\nx\r\nPING\r\n");
    assert_eq!(world.take(session), "+PONG\r\n");
}

#[test]
fn a_long_request_of_small_arguments_is_not_held() {
    let mut world = world();
    let session = world.open();
    let element = format!("$1000\r\n{}\r\n", "x".repeat(1000));
    world.send(session, "*4002\r\n$5\r\nRPUSH\r\n$1\r\nb\r\n");
    let mut most = 0;
    for _ in 0..4000 {
        world.send(session, &element);
        most = most.max(world.router.holding().bytes());
    }
    // What is kept in the batch until it is answered, and what has not gone there.
    assert!(most < (4 << 20) + (2 << 20) + (64 << 10), "{most} bytes held");
    let lane = world.sent.len() - 1;
    assert_eq!(world.sent[lane].matches(&element).count(), 4000);
    world.reply(lane, ":4000\r\n");
    assert_eq!(world.take(session), ":4000\r\n");
}

#[test]
fn what_follows_a_large_value_in_its_request_is_read_at_any_limit() {
    // Its own request is the one that is unanswered; under memory pressure one is the limit too.
    let mut world = World::new(Profile::Pdwfs, Limits { session_pending_max: 1, ..Limits::default() });
    let session = world.open();
    world.send(session, &format!("*5\r\n$3\r\nSET\r\n$1\r\n{FIRST}\r\n$2000000\r\n"));
    world.relayed(End::Session(session), 2_000_002);
    world.send(session, "$2\r\nEX\r\n$2\r\n10\r\n");
    let lane = world.links.len() - 1;
    assert!(world.sent[lane].ends_with("$2\r\nEX\r\n$2\r\n10\r\n"), "{:?}", world.sent[lane]);
    world.reply(lane, "+OK\r\n");
    assert_eq!(world.take(session), "+OK\r\n");
}
