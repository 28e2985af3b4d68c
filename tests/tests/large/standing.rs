//! Instances that stand still, and values of any size from several homes at once.

use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::thread;
use std::time::Duration;

use pdw_tests::connection::{encode, until};
use pdw_tests::instance::Instance;
use pdw_tests::proxy::{Launch, Proxy};
use rustix::process::{Pid, Signal, kill_process};
use socket2::SockRef;

use crate::kernel::Watch;
use crate::memory::tcp_instances;
use crate::stripe::{Content, Mover};

/// Longer than `times.stall_max` in these tests.
const STANDS: Duration = Duration::from_secs(3);
/// More than is held of one part of a gathered reply.
const VALUE: usize = 2 << 20;

/// Stops an instance, and lets it go on when dropped.
struct Stopped(Pid);

impl Stopped {
    fn stop(instance: &mut Instance) -> io::Result<Stopped> {
        let pid = Pid::from_raw(instance.guard().pid() as i32).ok_or_else(|| io::Error::other("no pid"))?;
        kill_process(pid, Signal::STOP)?;
        Ok(Stopped(pid))
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        let _ = kill_process(self.0, Signal::CONT);
    }
}

#[test]
fn an_instance_that_stands_still_costs_nobody_a_connection() -> io::Result<()> {
    let (mut instances, addresses) = tcp_instances(1)?;
    let proxy = Launch::new("pdwfs", &addresses).config("[times]\nstall_max = \"1s\"\n").start()?;
    let stopped = Stopped::stop(&mut instances[0])?;
    // More than there are lanes, so that others wait for each.
    let writers: Vec<_> = (0..5)
        .map(|number| {
            let address = proxy.address().clone();
            thread::spawn(move || {
                Mover::connect(&address)?.set(&format!("s:{number}"), Content::new(number, 0, 8 * VALUE))
            })
        })
        .collect();
    thread::sleep(STANDS);
    drop(stopped);
    for writer in writers {
        writer.join().map_err(|_| io::Error::other("a writer failed"))??;
    }
    Ok(())
}

/// Sends a request and takes a reply of this length.
fn ask(mover: &mut Mover, words: &[&str], len: usize) -> io::Result<Vec<u8>> {
    let mut reply = vec![0; len];
    mover.stream().write_all(&encode(words))?;
    mover.stream().read_exact(&mut reply)?;
    Ok(reply)
}

#[test]
fn an_mget_of_large_values_from_three_homes_is_never_held() -> io::Result<()> {
    let (_instances, addresses) = tcp_instances(3)?;
    let mut proxy = Launch::new("redis", &addresses).start()?;
    let keys: Vec<String> = (0..8).map(|number| format!("key:{number}:x")).collect();
    let mut writer = Mover::connect(proxy.address())?;
    for (number, key) in keys.iter().enumerate() {
        writer.set(key, Content::new(number as u32, 0, VALUE))?;
    }
    let watch = Watch::start(proxy.guard().pid())?;
    let one = format!("${VALUE}\r\n").len() + VALUE + 2;
    let words: Vec<&str> = std::iter::once("MGET").chain(keys.iter().map(String::as_str)).collect();
    let all = ask(&mut writer, &words, 4 + keys.len() * one)?;
    let cost = watch.finish()?;
    println!("{} KiB resident, {} KiB in the kernel", cost.resident >> 10, cost.kernel >> 10);
    assert!(cost.resident < 8 << 20, "resident memory grew by {} KiB", cost.resident >> 10);
    assert!(all.starts_with(b"*8\r\n"));
    for (key, element) in keys.iter().zip(all[4..].chunks(one)) {
        assert!(ask(&mut writer, &["GET", key], one)? == element, "{key}");
    }
    Ok(())
}

#[test]
fn who_sends_a_little_at_a_time_does_not_stand_still() -> io::Result<()> {
    let (_instances, addresses) = tcp_instances(1)?;
    let config = "[limits]\nbulk_lanes = 1\nspare_lanes = 0\n[times]\nstall_max = \"500ms\"\n";
    let proxy = Launch::new("redis", &addresses).config(config).start()?;
    let mut slow = Mover::connect(proxy.address())?;
    let request = encode(&["SET", "slow", &"x".repeat(VALUE)]);
    // The second part is far less than the kernel is told to collect before it wakes the proxy.
    let (begun, rest) = request.split_at(VALUE / 2);
    slow.stream().write_all(begun)?;
    let address = proxy.address().clone();
    let waits = thread::spawn(move || Mover::connect(&address)?.set("other", Content::new(1, 0, VALUE)));
    let (slowly, rest) = rest.split_at(100 << 10);
    for little in slowly.chunks(1 << 10) {
        thread::sleep(Duration::from_millis(20));
        slow.stream().write_all(little)?;
    }
    slow.stream().write_all(rest)?;
    let mut reply = [0; 5];
    slow.stream().read_exact(&mut reply)?;
    assert_eq!(&reply, b"+OK\r\n");
    waits.join().map_err(|_| io::Error::other("the other writer failed"))?
}

