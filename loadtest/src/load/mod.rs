//! A closed-loop load: so many connections, each waiting for the replies to its last requests before it sends more.
//!
//! One thread. Every reply is compared byte for byte with the only right one; a connection with a wrong reply is closed.

mod clients;
#[cfg(test)]
mod tests;

pub use clients::Load;

use crate::workload::{Op, Workload};
use crate::{Error, Result, net};
use clap::Args;
use hdrhistogram::Histogram;
use serde::Serialize;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// What `pdw-loadtest load` takes.
#[derive(Args, Clone, Debug)]
pub struct Options {
    /// Where to connect; connections take several addresses in turn
    #[arg(long = "to", value_name = "ADDR", required = true)]
    pub destinations: Vec<SocketAddr>,
    /// Source addresses for the connections, in turn; needed above about 17,000 to one destination
    #[arg(long = "from", value_name = "IP")]
    pub sources: Vec<IpAddr>,
    /// How many connections
    #[arg(long, default_value_t = 50)]
    pub connections: usize,
    /// Requests that a connection sends at once
    #[arg(long, default_value_t = 1)]
    pub pipeline: usize,
    /// What to ask
    #[arg(long, value_enum, default_value = "set")]
    pub op: Op,
    /// Bytes of a value
    #[arg(long, default_value_t = 64)]
    pub value_size: usize,
    /// What keys begin with; a hash tag in braces keeps them together
    #[arg(long, default_value = "key:")]
    pub prefix: String,
    /// How many keys; set through the first address before a load of GETs
    #[arg(long, default_value_t = 1000)]
    pub keys: u64,
    /// How long to run, seconds
    #[arg(long, default_value_t = 5.0)]
    pub seconds: f64,
    /// Stop after so many requests, if that is earlier
    #[arg(long)]
    pub requests: Option<u64>,
    /// Keep the load on this core
    #[arg(long)]
    pub core: Option<usize>,
    /// Print the report as JSON
    #[arg(long)]
    pub json: bool,
}

/// When a run stops sending; it then waits for what is outstanding.
#[derive(Clone, Copy, Debug)]
pub struct Until {
    /// After so long.
    pub elapsed: Duration,
    /// After so many requests sent.
    pub requests: u64,
}

impl Until {
    /// A limit in time only.
    pub fn elapsed(elapsed: Duration) -> Self {
        Self { elapsed, requests: u64::MAX }
    }
}

/// What came of a run.
#[derive(Debug)]
pub struct Outcome {
    /// Requests answered rightly.
    pub requests: u64,
    /// From the first request to the last reply.
    pub elapsed: Duration,
    /// From sending a request to its reply, microseconds.
    pub latency: Histogram<u32>,
    /// Wrong replies and lost connections.
    pub errors: u64,
    /// What the first of them was.
    pub first_error: Option<String>,
}

impl Outcome {
    fn empty() -> Result<Self> {
        // Two significant digits, from a microsecond to a minute.
        let latency = Histogram::new_with_bounds(1, 60_000_000, 2)
            .map_err(|refusal| Error::System { doing: "create a histogram", source: std::io::Error::other(refusal) })?;
        Ok(Self { requests: 0, elapsed: Duration::ZERO, latency, errors: 0, first_error: None })
    }

    /// Requests per second.
    pub fn rate(&self) -> f64 {
        self.requests as f64 / self.elapsed.as_secs_f64().max(1e-9)
    }

    /// The outcome, or the error that makes its figures worthless.
    pub fn checked(self) -> Result<Self> {
        match self.first_error {
            Some(first) => Err(Error::Replies { errors: self.errors, requests: self.requests + self.errors, first }),
            None => Ok(self),
        }
    }
}

/// The report of `pdw-loadtest load`.
#[derive(Debug, Serialize)]
pub struct Report {
    requests: u64,
    errors: u64,
    first_error: Option<String>,
    seconds: f64,
    requests_per_second: f64,
    p50_us: u64,
    p99_us: u64,
    max_us: u64,
}

impl Report {
    /// What makes its figures worthless, if anything does.
    pub fn failure(&self) -> Option<Error> {
        let first = self.first_error.clone()?;
        Some(Error::Replies { errors: self.errors, requests: self.requests + self.errors, first })
    }
}

impl std::fmt::Display for Report {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { requests, errors, seconds, requests_per_second: rate, p50_us, p99_us, max_us, .. } = self;
        write!(out, "{requests} requests, {errors} errors in {seconds:.2} s: {rate:.0}/s, ")?;
        write!(out, "p50 {p50_us} us, p99 {p99_us} us, highest {max_us} us")
    }
}

impl From<Outcome> for Report {
    fn from(outcome: Outcome) -> Self {
        Self {
            requests: outcome.requests,
            errors: outcome.errors,
            seconds: outcome.elapsed.as_secs_f64(),
            requests_per_second: outcome.rate(),
            p50_us: outcome.latency.value_at_quantile(0.50),
            p99_us: outcome.latency.value_at_quantile(0.99),
            max_us: outcome.latency.max(),
            first_error: outcome.first_error,
        }
    }
}

/// Runs one load and gives its report; errors of the load itself are in the report.
pub fn run(options: &Options) -> Result<Report> {
    if let Some(core) = options.core {
        crate::process::pin(core)?;
    }
    if options.op == Op::Get {
        let sets = Workload::under(&options.prefix, Op::Set, options.value_size, options.keys);
        net::fill(options.destinations[0], &sets, options.keys)?;
    }
    let elapsed = Duration::from_secs_f64(options.seconds);
    let until = Until { elapsed, requests: options.requests.unwrap_or(u64::MAX) };
    Ok(Load::connect(options)?.run(until)?.into())
}
