//! Gives memory back that the allocator keeps after a burst.
//!
//! glibc gives back what is free at the end of a heap only, so that one small buffer at the end keeps a whole burst
//! resident: see malloc_trim(3).

use std::convert::Infallible;
use std::time::Duration;

use crate::admin::resident_bytes;

/// First pause between two looks; doubles while there is nothing to give back.
const PAUSE_MIN: Duration = Duration::from_secs(2);
const PAUSE_MAX: Duration = Duration::from_secs(16);

/// What may be resident above what was at the start before a look is worth its while, bytes.
const WORTH: f64 = 4e6;

/// Gives back what is free, now and then, for as long as it is polled.
pub(super) async fn give_back_memory() -> Infallible {
    let resident = || resident_bytes().unwrap_or(0.0);
    let start = resident();
    let mut pause = PAUSE_MIN;
    loop {
        tokio::time::sleep(pause).await;
        let before = resident();
        if before > start + WORTH {
            trim();
        }
        let given = resident() + WORTH / 4.0 < before;
        pause = if given { PAUSE_MIN } else { (pause * 2).min(PAUSE_MAX) };
    }
}

#[cfg(target_env = "gnu")]
#[expect(unsafe_code, reason = "glibc's way to have memory given back has no safe wrapper")]
fn trim() {
    // SAFETY: the declaration is malloc.h's.
    unsafe extern "C" {
        fn malloc_trim(pad: usize) -> std::ffi::c_int;
    }
    // SAFETY: may be called at any time from any thread; it takes the allocator's own locks and moves nothing.
    unsafe { malloc_trim(0) };
}

/// Other allocators give back by themselves.
#[cfg(not(target_env = "gnu"))]
fn trim() {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_free_between_buffers_in_use_is_given_back() {
        let buffers: Vec<Vec<u8>> = (0..4000).map(|_| vec![1; 16 << 10]).collect();
        let last = buffers.last().cloned();
        drop(buffers);
        let before = resident_bytes().unwrap();
        trim();
        let after = resident_bytes().unwrap();
        assert!(last.is_some() && after + 16e6 < before, "{after} of {before} bytes");
    }
}
