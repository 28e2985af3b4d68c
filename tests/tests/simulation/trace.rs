//! What happened, line by line: always as a hash, as text where somebody is to read it.

use std::fmt::{self, Write};

use pdw_router::Time;

/// A run's events in order.
#[derive(Debug)]
pub(crate) struct Trace {
    hash: u64,
    text: Option<String>,
}

impl Trace {
    /// A trace that is only hashed, or kept as `text` too.
    pub(crate) fn new(text: bool) -> Self {
        Self { hash: 0xCBF2_9CE4_8422_2325, text: text.then(String::new) }
    }

    /// Adds a line.
    pub(crate) fn note(&mut self, now: Time, line: fmt::Arguments<'_>) {
        // Neither writer fails.
        let _ = write!(Hasher(&mut self.hash), "{} {line}", now.micros());
        if let Some(text) = &mut self.text {
            let _ = writeln!(text, "{:>9} us  {line}", now.micros());
        }
    }

    /// FNV-1a of all lines.
    pub(crate) fn hash(&self) -> u64 {
        self.hash
    }

    /// The last lines, if they were kept.
    pub(crate) fn tail(&self, lines: usize) -> String {
        let Some(text) = &self.text else { return String::new() };
        let all: Vec<&str> = text.lines().collect();
        all[all.len().saturating_sub(lines)..].join("\n")
    }
}

struct Hasher<'h>(&'h mut u64);

impl Write for Hasher<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            *self.0 = (*self.0 ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3);
        }
        Ok(())
    }
}
