//! Who stands still, and who suffers for it.

use std::time::Duration;

use pdw_router::limits::Limits;
use pdw_router::{End, Input, Profile, SessionKey, Wait};

use crate::world::{FIRST, World, large_set, world};

/// One client in the middle of a large value, another that waits for its lane.
fn mover_and_waiter(world: &mut World) -> SessionKey {
    let (mover, waiter) = (world.open(), world.open());
    world.send(mover, &large_set(FIRST));
    world.send(waiter, &large_set(FIRST));
    mover
}

#[test]
fn who_delivers_nothing_of_a_value_loses_its_lane_to_those_who_wait() {
    let mut world = world();
    let mover = mover_and_waiter(&mut world);
    world.router.handle(world.now, Input::RelayWaits(End::Session(mover), Wait::Source));
    world.wait(Duration::from_secs(9));
    assert!(!world.closed.contains(&End::Session(mover)));
    world.wait(Duration::from_secs(1));
    assert!(world.closed.contains(&End::Session(mover)));
}

#[test]
fn an_instance_that_takes_nothing_is_not_its_clients_fault() {
    let mut world = world();
    let mover = mover_and_waiter(&mut world);
    world.router.handle(world.now, Input::RelayWaits(End::Session(mover), Wait::Sink));
    for _ in 0..9 {
        world.wait(Duration::from_secs(10));
    }
    assert!(!world.closed.contains(&End::Session(mover)));
    // Awake again, it takes the rest; and then it is the client that stands still.
    world.relayed(End::Session(mover), 50_000);
    world.router.handle(world.now, Input::RelayWaits(End::Session(mover), Wait::Source));
    world.wait(Duration::from_secs(10));
    assert!(world.closed.contains(&End::Session(mover)));
}

#[test]
fn an_instance_that_takes_nothing_for_too_long_is_given_up() {
    let mut world = world();
    let mover = mover_and_waiter(&mut world);
    let lane = world.links.last().unwrap().0;
    world.router.handle(world.now, Input::RelayWaits(End::Session(mover), Wait::Sink));
    for _ in 0..12 {
        world.wait(Duration::from_secs(10));
    }
    assert!(world.closed.contains(&End::Link(lane)));
}

#[test]
fn nothing_gets_between_the_commands_of_a_transaction_whose_client_is_slow() {
    let mut world = World::new(Profile::Pdwfs, Limits { session_output_max: 1, ..Limits::default() });
    let session = world.open();
    let lane = world.go_live(session);
    // Its client takes no replies, so it is not read either.
    world.send(session, &format!("GET {FIRST}\r\n"));
    for _ in 0..4 {
        world.wait(Duration::from_secs(30));
    }
    assert!(!world.sent[lane].contains("PING\r\n*1"), "{}", world.sent[lane]);
    assert_eq!(world.sent[lane].matches("PING").count(), 0, "{}", world.sent[lane]);
}

/// As [`world`], where another lane may be opened: from now on the mover stands still.
fn one_that_stands_still() -> (World, SessionKey) {
    let limits = Limits { bulk_lanes: 1, spare_lanes: 1, retain_max: 1 << 10, ..Limits::default() };
    let mut world = World::new(Profile::Pdwfs, limits);
    let mover = mover_and_waiter(&mut world);
    world.router.handle(world.now, Input::RelayWaits(End::Session(mover), Wait::Source));
    (world, mover)
}

/// Lanes of this kind of world that were opened, and are still open.
fn lanes(world: &World) -> usize {
    let opened = world.links.len() - SHARED;
    opened - world.closed.iter().filter(|end| matches!(end, End::Link(_))).count()
}

/// Its links that are no lanes.
const SHARED: usize = 2;

#[test]
fn beside_a_lane_that_stands_still_there_is_another_one_for_those_who_wait() {
    let (mut world, _) = one_that_stands_still();
    world.wait(Duration::from_millis(90));
    assert_eq!(lanes(&world), 1);
    world.wait(Duration::from_millis(10));
    assert_eq!(lanes(&world), 2);
    // No third, whoever waits; and who is in nobody's way any more keeps its own.
    let second = world.open();
    world.send(second, &large_set(FIRST));
    world.wait(Duration::from_secs(1));
    assert_eq!((lanes(&world), world.closed.len()), (2, 0));
}

#[test]
fn a_spare_lane_is_due_though_small_requests_have_moved_the_clock_past_its_time() {
    let (mut world, _) = one_that_stands_still();
    let small = world.open();
    world.now = world.now.after(Duration::from_millis(150));
    world.send(small, "PING\r\n");
    assert!(world.router.poll_timeout().is_some_and(|due| due <= world.now));
    world.router.handle(world.now, Input::Timeout);
    world.turn();
    assert_eq!(lanes(&world), 2);
}

#[test]
fn a_spare_lane_is_closed_when_those_that_stood_still_go_on() {
    let (mut world, mover) = one_that_stands_still();
    world.wait(Duration::from_millis(100));
    assert_eq!(lanes(&world), 2);
    let first = world.links.len() - 2;
    world.relayed(End::Session(mover), 200_002);
    world.reply(first, "+OK\r\n");
    assert_eq!(world.take(mover), "+OK\r\n");
    assert_eq!(lanes(&world), 1);
}
