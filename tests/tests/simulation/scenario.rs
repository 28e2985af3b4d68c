//! What a seed stands for: how many proxies, instances and clients, their limits, and how bad the day is.

use std::cell::OnceCell;
use std::rc::Rc;
use std::time::Duration;

use fastrand::Rng;
use pdw_router::command::Table;
use pdw_router::limits::Limits;
use pdw_router::mutant::{Mutant, Mutation};
use pdw_router::place::{Homes, Placement, PlacementKind, PlacementOptions, Target};
use pdw_router::{Peers, Profile, Router, Setup, Time};

use crate::history::{History, Spool};
use crate::script::Author;
use crate::tier::{Maker, Peer, Tier};

/// How proxies stand before each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shape {
    Alone,
    Shards,
    /// So many levels of proxies before those that stand before the instances, and how many in each of them but the
    /// first.
    Peers {
        levels: usize,
        each: usize,
    },
}

impl Shape {
    fn new(rng: &mut Rng, more: &mut Rng) -> Self {
        match rng.u8(0..8) {
            0 => Self::Shards,
            1 => Self::Peers { levels: 1, each: 1 },
            2 => Self::Peers { levels: rng.usize(1..3), each: more.usize(1..3) },
            _ => Self::Alone,
        }
    }
}

/// The world as it is at its start.
pub(crate) struct Scenario {
    pub(crate) tiers: Vec<Tier>,
    pub(crate) instances: usize,
    pub(crate) history: History,
    /// How often something breaks, of 65536 steps.
    pub(crate) trouble: u16,
    /// Nothing breaks, it only stands still for a while.
    pub(crate) gentle: bool,
    /// Proxies behind the first may be killed.
    pub(crate) tiers_die: bool,
}

impl Scenario {
    /// The scenario of a seed.
    pub(crate) fn new(rng: &mut Rng, mutant: Option<Mutant>) -> Self {
        // Not of the same numbers, so that what a seed was without files it still is.
        let mut files = Rng::with_seed(rng.clone().u64(..) ^ 0x5eed);
        let spool_max = [6_200, 12_000, 1 << 30][files.usize(0..3)];
        let (spool, disk_fails) = (files.u8(0..3) > 0, files.u8(0..3) == 0);
        // Nor of these.
        let resume_max = [100, 2_000, 1 << 20, 1 << 20][Rng::with_seed(rng.clone().u64(..) ^ 0x11).usize(0..4)];
        let spare_lanes = [0, 0, 1, 3][Rng::with_seed(rng.clone().u64(..) ^ 0x12).usize(0..4)];
        let limits = Limits { spool_max, resume_max, spare_lanes, ..limits(rng) };
        let more_lanes = if spool { files.usize(0..3) } else { 0 };
        let limits = Limits { bulk_lanes: limits.bulk_lanes + more_lanes, ..limits };
        let limits = if spool { Limits { large_min: 100, retain_max: 100, ..limits } } else { limits };
        let shape = Shape::new(rng, &mut files);
        let deep = matches!(shape, Shape::Peers { levels: 2, each: 2 });
        // What travels on framed links is kept in no file.
        let spool = spool && !matches!(shape, Shape::Peers { .. });
        let spines = if shape == Shape::Alone { 0 } else { rng.usize(1..3) };
        let each = if spines > 0 { rng.usize(1..3) } else { rng.usize(1..5) };
        // Under the other profile there are no files.
        let profile = if rng.bool() || spool || deep { Profile::Pdwfs } else { Profile::Redis };
        let kind = if rng.bool() { PlacementKind::Ring } else { PlacementKind::Pdwfs };
        let made = limits.clone();
        let router: Recipe = Rc::new(move |shards, (name, label), peers, seed, now| {
            let setup = Setup {
                homes: homes(kind, name, shards),
                peers,
                node: label.to_owned(),
                table: table(),
                limits: made.clone(),
                profile,
                spool: spool && profile == Profile::Pdwfs,
                name: format!("pdw-{label}-{seed:x}"),
                seed,
                gate: std::sync::Arc::new(pdw_router::Open::default()),
                attempts: pdw_router::Attempts::default(),
                credentials: Vec::new(),
                mutation: Mutation::of(mutant),
            };
            Router::new(setup, now)
        });
        let mut tiers = tiers(rng, shape, (each, spines), &router);
        tiers.iter_mut().for_each(|tier| tier.disk_fails = disk_fails);
        let clients = rng.usize(1..6);
        let len = [5, 20, 60][rng.usize(0..3)];
        let scripts = (0..clients)
            .map(|client| Author::new(rng, &limits, client, if spool { 2 } else { 8 }).write(len))
            .collect();
        let mut history = History::new(scripts, limits.clone(), (profile == Profile::Pdwfs, spines > 0));
        history.each = (shape == Shape::Shards).then_some(each);
        history.by_peers = matches!(shape, Shape::Peers { .. });
        history.spool = spool.then_some(if disk_fails { Spool::Failing } else { Spool::Sound });
        Self {
            tiers,
            instances: if shape == Shape::Shards { each * spines } else { each },
            history,
            trouble: if spool || deep { [60, 200, 800, 1_600] } else { [0, 60, 200, 800] }[rng.usize(0..4)],
            gentle: rng.u8(0..3) == 0,
            tiers_die: matches!(shape, Shape::Peers { .. }),
        }
    }
}

