//! One of four instances is black-holed, and many want it: the other three lose nothing.

use std::io;
use std::thread;
use std::time::{Duration, Instant};

use pdw_tests::connection::{Connection, encode};
use pdw_tests::durable::Durable;
use pdw_tests::fault::Door;
use pdw_tests::latency::Load;

use crate::scene::{Scene, heard, launch};
use pdw_tests::full_or;

const INSTANCES: usize = 4;

/// Sessions that want the instance that is gone.
const WANTING: usize = 300;

/// The memory that those may cost.
const MEMORY_KIB: u64 = 64 << 10;

/// How much of their rate the others must keep: the loss allowed is that of measuring on a machine with other work.
const RATE: f64 = 0.6;

/// Sessions with a write for the first instance.
fn wanting(scene: &Scene) -> io::Result<Vec<Connection>> {
    let (value, keys) = ("x".repeat(50_000), scene.keys(0));
    let want = |number: usize| {
        let mut session = scene.session()?;
        session.send(&encode(&["SET", &keys[number % keys.len()], &value])).map(|()| session)
    };
    (0..WANTING).map(want).collect()
}

/// How long it takes until a fresh session's write to the first instance is carried out.
fn recovery(scene: &Scene) -> io::Result<Duration> {
    let started = Instant::now();
    let mut session = scene.session()?;
    while session.call(&["SET", &scene.keys(0)[0], "x"])?.error().is_some() {
        thread::sleep(Duration::from_millis(5));
    }
    Ok(started.elapsed())
}

fn circuit(profile: &'static str) -> io::Result<()> {
    let mut scene = Scene::with_faults_in_hops(Durable::start_many(INSTANCES)?, &launch(profile, &[]))?;
    let load = Load::start(scene.proxy.address(), INSTANCES)?;
    let before = load.watch(Duration::from_secs(full_or(10, 1)));
    let memory = scene.proxy.guard().resident_kib()?;
    scene.faults[0].black_hole(Door::Unanswered)?;
    let mut wanting = wanting(&scene)?;
    thread::sleep(Duration::from_millis(500));
    let during = load.watch(Duration::from_secs(full_or(25, 3)));
    let grown = scene.proxy.guard().resident_kib()?.saturating_sub(memory);
    scene.faults[0].heal()?;
    let recovered = recovery(&scene)?;
    let after = load.watch(Duration::from_secs(full_or(10, 1)));
    for at in 1..INSTANCES {
        during[at].demand_unharmed(&[&before[at], &after[at]], 1.5)?;
        during[at].demand_rate(&[&before[at], &after[at]], RATE)?;
    }
    assert!(grown < MEMORY_KIB, "grew by {grown} KiB");
    assert!(recovered < Duration::from_secs(1), "{recovered:?}");
    for session in wanting.iter_mut().filter(|_| profile == "pdwfs") {
        assert_eq!(heard(session)?, "+OK\r\n");
    }
    Ok(())
}

#[test]
fn one_of_four_is_gone_and_the_others_lose_nothing_under_pdwfs() -> io::Result<()> {
    circuit("pdwfs")
}

#[test]
fn one_of_four_is_gone_and_the_others_lose_nothing_under_redis() -> io::Result<()> {
    circuit("redis")
}
