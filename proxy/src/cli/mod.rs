//! The command line: its arguments, and the commands that need no server.

mod args;
mod check;
mod keygen;
mod man;
mod print;
mod route;

use std::process::ExitCode;

use clap::CommandFactory;

pub use args::{
    CheckArgs, Cli, Command, CompletionsArgs, KeyKind, KeygenArgs, ManArgs, Page, ReferenceArgs, RouteArgs, ServeArgs,
    UpArgs,
};
pub use check::{CheckError, check};
pub use keygen::{KeygenError, keygen};
pub use man::man;
pub(crate) use print::say;
pub use route::{RouteError, route};

use crate::config::reference_page;
use crate::failures::failures_page;

/// Prints the completions of a shell.
///
/// # Errors
/// When standard output cannot be written.
pub fn completions(args: &CompletionsArgs) -> std::io::Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "pdw-proxy", &mut script);
    print::all(&script)
}

/// Prints a page of the reference.
///
/// # Errors
/// When standard output cannot be written.
pub fn reference(args: &ReferenceArgs) -> std::io::Result<()> {
    let page = match args.page {
        Page::Options => reference_page(),
        Page::Metrics => pdw_metrics::reference(),
        Page::Failures => failures_page(),
    };
    print::all(page.as_bytes())
}

/// Turns a command's result into the exit status, and tells the error.
pub fn finish<E: std::error::Error>(result: Result<(), E>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            print::complain(&error);
            ExitCode::FAILURE
        }
    }
}
