//! The figures: medians, ratios round by round, the table and the JSON file.

use super::Options;
use crate::figures::{known, median, shown};
use crate::namespace;
use crate::peers::Peer;
use crate::report_file;
use crate::{Error, Result};
use serde::Serialize;
use std::path::Path;
use std::{env, fs};

/// One measurement of one cell.
#[derive(Debug, Serialize)]
pub(super) struct Sample {
    pub(super) proxy_cpu_us: f64,
    pub(super) instance_cpu_us: f64,
    pub(super) requests_per_second: f64,
    pub(super) p50_us: u64,
    pub(super) p99_us: u64,
}

/// One peer in one row.
#[derive(Debug, Serialize)]
pub(super) struct Cell {
    pub(super) peer: Peer,
    pub(super) samples: Vec<Sample>,
    pub(super) memory_before_kib: u64,
    pub(super) memory_peak_kib: u64,
    pub(super) failure: Option<String>,
    /// Not installed and optional: named, but no failure of the run.
    pub(super) absent: bool,
}

impl Cell {
    pub(super) fn new(peer: Peer) -> Self {
        Self { peer, samples: Vec::new(), memory_before_kib: 0, memory_peak_kib: 0, failure: None, absent: false }
    }

    /// Notes a failure and gives nothing; only an interruption passes through.
    pub(super) fn attempt<T>(&mut self, work: impl FnOnce(&mut Self) -> Result<T>) -> Result<Option<T>> {
        match work(self) {
            Ok(done) => Ok(Some(done)),
            Err(Error::Interrupted) => Err(Error::Interrupted),
            Err(error) => {
                self.absent = self.peer == Peer::Envoy && matches!(error, Error::NotInstalled { .. });
                self.failure = Some(error.to_string());
                Ok(None)
            }
        }
    }

    fn median(&self, figure: fn(&Sample) -> f64) -> f64 {
        median(self.samples.iter().map(figure))
    }

    /// Median over the rounds of this cell's figure by the other's.
    fn ratio(&self, other: &Self, figure: fn(&Sample) -> f64) -> f64 {
        median(self.samples.iter().zip(&other.samples).map(|(own, other)| figure(own) / figure(other)))
    }
}

/// All peers in one row.
#[derive(Debug, Serialize)]
pub(super) struct RowReport {
    pub(super) name: &'static str,
    pub(super) value_size: usize,
    /// Whether its figures are also given by the byte.
    pub(super) large: bool,
    pub(super) cells: Vec<Cell>,
}

/// What is printed of a cell and written to the JSON file beside its samples.
#[derive(Debug, Serialize)]
struct Summary {
    row: &'static str,
    peer: Peer,
    proxy_cpu_us: Option<f64>,
    proxy_cpu_us_lowest: Option<f64>,
    proxy_cpu_us_highest: Option<f64>,
    to_nutcracker: Option<f64>,
    to_null: Option<f64>,
    to_haproxy_splice: Option<f64>,
    proxy_cpu_ms_per_gib: Option<f64>,
    mib_per_second: Option<f64>,
    instance_cpu_us: Option<f64>,
    instance_to_direct: Option<f64>,
    requests_per_second: Option<f64>,
    p50_us: Option<f64>,
    p99_us: Option<f64>,
    memory_before_mib: f64,
    memory_peak_mib: f64,
    failure: Option<String>,
    absent: bool,
}

impl RowReport {
    pub(super) fn print(&self) {
        for cell in &self.cells {
            let summary = self.summary(cell);
            println!("{}", if self.large { summary.large_line() } else { summary.line() });
        }
        println!();
    }

