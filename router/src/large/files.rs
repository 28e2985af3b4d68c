//! Which files have large values, as far as requests have shown.

use crate::resp::{Request, parse_integer};

/// Files whose values were large: a small table of fingerprints, newer ones over older.
///
/// The stripes of a file are alike, so the number at a key's end does not count.
#[derive(Debug)]
pub(crate) struct LargeFiles {
    slots: Box<[u32; 1024]>,
    any: bool,
}

impl Default for LargeFiles {
    fn default() -> Self {
        Self { slots: Box::new([0; 1024]), any: false }
    }
}

impl LargeFiles {
    pub(crate) fn insert(&mut self, key: &[u8]) {
        let print = fingerprint(key);
        self.slots[print as usize % 1024] = print;
        self.any = true;
    }

    pub(crate) fn contains(&self, key: &[u8]) -> bool {
        if !self.any {
            return false;
        }
        let print = fingerprint(key);
        self.slots[print as usize % 1024] == print
    }
}

/// FNV-1a of the key without the digits at its end; never 0.
fn fingerprint(key: &[u8]) -> u32 {
    let digits = key.iter().rev().take_while(|byte| byte.is_ascii_digit()).count();
    let hash = key[..key.len() - digits]
        .iter()
        .fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193));
    hash | 1
}

/// Bytes that a GETRANGE asks for, if its ends are both counted from the same side.
pub(crate) fn span(request: &Request<'_>) -> Option<u64> {
    let (start, end) = (parse_integer(request.arg(2))?, parse_integer(request.arg(3))?);
    let same_side = (start < 0) == (end < 0);
    // From the front to the end: as much as there is.
    if !same_side {
        return Some(if end < 0 { u64::MAX } else { 0 });
    }
    u64::try_from(end.checked_sub(start)?.checked_add(1)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stripes_of_a_file_are_remembered_together() {
        let mut large = LargeFiles::default();
        large.insert(b"/m/f:1");
        assert!(large.contains(b"/m/f:27") && !large.contains(b"/m/g:1"));
    }
}