/// Makes a router before so many shards, or before peers: the shards' name, its own, a seed, the time.
type Recipe = Rc<dyn Fn(usize, (&str, &str), Option<Peers>, u64, Time) -> Router>;

/// How a proxy is made, and made again.
fn maker(recipe: &Recipe, shards: usize, (name, label): (&str, String), peers: Option<Peers>) -> Maker {
    let (recipe, name) = (Rc::clone(recipe), name.to_owned());
    Box::new(move |seed, now| recipe(shards, (&name, &label), peers, seed, now))
}

/// The proxies of a shape, the one that clients know first; `each` instances at a spine, or at all of them.
fn tiers(rng: &mut Rng, shape: Shape, (each, spines): (usize, usize), recipe: &Recipe) -> Vec<Tier> {
    let own = || (0..each).map(Peer::Instance).collect();
    let mut tiers = Vec::new();
    match shape {
        Shape::Alone => {
            let make = maker(recipe, each, ("only", "only".into()), None);
            tiers.push(Tier::new(0, make, rng.u64(..), own(), true));
        }
        // Each proxy of the second level owns a part of the keys.
        Shape::Shards => {
            let make = maker(recipe, spines, ("leaf", "leaf".into()), None);
            tiers.push(Tier::new(0, make, rng.u64(..), (1..=spines).map(Peer::Tier).collect(), true));
            for spine in 1..=spines {
                let own = (0..each).map(|at| Peer::Instance((spine - 1) * each + at)).collect();
                let name = format!("spine{spine}");
                // Behind another proxy a request's arrival is not known.
                let make = maker(recipe, each, (&name, name.clone()), None);
                tiers.push(Tier::new(spine, make, rng.u64(..), own, false));
            }
        }
        // Each of them reaches everything, at the end of `levels` framed links.
        Shape::Peers { levels, each: wide } => {
            let (mut level, mut above) = (0..1, 1);
            for more in (1..levels).map(|_| wide).chain([spines]) {
                for at in level {
                    let peers = Peers { count: more, links: rng.usize(1..3) };
                    let make = maker(recipe, 1, ("", format!("level{at}")), Some(peers));
                    tiers.push(Tier::new(
                        at,
                        make,
                        rng.u64(..),
                        (above..above + more).map(Peer::Tier).collect(),
                        false,
                    ));
                }
                (level, above) = (above..above + more, above + more);
            }
            for spine in level {
                let make = maker(recipe, each, ("spine", format!("spine{spine}")), None);
                // The deadline travels with the request.
                tiers.push(Tier::new(spine, make, rng.u64(..), own(), true));
            }
        }
    }
    tiers
}

fn limits(rng: &mut Rng) -> Limits {
    let mut pick = |few: [usize; 3]| few[rng.usize(0..3)];
    let stream_window = pick([40, 300, 4_000]);
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
        spare_lanes: 0,
        stall_max: millis(pick([100, 400, 2_000])),
        session_pending_max: pick([1, 5, 60]),
        session_output_max: pick([1, 100, 2000]),
        link_output_max: pick([1, 200, 4000]),
        spool_max: 0,
        resume_max: 0,
        stream_window,
        peer_window: stream_window * pick([1, 3, 50]),
        streams_max: 100,
        sessions_max: 100,
        patience: millis(pick([300, 1_000, 3_000])),
        reconnect_min: millis(5),
        reconnect_max: millis(pick([20, 200, 200])),
        connect_timeout: millis(pick([50, 400, 400])),
        ping_interval: millis(pick([150, 700, 900])),
        probe_after: millis(pick([100, 300, 1_000])),
        link_dead: millis(pick([1_000, 1_500, 5_000])),
    };
    let limits = Limits { connect_timeout: limits.connect_timeout.min(limits.patience), ..limits };
    assert_eq!(limits.contradictions(), Vec::<String>::new());
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
