//! Direct and proxied clients share instances and agree, both ways.

use std::io;
use std::ops::Range;

use pdw_tests::address::Address;
use pdw_tests::contents::read_all;
use pdw_tests::instance::{Instance, addresses};
use pdw_tests::pdwfs::workload::Kind;
use pdw_tests::pdwfs::{Workload, run};
use pdw_tests::proxy::Launch;

use super::replay::{MOUNT, PROCESSES, SMALL, direct_contents, processes, replay, same, seed};

/// Processes 0 and 1 are direct, 2 and 3 go through the proxy.
const DIRECT: Range<usize> = 0..2;
const PROXIED: Range<usize> = 2..PROCESSES;

/// One kind of client writes, the other changes, the first looks; then the same the other way round.
/// The outer result tells whether the check could be made, the inner one what it found.
pub(super) fn check(count: usize, mutant: Option<&str>) -> io::Result<io::Result<()>> {
    let instances = Instance::start_many(count)?;
    let direct = addresses(&instances);
    let mut launch = Launch::new("pdwfs", &direct);
    if let Some(mutant) = mutant {
        launch = launch.mutant(mutant);
    }
    let proxy = launch.start()?;
    let list = |number: usize| address_list(number, &direct, proxy.address());
    Ok(both_ways(&list))
}

fn both_ways(addresses: &dyn Fn(usize) -> Vec<Address>) -> io::Result<()> {
    let mut processes = processes(addresses, SMALL)?;
    run(&mut processes, &rounds(&format!("{MOUNT}/one"), DIRECT, PROXIED))?;
    run(&mut processes, &rounds(&format!("{MOUNT}/other"), PROXIED, DIRECT))
}

fn address_list(number: usize, direct: &[Address], proxy: &Address) -> Vec<Address> {
    if DIRECT.contains(&number) { direct.to_vec() } else { vec![proxy.clone()] }
}

fn rounds(base: &str, writers: Range<usize>, changers: Range<usize>) -> Workload {
    let workload = Workload::new(seed(), base, SMALL).with_base(writers.start);
    (0..2).fold(workload, |workload, _| {
        let written = workload.then(60, Kind::WRITING, writers.clone());
        let changed = written.then(40, Kind::CHANGING, changers.clone());
        changed.then(80, Kind::READING, writers.clone())
    })
}

#[test]
fn direct_and_proxied_clients_see_each_others_changes() -> io::Result<()> {
    check(3, None)??;
    check(11, None)?
}

#[test]
fn any_mixture_of_clients_leaves_what_direct_ones_leave() -> io::Result<()> {
    let instances = Instance::start_many(3)?;
    let wanted = direct_contents(seed(), &instances)?;
    let direct = addresses(&instances);
    let proxy = Launch::new("pdwfs", &direct).start()?;
    replay(seed(), &|number| address_list(number, &direct, proxy.address()))?;
    same(&wanted, &read_all(&instances)?)
}

#[test]
fn the_check_passes_with_direct_clients_alone() -> io::Result<()> {
    let instances = Instance::start_many(3)?;
    let direct = addresses(&instances);
    both_ways(&|_| direct.clone())
}
