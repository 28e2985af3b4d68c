//! pdw-proxy: a tiered proxy server for the Redis protocol.

use std::process::ExitCode;

use clap::Parser;
use pdw_proxy::cli::{self, Cli, Command, ServeArgs};
use pdw_proxy::config::Config;
use pdw_proxy::{log, serve, up};

fn main() -> ExitCode {
    if let Some(code) = pdw_proxy::run_helper(std::env::args_os().skip(1)) {
        return code;
    }
    match Cli::parse().command {
        Command::Serve(args) => run(&args),
        Command::Up(args) => cli::finish(up::run(&args)),
        Command::Check(args) => cli::finish(cli::check(&args)),
        Command::Route(args) => cli::finish(cli::route(&args)),
        Command::Keygen(args) => cli::finish(cli::keygen(&args)),
        Command::Reference(args) => cli::finish(cli::reference(&args)),
        Command::Completions(args) => cli::finish(cli::completions(&args)),
        Command::Man(args) => cli::finish(cli::man(&args)),
    }
}

fn run(args: &ServeArgs) -> ExitCode {
    match Config::from_args(args) {
        Ok(config) => {
            log::start(&config);
            cli::finish(serve::run(args, config))
        }
        Err(mistakes) => cli::finish(Err(mistakes)),
    }
}
