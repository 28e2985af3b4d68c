//! Routers for the session target: few shards and small limits, so that limits are met.

use std::sync::{LazyLock, OnceLock};
use std::time::Duration;

use pdw_router::command::Table;
use pdw_router::limits::Limits;
use pdw_router::mutant::Mutation;
use pdw_router::place::{Homes, Placement, PlacementKind, PlacementOptions, Target, pdwfs_rules};
use pdw_router::{Profile, Setup};

/// The least size of a large value in any of these setups.
pub(super) const LARGE_MIN: usize = 150;

/// Made once: a fuzzer makes thousands of routers a second.
static TABLE: LazyLock<Table> = LazyLock::new(Table::new);
static HOMES: [OnceLock<Option<Homes>>; 16] = [const { OnceLock::new() }; 16];

/// A router's setup as a script's first byte wants it; `None` never happens.
pub(super) fn setup(choice: u8, mutation: Mutation) -> Option<Setup> {
    let has = |bit: u8| choice & 1 << bit != 0;
    let kind = usize::from(choice >> 1 & 15);
    Some(Setup {
        homes: HOMES[kind].get_or_init(|| homes(kind)).clone()?,
        table: TABLE.clone(),
        limits: limits(has(5), has(6)),
        profile: if has(0) { Profile::Redis } else { Profile::Pdwfs },
        spool: has(7) && !has(0),
        peers: None,
        name: "pdw/fuzz".to_owned(),
        node: "fuzz".to_owned(),
        seed: u64::from(choice),
        gate: std::sync::Arc::new(pdw_router::Open::default()),
        attempts: pdw_router::Attempts::default(),
        credentials: Vec::new(),
        mutation,
    })
}

fn homes(kind: usize) -> Option<Homes> {
    let has = |bit: u8| kind & 1 << bit != 0;
    let placement = if has(1) { PlacementKind::Slots } else { PlacementKind::Pdwfs };
    let port = |index| Target::at(&format!("127.0.0.1:{}", 7000 + index), 1);
    let targets: Vec<Target> = (0..if has(0) { 3 } else { 2 }).map(port).collect();
    let rules = if has(2) { Vec::new() } else { pdwfs_rules(has(3)) };
    Homes::new(Placement::new(&PlacementOptions::new(placement), &targets).ok()?, rules).ok()
}

fn limits(is_roomy: bool, is_short_of_memory: bool) -> Limits {
    let limits = if is_roomy { roomy() } else { tight() };
    Limits { memory_max: if is_short_of_memory { 4096 } else { limits.memory_max }, ..limits }
}

fn tight() -> Limits {
    Limits {
        key_max: 64,
        request_buffer_max: 256,
        request_max: 512,
        args_max: 32,
        multi_max: 300,
        large_min: LARGE_MIN,
        retain_max: LARGE_MIN,
        retain_total: 1 << 16,
        bulk_lanes: 1,
        spare_lanes: 0,
        spool_max: 4_000,
        stall_max: Duration::from_millis(700),
        session_pending_max: 4,
        session_output_max: 128,
        link_output_max: 100,
        streams_max: 2,
        sessions_max: 3,
        patience: Duration::from_secs(1),
        reconnect_min: Duration::from_millis(10),
        reconnect_max: Duration::from_millis(100),
        connect_timeout: Duration::from_millis(500),
        ping_interval: Duration::from_secs(3),
        probe_after: Duration::from_millis(600),
        link_dead: Duration::from_secs(5),
        ..Limits::default()
    }
}

fn roomy() -> Limits {
    Limits {
        key_max: 1024,
        request_buffer_max: 2048,
        request_max: 4096,
        args_max: 256,
        multi_max: 4096,
        large_min: 1000,
        retain_max: 1000,
        bulk_lanes: 2,
        spare_lanes: 1,
        session_pending_max: 64,
        session_output_max: 4096,
        link_output_max: 4096,
        patience: Duration::from_secs(60),
        link_dead: Duration::from_secs(40),
        ..tight()
    }
}
