//! The figures: medians over the rounds, ratios round by round, the table and the JSON file.

use super::tree::Cpu;
use super::ways::Way;
use super::{Options, Row};
use crate::figures::{known, median, shown};
use crate::load::Outcome;
use crate::{Result, namespace, report_file};
use serde::Serialize;
use std::fs;
use std::path::Path;

/// One measurement of one way.
#[derive(Debug, Serialize)]
pub(super) struct Sample {
    /// CPU time of all proxies per request, microseconds.
    proxies_us: f64,
    /// The same of the daemons.
    daemons_us: f64,
    requests_per_second: f64,
}

impl Sample {
    pub(super) fn new(before: Cpu, after: Cpu, outcome: &Outcome) -> Self {
        let per_request =
            |after: u64, before: u64| after.saturating_sub(before) as f64 / 1000.0 / outcome.requests.max(1) as f64;
        Self {
            proxies_us: per_request(after.proxies, before.proxies),
            daemons_us: per_request(after.daemons, before.daemons),
            requests_per_second: outcome.rate(),
        }
    }
}

/// All ways of one row.
#[derive(Debug, Serialize)]
pub(super) struct RowReport {
    row: &'static Row,
    pub(super) ways: Vec<WayReport>,
}

/// All measurements of one way.
#[derive(Debug, Serialize)]
pub(super) struct WayReport {
    way: Way,
    pub(super) samples: Vec<Sample>,
}

/// What is printed of a way and written to the JSON file.
#[derive(Debug, Serialize)]
struct Summary {
    row: &'static str,
    way: Way,
    proxies_us: Option<f64>,
    daemons_us: Option<f64>,
    /// See [`RowReport::ratios`].
    ratio: Option<f64>,
    ratio_lowest: Option<f64>,
    ratio_highest: Option<f64>,
    bound: Option<f64>,
    /// The ratio to daemons on the link, which carry the requests of all clients in one connection.
    to_link_daemons: Option<f64>,
    proxies_s_per_gib: Option<f64>,
    daemons_s_per_gib: Option<f64>,
    requests_per_second: Option<f64>,
}

impl RowReport {
    pub(super) fn new(row: &'static Row) -> Self {
        let ways = Way::of(row).into_iter().map(|way| WayReport { way, samples: Vec::new() }).collect();
        Self { row, ways }
    }

    pub(super) fn print(&self) {
        self.summaries().iter().for_each(|summary| println!("{}", summary.line()));
        println!();
    }

    fn summaries(&self) -> Vec<Summary> {
        self.ways.iter().map(|way| self.summary(way)).collect()
    }

    fn samples(&self, way: Way) -> &[Sample] {
        self.ways.iter().find(|report| report.way == way).map_or(&[], |report| &report.samples)
    }

    /// Round by round, what a seal adds to the plain link, in terms of what such daemons cost; of the plain link, what the
    /// second proxy adds to the first one, in terms of that.
    fn ratios(&self, way: Way, daemons: Way) -> Vec<f64> {
        let added = |to: Way| {
            let pairs = self.samples(way).iter().zip(self.samples(to));
            pairs.map(|(own, base)| own.proxies_us - base.proxies_us)
        };
        let alone = self.samples(Way::Alone).iter().map(|sample| sample.proxies_us);
        let pair = self.samples(daemons).iter().map(|sample| sample.daemons_us);
        match way {
            Way::Alone | Way::Daemons | Way::Clients => Vec::new(),
            Way::Plain => added(Way::Alone).zip(alone).map(|(more, one)| more / one).collect(),
            Way::Spiped | Way::Noise | Way::Aes => {
                added(Way::Plain).zip(pair).map(|(more, pair)| more / pair).collect()
            }
        }
    }

    fn summary(&self, report: &WayReport) -> Summary {
        let of = |figure: fn(&Sample) -> f64| median(report.samples.iter().map(figure));
        let (proxies, daemons) = (of(|sample| sample.proxies_us), of(|sample| sample.daemons_us));
        let per_gib = (1_u64 << 30) as f64 / self.row.value_size as f64 / 1e6;
        let of_large = |figure: f64| known(figure * per_gib).filter(|_| self.row.is_large());
        let ratios = self.ratios(report.way, Way::measure(self.row));
        let of_link = self.ratios(report.way, Way::Daemons);
        let of_daemons = |figure: Option<f64>| figure.filter(|_| report.way.has_daemons());
        Summary {
            row: self.row.name,
            way: report.way,
            proxies_us: known(proxies),
            daemons_us: of_daemons(known(daemons)),
            ratio: known(median(ratios.iter().copied())),
            ratio_lowest: known(ratios.iter().copied().fold(f64::NAN, f64::min)),
            ratio_highest: known(ratios.iter().copied().fold(f64::NAN, f64::max)),
            bound: report.way.bound(self.row),
            to_link_daemons: known(median(of_link)).filter(|_| report.way != Way::Plain),
            proxies_s_per_gib: of_large(proxies),
            daemons_s_per_gib: of_daemons(of_large(daemons)),
            requests_per_second: known(of(|sample| sample.requests_per_second)),
        }
    }
}

