//! A third client with small requests: how long it waits while others misbehave.

use std::io;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use pdw_tests::address::Address;
use pdw_tests::connection::Connection;
use pdw_tests::fault::{Cue, FaultProxy, Flow, Way};
use pdw_tests::instance::Instance;

/// A p99 below this is never held against the proxy: the tests' machine has other work too.
const NOISE: Duration = Duration::from_millis(60);

/// The same where its wait is compared with that of a direct client at the same time, unless this is the full form: that
/// is for a machine with nothing else to do.
fn floor() -> Duration {
    pdw_tests::full_or(Duration::ZERO, Duration::from_millis(5))
}

/// How often a wait is measured that seems too long.
const TRIES: usize = 4;
/// Rest between two requests of a long run, so that the others have the machine too.
const REST: Duration = Duration::from_micros(500);
/// Requests of a long run, at least.
const LEAST: usize = 200;

/// A client of its own connection.
#[derive(Debug)]
pub(crate) struct Witness {
    connection: Connection,
    keys: Vec<String>,
    undisturbed: Duration,
    threads: Vec<Thread>,
}

/// A thread of the proxy's. While it could run, and the machine had no core for it, nobody is harmed by the proxy.
#[derive(Debug)]
struct Thread(PathBuf);

impl Thread {
    fn all(pid: u32) -> io::Result<Vec<Thread>> {
        let threads = std::fs::read_dir(format!("/proc/{pid}/task"))?;
        threads.map(|thread| Ok(Thread(thread?.path().join("schedstat")))).collect()
    }

    /// How long it has waited for a core so far; the kernel's second number. A thread that is gone waits no more.
    fn queued(&self) -> Duration {
        let text = std::fs::read_to_string(&self.0).unwrap_or_default();
        let nanoseconds = text.split(' ').nth(1).and_then(|number| number.parse().ok());
        Duration::from_nanos(nanoseconds.unwrap_or_default())
    }
}

impl Witness {
    /// Connects, and notes its p99 while nobody disturbs it.
    pub(crate) fn start(address: &Address) -> io::Result<Witness> {
        Witness::of(address, (0..100).map(|number| format!("witness:{number}:of")).collect())
    }

    /// The same with keys of one's own.
    pub(crate) fn of(address: &Address, keys: Vec<String>) -> io::Result<Witness> {
        let connection = Connection::open(address)?;
        let mut witness = Witness { connection, keys, undisturbed: Duration::ZERO, threads: Vec::new() };
        witness.undisturbed = witness.median_p99()?;
        Ok(witness)
    }

    /// From now on what a thread of this process waits for a core is taken off its waits.
    pub(crate) fn minding(self, pid: u32) -> io::Result<Witness> {
        Ok(Witness { threads: Thread::all(pid)?, ..self })
    }

    /// Asserts that it waits at most three times as long as undisturbed now.
    pub(crate) fn assert_unharmed(&mut self, while_what: &str) -> io::Result<()> {
        let p99 = self.median_p99().map_err(|error| io::Error::new(error.kind(), format!("{while_what}: {error}")))?;
        let allowed = NOISE.max(self.undisturbed * 3);
        assert!(p99 <= allowed, "{while_what}: p99 {p99:?}, undisturbed {:?}", self.undisturbed);
        Ok(())
    }

    /// What `work` returns, done while this client asks without end: it waits at most three times as long as
    /// undisturbed, or as `direct`, a client past the proxy, does at the same time. Whoever is harmed is harmed every
    /// time; who waits for the machine is not: the best of a few counts.
    pub(crate) fn unharmed_while<T>(
        &mut self,
        direct: &mut Witness,
        what: &str,
        work: impl Fn() -> io::Result<T>,
    ) -> io::Result<T> {
        let mut found = String::new();
        for _ in 0..TRIES {
            let (done, through, past) = self.watch(direct, &work)?;
            found = format!("p99 {through:?}, undisturbed {:?}, direct {past:?}", self.undisturbed);
            println!("{what}: {found}");
            if through <= floor().max(3 * self.undisturbed.max(past)) {
                return Ok(done);
            }
        }
        panic!("{what}: {found}")
    }

