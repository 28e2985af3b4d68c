//! One interleaved run of all peers: each round measures every cell of a row once, in turn, so that whatever else the
//! machine does falls on all of them alike. Medians; ratios are formed round by round.

mod report;
mod rows;

use crate::load::{Load, Options as LoadOptions, Until};
use crate::peers::{Peer, Running, Site};
use crate::{Error, Result, interrupt, net, process};
use clap::Args;
use report::{Cell, Report, RowReport, Sample};
use rows::Row;
use std::path::{Path, PathBuf};
use std::time::Duration;

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
}

/// Measures, prints the table as it grows, and writes the JSON report.
pub fn run(options: &Options) -> Result<()> {
    let rows = rows::select(&options.only)?;
    process::raise_file_limit()?;
    process::set_nice(options.nice)?;
    process::pin(options.load_core)?;
    let mut report = Report::new(options.rounds, options.seconds);
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

/// A peer ready to be measured.
struct Lane {
    running: Option<Running>,
    load: Load,
}

fn measure_row(row: &Row, options: &Options) -> Result<RowReport> {
    let dir = tempfile::tempdir().map_err(Error::system("create a temporary folder"))?;
    let site = site(row, options, dir.path());
    let instance = site.start_instance()?;
    if row.reads() {
        net::fill(instance.address, row.value_size, row.keys())?;
    }
    let mut cells: Vec<Cell> = row.peers(&options.against).into_iter().map(Cell::new).collect();
    let mut lanes: Vec<Option<Lane>> = Vec::new();
    for cell in &mut cells {
        lanes.push(cell.attempt(|cell| open_lane(cell, row, &site, &instance))?);
    }
    for _ in 0..options.rounds {
        for (cell, lane) in cells.iter_mut().zip(&mut lanes) {
            let measured = lane.as_mut().map(|lane| cell.attempt(|_| measure(lane, row, &instance, options.seconds)));
            match measured.transpose()?.flatten() {
                Some(sample) => cell.samples.push(sample),
                None => *lane = None,
            }
        }
    }
    for (cell, lane) in cells.iter_mut().zip(&lanes) {
        cell.memory_peak_kib = lane.as_ref().map_or(0, |lane| process_of(lane, &instance).child.memory_kib().peak);
    }
    Ok(RowReport { name: row.name, cells })
}

fn site(row: &Row, options: &Options, dir: &Path) -> Site {
    Site {
        dir: dir.to_owned(),
        proxy_bin: options.proxy_bin.clone(),
        proxy_core: options.proxy_core,
        instance_core: options.load_core,
        sizes: row.sizes(),
        profile: row.profile(),
    }
}

/// What the client side sees first: the proxy, or the instance where there is none.
fn process_of<'a>(lane: &'a Lane, instance: &'a Running) -> &'a Running {
    lane.running.as_ref().unwrap_or(instance)
}

/// Starts the peer, notes its memory, connects the load and lets it run for a moment unmeasured.
fn open_lane(cell: &mut Cell, row: &Row, site: &Site, instance: &Running) -> Result<Lane> {
    let running = match cell.peer {
        Peer::Direct => None,
        peer => Some(site.start_proxy(peer, instance.address)?),
    };
    let first = running.as_ref().unwrap_or(instance);
    cell.memory_before_kib = first.child.memory_kib().now;
    let mut load = Load::connect(&load_options(row, first.address))?;
    load.run(Until::elapsed(Duration::from_millis(200)))?.checked()?;
    Ok(Lane { running, load })
}

fn load_options(row: &Row, address: std::net::SocketAddr) -> LoadOptions {
    LoadOptions {
        destinations: vec![address],
        sources: Vec::new(),
        connections: row.connections,
        pipeline: row.pipeline,
        op: row.op,
        value_size: row.value_size,
        keys: row.keys(),
        seconds: 0.0,
        requests: None,
        core: None,
        json: false,
    }
}

fn measure(lane: &mut Lane, row: &Row, instance: &Running, seconds: f64) -> Result<Sample> {
    interrupt::check()?;
    if row.creates() {
        net::command(instance.address, &["FLUSHALL", "SYNC"])?;
    }
    // A short run first, so that no figure contains the waking of what lay idle during the other cells.
    lane.load.run(Until::elapsed(Duration::from_millis(30)))?.checked()?;
    let proxy_ns = |lane: &Lane| lane.running.as_ref().map_or(0, |running| running.child.cpu_ns());
    let (proxy, upstream) = (proxy_ns(lane), instance.child.cpu_ns());
    let outcome = lane.load.run(Until::elapsed(Duration::from_secs_f64(seconds)))?.checked()?;
    let per_request = |nanoseconds: u64| nanoseconds as f64 / 1000.0 / outcome.requests.max(1) as f64;
    Ok(Sample {
        proxy_cpu_us: per_request(proxy_ns(lane) - proxy),
        instance_cpu_us: per_request(instance.child.cpu_ns() - upstream),
        requests_per_second: outcome.rate(),
        p50_us: outcome.latency.value_at_quantile(0.50),
        p99_us: outcome.latency.value_at_quantile(0.99),
    })
}
