//! A steady load on every instance behind a proxy: how long requests to each of them take while another is in trouble.

use std::fmt;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::address::Address;
use crate::connection::Connection;
use crate::pdwfs::ring::Ring;

/// Connections for each instance.
const CONNECTIONS: usize = 2;

/// Keys of one connection.
const KEYS: usize = 16;

/// How long a request may wait.
const LIMIT: Duration = Duration::from_secs(90);

/// Requests between two rests, so that the load leaves the machine to others too.
const REST: Duration = Duration::from_micros(300);

/// A p99 below this is never held against the proxy: the tests' machine has other work too.
const NOISE: Duration = Duration::from_millis(30);

/// What the requests to one instance met.
#[derive(Clone, Debug, Default)]
pub struct Phase {
    waits: Vec<Duration>,
    /// Error replies and lost connections.
    pub errors: Vec<String>,
    lasted: Duration,
}

impl Phase {
    /// Requests that were answered.
    pub fn answers(&self) -> usize {
        self.waits.len()
    }

    /// Answers a second.
    pub fn rate(&self) -> f64 {
        self.waits.len() as f64 / self.lasted.as_secs_f64()
    }

    /// 99 of 100 requests waited no longer.
    pub fn p99(&self) -> Duration {
        let mut waits = self.waits.clone();
        waits.sort_unstable();
        waits.get(waits.len() * 99 / 100).copied().unwrap_or_default()
    }

    /// That this one was unharmed: no error, and a p99 of at most `times` that of an undisturbed phase, of which there
    /// should be one before and one after, because the machine has other work too: the slowest counts.
    ///
    /// # Errors
    /// With the figures.
    pub fn demand_unharmed(&self, undisturbed: &[&Phase], times: f64) -> io::Result<()> {
        let slowest = undisturbed.iter().map(|phase| phase.p99()).max().unwrap_or_default();
        let unharmed = self.errors.is_empty() && self.answers() > 0 && self.p99() <= slowest.mul_f64(times).max(NOISE);
        if unharmed { Ok(()) } else { Err(self.harm(undisturbed)) }
    }

    /// That it kept at least this part of the rate of the slowest undisturbed phase.
    ///
    /// # Errors
    /// With the figures.
    pub fn demand_rate(&self, undisturbed: &[&Phase], part: f64) -> io::Result<()> {
        let slowest = undisturbed.iter().map(|phase| phase.rate()).fold(f64::INFINITY, f64::min);
        if self.rate() >= slowest * part { Ok(()) } else { Err(self.harm(undisturbed)) }
    }

    fn harm(&self, undisturbed: &[&Phase]) -> io::Error {
        let others: Vec<String> = undisturbed.iter().map(|phase| phase.to_string()).collect();
        io::Error::other(format!("{self}; undisturbed: {}", others.join(", ")))
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{:.0} answers/s, p99 {:?}, {} errors", self.rate(), self.p99(), self.errors.len())?;
        self.errors.first().map_or(Ok(()), |first| write!(out, " ({first})"))
    }
}

/// A running load.
#[derive(Debug)]
pub struct Load {
    phases: Vec<Arc<Mutex<Phase>>>,
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
    since: Mutex<Instant>,
}

impl Load {
    /// Clients of `proxy` for each of its `instances`, where pdwfs's placement says.
    ///
    /// # Errors
    /// When the proxy takes no connection.
    pub fn start(proxy: &Address, instances: usize) -> io::Result<Load> {
        let phases: Vec<_> = (0..instances).map(|_| Arc::new(Mutex::new(Phase::default()))).collect();
        let stop = Arc::new(AtomicBool::new(false));
        let mut load = Load { phases, stop, threads: Vec::new(), since: Mutex::new(Instant::now()) };
        for (target, phase) in load.phases.iter().enumerate() {
            let keys = keys_at(target, instances);
            for _ in 0..CONNECTIONS {
                let (phase, stop, keys, proxy) = (phase.clone(), load.stop.clone(), keys.clone(), proxy.clone());
                let connection = Connection::open_with(&proxy, LIMIT)?;
                load.threads.push(thread::spawn(move || client(connection, &proxy, &keys, &phase, &stop)));
            }
        }
        Ok(load)
    }

    /// Lets it run for `time`, and tells what each instance's requests met in it.
    pub fn watch(&self, time: Duration) -> Vec<Phase> {
        drop(self.take());
        thread::sleep(time);
        self.take()
    }

    /// What each instance's requests met since it was asked last.
    pub fn take(&self) -> Vec<Phase> {
        let mut since = self.since.lock().unwrap_or_else(PoisonError::into_inner);
        let lasted = since.elapsed();
        *since = Instant::now();
        self.phases.iter().map(|phase| Phase { lasted, ..std::mem::take(&mut *lock(phase)) }).collect()
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        for thread in self.threads.drain(..) {
            // A client that panicked has told so itself.
            let _ = thread.join();
        }
    }
}

/// Keys that live on instance `target` of `count`.
pub fn keys_at(target: usize, count: usize) -> Vec<String> {
    let ring = Ring::new(count);
    let all = (0..).map(|number: u64| format!("load-{number}-key"));
    all.filter(|key| ring.home(key.as_bytes()) == target).take(KEYS).collect()
}

fn lock(phase: &Mutex<Phase>) -> std::sync::MutexGuard<'_, Phase> {
    phase.lock().unwrap_or_else(PoisonError::into_inner)
}

fn client(mut connection: Connection, proxy: &Address, keys: &[String], phase: &Mutex<Phase>, stop: &AtomicBool) {
    for (number, key) in keys.iter().cycle().enumerate() {
        if stop.load(Ordering::SeqCst) {
            return;
        }
        let started = Instant::now();
        let answer =
            if number % 2 == 0 { connection.demand(&["SET", key, key]) } else { connection.demand(&["GET", key]) };
        let waited = started.elapsed();
        match answer {
            Ok(_) => lock(phase).waits.push(waited),
            Err(error) => {
                lock(phase).errors.push(format!("{key} after {waited:?}: {error}"));
                if error.kind() != io::ErrorKind::Other {
                    thread::sleep(Duration::from_millis(20));
                    connection = Connection::open_with(proxy, LIMIT).unwrap_or(connection);
                }
            }
        }
        thread::sleep(REST);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::{Cue, FaultProxy, Flow, Way};
    use crate::instance::Instance;

    #[test]
    fn a_load_tells_harm_from_none() {
        let instance = Instance::start().unwrap();
        let fault = FaultProxy::start(instance.address()).unwrap();
        let load = Load::start(fault.address(), 1).unwrap();
        let before = load.watch(Duration::from_millis(300)).remove(0);
        assert!(before.answers() > 20, "{before}");
        before.demand_unharmed(&[&before], 1.5).unwrap();
        fault.give(Cue::Flow(Way::Back, Flow::Delayed(NOISE * 4))).unwrap();
        let slowed = load.watch(Duration::from_millis(600)).remove(0);
        assert!(slowed.demand_unharmed(&[&before], 1.5).is_err(), "{slowed}");
    }
}
