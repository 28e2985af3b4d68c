//! One interleaved run of all peers: each round measures every cell of a row once, in turn, so that whatever else the
//! machine does falls on all of them alike. Medians; ratios are formed round by round.

mod namespace;
mod report;
mod rows;
mod setup;

use crate::peers::{Peer, Site};
use crate::{Error, Result, process};
use clap::Args;
use report::{Cell, Report, RowReport};
use rows::Row;
use setup::Setup;
use std::path::{Path, PathBuf};

/// What `pdw-loadtest bench` takes.
#[derive(Args, Clone, Debug)]
pub struct Options {
    /// Rounds: how often each cell is measured
    #[arg(long, default_value_t = 9, value_parser = clap::value_parser!(u64).range(1..1000))]
    pub rounds: u64,
    /// Seconds per measurement
    #[arg(long, default_value_t = 0.7)]
    pub seconds: f64,
    /// Rows whose name contains one of these, for a quick look; all without it
    #[arg(long, value_delimiter = ',', value_name = "ROW")]
    pub only: Vec<String>,
    /// Peers to measure beside this proxy
    #[arg(long, value_enum, value_delimiter = ',', default_value = "direct,nutcracker,haproxy,envoy,null")]
    pub against: Vec<Peer>,
    /// The proxy to measure
    #[arg(long, default_value = "target/release/pdw-proxy")]
    pub proxy_bin: PathBuf,
    /// Write the report, with every sample, to this file
    #[arg(long, default_value = "target/bench.json")]
    pub json: PathBuf,
    /// Core of the proxies
    #[arg(long, default_value_t = 0)]
    pub proxy_core: usize,
    /// Core of the instance and of the load
    #[arg(long, default_value_t = 1)]
    pub load_core: usize,
    /// Priority of everything that is started; -15 helps on a machine that others use, and needs root
    #[arg(long, default_value_t = 0, allow_negative_numbers = true)]
    pub nice: i32,
    /// Already inside the network namespace that rows of large values are measured in
    #[arg(long, hide = true)]
    pub namespaced: bool,
}

/// Measures, prints the tables as they grow, and writes the JSON reports: rows of small requests here, those of large
/// values in a network namespace of their own.
pub fn run(options: &Options) -> Result<()> {
    let (large, small): (Vec<&Row>, Vec<&Row>) =
        rows::select(&options.only)?.into_iter().partition(|row| row.is_large());
    if options.namespaced {
        crate::namespace::prepare()?;
        return measure(&large, options);
    }
    if !small.is_empty() {
        measure(&small, options)?;
    }
    if large.is_empty() { Ok(()) } else { namespace::measure(&large, options) }
}

fn measure(rows: &[&Row], options: &Options) -> Result<()> {
    process::raise_file_limit()?;
    process::set_nice(options.nice)?;
    process::pin(options.load_core)?;
    let mut report = Report::new(options);
    report.print_head();
    for row in rows {
        let measured = measure_row(row, options)?;
        measured.print();
        report.rows.push(measured);
    }
    report.write(&options.json)?;
    match report.failures() {
        0 => Ok(()),
        failures => Err(Error::FailedCells(failures)),
    }
}

fn measure_row(row: &Row, options: &Options) -> Result<RowReport> {
    let dir = tempfile::tempdir().map_err(Error::system("create a temporary folder"))?;
    let site = site(row, options, dir.path());
    let mut cells: Vec<Cell> = row.peers(&options.against).into_iter().map(Cell::new).collect();
    let mut setups: Vec<Option<Setup>> = Vec::new();
    for cell in &mut cells {
        setups.push(cell.attempt(|cell| Setup::start(cell, row, &site))?);
    }
    for _ in 0..options.rounds {
        measure_round(row, options.seconds, &mut cells, &mut setups)?;
    }
    for (cell, setup) in cells.iter_mut().zip(&setups) {
        cell.memory_peak_kib = setup.as_ref().map_or(0, Setup::peak_kib);
    }
    Ok(RowReport { name: row.name, value_size: row.value_size, large: row.is_large(), cells })
}

/// One sample of every cell that has not failed yet.
fn measure_round(row: &Row, seconds: f64, cells: &mut [Cell], setups: &mut [Option<Setup>]) -> Result<()> {
    for (cell, setup) in cells.iter_mut().zip(setups) {
        let measured = setup.as_mut().map(|setup| cell.attempt(|_| setup.measure(row, seconds)));
        match measured.transpose()?.flatten() {
            Some(sample) => cell.samples.push(sample),
            None => *setup = None,
        }
    }
    Ok(())
}

fn site(row: &Row, options: &Options, dir: &Path) -> Site {
    Site {
        dir: dir.to_owned(),
        proxy_bin: options.proxy_bin.clone(),
        proxy_core: Some(options.proxy_core),
        instance_core: Some(options.load_core),
        sizes: row.sizes(),
        profile: row.profile(),
    }
}
