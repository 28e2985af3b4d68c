//! What requests cost the router alone.

use std::sync::Arc;

use pdw_auth::users::{User, Users};
use pdw_router::command::Table;
use pdw_router::{Gate, Open};
use pdw_tests::lone_router::LoneRouter;
use pdw_tests::small_requests;

use crate::counter::Threads;
use crate::{REQUESTS, SESSIONS};

/// Allocations while at least [`REQUESTS`] requests are answered, `pipeline` at a time.
fn allocations(pipeline: usize, gate: Arc<dyn Gate>) -> u64 {
    let batch: Vec<u8> = small_requests::requests().iter().cycle().take(pipeline).flatten().copied().collect();
    let batches: Vec<Vec<u8>> = if pipeline == 1 { small_requests::requests() } else { vec![batch] };
    let mut lone = LoneRouter::new(gate, SESSIONS);
    let mut rounds = |count: usize| (0..count).for_each(|at| lone.round(&batches[at % batches.len()]));
    rounds(100);
    let allocations = Threads::own().allocations(|| rounds(REQUESTS.div_ceil(pipeline * SESSIONS)));
    assert!(lone.answered >= REQUESTS);
    allocations
}

#[test]
fn single_requests_cost_the_router_none() {
    assert_eq!(allocations(1, Arc::new(Open::default())), 0);
}

#[test]
fn pipelined_requests_cost_the_router_none() {
    assert_eq!(allocations(16, Arc::new(Open::default())), 0);
}

#[test]
fn holding_requests_against_a_permit_costs_the_router_none() {
    let rules = "on nopass ~{t}* %RW~/data/* ~{/d* +@read +@write (+get ~x)";
    let user = User::parse(&Table::new(), rules).unwrap();
    let gate = || Arc::new(Users::new(vec![("default".to_owned(), user.clone())]));
    assert_eq!((allocations(1, gate()), allocations(16, gate())), (0, 0));
}
