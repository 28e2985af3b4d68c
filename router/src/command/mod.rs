//! Commands are a table, not code: generated from what real servers publish, plus one hand-written state table.
//!
//! | file | holds |
//! |---|---|
//! | `spec`, `flags` | the columns: flags, key specs, policies, with the names Redis publishes |
//! | `table`, `row` | the rows, written by `cargo run -p pdw-tests --bin command_table` |
//! | `state` | by hand: what may travel on a Shared link, each row with its why |
//! | `repeat` | by hand: what may be sent again though it may have been carried out |
//! | `reason` | what a client is told when its command is refused |
//! | `lookup` | [`Table`]: from a request to its row, and what is learned at run time |
//! | `unknown` | what a client is told when there is no such command |
//! | `keys`, `access` | which arguments of a request are keys, and what is done to them |
//! | `info` | reading a server's `COMMAND` and `COMMAND INFO` replies |

mod access;
mod flags;
pub mod info;
mod keys;
mod lookup;
mod reason;
mod repeat;
mod row;
mod spec;
mod state;
#[rustfmt::skip]
mod table;
#[cfg(test)]
pub(crate) mod testing;
mod unknown;

pub use access::{KeyAccess, first_access, key_accesses, sort_reads_by};
pub use flags::{Categories, Flags, Hints, KeyFlags};
pub use keys::{KeyError, first_key, key_positions, keys_known};
pub use lookup::{LEARNED_MAX, LearnError, PUBLISHED, Table};
pub use reason::Reason;
pub use repeat::{CONDITIONS, MAY_DIFFER, READS, Repeat, SAME, Verdict, repeat_of};
pub use spec::{
    BeginSearch, CommandId, CommandSpec, Condition, FindKeys, Gathered, KeySpec, Local, RequestPolicy, ResponsePolicy,
    Transaction, Treatment,
};
pub use state::{needs_row, state_names};
pub use unknown::{Unknown, looks_like_http};
