//! As many descriptors as the operator allows, and a table for them.

use rustix::event::{EventfdFlags, eventfd};
use rustix::io::fcntl_dupfd_cloexec;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// The table has room for at most so many from the start: a megabyte of the kernel's. Past it it grows as it always does.
const TABLE: u64 = 1 << 17;

/// 100,000 clients need descriptors: takes as many as the operator allows.
pub(super) fn prepare() {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        tracing::warn!(%error, "the limit on open files could not be raised");
    }
    widen_table(limit.maximum.unwrap_or(TABLE).min(TABLE));
}

/// Has the kernel make the process's table of descriptors as long as it may get, while there is one thread only.
///
/// It begins with 64 and doubles. In a process with threads whoever opens the descriptor that does not fit waits for it
/// until every CPU has passed through the scheduler (`expand_fdtable` in the kernel's `fs/file.c`): 10 to 30 ms were
/// measured on two busy cores, in which a worker serves nobody. The table never gets shorter.
fn widen_table(room: u64) {
    let Ok(highest) = i32::try_from(room.saturating_sub(1)) else { return };
    // Without it there are only these pauses.
    let widened = eventfd(0, EventfdFlags::CLOEXEC).and_then(|any| fcntl_dupfd_cloexec(any, highest));
    if let Err(error) = widened {
        tracing::debug!(%error, "the table of descriptors grows as clients come");
    }
}
