//! Functions of the pure crates alone, in nanoseconds a call: what a request costs before any system call.

mod seals;

use crate::workload::{Op, Step, Workload};
use crate::{Error, Result, interrupt, process};
use clap::Args;
use pdw_router::command::{Table, first_key};
use pdw_router::place::{Homes, Placement, PlacementKind, PlacementOptions, Rule, Target, pdwfs_rules};
use pdw_router::resp::{ReplyScan, RequestScan, Scanned};
use std::hint::black_box;
use std::time::{Duration, Instant};

/// A sample lasts about so long: above the clock's grain, below the scheduler's.
const SAMPLE: Duration = Duration::from_millis(1);

/// What `pdw-loadtest micro` takes.
#[derive(Args, Clone, Debug)]
pub struct Options {
    /// Samples of each function, taken in turn
    #[arg(long, default_value_t = 101, value_parser = clap::value_parser!(u64).range(1..100_000))]
    pub samples: u64,
    /// Functions whose name contains this; all without it
    #[arg(long, default_value = "")]
    pub only: String,
    /// Shards in the group
    #[arg(long, default_value_t = 11)]
    pub shards: u16,
    /// Stay on this core
    #[arg(long, default_value_t = 0)]
    pub core: usize,
}

/// One function with its input, and what was measured.
struct Subject {
    name: String,
    call: Box<dyn FnMut()>,
    /// Bytes that a call has to do with, where it is about an amount.
    bytes: Option<usize>,
    /// Calls in a sample.
    calls: u32,
    nanoseconds: Vec<f64>,
}

impl Subject {
    fn new(name: impl Into<String>, call: impl FnMut() + 'static) -> Self {
        Self { name: name.into(), call: Box::new(call), bytes: None, calls: 1, nanoseconds: Vec::new() }
    }

    /// The same, told in MiB/s too.
    fn of_bytes(self, bytes: usize) -> Self {
        Self { bytes: Some(bytes), ..self }
    }

    fn time(&mut self) -> Duration {
        let start = Instant::now();
        for _ in 0..self.calls {
            (self.call)();
        }
        start.elapsed()
    }

    /// Doubles the calls until they fill a sample.
    fn calibrate(&mut self) {
        while self.time() < SAMPLE && self.calls < u32::MAX / 2 {
            self.calls *= 2;
        }
    }

    fn sample(&mut self) {
        let nanoseconds = self.time().as_nanos() as f64 / f64::from(self.calls);
        self.nanoseconds.push(nanoseconds);
    }

    fn line(&mut self) -> String {
        self.nanoseconds.sort_by(f64::total_cmp);
        let (lowest, median) = (self.nanoseconds[0], self.nanoseconds[self.nanoseconds.len() / 2]);
        let rate = |bytes: usize| format!(" {:>9.0}", bytes as f64 / f64::from(1 << 20) / (median / 1e9));
        format!("{:<60} {median:>9.1} {lowest:>9.1}{}", self.name, self.bytes.map(rate).unwrap_or_default())
    }
}

/// Measures all functions in turn, sample by sample, and prints the table.
pub fn run(options: &Options) -> Result<()> {
    process::pin(options.core)?;
    let mut subjects = subjects(options.shards)?;
    subjects.retain(|subject| subject.name.contains(&options.only));
    subjects.iter_mut().for_each(Subject::calibrate);
    for _ in 0..options.samples {
        interrupt::check()?;
        subjects.iter_mut().for_each(Subject::sample);
    }
    println!("{:<60} {:>9} {:>9} {:>9}", format!("ns a call, {} shards", options.shards), "median", "lowest", "MiB/s");
    for subject in &mut subjects {
        println!("{}", subject.line());
    }
    Ok(())
}

fn subjects(shards: u16) -> Result<Vec<Subject>> {
    let mut subjects = scans();
    for kind in [PlacementKind::Pdwfs, PlacementKind::Ring, PlacementKind::Ketama, PlacementKind::Slots] {
        let placement = placement(kind, shards)?;
        subjects.push(Subject::new(format!("home of a stripe's key, {kind}"), move || {
            black_box(placement.home(black_box(b"/mnt/run/file.0000000042:7")));
        }));
    }
    subjects.extend(locations("no rules", shards, Vec::new())?);
    subjects.extend(locations("rules of pdwfs", shards, pdwfs_rules(true))?);
    subjects.extend(seals::subjects()?);
    Ok(subjects)
}

fn scans() -> Vec<Subject> {
    let [set, get, large] =
        [(Op::Set, 64), (Op::Get, 64), (Op::Set, 4096)].map(|(op, size)| Workload::new(op, size, 1).steps);
    let pdwfs = Workload::new(Op::Pdwfs, 0, 1).steps;
    let [set, get, large] = [&set[0], &get[0], &large[0]];
    vec![
        request_scan("scan SET 64 B", set, 1),
        request_scan("scan GET", get, 1),
        request_scan("scan 16 SETs 64 B", set, 16),
        request_scan("scan 16 GETs", get, 16),
        request_scan("scan SET 4 KiB", large, 1),
        request_scan("scan MULTI SADD SETRANGE EXEC", &pdwfs[4], 1),
        request_lookup("scan SET 64 B, command, first key", set),
        request_lookup("scan GET, command, first key", get),
        reply_scan("scan reply +OK", &set.reply),
        reply_scan("scan reply of 64 B", &get.reply),
        reply_scan("scan replies of MULTI SADD SETRANGE EXEC", &pdwfs[4].reply),
    ]
}

