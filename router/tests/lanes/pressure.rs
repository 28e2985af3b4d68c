//! The ceiling on memory, when what is held are parts of gathered replies.

use std::time::Duration;

use pdw_router::limits::Limits;
use pdw_router::{End, Profile, SessionKey};

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
