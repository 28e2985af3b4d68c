//! What seals cost between two proxies, beside a pair of real spiped daemons; and what the second proxy costs.
//!
//! ```text
//!   load ──► leaf ── plain, spiped, noise ──────────► spine ──► instance
//!     "    leaf ── spiped -e ══════ spiped -d ────► spine ──►    "
//!     "   ════════ spiped -e ══════ spiped -d ══► one proxy ►    "      a connection for each client
//!     "   ──────────────────────────────────────► one proxy ►    "
//! ```
//!
//! In each round every way is measured once, in turn. What a seal adds is what leaf and spine together take more than
//! with a plain link; nothing is spliced there, since framed links never are.

mod report;
mod tree;
mod ways;

use crate::load::{Load, Options as LoadOptions, Until};
use crate::workload::{Op, Workload};
use crate::{Error, Result, interrupt, namespace, net, process};
use clap::Args;
use report::{Report, RowReport, Sample};
use serde::Serialize;
use std::env;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::thread::sleep;
use std::time::Duration;
use tree::{Grove, Tree};
use ways::Way;

/// What `pdw-loadtest seals` takes.
#[derive(Args, Clone, Debug)]
pub struct Options {
    /// Rounds: how often each way is measured
    #[arg(long, default_value_t = 7, value_parser = clap::value_parser!(u64).range(1..1000))]
    pub rounds: u64,
    /// Seconds per measurement; twice as many with values of 50 MiB
    #[arg(long, default_value_t = 0.7)]
    pub seconds: f64,
    /// Rows whose name contains one of these, for a quick look; all without it
    #[arg(long, value_delimiter = ',', value_name = "ROW")]
    pub only: Vec<String>,
    /// The proxy to measure
    #[arg(long, default_value = "target/release/pdw-proxy")]
    pub proxy_bin: PathBuf,
    /// Write the report, with every sample, to this file
    #[arg(long, default_value = "target/seals.json")]
    pub json: PathBuf,
    /// Core of the proxies and of the daemons
    #[arg(long, default_value_t = 0)]
    pub proxy_core: usize,
    /// Core of the instance and of the load
    #[arg(long, default_value_t = 1)]
    pub load_core: usize,
    /// Priority of everything that is started; -15 helps on a machine that others use, and needs root
    #[arg(long, default_value_t = 0, allow_negative_numbers = true)]
    pub nice: i32,
    /// Already inside the network namespace that everything is measured in
    #[arg(long, hide = true)]
    pub namespaced: bool,
}

/// One workload.
#[derive(Debug, Serialize)]
struct Row {
    name: &'static str,
    op: Op,
    pipeline: usize,
    connections: usize,
    /// Bytes.
    value_size: usize,
    keys: u64,
}

const LARGE: usize = 50 << 20;

/// After so long daemons have connected to each other for every client: they listen with a backlog of 10, and what is too
/// much for it is tried again after 1, 3 and 7 s.
const SETTLES: Duration = Duration::from_secs(8);

const fn small(name: &'static str, op: Op, pipeline: usize) -> Row {
    Row { name, op, pipeline, connections: 1000, value_size: 64, keys: 1000 }
}

const fn large(name: &'static str, op: Op) -> Row {
    Row { name, op, pipeline: 1, connections: 4, value_size: LARGE, keys: 4 }
}

const ROWS: &[Row] = &[
    large("set-50m", Op::Set),
    large("get-50m", Op::Get),
    small("set-p1-c1000", Op::Set, 1),
    small("get-p1-c1000", Op::Get, 1),
    small("set-p16-c1000", Op::Set, 16),
];

impl Row {
    fn is_large(&self) -> bool {
        self.value_size == LARGE
    }

    fn load(&self, way: Way, address: SocketAddr) -> LoadOptions {
        LoadOptions {
            destinations: vec![address],
            sources: Vec::new(),
            connections: self.connections.min(way.connections_max()),
            pipeline: self.pipeline,
            op: self.op,
            value_size: self.value_size,
            prefix: "key:".to_owned(),
            keys: self.keys,
            seconds: 0.0,
            requests: None,
            core: None,
            json: false,
        }
    }

    fn seconds(&self, options: &Options) -> f64 {
        if self.is_large() { 2.0 * options.seconds } else { options.seconds }
    }
}

/// Measures, prints the table as it grows, and writes the report; all in a network namespace of its own.
pub fn run(options: &Options) -> Result<()> {
    if !options.namespaced {
        return namespace::run_inside(env::args_os().skip(1).chain(["--namespaced".into()]));
    }
    namespace::prepare()?;
    process::raise_file_limit()?;
    process::set_nice(options.nice)?;
    process::pin(options.load_core)?;
    let mut report = Report::new(options);
    report.print_head();
    for row in selected(&options.only)? {
        let measured = measure_row(row, options)?;
        measured.print();
        report.rows.push(measured);
    }
    report.print_end();
    report.write(&options.json)
}

fn selected(only: &[String]) -> Result<Vec<&'static Row>> {
    let wanted = |row: &&Row| only.is_empty() || only.iter().any(|filter| row.name.contains(filter.as_str()));
    let rows: Vec<&Row> = ROWS.iter().filter(wanted).collect();
    if rows.is_empty() {
        let rows = ROWS.iter().map(|row| row.name).collect::<Vec<_>>().join(" ");
        return Err(Error::NoSuchRow { filter: only.join(","), rows });
    }
    Ok(rows)
}

fn measure_row(row: &'static Row, options: &Options) -> Result<RowReport> {
    let dir = tempfile::tempdir().map_err(Error::system("create a temporary folder"))?;
    let grove = Grove::plant(options, dir.path())?;
    net::fill(grove.instance(), &Workload::new(Op::Set, row.value_size, row.keys), row.keys)?;
    let mut cells: Vec<Cell> =
        Way::of(row).into_iter().map(|way| Cell::start(way, row, &grove)).collect::<Result<_>>()?;
    let mut measured = RowReport::new(row);
    for _ in 0..options.rounds {
        for (cell, report) in cells.iter_mut().zip(&mut measured.ways) {
            report.samples.push(cell.measure(row.seconds(options))?);
        }
    }
    Ok(measured)
}

/// One way, under load.
struct Cell {
    tree: Tree,
    load: Load,
}

impl Cell {
    /// Starts it, connects the load and lets it run for a moment unmeasured.
    fn start(way: Way, row: &Row, grove: &Grove) -> Result<Self> {
        let tree = grove.grow(way)?;
        let mut load = Load::connect(&row.load(way, tree.entrance))?;
        if way == Way::Clients {
            sleep(SETTLES);
        }
        load.run(Until::elapsed(Duration::from_millis(200)))?.checked()?;
        Ok(Self { tree, load })
    }

    fn measure(&mut self, seconds: f64) -> Result<Sample> {
        interrupt::check()?;
        // A short run first, so that no figure contains the waking of what lay idle during the other cells.
        self.load.run(Until::elapsed(Duration::from_millis(30)))?.checked()?;
        let before = self.tree.cpu();
        let outcome = self.load.run(Until::elapsed(Duration::from_secs_f64(seconds)))?.checked()?;
        Ok(Sample::new(before, self.tree.cpu(), &outcome))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_selects_by_part_of_the_name_and_a_wrong_one_is_refused() {
        let names: Vec<&str> = selected(&["50m".to_owned()]).unwrap().iter().map(|row| row.name).collect();
        assert_eq!(names, ["set-50m", "get-50m"]);
        assert!(selected(&["51m".to_owned()]).unwrap_err().to_string().contains("get-50m"));
    }
}
