//! What small requests suffer beside writers of large values: direct and through the proxy, in turn in one run.

use crate::figures::median;
use crate::load::{Load, Options as LoadOptions, Until};
use crate::peers::{Peer, Running, Site};
use crate::process::Child;
use crate::workload::Op;
use crate::{Error, Result, interrupt, namespace, net, process};
use clap::Args;
use std::env;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// What `pdw-loadtest beside` takes.
#[derive(Args, Clone, Debug)]
pub struct Options {
    /// Rounds: how often each situation is measured
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..1000))]
    pub rounds: u64,
    /// Seconds per measurement
    #[arg(long, default_value_t = 2.0)]
    pub seconds: f64,
    /// Connections that write large values
    #[arg(long, default_value_t = 50)]
    pub writers: usize,
    /// Bytes of a large value
    #[arg(long, default_value_t = 50 << 20)]
    pub value_size: usize,
    /// Connections with small requests
    #[arg(long, default_value_t = 50)]
    pub connections: usize,
    /// The proxy to measure
    #[arg(long, default_value = "target/release/pdw-proxy")]
    pub proxy_bin: PathBuf,
    /// Already inside a network namespace of its own
    #[arg(long, hide = true)]
    pub namespaced: bool,
}

/// How often the p99 of small requests was so many microseconds, by situation.
#[derive(Debug, Default)]
struct Series {
    quiet: Vec<u64>,
    same: Vec<u64>,
    other: Vec<u64>,
}

/// Two instances, and where to reach them in one of the two ways.
struct Way {
    name: &'static str,
    /// Address and key prefix that lead to the instance with the writers, and to the other one.
    ends: [(SocketAddr, String); 2],
    series: Series,
    /// Bytes a second that the writers' instance took meanwhile.
    rates: Vec<f64>,
}

/// Measures in a network namespace of its own and prints the table.
pub fn run(options: &Options) -> Result<()> {
    if !options.namespaced {
        return namespace::run_inside(arguments(options));
    }
    namespace::prepare()?;
    process::raise_file_limit()?;
    let dir = tempfile::tempdir().map_err(Error::system("create a temporary folder"))?;
    let site = site(options, dir.path());
    let instances = [site.start_instance()?, site.start_instance()?];
    let proxy = site.start_sharding(&[instances[0].address, instances[1].address])?;
    let mut ways = ways(&instances, &proxy)?;
    for _ in 0..options.rounds {
        for way in &mut ways {
            way.measure(instances[0].address, options, dir.path())?;
        }
    }
    print(options, &ways);
    Ok(())
}

/// What this program is started with again.
fn arguments(options: &Options) -> Vec<String> {
    let values = [
        ("--rounds", options.rounds.to_string()),
        ("--seconds", options.seconds.to_string()),
        ("--writers", options.writers.to_string()),
        ("--value-size", options.value_size.to_string()),
        ("--connections", options.connections.to_string()),
        ("--proxy-bin", options.proxy_bin.to_string_lossy().into_owned()),
    ];
    let pairs = values.into_iter().map(|(name, value)| format!("{name}={value}"));
    ["beside".to_owned(), "--namespaced".to_owned()].into_iter().chain(pairs).collect()
}

fn site(options: &Options, dir: &Path) -> Site {
    let proxy_bin = options.proxy_bin.clone();
    Site { dir: dir.to_owned(), proxy_bin, proxy_core: None, instance_core: None, sizes: (1, 1), profile: "redis" }
}

fn ways(instances: &[Running; 2], proxy: &Running) -> Result<[Way; 2]> {
    let direct = instances.each_ref().map(|instance| (instance.address, "key:".to_owned()));
    let [first, second] = instances.each_ref().map(|instance| prefix_for(proxy.address, instance.address));
    let proxied = [(proxy.address, first?), (proxy.address, second?)];
    let way = |name, ends| Way { name, ends, series: Series::default(), rates: Vec::new() };
    Ok([way(Peer::Direct.name(), direct), way(Peer::Proxy.name(), proxied)])
}

/// A prefix of keys that the proxy places on `instance`.
fn prefix_for(proxy: SocketAddr, instance: SocketAddr) -> Result<String> {
    for tag in 0..1000 {
        let prefix = format!("{{{tag}}}key:");
        net::command(proxy, &["SET", &prefix, "1"])?;
        if net::command(instance, &["EXISTS", &prefix])?.starts_with(":1") {
            return Ok(prefix);
        }
    }
    Err(Error::Router("no key of a thousand lies on one of two instances".into()))
}

