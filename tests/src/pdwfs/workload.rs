//! Seeded sequences of pdwfs operations with what each must give.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use fastrand::Rng;

use super::tree::Process;
use crate::reply::printable;

/// What one step does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operation {
    /// `mkdir`
    Mkdir,
    /// `open` with O_CREAT
    Create,
    /// `open` without it, or `access`
    Open,
    /// `pwrite` of the bytes at the offset
    Write(u64, Vec<u8>),
    /// `open` with O_APPEND and `write`
    Append(Vec<u8>),
    /// `pread` of so many bytes at the offset
    Read(u64, usize),
    /// `stat`
    Stat,
    /// `ftruncate`
    Resize(u64),
    /// `open` with O_TRUNC
    Truncate,
    /// `unlink`
    Unlink,
    /// `rmdir`
    Rmdir,
}

/// What an operation gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Nothing to see.
    Done,
    /// Whether the path was there, or is gone now.
    Yes(bool),
    /// Size in bytes.
    Size(u64),
    /// Bytes read.
    Bytes(Vec<u8>),
}

/// One operation of one process.
#[derive(Clone, Debug)]
pub struct Step {
    /// Which of the processes does it.
    pub process: usize,
    /// On what.
    pub path: String,
    /// What it does.
    pub operation: Operation,
    /// What it must give.
    pub wanted: Outcome,
}

/// The rows of pdwfs's operation table, as far as they send something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// `mkdir`
    Mkdir,
    /// `open` with O_CREAT of a new file
    Create,
    /// `open` of what exists
    Open,
    /// `open` of what does not
    Missing,
    /// A write inside one stripe
    WriteWithin,
    /// A write of exactly one stripe
    WriteStripe,
    /// A write over a few stripes
    WriteAcross,
    /// A write over more stripes than a process may have connections
    WriteWide,
    /// Append
    Append,
    /// A read of part of a stripe
    ReadPart,
    /// A read of a whole stripe
    ReadStripe,
    /// A read over all stripes, and past the end
    ReadAll,
    /// `stat`
    Stat,
    /// `ftruncate` to fewer bytes
    Shrink,
    /// `ftruncate` to none
    Zero,
    /// `ftruncate` to more
    Grow,
    /// `open` with O_TRUNC
    Truncate,
    /// `unlink`
    Unlink,
    /// `rmdir` of an empty directory
    Rmdir,
    /// `rmdir` of one that is not
    RmdirBusy,
}

impl Kind {
    /// Every kind, the frequent ones more than once.
    pub const ALL: &'static [Kind] = &[
        Kind::Mkdir,
        Kind::Create,
        Kind::Create,
        Kind::Open,
        Kind::Missing,
        Kind::WriteWithin,
        Kind::WriteWithin,
        Kind::WriteStripe,
        Kind::WriteAcross,
        Kind::WriteAcross,
        Kind::WriteWide,
        Kind::Append,
        Kind::ReadPart,
        Kind::ReadStripe,
        Kind::ReadAll,
        Kind::ReadAll,
        Kind::Stat,
        Kind::Shrink,
        Kind::Zero,
        Kind::Grow,
        Kind::Truncate,
        Kind::Unlink,
        Kind::Rmdir,
        Kind::RmdirBusy,
    ];

    /// What makes files and fills them.
    pub const WRITING: &'static [Kind] = &[
        Kind::Mkdir,
        Kind::Create,
        Kind::Create,
        Kind::WriteStripe,
        Kind::WriteAcross,
        Kind::WriteAcross,
        Kind::Append,
    ];

    /// What changes and removes files that are there.
    pub const CHANGING: &'static [Kind] = &[
        Kind::WriteWithin,
        Kind::WriteAcross,
        Kind::Append,
        Kind::Shrink,
        Kind::Zero,
        Kind::Grow,
        Kind::Truncate,
        Kind::Unlink,
        Kind::Rmdir,
    ];

    /// What only looks.
    pub const READING: &'static [Kind] =
        &[Kind::Open, Kind::Missing, Kind::ReadPart, Kind::ReadStripe, Kind::ReadAll, Kind::ReadAll, Kind::Stat];
}

/// A seeded sequence of steps, with the model that says what each must give.
#[derive(Clone, Debug)]
pub struct Workload {
    /// The steps, in order.
    pub steps: Vec<Step>,
    /// Which rows of the operation table occur.
    pub kinds: BTreeSet<Kind>,
    random: Rng,
    base: String,
    stripe: u64,
    directories: BTreeSet<String>,
    files: BTreeMap<String, Vec<u8>>,
    serial: usize,
}

/// A file grows no further than this many stripes: one call over more than 100 hits a defect of pdwfs.
const STRIPES_MAX: u64 = 99;