/// A proxy whose only lane is taken by a client in the middle of a value, and another one who waits for it.
struct Queue {
    proxy: Proxy,
    first: Mover,
    second: Mover,
    _instances: Vec<Instance>,
}

/// So much of its value either of them has sent: enough to be large, and room is left in the kernel's buffer,
const BEGUN: usize = 80 << 10;
/// for so much more that comes while nobody wants it.
const MORE: usize = BEGUN + (40 << 10);

fn value(key: &str) -> Vec<u8> {
    encode(&["SET", key, &"x".repeat(VALUE)])
}

impl Queue {
    fn form() -> io::Result<Queue> {
        let (instances, addresses) = tcp_instances(1)?;
        // In a tree little of what waits goes ahead to where the lanes are.
        let config =
            "[limits]\nbulk_lanes = 1\nspare_lanes = 0\nstream_window = \"4KiB\"\n[times]\nstall_max = \"1min\"\n";
        let proxy = Launch::new("redis", &addresses).config(config).with_admin().start()?;
        let (first, second) = (begin(&proxy, "first")?, begin(&proxy, "second")?);
        Ok(Queue { proxy, first, second, _instances: instances })
    }
}

/// A client in the middle of a value.
fn begin(proxy: &Proxy, key: &str) -> io::Result<Mover> {
    let mut mover = Mover::connect(proxy.address())?;
    mover.stream().write_all(&value(key)[..BEGUN])?;
    thread::sleep(Duration::from_millis(200));
    Ok(mover)
}

/// Sends on, in a hundred segments.
fn trickle(mover: &mut Mover, bytes: &[u8]) -> io::Result<()> {
    for little in bytes.chunks(bytes.len().div_ceil(100)) {
        mover.stream().write_all(little)?;
        thread::sleep(Duration::from_millis(2));
    }
    Ok(())
}

#[test]
fn who_waits_for_a_lane_does_not_wake_the_proxy_for_every_segment() -> io::Result<()> {
    let Queue { proxy, mut first, mut second, _instances } = Queue::form()?;
    let before = proxy.scrape()?.value("pdw_turns_total");
    trickle(&mut second, &value("second")[BEGUN..MORE])?;
    let turns = proxy.scrape()?.value("pdw_turns_total") - before;
    assert!(turns < 30.0, "{turns} turns for 100 segments that nobody wanted yet");
    // Both values arrive nevertheless.
    first.stream().write_all(&value("first")[BEGUN..])?;
    second.stream().write_all(&value("second")[MORE..])?;
    for mover in [&mut first, &mut second] {
        let mut reply = [0; 5];
        mover.stream().read_exact(&mut reply)?;
        assert_eq!(&reply, b"+OK\r\n");
    }
    Ok(())
}

#[test]
fn who_breaks_off_while_waiting_for_a_lane_is_forgotten_at_once() -> io::Result<()> {
    let Queue { proxy, first, mut second, _instances } = Queue::form()?;
    trickle(&mut second, &value("second")[BEGUN..MORE])?;
    SockRef::from(&*second.stream()).set_linger(Some(Duration::ZERO))?;
    drop(second);
    until("one session less", Duration::from_secs(5), || {
        let sessions = proxy.scrape()?.value("pdw_sessions");
        (sessions == 1.0).then_some(()).ok_or_else(|| io::Error::other(format!("{sessions} sessions")))
    })?;
    drop(first);
    Ok(())
}

/// A value that is large, and small enough to wait in the kernel's buffers whole.
const WAITS_WHOLE: usize = 200 << 10;

#[test]
fn who_has_sent_all_and_closed_its_direction_while_waiting_for_a_lane_is_answered() -> io::Result<()> {
    let Queue { proxy, mut first, second, _instances } = Queue::form()?;
    let mut third = Mover::connect(proxy.address())?;
    third.stream().write_all(&encode(&["SET", "third", &"x".repeat(WAITS_WHOLE)]))?;
    third.stream().shutdown(Shutdown::Write)?;
    thread::sleep(Duration::from_millis(200));
    drop(second);
    first.stream().write_all(&value("first")[BEGUN..])?;
    for mover in [&mut first, &mut third] {
        let mut reply = [0; 5];
        mover.stream().read_exact(&mut reply)?;
        assert_eq!(&reply, b"+OK\r\n");
    }
    Ok(())
}
