//! The rows of the table: what is asked, how, and by how many.

use crate::peers::Peer;
use crate::workload::{Op, Workload};
use crate::{Error, Result};

/// One row.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) name: &'static str,
    pub(super) op: Op,
    pub(super) pipeline: usize,
    pub(super) connections: usize,
    /// Bytes.
    pub(super) value_size: usize,
    /// How many different keys.
    pub(super) keys: u64,
}

const fn row(name: &'static str, op: Op, pipeline: usize, connections: usize, value_size: usize) -> Row {
    Row { name, op, pipeline, connections, value_size, keys: 1000 }
}

/// Few keys: each cell has an instance of its own that keeps them.
const fn large(name: &'static str, op: Op, connections: usize, value_size: usize, keys: u64) -> Row {
    Row { name, op, pipeline: 1, connections, value_size, keys }
}

const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;

const ROWS: &[Row] = &[
    row("set-p1-c50", Op::Set, 1, 50, 64),
    row("get-p1-c50", Op::Get, 1, 50, 64),
    row("set-p1-c1000", Op::Set, 1, 1000, 64),
    row("get-p1-c1000", Op::Get, 1, 1000, 64),
    row("set-p16-c50", Op::Set, 16, 50, 64),
    row("get-p16-c50", Op::Get, 16, 50, 64),
    row("set-4k-c50", Op::Set, 1, 50, 4096),
    row("get-4k-c50", Op::Get, 1, 50, 4096),
    row("pdwfs-c50", Op::Pdwfs, 1, 50, 100),
    large("large-set-64k", Op::Set, 50, 64 * KIB, 1000),
    large("large-get-64k", Op::Get, 50, 64 * KIB, 1000),
    large("large-set-1m", Op::Set, 16, MIB, 100),
    large("large-get-1m", Op::Get, 16, MIB, 100),
    large("large-set-50m", Op::Set, 4, 50 * MIB, 4),
    large("large-get-50m", Op::Get, 4, 50 * MIB, 4),
];

/// The rows that `only` asks for, by name or part of it; all if it asks for none.
pub(super) fn select(only: &[String]) -> Result<Vec<&'static Row>> {
    for filter in only {
        if !ROWS.iter().any(|row| row.name.contains(filter.as_str())) {
            let rows = ROWS.iter().map(|row| row.name).collect::<Vec<_>>().join(" ");
            return Err(Error::NoSuchRow { filter: filter.clone(), rows });
        }
    }
    let wanted = |row: &&Row| only.is_empty() || only.iter().any(|filter| row.name.contains(filter.as_str()));
    Ok(ROWS.iter().filter(wanted).collect())
}

impl Row {
    /// Keys that must exist before.
    pub(super) fn reads(&self) -> bool {
        self.op == Op::Get
    }

    /// Whether every round leaves new keys behind.
    pub(super) fn creates(&self) -> bool {
        self.op == Op::Pdwfs
    }

    /// Whether it is measured in bytes: in a network namespace of its own, and beside a haproxy that splices.
    pub(super) fn is_large(&self) -> bool {
        self.value_size >= 64 * KIB
    }

    pub(super) fn profile(&self) -> &'static str {
        if self.op == Op::Pdwfs { "pdwfs" } else { "redis" }
    }

    /// Bytes of a request and of its reply.
    pub(super) fn sizes(&self) -> (usize, usize) {
        let workload = Workload::new(self.op, self.value_size, self.keys);
        (workload.steps[0].request_size(), workload.steps[0].reply.len())
    }

    /// Who can carry it: those asked for, and this proxy last.
    pub(super) fn peers(&self, against: &[Peer]) -> Vec<Peer> {
        let others = against.iter().copied().filter(|peer| *peer != Peer::Proxy).filter_map(|peer| self.stand_in(peer));
        others.chain([Peer::Proxy]).filter(|peer| self.op != Op::Pdwfs || peer.carries_transactions()).collect()
    }

    /// What carries large values in a peer's place. The null proxy holds whole requests, so it is no floor for them.
    fn stand_in(&self, peer: Peer) -> Option<Peer> {
        match peer {
            Peer::Haproxy if self.is_large() => Some(Peer::HaproxySplice),
            Peer::Null if self.is_large() => None,
            other => Some(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_selects_by_part_of_the_name_and_a_wrong_one_is_refused() {
        let names = |only: &[&str]| -> Vec<&str> {
            let only: Vec<String> = only.iter().map(ToString::to_string).collect();
            select(&only).unwrap().iter().map(|row| row.name).collect()
        };
        assert_eq!(names(&["p16"]), ["set-p16-c50", "get-p16-c50"]);
        assert_eq!(names(&[]).len(), ROWS.len());
        assert!(select(&["p17".to_owned()]).unwrap_err().to_string().contains("set-p16-c50"));
    }

    #[test]
    fn large_values_are_measured_beside_a_haproxy_that_splices() {
        let large = &select(&["large-set-50m".to_owned()]).unwrap()[0];
        assert_eq!(large.peers(&[Peer::Haproxy, Peer::Null]), [Peer::HaproxySplice, Peer::Proxy]);
    }

    #[test]
    fn only_those_who_carry_transactions_run_the_pdwfs_mix() {
        let pdwfs = &select(&["pdwfs".to_owned()]).unwrap()[0];
        assert_eq!(pdwfs.peers(&[Peer::Direct, Peer::Nutcracker, Peer::Null]), [Peer::Direct, Peer::Proxy]);
    }
}
