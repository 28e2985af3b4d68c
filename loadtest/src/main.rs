//! `pdw-loadtest`: load, benchmarks beside peers, idle cost, microbenchmarks, and the null proxy.

use clap::{Parser, Subcommand};
use pdw_loadtest::{Error, Result, bench, beside, idle, interrupt, load, micro, null_proxy, process, seals};
use std::process::ExitCode;

#[derive(Parser)]
#[command(version, about = "Load and benchmarks for pdw-proxy; loadtest/README.md says how to read the tables")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Put a closed-loop load on an address and report rate and latency
    Load(load::Options),
    /// Measure this proxy and its peers side by side
    Bench(bench::Options),
    /// Measure what small requests suffer beside writers of large values
    Beside(beside::Options),
    /// Measure what sealed links between proxies cost, beside real spiped daemons
    Seals(seals::Options),
    /// Measure the memory of idle connections
    Idle(idle::Options),
    /// Time scanner, command lookup and placement alone
    Micro(micro::Options),
    /// The least that a proxy can do, for requests and replies of constant size
    NullProxy(null_proxy::Options),
}

fn main() -> ExitCode {
    match run(&Arguments::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("pdw-loadtest: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: &Command) -> Result<()> {
    interrupt::listen()?;
    match command {
        Command::Load(options) => report_load(options),
        Command::Bench(options) => bench::run(options),
        Command::Beside(options) => beside::run(options),
        Command::Seals(options) => seals::run(options),
        Command::Idle(options) => idle::run(options),
        Command::Micro(options) => micro::run(options),
        Command::NullProxy(options) => null_proxy::run(options),
    }
}

fn report_load(options: &load::Options) -> Result<()> {
    process::raise_file_limit()?;
    let report = load::run(options)?;
    if options.json {
        println!("{}", serde_json::json!(report));
    } else {
        println!("{report}");
    }
    report.failure().map_or(Ok(()), Err::<(), Error>)
}