    fn summary(&self, cell: &Cell) -> Summary {
        let proxy_cpu = |sample: &Sample| sample.proxy_cpu_us;
        let instance_cpu = |sample: &Sample| sample.instance_cpu_us;
        let to =
            |peer, figure| self.cells.iter().find(|other| other.peer == peer).map(|other| cell.ratio(other, figure));
        let proxied = cell.peer != Peer::Direct;
        let of_proxy = |figure: f64| known(figure).filter(|_| proxied);
        let per_gib = (1_u64 << 30) as f64 / self.value_size as f64 / 1000.0;
        let mib = self.value_size as f64 / (1_u64 << 20) as f64;
        let spread = || cell.samples.iter().map(proxy_cpu);
        Summary {
            row: self.name,
            peer: cell.peer,
            proxy_cpu_us: of_proxy(cell.median(proxy_cpu)),
            proxy_cpu_us_lowest: of_proxy(spread().fold(f64::NAN, f64::min)),
            proxy_cpu_us_highest: of_proxy(spread().fold(f64::NAN, f64::max)),
            to_nutcracker: to(Peer::Nutcracker, proxy_cpu).and_then(of_proxy),
            to_null: to(Peer::Null, proxy_cpu).and_then(of_proxy),
            to_haproxy_splice: to(Peer::HaproxySplice, proxy_cpu).and_then(of_proxy),
            proxy_cpu_ms_per_gib: of_proxy(cell.median(proxy_cpu) * per_gib),
            mib_per_second: known(cell.median(|sample| sample.requests_per_second) * mib),
            instance_cpu_us: known(cell.median(instance_cpu)),
            instance_to_direct: to(Peer::Direct, instance_cpu).and_then(known),
            requests_per_second: known(cell.median(|sample| sample.requests_per_second)),
            p50_us: known(cell.median(|sample| sample.p50_us as f64)),
            p99_us: known(cell.median(|sample| sample.p99_us as f64)),
            memory_before_mib: cell.memory_before_kib as f64 / 1024.0,
            memory_peak_mib: cell.memory_peak_kib as f64 / 1024.0,
            failure: cell.failure.clone(),
            absent: cell.absent,
        }
    }
}

const HEAD: &str = "row           peer           proxy us (  low-high )  /nutcr   /null  instance us /direct    req/s   p50 us   p99 us  MiB before  peak";

const LARGE_HEAD: &str = "row           peer           proxy us (  low-high )  /nutcr /splice  ms/GiB  instance us    req/s    MiB/s   p50 us   p99 us  MiB before  peak";

impl Summary {
    fn start(&self) -> std::result::Result<String, String> {
        let name = format!("{:<13} {:<14}", self.row, self.peer.name());
        match &self.failure {
            Some(failure) if self.absent => Err(format!("{name} not measured: {failure}")),
            Some(failure) => Err(format!("{name} FAILED: {failure}")),
            None => Ok(name),
        }
    }

    fn spread(&self, digits: usize) -> String {
        let (low, high) = (shown(self.proxy_cpu_us_lowest, digits), shown(self.proxy_cpu_us_highest, digits));
        format!("({low:>5}-{high:<5})")
    }

    fn large_line(&self) -> String {
        let name = match self.start() {
            Ok(name) => name,
            Err(failure) => return failure,
        };
        format!(
            "{name} {:>8} {} {:>7} {:>7} {:>7} {:>12} {:>8} {:>8} {:>8} {:>8} {:>11.1} {:>5.1}",
            shown(self.proxy_cpu_us, 0),
            self.spread(0),
            shown(self.to_nutcracker, 3),
            shown(self.to_haproxy_splice, 3),
            shown(self.proxy_cpu_ms_per_gib, 0),
            shown(self.instance_cpu_us, 0),
            shown(self.requests_per_second, 0),
            shown(self.mib_per_second, 0),
            shown(self.p50_us, 0),
            shown(self.p99_us, 0),
            self.memory_before_mib,
            self.memory_peak_mib,
        )
    }

    fn line(&self) -> String {
        let name = match self.start() {
            Ok(name) => name,
            Err(failure) => return failure,
        };
        format!(
            "{name} {:>8} {} {:>7} {:>7} {:>12} {:>7} {:>8} {:>8} {:>8} {:>11.1} {:>5.1}",
            shown(self.proxy_cpu_us, 2),
            self.spread(2),
            shown(self.to_nutcracker, 3),
            shown(self.to_null, 3),
            shown(self.instance_cpu_us, 2),
            shown(self.instance_to_direct, 3),
            shown(self.requests_per_second, 0),
            shown(self.p50_us, 0),
            shown(self.p99_us, 0),
            self.memory_before_mib,
            self.memory_peak_mib,
        )
    }
}

