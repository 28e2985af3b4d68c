//! Instances that send more of a value than they announced: what follows is nobody's answer.

use pdw_router::limits::Limits;
use pdw_router::{End, Input, Profile, SessionKey};

use crate::world::{FIRST, SECOND, World};

/// One client waits for a large value and another behind it on the same link; of the value the beginning has come.
fn amid_a_value(profile: Profile) -> (World, SessionKey, SessionKey, usize) {
    let mut world = World::new(profile, Limits::default());
    let (first, behind) = (world.open(), world.open());
    world.router.handle(world.now, Input::SessionBytes(first, format!("GET {FIRST}\r\n").as_bytes()));
    world.router.handle(world.now, Input::SessionBytes(behind, format!("STRLEN {FIRST}\r\n").as_bytes()));
    world.turn();
    let link = (0..2).find(|link| world.sent[*link].contains("STRLEN")).unwrap();
    world.reply(link, "$200000\r\nv");
    world.take(first);
    (world, first, behind, link)
}

fn end(world: &World, link: usize) -> End {
    End::Link(world.links[link].0)
}

#[test]
fn a_relayed_value_ends_where_its_line_end_was_seen() {
    for profile in [Profile::Pdwfs, Profile::Redis] {
        let (mut world, first, behind, link) = amid_a_value(profile);
        world.arrives(link, 199_999, "\r");
        assert_eq!((world.take(first), world.take(behind)), (String::new(), String::new()));
        world.reply(link, "\n:7\r\n");
        assert_eq!((world.take(first), world.take(behind)), ("\r\n".to_owned(), ":7\r\n".to_owned()));
    }
}

#[test]
fn what_follows_a_relayed_value_is_not_taken_for_the_next_answer() {
    for profile in [Profile::Pdwfs, Profile::Redis] {
        let (mut world, first, behind, link) = amid_a_value(profile);
        // Where the value was to end, it goes on; what comes then looks like a reply.
        world.arrives(link, 199_999 + 2, ":666\r\n");
        assert!(world.closed.contains(&end(&world, link)), "the link serves on, {profile:?}");
        assert!(world.closed.contains(&End::Session(first)), "its value seems whole, {profile:?}");
        let heard = world.take(behind);
        assert!(heard.is_empty() || heard.contains("may or may not"), "{heard:?}, {profile:?}");
    }
}

#[test]
fn what_follows_a_skipped_value_is_not_taken_for_the_next_answer() {
    let (mut world, first, behind, link) = amid_a_value(Profile::Redis);
    world.router.handle(world.now, Input::SessionLost(first));
    world.turn();
    world.arrives(link, 199_999 + 2, ":666\r\n");
    assert!(world.take(behind).contains("may or may not"));
}

#[test]
fn what_follows_a_woven_value_is_not_taken_for_the_next_one() {
    let mut world = World::new(Profile::Redis, Limits::default());
    let session = world.open();
    world.send(session, &format!("MGET {FIRST} {FIRST}2 {SECOND}\r\n"));
    for link in 0..2 {
        world.reply(link, if world.sent[link].contains("*3") { "*2\r\n$2097152\r\n" } else { "*1\r\n$-1\r\n" });
    }
    let link = (0..2).find(|link| world.sent[*link].contains("*3")).unwrap();
    world.take(session);
    world.arrives(link, (2 << 20) + 2, "$3\r\nbad\r\n");
    assert!(world.closed.contains(&end(&world, link)) && world.closed.contains(&End::Session(session)));
}

/// An instance goes on and on with the array that it has begun on a link, until that is closed; how much was held.
fn goes_on(world: &mut World, link: usize) -> usize {
    let (elements, mut held) = (":1\r\n".repeat(1 << 18), 0);
    for _ in 0..100 {
        if world.closed.contains(&end(world, link)) {
            return held;
        }
        world.reply(link, &elements);
        held = held.max(world.router.holding().bytes());
    }
    panic!("{held} bytes are held, and the link is not closed")
}

#[test]
fn an_answer_without_end_to_a_question_of_the_proxys_own_is_not_waited_for() {
    let mut world = World::new(Profile::Redis, Limits::default());
    let session = world.open();
    world.send(session, "SOMETHING else\r\n");
    let link = world.sent.iter().position(|sent| sent.contains("COMMAND")).unwrap();
    world.reply(link, "*100000000\r\n");
    assert!(goes_on(&mut world, link) < 130 << 20);
}

#[test]
fn an_answer_without_end_to_a_links_first_words_is_not_waited_for() {
    let mut world = World::new(Profile::Redis, Limits::default());
    world.proof = b"*100000000\r\n";
    let session = world.open();
    world.send(session, "SOMETHING else\r\n");
    let link = world.links.len() - 1;
    assert!(goes_on(&mut world, link) < 4 << 20);
}
