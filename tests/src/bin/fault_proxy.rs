//! `fault_proxy LISTEN TARGET`: stands between two processes, and takes cues for faults as lines of standard input.
//!
//! What a line may say: [`Cue`]. An empty line tells what has passed; the end of the input ends the proxy.

use std::io::{self, BufRead, Write};
use std::path::PathBuf;

use pdw_tests::address::Address;
use pdw_tests::fault::{Cue, FaultProxy};

fn main() -> io::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [listen, target] = arguments.as_slice() else {
        return Err(io::Error::other("usage: fault_proxy LISTEN TARGET; each is HOST:PORT, TARGET may be a path"));
    };
    let fault = FaultProxy::listen(&address(listen)?, &address(target)?)?;
    let mut out = io::stdout();
    writeln!(out, "{} stands before {target}", fault.address())?;
    for line in io::stdin().lock().lines() {
        writeln!(out, "{}", answer(&fault, &line?))?;
    }
    Ok(())
}

fn address(text: &str) -> io::Result<Address> {
    if text.contains('/') {
        return Ok(Address::Unix(PathBuf::from(text)));
    }
    text.parse().map(Address::Tcp).map_err(|error| io::Error::other(format!("{text}: {error}")))
}

fn answer(fault: &FaultProxy, line: &str) -> String {
    if line.trim().is_empty() {
        return fault.counts().map_or_else(|error| error.to_string(), |counts| format!("{counts:?}"));
    }
    match line.parse::<Cue>().map(|cue| fault.give(cue)) {
        Ok(Ok(())) => "ok".to_owned(),
        Ok(Err(error)) => error.to_string(),
        Err(error) => error,
    }
}