/// All rows of a run.
#[derive(Debug, Default, Serialize)]
pub(super) struct Report {
    rounds: u64,
    seconds_per_cell: f64,
    /// `/proc/loadavg` before the run: others' work on the machine spoils the figures.
    load_average: String,
    /// Of the network namespace that was measured in.
    congestion_control: String,
    /// Whether that was one of its own.
    namespaced: bool,
    pub(super) rows: Vec<RowReport>,
}

impl Report {
    pub(super) fn new(options: &Options) -> Self {
        Self {
            rounds: options.rounds,
            seconds_per_cell: options.seconds,
            load_average: fs::read_to_string("/proc/loadavg").unwrap_or_default().trim().to_owned(),
            congestion_control: namespace::congestion_control(),
            namespaced: options.namespaced,
            rows: Vec::new(),
        }
    }

    pub(super) fn print_head(&self) {
        let (rounds, seconds) = (self.rounds, self.seconds_per_cell);
        println!("medians of {rounds} interleaved rounds of {seconds} s; CPU us per request");
        println!(
            "memory is the proxy's (direct: the instance's); load average before the run: {}\n",
            self.load_average
        );
        if self.namespaced {
            println!("large values, in a network namespace of their own with {}", self.congestion_control);
        }
        println!("{}", if self.namespaced { LARGE_HEAD } else { HEAD });
    }

    /// Cells without figures, other than what may be absent.
    pub(super) fn failures(&self) -> usize {
        let cells = self.rows.iter().flat_map(|row| &row.cells);
        cells.filter(|cell| cell.failure.is_some() && !cell.absent).count()
    }

    pub(super) fn write(&self, path: &Path) -> Result<()> {
        let summaries: Vec<Summary> =
            self.rows.iter().flat_map(|row| row.cells.iter().map(|cell| row.summary(cell))).collect();
        let machine = format!("{} {}", env::consts::OS, env::consts::ARCH);
        let report = serde_json::json!({ "machine": machine, "summary": summaries, "run": self });
        report_file::write(path, &report)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cell(peer: Peer, figures: &[f64]) -> Cell {
        let sample = |figure: &f64| Sample {
            proxy_cpu_us: *figure,
            instance_cpu_us: 1.0,
            requests_per_second: 1.0,
            p50_us: 1,
            p99_us: 1,
        };
        Cell { samples: figures.iter().map(sample).collect(), ..Cell::new(peer) }
    }

    #[test]
    fn ratios_are_formed_round_by_round() {
        let own = cell(Peer::Proxy, &[1.0, 20.0, 3.0]);
        let other = cell(Peer::Nutcracker, &[2.0, 40.0, 4.0]);
        let row = RowReport { name: "row", value_size: 64, large: false, cells: vec![own, other] };
        let summary = row.summary(&row.cells[0]);
        assert_eq!((summary.proxy_cpu_us, summary.to_nutcracker, summary.to_null), (Some(3.0), Some(0.5), None));
    }

    #[test]
    fn a_failure_is_in_the_table_and_counted_unless_the_peer_is_optional() {
        let fail = |peer| {
            let mut cell = Cell::new(peer);
            let failure = Error::NotInstalled { name: "it", remedy: "fetch it" };
            assert!(cell.attempt(|_| Err::<(), _>(failure)).unwrap().is_none());
            cell
        };
        let mut report = Report::default();
        report.rows.push(RowReport {
            name: "row",
            value_size: 64,
            large: false,
            cells: vec![fail(Peer::Envoy), fail(Peer::Nutcracker)],
        });
        assert_eq!(report.failures(), 1);
        let line = report.rows[0].summary(&report.rows[0].cells[0]).line();
        assert!(line.contains("not measured: it is not installed: fetch it"), "{line}");
    }

    #[test]
    fn an_interruption_is_no_failed_cell() {
        let attempted = Cell::new(Peer::Direct).attempt(|_| Err::<(), _>(Error::Interrupted));
        assert!(matches!(attempted, Err(Error::Interrupted)));
    }
}