const HEAD: &str = "row           way               proxies us  daemons us    s/GiB  daemons      req/s   /link    ratio (  low-high )  at most";

impl Summary {
    /// Whether it costs no more than it may; none where nothing is promised.
    fn keeps(&self) -> Option<bool> {
        self.bound.zip(self.ratio).map(|(bound, ratio)| ratio <= bound)
    }

    fn line(&self) -> String {
        let verdict = match self.keeps() {
            Some(false) => " ABOVE",
            _ => "",
        };
        format!(
            "{:<13} {:<16} {:>11} {:>11} {:>8} {:>8} {:>10} {:>7} {:>8} ({:>5}-{:<5}) {:>8}{verdict}",
            self.row,
            self.way.name(),
            shown(self.proxies_us, 2),
            shown(self.daemons_us, 2),
            shown(self.proxies_s_per_gib, 3),
            shown(self.daemons_s_per_gib, 3),
            shown(self.requests_per_second, 0),
            shown(self.to_link_daemons, 3),
            shown(self.ratio, 3),
            shown(self.ratio_lowest, 2),
            shown(self.ratio_highest, 2),
            shown(self.bound, 2),
        )
    }
}

/// All rows of a run.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    rounds: u64,
    seconds_per_cell: f64,
    /// `/proc/loadavg` before the run: others' work on the machine spoils the figures.
    load_average: String,
    congestion_control: String,
    pub(super) rows: Vec<RowReport>,
}

impl Report {
    pub(super) fn new(options: &Options) -> Self {
        Self {
            rounds: options.rounds,
            seconds_per_cell: options.seconds,
            load_average: fs::read_to_string("/proc/loadavg").unwrap_or_default().trim().to_owned(),
            congestion_control: namespace::congestion_control(),
            rows: Vec::new(),
        }
    }

    pub(super) fn print_head(&self) {
        let Self { rounds, congestion_control, load_average, .. } = self;
        println!("medians of {rounds} interleaved rounds, with {congestion_control}; CPU us per request");
        println!("load average before the run: {load_average}\n\n{HEAD}");
    }

    /// Says what the ratios mean, and whether all of them are kept.
    pub(super) fn print_end(&self) {
        println!(
            "ratio: what a seal adds to the plain link, by what the daemons cost; plain: the second proxy by the first"
        );
        println!(
            "/link: the same by daemons on the link; the measure of small requests is daemons that clients connect to"
        );
        let broken = self.summaries().iter().filter(|summary| summary.keeps() == Some(false)).count();
        println!("{broken} of them above what is promised");
    }

    fn summaries(&self) -> Vec<Summary> {
        self.rows.iter().flat_map(RowReport::summaries).collect()
    }

    pub(super) fn write(&self, path: &Path) -> Result<()> {
        report_file::write(path, &serde_json::json!({ "summary": self.summaries(), "run": self }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(costs: [(f64, f64); 6]) -> RowReport {
        let mut report = RowReport::new(&super::super::ROWS[0]);
        for (way, (proxies_us, daemons_us)) in report.ways.iter_mut().zip(costs) {
            for part in [1.0, 3.0, 2.0] {
                let (proxies_us, daemons_us) = (proxies_us * part, daemons_us * part);
                way.samples.push(Sample { proxies_us, daemons_us, requests_per_second: 1.0 });
            }
        }
        report
    }

    #[test]
    fn what_a_seal_adds_is_told_in_terms_of_the_daemons_round_by_round() {
        let report = report([(2.0, 0.0), (5.0, 0.0), (5.5, 10.0), (10.0, 0.0), (6.0, 0.0), (5.5, 0.0)]);
        let ratios: Vec<Option<f64>> = report.summaries().iter().map(|summary| summary.ratio).collect();
        assert_eq!(ratios, [None, Some(1.5), None, Some(0.5), Some(0.1), Some(0.05)]);
        let keeps: Vec<Option<bool>> = report.summaries().iter().map(Summary::keeps).collect();
        assert_eq!(keeps, [None, None, None, Some(false), Some(true), Some(true)]);
    }
}
