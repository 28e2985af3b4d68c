//! What a seed stands for: how many proxies, instances and clients, their limits, and how bad the day is.

use std::cell::OnceCell;
use std::time::Duration;

use fastrand::Rng;
use pdw_router::command::Table;
use pdw_router::limits::Limits;
use pdw_router::mutant::{Mutant, Mutation};
use pdw_router::place::{Homes, Placement, PlacementKind, PlacementOptions, Target};
use pdw_router::{Profile, Router, Setup, Time};

use crate::history::{History, Spool};
use crate::script::Author;
use crate::tier::{Peer, Tier};

/// The world as it is at its start.
pub(crate) struct Scenario {
    pub(crate) tiers: Vec<Tier>,
    pub(crate) instances: usize,
    pub(crate) history: History,
    /// How often something breaks, of 65536 steps.
    pub(crate) trouble: u16,
    /// Nothing breaks, it only stands still for a while.
    pub(crate) gentle: bool,
}

impl Scenario {
    /// The scenario of a seed.
    pub(crate) fn new(rng: &mut Rng, mutant: Option<Mutant>) -> Self {
        // Not of the same numbers, so that what a seed was without files it still is.
        let mut files = Rng::with_seed(rng.clone().u64(..) ^ 0x5eed);
        let spool_max = [6_200, 12_000, 1 << 30][files.usize(0..3)];
        let (spool, disk_fails) = (files.u8(0..4) > 0, files.u8(0..3) == 0);
        let limits = Limits { spool_max, ..limits(rng) };
        let more_lanes = if spool { files.usize(0..3) } else { 0 };
        let limits = Limits { bulk_lanes: limits.bulk_lanes + more_lanes, ..limits };
        let spines = if rng.u8(0..4) == 0 { rng.usize(1..3) } else { 0 };
        let each = if spines > 0 { rng.usize(1..3) } else { rng.usize(1..5) };
        let profile = if rng.bool() { Profile::Pdwfs } else { Profile::Redis };
        let kind = if rng.bool() { PlacementKind::Ring } else { PlacementKind::Pdwfs };
        let router = |shards: usize, name: &str, seed: u64| {
            let setup = Setup {
                homes: homes(kind, name, shards),
                table: table(),
                limits: limits.clone(),
                profile,
                spool: spool && profile == Profile::Pdwfs,
                name: format!("pdw-{name}"),
                seed,
                gate: std::sync::Arc::new(pdw_router::Open::default()),
                credentials: Vec::new(),
                mutation: Mutation::of(mutant),
            };
            Router::new(setup, Time::default())
        };
        let mut tiers = Vec::new();
        if spines == 0 {
            tiers.push(Tier::new(0, router(each, "only", rng.u64(..)), (0..each).map(Peer::Instance).collect()));
        } else {
            tiers.push(Tier::new(0, router(spines, "leaf", rng.u64(..)), (1..=spines).map(Peer::Tier).collect()));
            for spine in 1..=spines {
                let own = (0..each).map(|at| Peer::Instance((spine - 1) * each + at)).collect();
                tiers.push(Tier::new(spine, router(each, &format!("spine{spine}"), rng.u64(..)), own));
            }
        }
        tiers.iter_mut().for_each(|tier| tier.disk_fails = disk_fails);
        let clients = rng.usize(1..6);
        let len = [5, 20, 60][rng.usize(0..3)];
        let scripts = (0..clients).map(|client| Author::new(rng, &limits, client).write(len)).collect();
        let mut history = History::new(scripts, limits.clone(), (profile == Profile::Pdwfs, spines > 0));
        history.spool = spool.then_some(if disk_fails { Spool::Failing } else { Spool::Sound });
        Self {
            tiers,
            instances: each * spines.max(1),
            history,
            trouble: [0, 60, 200, 800][rng.usize(0..4)],
            gentle: rng.u8(0..3) == 0,
        }
    }
}

fn limits(rng: &mut Rng) -> Limits {
    let mut pick = |few: [usize; 3]| few[rng.usize(0..3)];
    let millis = |number: usize| Duration::from_millis(number as u64);
    let limits = Limits {
        key_max: 40,
        request_buffer_max: 600,
        request_max: pick([1_200, 1_500, 3_000]),
        args_max: 64,
        multi_max: pick([120, 500, 100_000]),
        memory_max: 1 << 30,
        large_min: pick([100, 300, 1 << 20]),
        retain_max: pick([100, 100, 300]),
        retain_total: pick([1 << 20, 1 << 20, 1 << 30]),
        bulk_lanes: pick([1, 2, 2]),
        stall_max: millis(pick([100, 400, 2_000])),
        session_pending_max: pick([1, 5, 60]),
        session_output_max: pick([1, 100, 2000]),
        link_output_max: pick([1, 200, 4000]),
        spool_max: 0,
        sessions_max: 100,
        patience: millis(pick([300, 1_000, 3_000])),
        reconnect_min: millis(5),
        reconnect_max: millis(pick([20, 200, 200])),
        connect_timeout: millis(pick([50, 400, 400])),
        ping_interval: millis(pick([150, 700, 900])),
        probe_after: millis(pick([100, 300, 1_000])),
        link_dead: millis(pick([1_000, 1_500, 5_000])),
    };
    assert_eq!(limits.contradictions(), Vec::<&str>::new());
    limits
}

fn homes(kind: PlacementKind, name: &str, shards: usize) -> Homes {
    let targets: Vec<Target> = (0..shards).map(|shard| Target::named(format!("{name}-{shard}"), 1)).collect();
    let placement = Placement::new(&PlacementOptions::new(kind), &targets);
    placement
        .map_err(|error| error.to_string())
        .and_then(|placement| Homes::new(placement, Vec::new()).map_err(|error| error.to_string()))
        .unwrap()
}

/// A command table as new; building one takes longer than many a scenario.
fn table() -> Table {
    thread_local!(static FRESH: OnceCell<Table> = const { OnceCell::new() });
    FRESH.with(|fresh| fresh.get_or_init(Table::new).clone())
}
