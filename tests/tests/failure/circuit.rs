//! One of four instances is black-holed, and many want it: the other three lose nothing.

use std::io;
use std::thread;
use std::time::{Duration, Instant};

use pdw_tests::connection::{Connection, encode};
use pdw_tests::durable::Durable;
use pdw_tests::fault::Door;
use pdw_tests::latency::Load;

use crate::full_or;
use crate::scene::{LIMIT, Scene, heard, launch};

const INSTANCES: usize = 4;

/// Sessions that want the instance that is gone.
const WANTING: usize = 300;

/// The memory that those may cost.
const MEMORY_KIB: u64 = 64 << 10;

/// How much of their rate the others must keep: the loss allowed is that of measuring on a machine with other work.
const RATE: f64 = 0.6;

fn circuit(profile: &'static str) -> io::Result<()> {
    let mut scene = Scene::before(Durable::start_many(INSTANCES)?, &launch(profile, &["reconnect_max = '800ms'"]))?;
    let load = Load::start(scene.proxy.address(), INSTANCES)?;
    let before = load.watch(Duration::from_secs(full_or(10, 1)));
    let memory = scene.proxy.guard().resident_kib()?;
    scene.faults[0].black_hole(Door::Unanswered)?;
    let value = "x".repeat(50_000);
    let (address, keys) = (scene.proxy.address().clone(), scene.keys(0));
    let mut wanting = Vec::new();
    for number in 0..WANTING {
        let mut session = Connection::open_with(&address, LIMIT)?;
        session.send(&encode(&["SET", &keys[number % keys.len()], &value]))?;
        wanting.push(session);
    }
    thread::sleep(Duration::from_millis(500));
    let during = load.watch(Duration::from_secs(full_or(25, 3)));
    let grown = scene.proxy.guard().resident_kib()?.saturating_sub(memory);
    scene.faults[0].heal()?;
    let healed = Instant::now();
    let mut fresh = Connection::open_with(&address, LIMIT)?;
    while fresh.call(&["SET", &keys[0], "x"])?.error().is_some() {
        thread::sleep(Duration::from_millis(5));
    }
    let recovered = healed.elapsed();
    for at in 1..INSTANCES {
        during[at].demand_unharmed(&before[at], 1.5)?;
        assert!(during[at].rate() > before[at].rate() * RATE, "{} before, {} during", before[at], during[at]);
    }
    assert!(grown < MEMORY_KIB, "grew by {grown} KiB");
    assert!(recovered < Duration::from_secs(1), "{recovered:?}");
    if profile == "pdwfs" {
        for session in &mut wanting {
            assert_eq!(heard(session)?, "+OK\r\n");
        }
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
