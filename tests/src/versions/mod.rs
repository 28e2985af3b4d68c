//! A verifier: writers own keys and write ever later versions, readers on other connections and other routes check
//! that no version goes back, that none that was acknowledged is missing, and that no value is torn.
//!
//! With one writer for each key this is linearizability: whatever a read has returned, or a write's acknowledgement
//! has promised, no later read may fall behind. A write without acknowledgement may be there or not.

mod content;
mod route;
mod track;

use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

pub use content::Content;
pub use route::Route;
pub use track::Manner;

use crate::connection::encode;
use route::Client;
use track::{Track, is_closed};

/// How long anything may take unless told otherwise: longer than the proxy's patience.
const LIMIT: Duration = Duration::from_secs(75);

/// How long a reader rests after an answer.
const READER_PAUSE: Duration = Duration::from_millis(1);

/// Who writes and reads what.
#[derive(Clone, Debug)]
pub struct Setup {
    writers: Route,
    readers: Vec<Route>,
    keys: Vec<(usize, Manner)>,
    pause: Duration,
    limit: Duration,
}

impl Setup {
    /// Writers that take `route`, without keys so far.
    pub fn new(route: &Route) -> Setup {
        let pause = Duration::from_millis(2);
        Setup { writers: route.clone(), readers: Vec::new(), keys: Vec::new(), pause, limit: LIMIT }
    }

    /// So many more keys, each with a writer of its own, of values of `size` bytes.
    #[must_use]
    pub fn keys(mut self, count: usize, size: usize, manner: Manner) -> Setup {
        self.keys.extend(std::iter::repeat_n((size, manner), count));
        self
    }

    /// One more reader, of all keys. Of one that goes to the instances directly only the values count: that those
    /// are killed or in trouble is no fault of the proxy's.
    #[must_use]
    pub fn reader(mut self, route: &Route) -> Setup {
        self.readers.push(route.clone());
        self
    }

    /// How long a writer rests after an answer: what would overwrite its value late shows for so long.
    #[must_use]
    pub fn pause(mut self, pause: Duration) -> Setup {
        self.pause = pause;
        self
    }

    /// How long everybody waits for an answer.
    #[must_use]
    pub fn limit(mut self, limit: Duration) -> Setup {
        self.limit = limit;
        self
    }

    /// Begins.
    pub fn start(&self) -> Verifier {
        let track = |(number, (size, manner)): (usize, &(usize, Manner))| {
            // Several files, so that their stripes do not begin at the same instance.
            Arc::new(Track::new(&format!("/v/{}", number % 7), number as u32, *size, *manner))
        };
        let tracks: Vec<_> = self.keys.iter().enumerate().map(track).collect();
        let stop = Arc::new(AtomicBool::new(false));
        let worker = |route: &Route, tracks: Vec<Arc<Track>>, pause: Duration| Worker {
            client: Client::new(route, self.limit),
            name: format!("{route:?}"),
            direct: matches!(route, Route::Direct(_)),
            tracks,
            pause,
            stop: stop.clone(),
            findings: Findings::default(),
        };
        let writer = |track: &Arc<Track>| worker(&self.writers, vec![track.clone()], self.pause).spawn(Worker::write);
        let reader = |route| worker(route, tracks.clone(), READER_PAUSE).spawn(Worker::read);
        let threads = tracks.iter().map(writer).chain(self.readers.iter().map(reader)).collect();
        Verifier { tracks, stop, threads, limit: self.limit }
    }
}

/// What happened.
#[derive(Clone, Debug, Default)]
pub struct Findings {
    /// Requests that were answered as they should be.
    pub answers: u64,
    /// Error replies, with who got them.
    pub errors: Vec<String>,
    /// Connections that were closed, or silent for too long, with whose they were.
    pub closed: Vec<String>,
    /// Values that must not be.
    pub violations: Vec<String>,
    /// The longest time that anybody waited for an answer.
    pub longest: Duration,
}

impl Findings {
    /// That there was nothing but right answers.
    ///
    /// # Errors
    /// With what there was else.
    pub fn demand_flawless(&self) -> io::Result<()> {
        let flawless = self.errors.is_empty() && self.closed.is_empty() && self.violations.is_empty();
        if flawless { Ok(()) } else { Err(io::Error::other(self.to_string())) }
    }

    /// That there was nothing but right answers, and that nobody was hung up on but in the middle of a reply, which is
    /// never begun again.
    ///
    /// # Errors
    /// With what there was else.
    pub fn demand_no_write_harmed(&self) -> io::Result<()> {
        let reading = self.closed.iter().all(|closed| closed.starts_with("reading "));
        let unharmed = self.errors.is_empty() && self.violations.is_empty() && reading;
        if unharmed { Ok(()) } else { Err(io::Error::other(self.to_string())) }
    }

    /// That no value was what it must not be, whatever clients were told.
    ///
    /// # Errors
    /// With the values.
    pub fn demand_consistent(&self) -> io::Result<()> {
        if self.violations.is_empty() { Ok(()) } else { Err(io::Error::other(self.to_string())) }
    }

    fn add(&mut self, other: Findings) {
        self.answers += other.answers;
        self.errors.extend(other.errors);
        self.closed.extend(other.closed);
        self.violations.extend(other.violations);
        self.longest = self.longest.max(other.longest);
    }
}

