//! One peer between a load of its own and an instance of its own.

use super::report::{Cell, Sample};
use super::rows::Row;
use crate::load::{Load, Options as LoadOptions, Until};
use crate::peers::{Peer, Running, Site};
use crate::workload::{Op, Workload};
use crate::{Result, interrupt, net};
use std::net::SocketAddr;
use std::time::Duration;

/// What runs for one cell. The instance is not shared: it would have the idle connections of all other cells to look after.
pub(super) struct Setup {
    load: Load,
    /// None where the load connects to the instance itself.
    proxy: Option<Running>,
    instance: Running,
}

impl Setup {
    /// Starts instance and proxy, notes the memory before, connects the load and lets it run for a moment unmeasured.
    pub(super) fn start(cell: &mut Cell, row: &Row, site: &Site) -> Result<Self> {
        let instance = site.start_instance()?;
        if row.reads() {
            net::fill(instance.address, &Workload::new(Op::Set, row.value_size, row.keys), row.keys)?;
        }
        let proxy = match cell.peer {
            Peer::Direct => None,
            peer => Some(site.start_proxy(peer, instance.address)?),
        };
        let first = proxy.as_ref().unwrap_or(&instance);
        cell.memory_before_kib = first.child.memory_kib().now;
        let mut load = Load::connect(&load_options(row, first.address))?;
        load.run(Until::elapsed(Duration::from_millis(200)))?.checked()?;
        Ok(Self { load, proxy, instance })
    }

    /// One sample.
    pub(super) fn measure(&mut self, row: &Row, seconds: f64) -> Result<Sample> {
        interrupt::check()?;
        if row.creates() {
            net::command(self.instance.address, &["FLUSHALL", "SYNC"])?;
        }
        // A short run first, so that no figure contains the waking of what lay idle during the other cells.
        self.load.run(Until::elapsed(Duration::from_millis(30)))?.checked()?;
        let (proxy, instance) = self.cpu_ns();
        let outcome = self.load.run(Until::elapsed(Duration::from_secs_f64(seconds)))?.checked()?;
        let (proxy_after, instance_after) = self.cpu_ns();
        let per_request = |nanoseconds: u64| nanoseconds as f64 / 1000.0 / outcome.requests.max(1) as f64;
        Ok(Sample {
            proxy_cpu_us: per_request(proxy_after.saturating_sub(proxy)),
            instance_cpu_us: per_request(instance_after.saturating_sub(instance)),
            requests_per_second: outcome.rate(),
            p50_us: outcome.latency.value_at_quantile(0.50),
            p99_us: outcome.latency.value_at_quantile(0.99),
        })
    }

    /// CPU time so far of proxy and instance.
    fn cpu_ns(&self) -> (u64, u64) {
        (self.proxy.as_ref().map_or(0, |proxy| proxy.child.cpu_ns()), self.instance.child.cpu_ns())
    }

    /// Highest resident memory of the proxy, or of the instance where there is none.
    pub(super) fn peak_kib(&self) -> u64 {
        self.proxy.as_ref().unwrap_or(&self.instance).child.memory_kib().peak
    }
}

fn load_options(row: &Row, address: SocketAddr) -> LoadOptions {
    LoadOptions {
        destinations: vec![address],
        sources: Vec::new(),
        connections: row.connections,
        pipeline: row.pipeline,
        op: row.op,
        value_size: row.value_size,
        prefix: "key:".to_owned(),
        keys: row.keys,
        seconds: 0.0,
        requests: None,
        core: None,
        json: false,
    }
}
