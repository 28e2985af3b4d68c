//! The traffic that all tests of this suite replay.

use std::collections::BTreeSet;
use std::io;

use pdw_tests::address::Address;
use pdw_tests::contents::{Contents, differences, read_all};
use pdw_tests::instance::Instance;
use pdw_tests::pdwfs::workload::Kind;
use pdw_tests::pdwfs::{Process, Workload, run, run_together};

/// The mount of the tests.
pub(super) const MOUNT: &str = "/m";

/// Processes of each replay.
pub(super) const PROCESSES: usize = 4;

/// A stripe small enough that a transaction is one `write()`, in bytes.
pub(super) const SMALL: u64 = 1024;

/// A stripe whose transaction is three `write()`s, in bytes.
const LARGE: u64 = 20_000;

/// Seed of the replays; `PDW_SEED` picks another one.
pub(super) fn seed() -> u64 {
    std::env::var("PDW_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(1)
}

/// Starts `PROCESSES` processes; `addresses` says what each has in its address list.
pub(super) fn processes(addresses: &dyn Fn(usize) -> Vec<Address>, stripe: u64) -> io::Result<Vec<Process>> {
    (0..PROCESSES).map(|number| Process::start(&addresses(number), MOUNT, stripe)).collect()
}

/// Replays everything: each process alone in its directory, all at once; then all in the same
/// directories, one after another; then with large stripes. Returns the peak of connections.
///
/// # Errors
/// When an operation fails or gives what it must not.
pub(super) fn replay(seed: u64, addresses: &dyn Fn(usize) -> Vec<Address>) -> io::Result<usize> {
    let mut small = processes(addresses, SMALL)?;
    run_together(&mut small, &alone(seed))?;
    let shared = Workload::new(seed, &format!("{MOUNT}/shared"), SMALL).with_base(0).then(250, Kind::ALL, 0..PROCESSES);
    assert_eq!(shared.kinds, Kind::ALL.iter().copied().collect::<BTreeSet<_>>(), "an operation does not occur");
    run(&mut small, &shared)?;
    let mut large = processes(addresses, LARGE)?;
    let kinds: Vec<_> = Kind::ALL.iter().copied().filter(|kind| *kind != Kind::WriteWide).collect();
    run(&mut large, &Workload::new(seed, "/m/large", LARGE).with_base(0).then(60, &kinds, 0..PROCESSES))?;
    Ok(small.iter().map(Process::peak_connections).max().unwrap_or(0))
}

/// One sequence for each process, below a directory of its own.
fn alone(seed: u64) -> Vec<Workload> {
    let workload = |number: usize| {
        let base = format!("{MOUNT}/p{number}");
        Workload::new(seed * 100 + number as u64, &base, SMALL).with_base(0).then(60, Kind::ALL, 0..1)
    };
    (0..PROCESSES).map(workload).collect()
}

/// What a direct replay leaves on each of `instances`, which are empty before and after.
///
/// # Errors
/// As [`replay`].
pub(super) fn direct_contents(seed: u64, instances: &[Instance]) -> io::Result<Vec<Contents>> {
    let addresses = pdw_tests::instance::addresses(instances);
    replay(seed, &|_| addresses.clone())?;
    let contents = read_all(instances)?;
    instances.iter().try_for_each(Instance::clear)?;
    Ok(contents)
}

/// An error that names the differences, instance by instance; nothing when there are none.
///
/// # Errors
/// When the contents differ.
pub(super) fn same(wanted: &[Contents], found: &[Contents]) -> io::Result<()> {
    let pairs = wanted.iter().zip(found).enumerate();
    let all: Vec<_> = pairs.map(|(n, (wanted, found))| (n, differences(wanted, found))).collect();
    match all.iter().find(|(_, differences)| !differences.is_empty()) {
        None => Ok(()),
        Some((number, differences)) => {
            Err(io::Error::other(format!("instance {number} differs:\n  {}", differences.join("\n  "))))
        }
    }
}