impl Way {
    fn measure(&mut self, instance: SocketAddr, options: &Options, dir: &Path) -> Result<()> {
        self.series.quiet.push(self.small_p99(0, options)?);
        let mut writers = self.start_writers(options, dir)?;
        // Until every writer is in the middle of a value.
        sleep(Duration::from_secs(2));
        self.series.same.push(self.small_p99(0, options)?);
        let (before, since) = (received(instance)?, Instant::now());
        self.series.other.push(self.small_p99(1, options)?);
        let bytes = received(instance)?.saturating_sub(before);
        self.rates.push(bytes as f64 / since.elapsed().as_secs_f64());
        if !writers.alive() {
            return Err(Error::Peer { name: "the writers", what: "ended".into(), log: writers.log_tail() });
        }
        drop(writers);
        // Until what they left behind is done.
        sleep(Duration::from_secs(1));
        Ok(())
    }

    fn start_writers(&self, options: &Options, dir: &Path) -> Result<Child> {
        let (address, prefix) = &self.ends[0];
        let values = [
            ("--to", address.to_string()),
            ("--prefix", format!("{prefix}large:")),
            ("--connections", options.writers.to_string()),
            ("--value-size", options.value_size.to_string()),
            ("--op", "set".to_owned()),
            ("--keys", "8".to_owned()),
            ("--seconds", "3600".to_owned()),
        ];
        let pairs = values.into_iter().map(|(name, value)| format!("{name}={value}"));
        let arguments: Vec<String> = ["load".to_owned()].into_iter().chain(pairs).collect();
        let own = env::current_exe().map_err(Error::system("find the path of this program"))?;
        Child::start(&own, &arguments, None, dir.join(format!("writers-{}.log", self.name)))
    }

    fn small_p99(&self, end: usize, options: &Options) -> Result<u64> {
        interrupt::check()?;
        let (address, prefix) = &self.ends[end];
        let load = LoadOptions {
            destinations: vec![*address],
            sources: Vec::new(),
            connections: options.connections,
            pipeline: 1,
            op: Op::Set,
            value_size: 64,
            prefix: prefix.clone(),
            keys: 1000,
            seconds: 0.0,
            requests: None,
            core: None,
            json: false,
        };
        let until = Until::elapsed(Duration::from_secs_f64(options.seconds));
        Ok(Load::connect(&load)?.run(until)?.checked()?.latency.value_at_quantile(0.99))
    }
}

fn print(options: &Options, ways: &[Way; 2]) {
    let Options { rounds, seconds, writers, value_size, connections, .. } = options;
    println!("p99 of SETs of 64 B, {connections} connections, beside {writers} writers of {value_size} bytes;");
    println!("median (lowest-highest) of {rounds} rounds of {seconds} s, in ms; nothing is pinned");
    println!(
        "in a network namespace with {}; the rate of the writers is that beside small requests to the other instance\n",
        namespace::congestion_control()
    );
    println!("{:<12} {:>26} {:>26} {:>26} {:>12}", "", "no writers", "same instance", "other instance", "large GiB/s");
    for Way { name, series, rates, .. } in ways {
        let [quiet, same, other] = [&series.quiet, &series.same, &series.other].map(|figures| spread(figures));
        let rate = median(rates.iter().copied()) / f64::from(1 << 30);
        println!("{name:<12} {quiet:>26} {same:>26} {other:>26} {rate:>12.2}");
    }
    let [direct, proxied] = ways.each_ref().map(|way| &way.series);
    let [quiet, same, other] =
        [(&proxied.quiet, &direct.quiet), (&proxied.same, &direct.same), (&proxied.other, &direct.other)]
            .map(|(own, other)| format!("{:.2}", ratio(own, other)));
    println!("{:<12} {quiet:>26} {same:>26} {other:>26}", "ratio");
}

/// Bytes that an instance has received since it began.
fn received(instance: SocketAddr) -> Result<u64> {
    let info = net::command(instance, &["INFO", "stats"])?;
    let field = info.lines().find_map(|line| line.strip_prefix("total_net_input_bytes:"));
    field
        .and_then(|bytes| bytes.trim().parse().ok())
        .ok_or_else(|| Error::Router("an instance does not say how many bytes it has received".into()))
}

fn spread(figures: &[u64]) -> String {
    let ms = |us: u64| us as f64 / 1000.0;
    let extremes = figures.iter().min().zip(figures.iter().max());
    extremes.map_or("-".into(), |(low, high)| {
        format!("{:.2} ({:.2}-{:.2})", median(figures.iter().map(|us| ms(*us))), ms(*low), ms(*high))
    })
}

/// Median of the ratios, round by round.
fn ratio(own: &[u64], other: &[u64]) -> f64 {
    median(own.iter().zip(other).map(|(own, other)| *own as f64 / *other as f64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratios_are_formed_round_by_round() {
        assert!((ratio(&[1, 20, 3], &[2, 40, 12]) - 0.5).abs() < 1e-9);
        assert_eq!(spread(&[1500, 1000, 3000]), "1.50 (1.00-3.00)");
    }
}