    /// The p99 of both while something is done.
    fn watch<T>(
        &mut self,
        direct: &mut Witness,
        work: impl Fn() -> io::Result<T>,
    ) -> io::Result<(T, Duration, Duration)> {
        let over = AtomicBool::new(false);
        let (done, through, past) = thread::scope(|scope| {
            let through = scope.spawn(|| self.p99_until(&over));
            let past = scope.spawn(|| direct.p99_until(&over));
            let done = {
                let _end = Over(&over);
                let _elsewhere = Elsewhere::go();
                work()
            };
            (done, through.join(), past.join())
        });
        let ended = |_| io::Error::other("a witness failed");
        Ok((done?, through.map_err(ended)??, past.map_err(ended)??))
    }

    fn p99_until(&mut self, over: &AtomicBool) -> io::Result<Duration> {
        let mut waits = Vec::new();
        while waits.len() < LEAST || !over.load(Ordering::Relaxed) {
            waits.extend(self.write_and_read(waits.len() / 2)?);
            thread::sleep(REST);
        }
        Ok(p99(waits))
    }

    /// Median of the p99 of three runs.
    fn median_p99(&mut self) -> io::Result<Duration> {
        let mut runs = [self.p99()?, self.p99()?, self.p99()?];
        runs.sort();
        Ok(runs[1])
    }

    fn p99(&mut self) -> io::Result<Duration> {
        let mut waits = Vec::with_capacity(200);
        for number in 0..100 {
            waits.extend(self.write_and_read(number)?);
        }
        Ok(p99(waits))
    }

    fn write_and_read(&mut self, number: usize) -> io::Result<[Duration; 2]> {
        let key = self.keys[number % self.keys.len()].clone();
        Ok([self.timed(&["SET", &key, &key])?, self.timed(&["GET", &key])?])
    }

    fn timed(&mut self, command: &[&str]) -> io::Result<Duration> {
        let before: Vec<Duration> = self.threads.iter().map(Thread::queued).collect();
        let start = Instant::now();
        let answered = self.connection.demand(command);
        let waited = start.elapsed();
        answered.map_err(|error| io::Error::new(error.kind(), format!("the witness's {command:?}: {error}")))?;
        // Of several the one that serves it, which is not known: the longest.
        let queued = self.threads.iter().zip(before).map(|(thread, before)| thread.queued().saturating_sub(before));
        Ok(waited.saturating_sub(queued.max().unwrap_or_default()))
    }
}

/// Says that it is over when dropped, a panic included.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// The calling thread and those it starts use what the others leave of the machine's cores, as if they ran on a machine
/// of their own, which misbehaving clients do: here they would keep both witnesses, the instance and the proxy from a
/// core for milliseconds, and that has nothing to do with the proxy.
struct Elsewhere;

impl Elsewhere {
    fn go() -> Elsewhere {
        schedule("--idle");
        Elsewhere
    }
}

impl Drop for Elsewhere {
    fn drop(&mut self) {
        schedule("--other");
    }
}

/// Gives the calling thread another scheduling policy (sched(7)).
fn schedule(policy: &str) {
    let thread = rustix::thread::gettid().to_string();
    let given = Command::new("chrt").args([policy, "--pid", "0", &thread]).status();
    assert!(given.is_ok_and(|status| status.success()), "chrt (util-linux) gives no policy {policy}");
}

fn p99(mut waits: Vec<Duration>) -> Duration {
    waits.sort();
    waits[waits.len() * 99 / 100 - 1]
}

#[test]
fn a_witness_notices_that_it_waits_longer_than_a_direct_client() {
    let instance = Instance::start().unwrap();
    let fault = FaultProxy::start(instance.address()).unwrap();
    let mut direct = Witness::start(instance.address()).unwrap();
    let mut witness = Witness::start(fault.address()).unwrap().minding(std::process::id()).unwrap();
    witness.unharmed_while(&mut direct, "nothing", || Ok(())).unwrap();
    fault.give(Cue::Flow(Way::Back, Flow::Delayed(Duration::from_millis(20)))).unwrap();
    let noticed = thread::spawn(move || witness.unharmed_while(&mut direct, "a delay", || Ok(()))).join();
    assert!(noticed.is_err());
}
