//! The ceiling on memory, when what is held are parts of gathered replies.

use std::time::Duration;

use pdw_router::limits::Limits;
use pdw_router::{Buffered, End, Input, Profile, SessionKey};

use crate::world::{FIRST, SECOND, World};

/// A client asks for keys of both shards; of one the value comes, of the other nothing. The number of the other's link.
fn half_gathered(world: &mut World, session: SessionKey, size: usize) -> usize {
    world.sent.iter_mut().for_each(String::clear);
    world.send(session, &format!("MGET {FIRST} {SECOND}\r\n"));
    let of = |key: &str| world.sent.iter().position(|sent| sent.contains(&format!("\r\n{key}\r\n"))).unwrap();
    let (one, other) = (of(FIRST), of(SECOND));
    // As a driver reads, a buffer at a time.
    let reply = format!("*1\r\n${size}\r\n{}\r\n", "v".repeat(size));
    reply.as_bytes().chunks(64 << 10).for_each(|chunk| world.reply(one, &String::from_utf8_lossy(chunk)));
    other
}

#[test]
fn the_session_for_which_most_is_gathered_is_closed_at_the_ceiling_and_the_others_get_their_replies() {
    for profile in [Profile::Pdwfs, Profile::Redis] {
        let mut world = World::new(profile, Limits { memory_max: 1 << 20, ..Limits::default() });
        // Near the ceiling no new ones are taken in.
        let [small, greedy, late] = [(); 3].map(|()| world.open());
        let missing = half_gathered(&mut world, small, 100_000);
        half_gathered(&mut world, greedy, 700_000);
        half_gathered(&mut world, late, 300_000);
        // Near the ceiling it is measured again and again.
        world.wait(Duration::from_millis(50));
        assert!(world.closed.contains(&End::Session(greedy)), "{} bytes are held", world.router.holding().bytes());
        assert!(!world.closed.contains(&End::Session(small)) && !world.closed.contains(&End::Session(late)));
        assert!(world.router.holding().bytes() < 1 << 20);
        assert_eq!(world.router.stats().sheds, 1);
        // The second of three replies finds nobody.
        world.reply(missing, "*1\r\n$1\r\nx\r\n*1\r\n$1\r\ny\r\n*1\r\n$1\r\nz\r\n");
        assert!(world.take(small).ends_with("v\r\n$1\r\nx\r\n"));
        assert!(world.take(late).ends_with("v\r\n$1\r\nz\r\n"));
    }
}

#[test]
fn what_is_gathered_counts_as_its_sessions() {
    let mut world = World::new(Profile::Redis, Limits { memory_max: 3 << 20, ..Limits::default() });
    let [greedy, late] = [(); 2].map(|()| world.open());
    for _ in 0..3 {
        half_gathered(&mut world, greedy, 700_000);
    }
    half_gathered(&mut world, late, 900_000);
    world.wait(Duration::from_millis(50));
    assert!(world.closed.contains(&End::Session(greedy)), "{} bytes are held", world.router.holding().bytes());
    assert!(!world.closed.contains(&End::Session(late)));
}

fn unread(bytes: u32) -> Buffered {
    Buffered { unread: bytes, unsent: 0 }
}

#[test]
fn what_the_driver_holds_of_records_that_are_not_whole_counts_and_the_newest_of_them_gives_way() {
    let mut world = World::new(Profile::Pdwfs, Limits { memory_max: 1 << 20, ..Limits::default() });
    let sessions = [(); 12].map(|()| world.open());
    for session in sessions {
        world.wait(Duration::from_millis(1));
        world.router.handle(world.now, Input::Buffered(End::Session(session), unread(100 << 10)));
    }
    world.wait(Duration::from_millis(50));
    assert!(world.router.holding().bytes() < 1 << 20, "{} bytes are held", world.router.holding().bytes());
    assert!(!world.router.takes_sessions());
    let closed = |session| world.closed.contains(&End::Session(session));
    assert!(!sessions[..8].iter().any(|session| closed(*session)), "the oldest are finished first");
    assert!(closed(sessions[10]));
    for session in sessions {
        world.router.handle(world.now, Input::Buffered(End::Session(session), Buffered::default()));
    }
    world.wait(Duration::from_millis(50));
    assert!(world.router.takes_sessions() && world.router.holding().bytes() < 100 << 10);
}

#[test]
fn what_the_driver_holds_of_replies_that_nobody_takes_costs_their_session() {
    let mut world = World::new(Profile::Pdwfs, Limits { memory_max: 1 << 20, ..Limits::default() });
    let [small, greedy] = [(); 2].map(|()| world.open());
    let unsent = |bytes| Buffered { unread: 0, unsent: bytes };
    world.router.handle(world.now, Input::Buffered(End::Session(small), unsent(100 << 10)));
    world.router.handle(world.now, Input::Buffered(End::Session(greedy), unsent(950 << 10)));
    world.wait(Duration::from_millis(50));
    assert!(world.closed.contains(&End::Session(greedy)) && !world.closed.contains(&End::Session(small)));
}

#[test]
fn what_handshakes_hold_counts_too() {
    let mut world = World::new(Profile::Pdwfs, Limits { memory_max: 1 << 20, ..Limits::default() });
    world.router.handle(world.now, Input::GuestBytes(900 << 10));
    assert!(!world.router.takes_sessions());
    world.router.handle(world.now, Input::GuestBytes(0));
    world.wait(Duration::from_millis(50));
    assert!(world.router.takes_sessions());
}

#[test]
fn what_is_sealed_and_unsent_fills_its_link_until_the_kernel_takes_it() {
    let mut world = World::new(Profile::Redis, Limits { link_output_max: 64 << 10, ..Limits::default() });
    let session = world.open();
    let link = world.links[0].0;
    let shard = world.links[0].1;
    let key = if shard == 0 { FIRST } else { SECOND };
    world.router.handle(world.now, Input::Buffered(End::Link(link), Buffered { unread: 0, unsent: 70 << 10 }));
    world.sent.iter_mut().for_each(String::clear);
    world.send(session, &format!("GET {key}\r\n"));
    assert!(!world.sent[0].contains("GET"), "it is full");
    world.router.handle(world.now, Input::Buffered(End::Link(link), Buffered::default()));
    world.turn();
    assert!(world.sent[0].contains("GET"));
}

#[test]
fn what_is_kept_until_it_is_answered_is_told_from_what_waits_to_be_sent() {
    let mut world = World::new(Profile::Pdwfs, Limits::default());
    let session = world.open();
    world.send(session, &format!("SET {FIRST} value\r\n"));
    let link = world.sent.iter().position(|sent| sent.contains("value")).unwrap();
    let holding = world.router.holding();
    let sent = "*3\r\n$3\r\nSET\r\n$1\r\nb\r\n$5\r\nvalue\r\n".len();
    assert_eq!((holding.kept_bytes, holding.retained_bytes), (sent, sent), "it is written, and may have to be again");
    assert!(holding.batch_bytes >= sent);
    world.reply(link, "+OK\r\n");
    let holding = world.router.holding();
    assert_eq!((holding.kept_bytes, holding.retained_bytes), (0, 0));
}
