//! Fuzz target `session`: a whole router between clients and instances that do anything at all.

use std::time::Duration;

use pdw_router::Time;
use pdw_router::mutant::Mutation;

use super::client::Ending;
use super::instance::Mood;
use super::request;
use super::script::Script;
use super::setup::setup;
use super::world::{CHUNK, World};

/// No reply in these scripts is longer.
const REPLY_MAX: usize = 64 << 10;

/// Runs one input: a byte that chooses the setup, then steps.
pub fn session(input: &[u8]) {
    session_with(input, Mutation::default());
}

/// The same with a deliberate fault, to show that it is found.
pub fn session_with(input: &[u8], mutation: Mutation) {
    let mut script = Script::new(input);
    let Some(setup) = setup(script.byte(), mutation) else { return };
    let mut world = World::new(setup);
    while let Some(step) = script.next() {
        carry_out(&mut world, step, &mut script);
        check_bounds(&world);
    }
    world.check_replies(false);
    bring_to_rest(&mut world);
    part_with_clients(&mut world);
}

/// One step: four bits say what is done, four to whom.
fn carry_out(world: &mut World, step: u8, script: &mut Script<'_>) {
    let who = usize::from(step >> 4);
    match step & 15 {
        0 => send(world, who, script.bytes()),
        1 => send(world, who, &request::named(script.byte(), script.byte())),
        2 => world.open(),
        3 => world.read_client(who, script.amount()),
        4 => world.write_client(who, script.amount()),
        5 => finish(world, who),
        6 => world.lose_client(who),
        7 => world.write_wire(who, script.amount()),
        8 => world.read_wire(who, script.amount()),
        9 => world.babble(who, script.bytes()),
        10 => world.lose_wire(who),
        11 => world.connect(who != 0),
        12 => world.wait(Duration::from_micros(1 << (script.byte() % 28))),
        13 => {
            let index = who % world.moods.len();
            world.moods[index].change(script.byte());
        }
        14 => world.end_turn(),
        _ => world.settle(),
    }
}

fn send(world: &mut World, who: usize, bytes: &[u8]) {
    if let Some(client) = world.clients.get_mut(who) {
        client.send(bytes);
    }
}

fn finish(world: &mut World, who: usize) {
    if let Some(client) = world.clients.get_mut(who) {
        client.finished = true;
    }
}

/// Holds what the router holds against its limits.
fn check_bounds(world: &World) {
    let (limits, holding) = (world.limits(), world.router.holding());
    let sessions = world.clients.len();
    assert!(holding.sessions <= sessions);
    assert!(holding.pending <= sessions * (limits.session_pending_max + 1), "{holding:?}");
    // Of buffers that grow, the capacity is counted.
    assert!(holding.request_bytes <= 2 * sessions * (limits.request_max + CHUNK), "{holding:?}");
    assert!(holding.transaction_bytes <= 2 * sessions * (limits.multi_max + 64), "{holding:?}");
    let links: usize = holding.links.iter().flatten().sum();
    let reply_bytes = limits.session_output_max + (limits.session_pending_max + 1) * REPLY_MAX;
    assert!(holding.reply_bytes <= 2 * (sessions * reply_bytes + links * (REPLY_MAX + CHUNK)), "{holding:?}");
    let largest = limits.multi_max.max(limits.request_max + CHUNK).max(4 * limits.request_buffer_max);
    assert!(holding.batch_bytes <= 2 * links * (limits.link_output_max + largest), "{holding:?}");
}

/// So many times the longest of all times passes until all is at rest.
const ROUNDS: usize = 6;

/// Everything works and time passes: whatever was asked gets its answer. What an instance has yet to say in place of
/// an answer may cost a request all its patience, and a client's next one begins only then.
fn bring_to_rest(world: &mut World) {
    let limits = world.limits().clone();
    let span = limits.patience.max(limits.link_dead).max(limits.connect_timeout) + Duration::from_millis(1);
    let odd: usize = world.moods.iter().map(Mood::odd_replies).sum();
    for _ in 0..ROUNDS + odd {
        world.settle();
        lose_who_holds_up_others(world);
        world.wait(span);
    }
    world.settle();
    lose_who_holds_up_others(world);
    world.settle();
    world.check_replies(true);
    let holding = world.router.holding();
    assert_eq!((holding.pending, holding.in_flight), (0, 0));
    assert!(world.router.readiness().all(|ready| ready), "an upstream is not ready");
    assert!(!world.wires.iter().any(|wire| wire.is_amid_request()), "the rest of a request is missing");
    assert!(world.router.poll_timeout() > Some(Time::default()), "nothing would wake the router");
}

/// A client in the middle of something large keeps a lane for as long as it likes, an instance its client.
fn lose_who_holds_up_others(world: &mut World) {
    world.lose_wires_amid_values();
    let limits = world.limits().clone();
    for index in 0..world.clients.len() {
        if world.clients[index].may_hold_up_others(&limits) {
            world.lose_client(index);
        }
    }
}

/// The clients go, half of them politely; nothing of them is left.
fn part_with_clients(world: &mut World) {
    for index in 0..world.clients.len() {
        if index % 2 == 0 {
            finish(world, index);
        } else {
            world.lose_client(index);
        }
    }
    world.settle();
    assert!(world.clients.iter().all(|client| client.ending != Ending::Open), "a session is never closed");
    let holding = world.router.holding();
    let bytes = holding.request_bytes + holding.transaction_bytes;
    assert_eq!((holding.sessions, holding.pending, holding.in_flight, bytes), (0, 0, 0, 0));
}
