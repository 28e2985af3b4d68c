//! Long replies of small values.

use std::time::Duration;

use pdw_router::{End, Input, SessionKey};

use crate::world::{FIRST, World, world};

/// A client asks for a list of 100 elements of 50 KiB, of which half arrive; its link's number.
fn half_a_list(world: &mut World, session: SessionKey) -> usize {
    world.send(session, &format!("LRANGE {FIRST} 0 -1\r\n"));
    let link = (0..2).find(|link| world.sent[*link].contains("LRANGE")).unwrap();
    world.reply(link, "*100\r\n");
    (0..50).for_each(|_| world.reply(link, &element()));
    link
}

fn element() -> String {
    format!("$51200\r\n{}\r\n", "x".repeat(51_200))
}

#[test]
fn a_long_reply_of_small_values_is_handed_on_as_its_session_takes_it() {
    let mut world = world();
    let session = world.open();
    let link = half_a_list(&mut world, session);
    assert!(!world.router.wants_link_bytes(world.links[link].0), "nobody holds it back");
    assert!(world.router.holding().bytes() < 8 << 20);
    // What the test gave to a link that was not to be read goes first.
    let mut text = world.take(session) + &world.take(session);
    assert!(world.router.wants_link_bytes(world.links[link].0), "it is held back for ever");
    for _ in 50..100 {
        world.reply(link, &element());
        text += &world.take(session);
    }
    assert_eq!(text, format!("*100\r\n{}", element().repeat(100)));
    assert!(world.closed.contains(&End::Link(world.links[link].0)), "the retired link stays");
}

/// A client that reads nothing of a long reply, another whose reply is behind it, and their link's number.
fn slow_and_behind(world: &mut World) -> (SessionKey, SessionKey, usize) {
    let (slow, behind) = (world.open(), world.open());
    world.router.handle(world.now, Input::SessionBytes(slow, b"LRANGE b 0 -1\r\n"));
    world.router.handle(world.now, Input::SessionBytes(behind, b"GET b\r\n"));
    world.turn();
    let link = (0..2).find(|link| world.sent[*link].contains("LRANGE")).unwrap();
    world.reply(link, "*100\r\n");
    (0..50).for_each(|_| world.reply(link, &element()));
    (slow, behind, link)
}

#[test]
fn a_proxy_that_stood_still_itself_blames_nobody() {
    let mut world = world();
    let (slow, ..) = slow_and_behind(&mut world);
    // Nothing was written meanwhile, so nobody refused to take it.
    world.wait(Duration::from_secs(100));
    assert!(!world.closed.contains(&End::Session(slow)));
    world.router.handle(world.now, Input::SessionWritten(slow, 0));
    world.wait(Duration::from_secs(9));
    assert!(!world.closed.contains(&End::Session(slow)));
    world.wait(Duration::from_secs(1));
    assert!(world.closed.contains(&End::Session(slow)));
}

#[test]
fn who_reads_nothing_of_a_long_reply_does_not_hold_up_those_behind_it() {
    let mut world = world();
    let (slow, behind, link) = slow_and_behind(&mut world);
    world.router.handle(world.now, Input::SessionWritten(slow, 0));
    world.wait(Duration::from_secs(10));
    assert!(world.closed.contains(&End::Session(slow)));
    (50..100).for_each(|_| world.reply(link, &element()));
    world.reply(link, "$-1\r\n");
    assert_eq!(world.take(behind), "$-1\r\n");
}

#[test]
fn a_session_that_leaves_in_the_middle_of_a_long_reply_leaves_no_link_behind() {
    let mut world = world();
    let session = world.open();
    let link = half_a_list(&mut world, session);
    world.router.handle(world.now, Input::SessionLost(session));
    world.turn();
    (50..100).for_each(|_| world.reply(link, &element()));
    assert!(world.closed.contains(&End::Link(world.links[link].0)));
    assert!(world.router.holding().bytes() < 8 << 20);
}

#[test]
fn more_parts_than_can_be_numbered_are_refused() {
    let mut world = world();
    let session = world.open();
    let keys = "$8\r\n:stripes\r\n".repeat(32_767);
    world.send(session, &format!("*32768\r\n$6\r\nUNLINK\r\n{keys}"));
    assert!(world.take(session).contains("name at most 32766"));
}
