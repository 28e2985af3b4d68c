//! Output of the commands.

use std::fmt::Display;
use std::io::{self, Write};

/// Writes everything to standard output. A reader that has gone away, as `head` does, is no error.
pub(super) fn all(bytes: &[u8]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    let written = out.write_all(bytes).and_then(|()| out.flush());
    match written {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => other,
    }
}

/// Writes a line to standard error; where that is closed there is nobody to tell.
pub(super) fn complain(what: &impl Display) {
    let _ = writeln!(io::stderr(), "{what}");
}

/// Writes lines to standard output for whoever is there to read them.
pub(crate) fn say(text: &str) {
    let _ = all(format!("{text}\n").as_bytes());
}