impl Workload {
    /// An empty sequence below directory `base`, for a stripe size in bytes.
    pub fn new(seed: u64, base: &str, stripe: u64) -> Workload {
        Workload {
            steps: Vec::new(),
            kinds: BTreeSet::new(),
            random: Rng::with_seed(seed),
            base: base.to_owned(),
            stripe,
            directories: BTreeSet::new(),
            files: BTreeMap::new(),
            serial: 0,
        }
    }

    /// Adds `count` steps of `kinds`, each by one of `processes`.
    #[must_use]
    pub fn then(mut self, count: usize, kinds: &[Kind], processes: std::ops::Range<usize>) -> Workload {
        let wanted = self.steps.len() + count;
        // The bound ends a phase that has no candidates left, as when every file is unlinked.
        for _ in 0..count * 20 {
            if self.steps.len() >= wanted {
                break;
            }
            let kind = kinds[self.random.usize(..kinds.len())];
            let process = self.random.usize(processes.clone());
            if let Some((path, operation, outcome)) = self.next(kind) {
                self.kinds.insert(kind);
                self.steps.push(Step { process, path, operation, wanted: outcome });
            }
        }
        self
    }

    /// Adds a step that makes directory `base` itself, by `process`.
    #[must_use]
    pub fn with_base(mut self, process: usize) -> Workload {
        let (path, operation) = (self.base.clone(), Operation::Mkdir);
        self.steps.push(Step { process, path, operation, wanted: Outcome::Done });
        self
    }

    fn next(&mut self, kind: Kind) -> Option<(String, Operation, Outcome)> {
        match kind {
            Kind::Mkdir | Kind::Create | Kind::Missing => Some(self.new_path(kind)),
            Kind::Rmdir | Kind::RmdirBusy => self.rmdir(kind == Kind::Rmdir),
            Kind::Open => self.any_file().map(|path| (path, Operation::Open, Outcome::Yes(true))),
            Kind::ReadPart | Kind::ReadStripe | Kind::ReadAll => self.read(kind),
            Kind::Stat => {
                let path = self.any_file()?;
                let size = self.files[&path].len() as u64;
                Some((path, Operation::Stat, Outcome::Size(size)))
            }
            Kind::Unlink => {
                let path = self.any_file()?;
                self.files.remove(&path);
                Some((path, Operation::Unlink, Outcome::Done))
            }
            Kind::Shrink | Kind::Zero | Kind::Grow | Kind::Truncate => self.resize(kind),
            _ => self.write(kind),
        }
    }

    fn new_path(&mut self, kind: Kind) -> (String, Operation, Outcome) {
        self.serial += 1;
        let parent =
            self.random.choice(&self.directories).filter(|_| !self.serial.is_multiple_of(4)).unwrap_or(&self.base);
        // Braces and spaces are legal in paths and matter to the hash.
        let name = ["f", "file.dat", "a{b}c", "x}y", "with space"][self.serial % 5];
        let path = format!("{parent}/{name}{}", self.serial);
        match kind {
            Kind::Mkdir => {
                self.directories.insert(path.clone());
                (path, Operation::Mkdir, Outcome::Done)
            }
            Kind::Create => {
                self.files.insert(path.clone(), Vec::new());
                (path, Operation::Create, Outcome::Done)
            }
            _ => (path, Operation::Open, Outcome::Yes(false)),
        }
    }

    fn rmdir(&mut self, empty: bool) -> Option<(String, Operation, Outcome)> {
        let has_child = |directory: &String| {
            let inside = |path: &String| path.starts_with(&format!("{directory}/"));
            self.files.keys().any(inside) || self.directories.iter().any(inside)
        };
        let candidates: Vec<_> = self.directories.iter().filter(|directory| has_child(directory) != empty).collect();
        let path = (*self.random.choice(&candidates)?).clone();
        if empty {
            self.directories.remove(&path);
        }
        Some((path, Operation::Rmdir, Outcome::Yes(empty)))
    }

    fn read(&mut self, kind: Kind) -> Option<(String, Operation, Outcome)> {
        let path = self.any_file()?;
        let (size, stripe) = (self.files[&path].len() as u64, self.stripe);
        let (offset, length) = match kind {
            Kind::ReadPart => (self.random.u64(..=size), self.random.u64(1..stripe)),
            Kind::ReadStripe => (self.random.u64(..=size / stripe) * stripe, stripe),
            _ => (0, size + self.random.u64(1..stripe)),
        };
        let contents = &self.files[&path];
        let end = (offset + length).min(size);
        let wanted = contents[offset as usize..end.max(offset) as usize].to_vec();
        Some((path, Operation::Read(offset, length as usize), Outcome::Bytes(wanted)))
    }

