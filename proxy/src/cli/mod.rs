//! The command line: its arguments, and the commands that need no server.

mod args;
mod check;
mod keygen;
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

/// Prints a page of the manual: of the program, or of one of its commands.
///
/// # Errors
/// When standard output cannot be written.
pub fn man(args: &ManArgs) -> std::io::Result<()> {
    let mut command = Cli::command().disable_help_subcommand(true);
    command.build();
    let chosen = args.command.as_ref().and_then(|name| command.find_subcommand(name)).unwrap_or(&command);
    let title = args.command.as_ref().map_or_else(|| "pdw-proxy".to_owned(), |name| format!("pdw-proxy-{name}"));
    let mut page = Vec::new();
    let source = concat!("pdw-proxy ", env!("CARGO_PKG_VERSION"));
    clap_mangen::Man::new(chosen.clone()).title(title).source(source).render(&mut page)?;
    print::all(&page)
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