impl fmt::Display for Findings {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(out, "{} answers, the longest after {:?}", self.answers, self.longest)?;
        let lists = [("errors", &self.errors), ("closed", &self.closed), ("violations", &self.violations)];
        for (what, list) in lists {
            writeln!(out, "{} {what}", list.len())?;
            list.iter().take(8).try_for_each(|line| writeln!(out, "  {line}"))?;
        }
        Ok(())
    }
}

/// Writers and readers at work.
#[derive(Debug)]
pub struct Verifier {
    tracks: Vec<Arc<Track>>,
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<Findings>>,
    limit: Duration,
}

impl Verifier {
    /// Stops everybody, then reads every key once more by `route`.
    ///
    /// # Errors
    /// When the last reading fails, or a thread did.
    pub fn finish(mut self, route: &Route) -> io::Result<Findings> {
        self.stop.store(true, Ordering::SeqCst);
        let mut all = Findings::default();
        for thread in self.threads.drain(..) {
            all.add(thread.join().map_err(|_| io::Error::other("a writer or reader failed"))?);
        }
        let mut client = Client::new(route, self.limit);
        for track in &self.tracks {
            all.violations.extend(audit(track, &mut client)?);
        }
        Ok(all)
    }
}

impl Drop for Verifier {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
    }
}

/// What is wrong with a key once nobody writes any more.
fn audit(track: &Track, client: &mut Client) -> io::Result<Vec<String>> {
    let key = track.key();
    let value = client.ask(&key, &encode(&["GET", &key]), 1)?.remove(0);
    let mut wrong: Vec<String> = track.check(track.floor(), &value).err().into_iter().collect();
    if let Some((request, set)) = track.membership() {
        // On the instance of the stripe, where its member of the set is too.
        let answer = client.ask(&key, &request, 1)?.remove(0);
        if answer.integer() != Some(1) {
            wrong.push(format!("is not in {set}: {answer:?}"));
        }
    }
    Ok(wrong.into_iter().map(|what| format!("in the end {key} {what}")).collect())
}

/// One writer or reader.
struct Worker {
    client: Client,
    name: String,
    /// It goes past the proxy.
    direct: bool,
    tracks: Vec<Arc<Track>>,
    pause: Duration,
    stop: Arc<AtomicBool>,
    findings: Findings,
}

impl Worker {
    fn spawn(mut self, work: fn(&mut Worker, &Track)) -> JoinHandle<Findings> {
        thread::spawn(move || {
            let tracks = std::mem::take(&mut self.tracks);
            for track in tracks.iter().cycle() {
                if self.stop.load(Ordering::SeqCst) {
                    break;
                }
                let started = Instant::now();
                work(&mut self, track);
                self.findings.longest = self.findings.longest.max(started.elapsed());
                thread::sleep(self.pause);
            }
            self.findings
        })
    }

    fn write(&mut self, track: &Track) {
        let (version, request, replies) = track.begin();
        match self.client.ask(&track.key(), &request, replies) {
            Ok(replies) => match track.settle(version, &replies) {
                Ok(()) => self.findings.answers += 1,
                Err(text) => self.findings.errors.push(format!("writing {} {version}: {text}", track.key())),
            },
            Err(error) => self.lost(&format!("writing {} {version}", track.key()), &error),
        }
    }

    fn read(&mut self, track: &Track) {
        let (floor, key) = (track.floor(), track.key());
        match self.client.ask(&key, &encode(&["GET", &key]), 1) {
            Ok(mut replies) => self.note_read(track, floor, &replies.remove(0)),
            Err(error) => self.lost(&format!("reading {key}"), &error),
        }
    }

    fn note_read(&mut self, track: &Track, floor: u64, value: &crate::reply::Value) {
        if let Some(text) = value.error() {
            let counts = !self.direct;
            return self.findings.errors.extend(counts.then(|| format!("reading {}: {text}", track.key())));
        }
        match track.check(floor, value) {
            Ok(_) => self.findings.answers += 1,
            Err(what) => self.findings.violations.push(format!("{} {what}, by {}", track.key(), self.name)),
        }
    }

    fn lost(&mut self, doing: &str, error: &io::Error) {
        let how = if is_closed(error) { "closed" } else { "silent" };
        let counts = !self.direct;
        self.findings.closed.extend(counts.then(|| format!("{doing} by {}: {how}: {error}", self.name)));
        // Nobody dials a proxy that is gone as fast as the machine can.
        thread::sleep(Duration::from_millis(20));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::instance::Instance;

    #[test]
    fn an_instance_alone_is_flawless_and_one_that_forgets_is_not() {
        let instance = Instance::start().unwrap();
        let route = Route::Through(instance.address().clone());
        let setup = Setup::new(&route).reader(&route).reader(&route);
        let setup = setup.keys(3, 1, Manner::Plain).keys(3, 300, Manner::Stripe).keys(2, 100_000, Manner::Range);
        let verifier = setup.start();
        thread::sleep(Duration::from_millis(300));
        let findings = verifier.finish(&route).unwrap();
        findings.demand_flawless().unwrap();
        assert!(findings.answers > 100, "{findings}");

        let other = Instance::start().unwrap();
        let forgetful = Route::Through(other.address().clone());
        let verifier = Setup::new(&route).reader(&forgetful).keys(2, 100, Manner::Plain).start();
        thread::sleep(Duration::from_millis(100));
        let findings = verifier.finish(&route).unwrap();
        assert!(findings.demand_consistent().is_err(), "{findings}");
    }
}
