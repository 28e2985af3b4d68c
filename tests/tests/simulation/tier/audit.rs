//! Watches what a proxy writes to a link: nothing whose deadline has passed.

use pdw_router::Time;

use crate::history::{History, Violation, ensure};
use crate::resp::{self, shown};
use crate::script::Tag;

/// The requests on one link, as they leave.
#[derive(Debug, Default)]
pub(super) struct Audit {
    bytes: Vec<u8>,
    /// When the first byte of what is in `bytes` was written.
    begun: Time,
    /// When the MULTI was written whose EXEC is still to come.
    multi: Option<Time>,
}

impl Audit {
    /// Takes what was written at `now`.
    pub(super) fn written(&mut self, bytes: &[u8], now: Time, history: &History) -> Result<(), Violation> {
        if self.bytes.is_empty() {
            self.begun = now;
        }
        self.bytes.extend_from_slice(bytes);
        while let Some((args, len)) = resp::request(&self.bytes)? {
            self.bytes.drain(..len);
            let begun = std::mem::replace(&mut self.begun, now);
            match args[0].to_ascii_uppercase().as_slice() {
                b"MULTI" => self.multi = Some(begun),
                b"EXEC" => self.multi = None,
                _ => {}
            }
            // A transaction is sent whole or not at all: its first byte decides.
            let begun = self.multi.unwrap_or(begun);
            let late = Tag::all(&args).any(|tag| begun >= history.deadline(tag));
            ensure(!late, || format!("written after its deadline: {}", shown(&args.join(&b' '))))?;
        }
        Ok(())
    }
}
