//! Fifty who write stripes and fifty who read them at once: memory does not depend on the size of values.

use std::io::{self, Write};
use std::thread;
use std::time::Duration;

use pdw_tests::address::Address;
use pdw_tests::connection::encode;
use pdw_tests::hop::Seal;
use pdw_tests::instance::{Instance, Server};
use pdw_tests::proxy::{Launch, Proxy};

use crate::kernel::{Cost, Watch};
use crate::stripe::{Content, Mover, stripe_key, stripe_size};
use crate::witness::Witness;

const CLIENTS: u32 = 50;
const RESIDENT_MAX: u64 = 64 << 20;
const KERNEL_MAX: u64 = 128 << 20;
const FILE: &str = "/m/large";

/// Instances that listen on TCP too, so that what their links cost shows in `ss -m`.
pub(crate) fn tcp_instances(count: usize) -> io::Result<(Vec<Instance>, Vec<Address>)> {
    let pairs = (0..count).map(|_| {
        let address = Address::free_loopback()?;
        let instance = Instance::start_with(&Server::redis(), &["--port", &address.port().to_string()])?;
        Ok((instance, address))
    });
    Ok(pairs.collect::<io::Result<Vec<_>>>()?.into_iter().unzip())
}

fn start(profile: &'static str, count: usize) -> io::Result<(Vec<Instance>, Vec<Address>, Proxy)> {
    let (instances, addresses) = tcp_instances(count)?;
    let proxy = Launch::new(profile, &addresses).start()?;
    Ok((instances, addresses, proxy))
}

/// The same with a proxy before the proxy, and all hops sealed by `seal`.
fn start_tree(profile: &'static str, count: usize, seal: Seal) -> io::Result<(Vec<Instance>, Vec<Address>, Proxy)> {
    let (instances, addresses) = tcp_instances(count)?;
    let proxy = Launch::new(profile, &addresses).levels(2).seal(seal).start()?;
    Ok((instances, addresses, proxy))
}

/// Runs `work` for every number at once, each with a client of its own.
fn all_at_once(address: &Address, work: impl Fn(u32, Mover) -> io::Result<()> + Sync) -> io::Result<()> {
    thread::scope(|scope| {
        let client = |number| {
            let work = &work;
            scope.spawn(move || work(number, Mover::connect(address)?))
        };
        let clients: Vec<_> = (0..CLIENTS).map(client).collect();
        clients.into_iter().try_for_each(|client| client.join().map_err(|_| io::Error::other("a client failed"))?)
    })
}

fn assert_small(cost: Cost, what: &str) {
    let Cost { resident, kernel } = cost;
    println!("{what}: {} KiB resident, {} KiB in the kernel", resident >> 10, kernel >> 10);
    assert!(resident < RESIDENT_MAX, "{what}: resident memory grew by {} KiB", resident >> 10);
    assert!(kernel < KERNEL_MAX, "{what}: {} KiB in sockets and pipes", kernel >> 10);
}

fn stripes(count: usize, started: (Vec<Instance>, Vec<Address>, Proxy)) -> io::Result<()> {
    let (_instances, addresses, mut proxy) = started;
    let (size, target) = (stripe_size(), proxy.address().clone());
    let write = |version| move |number, mut mover: Mover| mover.write_stripe(FILE, Content::new(number, version, size));
    let read = |number, mut mover: Mover| mover.read(&stripe_key(FILE, number), Content::new(number, 0, size));
    let watch = Watch::start(proxy.guard().pid())?;
    all_at_once(&target, write(0))?;
    thread::scope(|scope| {
        let writers = scope.spawn(|| all_at_once(&target, write(1)));
        all_at_once(&target, read)?;
        writers.join().map_err(|_| io::Error::other("the writers failed"))?
    })?;
    assert_small(watch.finish()?, &format!("stripes on {count}"));
    for number in 0..CLIENTS {
        let key = stripe_key(FILE, number);
        let holds = |address: &&Address| {
            Mover::connect(address).is_ok_and(|mut mover| mover.read(&key, Content::new(number, 1, size)).is_ok())
        };
        assert_eq!(addresses.iter().filter(holds).count(), 1, "{key}");
    }
    Ok(())
}

