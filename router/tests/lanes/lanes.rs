//! Lanes and their sessions: who leaves what behind, and who waits for whom.

use std::time::Duration;

use pdw_router::limits::Limits;
use pdw_router::{End, Input, LinkKey, Order, Output, Profile};

use crate::world::{FIRST, SECOND, World, large_set, world};

#[test]
fn a_client_that_dies_before_exec_leaves_no_lane_inside_its_transaction() {
    let mut world = world();
    let session = world.open();
    let lane = world.go_live(session);
    world.router.handle(world.now, Input::SessionLost(session));
    world.turn();
    assert!(world.closed.contains(&End::Link(world.links[lane].0)), "the next session would be queued");
}

#[test]
fn reset_and_a_broken_exec_end_a_live_transaction_at_the_instance() {
    for end in ["RESET\r\n", "EXEC now\r\n"] {
        let mut world = world();
        let session = world.open();
        let lane = world.go_live(session);
        world.send(session, end);
        assert!(world.sent[lane].ends_with("DISCARD\r\n"), "{end}: {}", world.sent[lane]);
    }
    let mut world = world();
    let session = world.open();
    let lane = world.go_live(session);
    world.take(session);
    world.send(session, "QUIT\r\n");
    assert_eq!(world.take(session), "+OK\r\n");
    assert!(world.closed.contains(&End::Link(world.links[lane].0)) || world.sent[lane].ends_with("DISCARD\r\n"));
}

#[test]
fn a_lane_to_an_old_address_lasts_as_long_as_its_transaction() {
    let mut world = world();
    let session = world.open();
    let lane = world.go_live(session);
    let (link, upstream) = world.links[lane];
    world.router.handle(world.now, Input::UpstreamMoved(upstream));
    world.send(session, &format!("GET {FIRST}\r\n"));
    world.reply(lane, "+QUEUED\r\n");
    assert!(!world.closed.contains(&End::Link(link)));
    world.send(session, "EXEC\r\n");
    world.reply(lane, "*2\r\n+OK\r\n$1\r\n1\r\n");
    assert!(world.take(session).ends_with("*2\r\n+OK\r\n$1\r\n1\r\n"));
    assert!(world.closed.contains(&End::Link(link)), "it goes to the old address");
}

#[test]
fn a_lane_is_for_one_upstream() {
    let mut world = world();
    let session = world.open();
    world.send(session, &format!("MULTI\r\n{}", large_set(FIRST)));
    world.relayed(End::Session(session), 200_002);
    let lane = world.links.len() - 1;
    world.send(session, &format!("GET {SECOND}\r\nEXEC\r\n{}", large_set(SECOND)));
    assert_eq!(world.sent[lane].matches("SET").count(), 1, "{}", world.sent[lane]);
    world.reply(lane, "+OK\r\n+QUEUED\r\n+OK\r\n");
    assert!(world.take(session).contains("EXECABORT"));
    let other = world.links.len() - 1;
    assert_eq!(world.links[other].1, 1 - world.links[lane].1);
    assert!(world.sent[other].contains("SET"));
}

#[test]
fn a_session_that_goes_silent_with_a_lane_loses_it_when_others_wait() {
    let mut world = world();
    let (idle, waiting) = (world.open(), world.open());
    world.go_live(idle);
    world.take(idle);
    world.send(waiting, &large_set(FIRST));
    let due = world.router.poll_timeout().unwrap();
    assert!(due <= world.now.after(Duration::from_secs(10)), "nobody would look");
    world.wait(Duration::from_secs(10));
    assert!(world.closed.contains(&End::Session(idle)));
    assert!(world.sent.last().unwrap().contains("SET"), "the lane was not given on");
}

#[test]
fn a_client_that_ends_in_the_middle_of_a_request_on_a_lane_is_closed() {
    let mut world = world();
    let session = world.open();
    world.send(session, "*5\r\n$3\r\nSET\r\n$1\r\nb\r\n$200000\r\n");
    world.relayed(End::Session(session), 200_002);
    world.send(session, "$2\r\nEX");
    world.router.handle(world.now, Input::SessionEnded(session));
    world.turn();
    assert!(world.closed.contains(&End::Session(session)));
}

