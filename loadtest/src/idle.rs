//! What an idle connection costs a proxy: resident memory per connection, in three situations.

use crate::load::{Load, Options as LoadOptions, Outcome};
use crate::peers::{Peer, Running, Site};
use crate::workload::{Op, Workload};
use crate::{Error, Result, interrupt, net, process, report_file};
use clap::Args;
use serde::Serialize;
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// What `pdw-loadtest idle` takes.
#[derive(Args, Clone, Debug)]
pub struct Options {
    /// How many connections; the limit of open files must allow them to the proxy and to this program
    #[arg(long, default_value_t = 15_000)]
    pub connections: usize,
    /// Proxies to measure beside this one
    #[arg(long, value_enum, value_delimiter = ',', default_value = "nutcracker")]
    pub against: Vec<Peer>,
    /// The proxy to measure
    #[arg(long, default_value = "target/release/pdw-proxy")]
    pub proxy_bin: PathBuf,
    /// While all have a request outstanding, the instance is paused for so long, milliseconds
    #[arg(long, default_value_t = 1000)]
    pub pause_ms: u64,
    /// How long after the last reply memory is read, seconds
    #[arg(long, default_value_t = 5.0)]
    pub settle: f64,
    /// Write the report to this file
    #[arg(long, default_value = "target/idle.json")]
    pub json: PathBuf,
}

/// KiB of resident memory per connection, beyond what the proxy had before the first one.
#[derive(Debug, Serialize)]
struct Cost {
    peer: Peer,
    connections: usize,
    idle: f64,
    after_one_each: f64,
    after_all_at_once: f64,
}

/// Measures each proxy, prints the table and writes the report.
pub fn run(options: &Options) -> Result<()> {
    process::raise_file_limit()?;
    println!("{} connections; KiB of resident memory per connection\n", options.connections);
    println!("{:<12} {:>8} {:>20} {:>18}", "peer", "idle", "after one GET each", "after all at once");
    let mut costs = Vec::new();
    let mut failed = 0;
    for peer in options.against.iter().copied().filter(|peer| *peer != Peer::Proxy).chain([Peer::Proxy]) {
        match measure(peer, options) {
            Ok(cost) => costs.push(cost),
            Err(Error::Interrupted) => return Err(Error::Interrupted),
            Err(error) => {
                failed += 1;
                println!("{:<12} FAILED: {error}", peer.name());
            }
        }
    }
    print_ratio(&costs);
    report_file::write(&options.json, &serde_json::json!({ "kib_per_connection": costs }))?;
    if failed == 0 { Ok(()) } else { Err(Error::FailedCells(failed)) }
}

fn measure(peer: Peer, options: &Options) -> Result<Cost> {
    let dir = tempfile::tempdir().map_err(Error::system("create a temporary folder"))?;
    let site = site(options, dir.path());
    let instance = site.start_instance()?;
    net::fill(instance.address, &Workload::new(Op::Set, 64, 1000), 1000)?;
    let proxy = site.start_proxy(peer, instance.address)?;
    let before = proxy.child.memory_kib().now;
    let mut load = Load::connect(&load_options(options, &proxy))?;
    let growth = || -> Result<f64> {
        wait(options.settle)?;
        Ok((proxy.child.memory_kib().now as f64 - before as f64) / options.connections as f64)
    };
    let idle = growth()?;
    all_answered(load.one_after_another()?, options)?;
    let after_one_each = growth()?;
    net::command(instance.address, &["CLIENT", "PAUSE", &options.pause_ms.to_string(), "ALL"])?;
    all_answered(load.all_at_once()?, options)?;
    let after_all_at_once = growth()?;
    let cost = Cost { peer, connections: options.connections, idle, after_one_each, after_all_at_once };
    println!("{:<12} {idle:>8.2} {after_one_each:>20.2} {after_all_at_once:>18.2}", peer.name());
    Ok(cost)
}

fn site(options: &Options, dir: &Path) -> Site {
    let get = Workload::new(Op::Get, 64, 1000);
    Site {
        dir: dir.to_owned(),
        proxy_bin: options.proxy_bin.clone(),
        proxy_core: Some(0),
        instance_core: Some(1),
        sizes: (get.steps[0].request_size(), get.steps[0].reply.len()),
        profile: "redis",
    }
}

fn load_options(options: &Options, proxy: &Running) -> LoadOptions {
    // A source address has some 28,000 ports, and the kernel searches long once half of them are taken.
    let sources =
        (0..options.connections.div_ceil(5000)).map(|index| IpAddr::V4(Ipv4Addr::new(127, 0, 1, index as u8 + 1)));
    LoadOptions {
        destinations: vec![proxy.address],
        sources: sources.collect(),
        connections: options.connections,
        pipeline: 1,
        op: Op::Get,
        value_size: 64,
        prefix: "key:".to_owned(),
        keys: 1000,
        seconds: 0.0,
        requests: None,
        core: None,
        json: false,
    }
}

fn all_answered(outcome: Outcome, options: &Options) -> Result<()> {
    let outcome = outcome.checked()?;
    if outcome.requests == options.connections as u64 {
        return Ok(());
    }
    let missing = options.connections as u64 - outcome.requests;
    Err(Error::Replies { errors: missing, requests: options.connections as u64, first: "never sent".into() })
}

fn wait(seconds: f64) -> Result<()> {
    let end = Instant::now() + Duration::from_secs_f64(seconds);
    while Instant::now() < end {
        interrupt::check()?;
        sleep(Duration::from_millis(50));
    }
    Ok(())
}

fn print_ratio(costs: &[Cost]) {
    let of = |peer| costs.iter().find(|cost| cost.peer == peer);
    if let (Some(own), Some(other)) = (of(Peer::Proxy), of(Peer::Nutcracker)) {
        let ratios = [
            own.idle / other.idle,
            own.after_one_each / other.after_one_each,
            own.after_all_at_once / other.after_all_at_once,
        ];
        println!("{:<12} {:>8.2} {:>20.2} {:>18.2}", "/nutcracker", ratios[0], ratios[1], ratios[2]);
    }
}