fn request_scan(name: &str, step: &Step, count: u64) -> Subject {
    let (bytes, mut scan) = (numbered(step, count), RequestScan::default());
    Subject::new(name, move || {
        let mut at = 0;
        while let Ok(Scanned::Request(size)) = scan.scan(black_box(&bytes[at..])) {
            black_box(scan.request(&bytes[at..]).len());
            at += size;
        }
    })
}

fn request_lookup(name: &str, step: &Step) -> Subject {
    let (bytes, mut scan, table) = (numbered(step, 1), RequestScan::default(), Table::new());
    Subject::new(name, move || {
        if let Ok(Scanned::Request(_)) = scan.scan(black_box(&bytes)) {
            let request = scan.request(&bytes);
            black_box(table.resolve(&request).ok().and_then(|id| first_key(table.spec(id), &request)));
        }
    })
}

fn reply_scan(name: &str, replies: &[u8]) -> Subject {
    let (bytes, mut scan) = (replies.to_owned(), ReplyScan::default());
    Subject::new(name, move || {
        let mut at = 0;
        while let Ok(Some(size)) = scan.scan(black_box(&bytes[at..])) {
            at += size;
        }
        black_box(at);
    })
}

fn numbered(step: &Step, count: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    (0..count).for_each(|number| step.append(number, &mut bytes));
    bytes
}

fn locations(rules_name: &str, shards: u16, rules: Vec<Rule>) -> Result<Vec<Subject>> {
    let homes = Homes::new(placement(PlacementKind::Pdwfs, shards)?, rules).map_err(Error::router)?;
    let keys =
        ["key:0000000042", "/mnt/run/file.0000000042:7", "/mnt/run/file.0000000042:stripes", "{/mnt/run}:children"];
    let subject = |key: &'static str| {
        let homes = homes.clone();
        Subject::new(format!("locate {key}, {rules_name}"), move || {
            black_box(homes.locate(black_box(key.as_bytes())));
        })
    };
    Ok(keys.into_iter().map(subject).collect())
}

fn placement(kind: PlacementKind, shards: u16) -> Result<Placement> {
    let targets: Vec<Target> =
        (0..shards).map(|index| Target::at(&format!("127.0.0.1:{}", 7000 + u32::from(index)), 1)).collect();
    Placement::new(&PlacementOptions::new(kind), &targets).map_err(Error::router)
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::rc::Rc;

    use super::*;

    #[test]
    fn every_scan_consumes_its_whole_input() {
        let bytes = numbered(&Workload::new(Op::Set, 64, 1).steps[0], 16);
        let (mut scan, mut at, mut requests) = (RequestScan::default(), 0, 0);
        while let Ok(Scanned::Request(size)) = scan.scan(&bytes[at..]) {
            (at, requests) = (at + size, requests + 1);
        }
        assert_eq!((at, requests), (bytes.len(), 16));
    }

    #[test]
    fn the_lookup_finds_command_and_key() {
        let bytes = numbered(&Workload::new(Op::Get, 64, 1).steps[0], 1);
        let (mut scan, table) = (RequestScan::default(), Table::new());
        assert_eq!(scan.scan(&bytes).unwrap(), Scanned::Request(bytes.len()));
        let request = scan.request(&bytes);
        assert_eq!(first_key(table.spec(table.resolve(&request).unwrap()), &request), Some(1));
    }

    /// A function that takes so long at least, and how often it was called.
    fn counted(takes: Duration) -> (Subject, Rc<Cell<u32>>) {
        let calls = Rc::new(Cell::new(0));
        let counter = Rc::clone(&calls);
        let call = move || {
            counter.set(counter.get() + 1);
            std::thread::sleep(takes);
        };
        (Subject::new("sleep", call), calls)
    }

    #[test]
    fn a_sample_is_divided_by_its_calls() {
        let (mut subject, calls) = counted(Duration::from_millis(1));
        subject.calls = 20;
        let start = Instant::now();
        subject.sample();
        // The machine may have other work: then a call takes longer, here as there.
        let most = start.elapsed().as_nanos() as f64 / 20.0;
        assert_eq!(calls.get(), 20);
        assert!((1e6..=most).contains(&subject.nanoseconds[0]), "{:?}, at most {most}", subject.nanoseconds);
    }

    #[test]
    fn calls_are_doubled_until_they_fill_a_sample() {
        let calls_of_a_sample = |takes: Duration| {
            let (mut subject, calls) = counted(takes);
            subject.calibrate();
            assert_eq!(calls.get(), 2 * subject.calls - 1, "1 and 2 and 4 ...");
            subject.calls
        };
        assert_eq!(calls_of_a_sample(SAMPLE), 1);
        // Whoever is held up in the middle of a sample takes it for full.
        assert!((0..50).any(|_| calls_of_a_sample(Duration::ZERO) > 1));
    }
}