#[test]
fn a_client_that_sends_nothing_more_is_closed_when_its_large_reply_is_through() {
    let mut world = world();
    let session = world.open();
    world.send(session, &format!("GET {FIRST}\r\n"));
    let link = (0..2).find(|link| world.sent[*link].contains("GET")).unwrap();
    world.router.handle(world.now, Input::SessionEnded(session));
    world.reply(link, "$200000\r\n");
    world.take(session);
    world.relayed(End::Link(world.links[link].0), 200_000);
    world.reply(link, "\r\n");
    world.take(session);
    assert!(world.closed.contains(&End::Session(session)));
}

#[test]
fn an_instance_that_does_not_answer_a_large_value_is_given_up() {
    let mut world = world();
    let session = world.open();
    world.send(session, &large_set(FIRST));
    world.relayed(End::Session(session), 200_002);
    for _ in 0..13 {
        world.wait(Duration::from_secs(10));
    }
    assert!(world.take(session).contains("may or may not"));
}

#[test]
fn a_session_that_waits_for_a_full_batch_wakes_when_the_batch_is_given_up() {
    for profile in [Profile::Pdwfs, Profile::Redis] {
        let mut world = World::new(profile, Limits { link_output_max: 10, ..Limits::default() });
        let (one, two) = (world.open(), world.open());
        // Not written yet: the driver's socket takes nothing.
        world.router.handle(world.now, Input::SessionBytes(one, b"GET b\r\n"));
        world.router.handle(world.now, Input::SessionBytes(two, b"GET b\r\n"));
        while world.router.poll_output().is_some() {}
        let link = world.links[0].0;
        world.router.handle(world.now, Input::LinkLost(link, pdw_router::LossReason::Closed));
        world.now = world.now.after(Duration::from_secs(61));
        world.router.handle(world.now, Input::Timeout);
        world.turn();
        assert!(world.take(one).contains("not sent"));
        world.wait(Duration::from_secs(61));
        world.wait(Duration::from_secs(61));
        let answered = world.sent.last().unwrap().contains("GET") || world.take(two).contains("not sent");
        assert!(answered, "{profile:?}: it waits for ever");
    }
}

#[test]
fn a_retired_link_does_not_make_its_upstream_unready() {
    let mut world = world();
    let session = world.open();
    world.send(session, &format!("GET {FIRST}\r\n"));
    let link = (0..2).find(|link| world.sent[*link].contains("GET")).unwrap();
    let bytes: &[u8] = b"$200000\r\n";
    world.router.handle(world.now, Input::LinkBytes(world.links[link].0, bytes));
    assert!(world.router.readiness().all(|ready| ready));
}

#[test]
fn profile_redis_refuses_a_large_value_for_an_upstream_that_is_away() {
    let mut world = World::new(Profile::Redis, Limits::default());
    let links: Vec<LinkKey> = world.links.iter().map(|(key, _)| *key).collect();
    for link in links {
        world.router.handle(world.now, Input::LinkLost(link, pdw_router::LossReason::Closed));
    }
    let session = world.open();
    world.router.handle(world.now, Input::SessionBytes(session, large_set(FIRST).as_bytes()));
    let outputs: Vec<Output> = std::iter::from_fn(|| world.router.poll_output()).collect();
    assert!(outputs.contains(&Output::Order(End::Session(session), Order::Skip { bytes: 200_002 })), "{outputs:?}");
    assert!(world.take(session).contains("not sent"));
}

#[test]
fn the_operator_is_told_once_why_an_upstream_is_down() {
    let mut world = world();
    let mut told = 0;
    for _ in 0..5 {
        let link = world.links[0].0;
        world.router.handle(world.now, Input::LinkLost(link, pdw_router::LossReason::Unreachable));
        world.now = world.now.after(Duration::from_secs(6));
        world.router.handle(world.now, Input::Timeout);
        while let Some(output) = world.router.poll_output() {
            match output {
                Output::Notice(_) => told += 1,
                Output::Connect(key, 0) => world.links[0].0 = key,
                _ => {}
            }
        }
    }
    assert_eq!(told, 1);
}