#[test]
fn stripes_written_and_read_by_fifty_on_one_instance() -> io::Result<()> {
    stripes(1, start("pdwfs", 1)?)
}

#[test]
fn stripes_written_and_read_by_fifty_on_three_instances() -> io::Result<()> {
    stripes(3, start("pdwfs", 3)?)
}

#[test]
fn stripes_written_and_read_by_fifty_through_two_levels() -> io::Result<()> {
    stripes(3, start_tree("pdwfs", 3, Seal::Plain)?)
}

#[test]
fn stripes_written_and_read_by_fifty_through_two_levels_sealed_by_noise() -> io::Result<()> {
    stripes(3, start_tree("pdwfs", 3, Seal::Noise)?)
}

#[test]
fn who_asks_and_never_reads_through_two_levels() -> io::Result<()> {
    never_read("pdwfs", |number| stripe_key(FILE, number), start_tree("pdwfs", 1, Seal::Plain)?)
}

/// A key whose size nobody can foresee: no other has its name but for digits at the end.
fn plain_key(number: u32) -> String {
    format!("plain:{number}:value")
}

#[test]
fn readers_that_could_not_be_foreseen() -> io::Result<()> {
    for count in [1, 3] {
        let (_instances, addresses, mut proxy) = start("redis", count)?;
        let (size, target) = (stripe_size(), proxy.address().clone());
        for address in &addresses {
            let mut direct = Mover::connect(address)?;
            (0..CLIENTS).try_for_each(|number| direct.set(&plain_key(number), Content::new(number, 0, size)))?;
        }
        let watch = Watch::start(proxy.guard().pid())?;
        all_at_once(&target, |number, mut mover| mover.read(&plain_key(number), Content::new(number, 0, size)))?;
        assert_small(watch.finish()?, &format!("unforeseen on {count}"));
    }
    Ok(())
}

/// Fifty ask for `key` of each number and never read.
fn ask_and_never_read(profile: &'static str, key: fn(u32) -> String) -> io::Result<()> {
    never_read(profile, key, start(profile, 1)?)
}

fn never_read(
    profile: &'static str,
    key: fn(u32) -> String,
    started: (Vec<Instance>, Vec<Address>, Proxy),
) -> io::Result<()> {
    let (_instances, addresses, mut proxy) = started;
    let size = stripe_size();
    let mut direct = Mover::connect(&addresses[0])?;
    (0..CLIENTS).try_for_each(|number| direct.set(&key(number), Content::new(number, 0, size)))?;
    if profile == "pdwfs" {
        // It knows then that the file is large.
        Mover::connect(proxy.address())?.set(&key(0), Content::new(0, 0, size))?;
    }
    let mut witness = Witness::start(proxy.address())?;
    let watch = Watch::start(proxy.guard().pid())?;
    let ask = |number| {
        let mut mover = Mover::connect(proxy.address())?;
        mover.stream().write_all(&encode(&["GET", &key(number)])).map(|()| mover)
    };
    let mut silent = (0..CLIENTS).map(ask).collect::<io::Result<Vec<_>>>()?;
    // An instance carries out all that came together before it sends its first reply, and until then nobody
    // can know that it is large: whoever asks in between is behind it.
    silent[0].stream().peek(&mut [0])?;
    thread::sleep(Duration::from_secs(1));
    witness.assert_unharmed(&format!("profile {profile}, fifty ask and never read"))?;
    assert_small(watch.finish()?, &format!("never read, profile {profile}"));
    drop(silent);
    Mover::connect(proxy.address())?.read(&key(1), Content::new(1, 0, size))
}

#[test]
fn fifty_that_ask_for_stripes_and_never_read() -> io::Result<()> {
    ask_and_never_read("pdwfs", |number| stripe_key(FILE, number))
}

#[test]
fn fifty_that_ask_for_what_could_not_be_foreseen_and_never_read() -> io::Result<()> {
    ask_and_never_read("redis", plain_key)
}