    fn write(&mut self, kind: Kind) -> Option<(String, Operation, Outcome)> {
        let path = self.any_file()?;
        let (size, stripe) = (self.files[&path].len() as u64, self.stripe);
        let (offset, length) = match kind {
            Kind::WriteWithin => {
                let start = self.random.u64(..=size);
                (start, self.random.u64(1..=stripe - start % stripe))
            }
            Kind::WriteStripe => (self.random.u64(..=size / stripe) * stripe, stripe),
            Kind::WriteAcross => (self.random.u64(..=size), self.random.u64(1..stripe * 8)),
            Kind::WriteWide => (0, self.random.u64(stripe * 60..stripe * STRIPES_MAX)),
            _ => (size, self.random.u64(1..stripe * 2)),
        };
        if offset + length > stripe * STRIPES_MAX {
            return None;
        }
        let data: Vec<u8> = std::iter::repeat_with(|| self.random.u8(..)).take(length as usize).collect();
        let contents = self.files.get_mut(&path)?;
        contents.resize((offset + length).max(size) as usize, 0);
        contents[offset as usize..][..length as usize].copy_from_slice(&data);
        let operation = if kind == Kind::Append { Operation::Append(data) } else { Operation::Write(offset, data) };
        Some((path, operation, Outcome::Done))
    }

    fn resize(&mut self, kind: Kind) -> Option<(String, Operation, Outcome)> {
        let stripe = self.stripe;
        let fits = |size: u64| match kind {
            Kind::Shrink | Kind::Zero => size > 1,
            // Growing inside a part-filled stripe hits a defect of pdwfs.
            Kind::Grow => size.is_multiple_of(stripe) && size < stripe * 90,
            _ => true,
        };
        let candidates = self.files.iter().filter(|(_, contents)| fits(contents.len() as u64));
        let (path, contents) = self.random.choice(candidates.collect::<Vec<_>>())?;
        let (path, size) = (path.clone(), contents.len() as u64);
        let new = match kind {
            Kind::Shrink => self.random.u64(1..size),
            Kind::Grow => size + self.random.u64(1..stripe * 5),
            _ => 0,
        };
        self.files.get_mut(&path)?.resize(new as usize, 0);
        let operation = if kind == Kind::Truncate { Operation::Truncate } else { Operation::Resize(new) };
        Some((path, operation, Outcome::Done))
    }

    fn any_file(&mut self) -> Option<String> {
        self.random.choice(self.files.keys()).cloned()
    }
}

/// Does the steps in order, each by its process.
///
/// # Errors
/// At the first step that fails or gives something else than it must.
pub fn run(processes: &mut [Process], workload: &Workload) -> io::Result<()> {
    for (number, step) in workload.steps.iter().enumerate() {
        let named = |error: io::Error| io::Error::other(format!("step {number}, {}: {error}", describe(step)));
        let found = perform(&mut processes[step.process], step).map_err(named)?;
        if found != step.wanted {
            return Err(named(io::Error::other(format!("wanted {}, got {}", show(&step.wanted), show(&found)))));
        }
    }
    Ok(())
}

/// Does several workloads at once, one process and one thread each.
///
/// # Errors
/// As [`run`].
pub fn run_together(processes: &mut [Process], workloads: &[Workload]) -> io::Result<()> {
    std::thread::scope(|scope| {
        let pairs = processes.iter_mut().zip(workloads);
        let threads: Vec<_> = pairs
            .map(|(process, workload)| scope.spawn(move || run(std::slice::from_mut(process), workload)))
            .collect();
        let failed = |_| Err(io::Error::other("a process of the replay panicked"));
        threads.into_iter().try_for_each(|thread| thread.join().unwrap_or_else(failed))
    })
}

fn perform(process: &mut Process, step: &Step) -> io::Result<Outcome> {
    let path = &step.path;
    match &step.operation {
        Operation::Mkdir => process.mkdir(path).map(|()| Outcome::Done),
        Operation::Create => process.create(path).map(|()| Outcome::Done),
        Operation::Open => process.open(path).map(Outcome::Yes),
        Operation::Write(offset, data) => process.write(path, *offset, data).map(|()| Outcome::Done),
        Operation::Append(data) => process.append(path, data).map(|()| Outcome::Done),
        Operation::Read(offset, length) => process.read(path, *offset, *length).map(Outcome::Bytes),
        Operation::Stat => process.stat(path).map(Outcome::Size),
        Operation::Resize(size) => process.resize(path, *size).map(|()| Outcome::Done),
        Operation::Truncate => process.truncate(path).map(|()| Outcome::Done),
        Operation::Unlink => process.unlink(path).map(|()| Outcome::Done),
        Operation::Rmdir => process.rmdir(path).map(Outcome::Yes),
    }
}

fn describe(step: &Step) -> String {
    let what = match &step.operation {
        Operation::Write(offset, data) => format!("Write {} bytes at {offset}", data.len()),
        Operation::Append(data) => format!("Append {} bytes", data.len()),
        other => format!("{other:?}"),
    };
    format!("process {} {} {what}", step.process, step.path)
}

fn show(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Bytes(bytes) => format!("{} bytes {}", bytes.len(), &printable(&bytes[..bytes.len().min(8)])),
        other => format!("{other:?}"),
    }
}
