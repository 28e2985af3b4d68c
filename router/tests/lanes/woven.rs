//! Gathered replies with large members.

use pdw_router::limits::Limits;
use pdw_router::{End, Input, LossReason, Profile};

use crate::world::{FIRST, SECOND, World, world};

/// The numbers of the links that were sent a part of an MGET of both keys.
fn links_of_mget(world: &World) -> (usize, usize) {
    let of =
        |key: &str| (0..world.sent.len()).find(|link| world.sent[*link].contains(&format!("\r\n{key}\r\n"))).unwrap();
    (of(FIRST), of(SECOND))
}

/// A value of 2 MiB as a bulk string: more than a gathered reply holds.
fn value(letter: &str) -> String {
    format!("$2097152\r\n{}\r\n", letter.repeat(2 << 20))
}

#[test]
fn large_members_of_a_gathered_reply_come_in_the_order_asked() {
    let mut world = world();
    let session = world.open();
    world.send(session, &format!("MGET {FIRST} {SECOND} {FIRST} {SECOND}\r\n"));
    let (one, two) = links_of_mget(&world);
    world.reply(two, "*2\r\n$2097152\r\n");
    assert!(!world.router.wants_link_bytes(world.links[two].0), "its elements are not due");
    world.reply(one, "*2\r\n$2097152\r\n");
    let mut text = String::new();
    for (at, link) in [one, two, one, two].into_iter().enumerate() {
        text += &world.take(session);
        assert!(text.ends_with("$2097152\r\n"), "{text:?}");
        world.relayed(End::Link(world.links[link].0), 2 << 20);
        world.reply(link, "\r\n");
        if at < 2 {
            assert!(!world.router.wants_link_bytes(world.links[link].0), "two at once");
            // What follows on the same link comes when it is due.
            world.reply(link, "$2097152\r\n");
        }
    }
    text += &world.take(session);
    assert_eq!(text, format!("*4\r\n{}", "$2097152\r\n\r\n".repeat(4)));
    world.send(session, "PING\r\n");
    assert_eq!(world.take(session), "+PONG\r\n");
    for link in [one, two] {
        assert!(world.closed.contains(&End::Link(world.links[link].0)), "a retired link stays");
    }
    assert_eq!(world.router.holding().pending, 0);
}

#[test]
fn a_gathered_reply_is_an_error_if_a_part_is_one_before_anything_left() {
    let mut world = world();
    let session = world.open();
    world.send(session, &format!("MGET {FIRST} {SECOND}\r\n"));
    let (one, two) = links_of_mget(&world);
    world.reply(one, "*1\r\n$2097152\r\n");
    world.reply(two, "-ERR not today\r\n");
    assert_eq!(world.take(session), "-ERR not today\r\n");
    // The other part's rest is for nobody, and nothing was behind it.
    assert!(world.closed.contains(&End::Link(world.links[one].0)));
    world.send(session, "PING\r\n");
    assert_eq!(world.take(session), "+PONG\r\n");
}

#[test]
fn an_upstream_lost_in_a_woven_reply_closes_its_session_only_if_something_left() {
    let mut world = World::new(Profile::Redis, Limits::default());
    let session = world.open();
    world.send(session, &format!("MGET {FIRST} {SECOND}\r\n"));
    let (one, two) = links_of_mget(&world);
    world.reply(one, "*1\r\n$2097152\r\n");
    world.router.handle(world.now, Input::LinkLost(world.links[one].0, LossReason::Closed));
    world.turn();
    world.reply(two, &format!("*1\r\n{}", value("x")));
    assert!(world.take(session).contains("may or may not"));
    world.send(session, &format!("MGET {FIRST} {SECOND}\r\n"));
    let last = world.links.len();
    let (one, two) = ((0..last).rev().find(|at| world.links[*at].1 == world.links[one].1).unwrap(), two);
    world.reply(two, "*1\r\n$-1\r\n");
    world.reply(one, ":1\r\n*1\r\n$2097152\r\n");
    world.router.handle(world.now, Input::LinkLost(world.links[one].0, LossReason::Closed));
    world.turn();
    assert!(world.closed.contains(&End::Session(session)));
}

#[test]
fn a_part_that_is_lost_before_anything_left_is_asked_for_again_under_pdwfs() {
    let mut world = world();
    let session = world.open();
    world.send(session, &format!("MGET {FIRST} {SECOND}\r\n"));
    let (one, two) = links_of_mget(&world);
    world.reply(one, "*1\r\n$2097152\r\n");
    world.router.handle(world.now, Input::LinkLost(world.links[one].0, LossReason::Closed));
    world.turn();
    let again = world.links.iter().rposition(|(_, upstream)| *upstream == world.links[one].1).unwrap();
    assert!(again != one && world.sent[again].contains("MGET"), "{:?}", world.sent);
    // The instance was told to forget the lost link first.
    world.reply(again, ":1\r\n*1\r\n$1\r\na\r\n");
    world.reply(two, "*1\r\n$1\r\nb\r\n");
    assert_eq!(world.take(session), "*2\r\n$1\r\na\r\n$1\r\nb\r\n");
}
