//! So many small requests through a router alone, for `valgrind --tool=callgrind`: what a permit costs.
//!
//!     permit_cost REQUESTS [RULES]
//!
//! Without rules everybody may do everything. The cost of a request is the difference of two counts of instructions,
//! divided by the difference of their numbers of requests.

use std::sync::Arc;

use pdw_auth::users::{User, Users};
use pdw_router::command::Table;
use pdw_router::{Gate, Open};
use pdw_tests::connection::encode;
use pdw_tests::lone_router::LoneRouter;

const SESSIONS: usize = 50;

fn main() -> Result<(), String> {
    let mut arguments = std::env::args().skip(1);
    let count = arguments.next().and_then(|count| count.parse::<usize>().ok()).ok_or("permit_cost REQUESTS [RULES]")?;
    let mut router = LoneRouter::new(gate(arguments.next().as_deref())?, SESSIONS);
    let value = "v".repeat(64);
    let batches = [encode(&["SET", "bench:0000042", &value]), encode(&["GET", "bench:0000042"])];
    (0..count.div_ceil(SESSIONS)).for_each(|round| router.round(&batches[round % 2]));
    if router.answered >= count { Ok(()) } else { Err(format!("{} answered", router.answered)) }
}

fn gate(rules: Option<&str>) -> Result<Arc<dyn Gate>, String> {
    let Some(rules) = rules else { return Ok(Arc::new(Open::default())) };
    let user = User::parse(&Table::new(), rules).map_err(|errors| format!("{errors:?}"))?;
    Ok(Arc::new(Users::new(vec![("default".to_owned(), user)])))
}
