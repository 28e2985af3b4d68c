//! The tests: many seeds, each mutant, the same seed twice.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::str::FromStr;
use std::time::{Duration, Instant};

use pdw_router::mutant::Mutant;

use crate::history::Violation;
use crate::trace::Trace;
use crate::world::World;

/// Seeds in which a mutant has to be found.
const MUTANT_SEEDS: u64 = 1_000;
/// So many seeds `make test` looks at, however long it takes: 20 s on a quiet machine.
const LEAST: u64 = 2_000;
/// And at more until this is over.
const BUDGET: Duration = Duration::from_secs(20);
/// Lines of a trace that are worth printing.
const TAIL: usize = 300;

/// What a seed came to: its trace's hash, or what was wrong.
fn outcome(seed: u64, mutant: Option<Mutant>) -> Result<u64, Violation> {
    let mut world = World::new(seed, mutant, Trace::new(false));
    let run = catch_unwind(AssertUnwindSafe(|| world.run()));
    run.unwrap_or_else(|_| Err("a panic".into()))?;
    Ok(world.trace().hash())
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

#[test]
fn every_seed_is_clean() {
    let (begun, most) = (Instant::now(), number("PDW_SEEDS"));
    let mut seed = number("PDW_FIRST").unwrap_or(0);
    let first = seed;
    let goes_on = |done| most.map_or(done < LEAST || begun.elapsed() < BUDGET && done < 100_000, |most| done < most);
    while goes_on(seed - first) {
        if let Err(violation) = outcome(seed, None) {
            panic!(
                "seed {seed}: {violation}\nreplay: PDW_SEED={seed} cargo test -p pdw-tests --test simulation one_seed -- --nocapture"
            );
        }
        seed += 1;
    }
    println!("{} seeds in {:.1} s", seed - first, begun.elapsed().as_secs_f64());
}

#[test]
fn one_seed() {
    let Some(seed) = number("PDW_SEED") else { return };
    let mutant = std::env::var("PDW_MUTANT").ok().and_then(|name| Mutant::from_str(&name).ok());
    let mut world = World::new(seed, mutant, Trace::new(true));
    let run = catch_unwind(AssertUnwindSafe(|| world.run())).unwrap_or_else(|_| Err("a panic".into()));
    println!("{}", world.trace().tail(number("PDW_LINES").map_or(TAIL, |lines| lines as usize)));
    println!("seed {seed}: {run:?}");
    assert_eq!(run, Ok(()));
}

#[test]
fn the_same_seed_is_the_same_world() {
    for seed in 0..20 {
        assert_eq!(outcome(seed, None), outcome(seed, None), "seed {seed}");
    }
    assert_ne!(outcome(0, None), outcome(1, None));
}

fn found_within_a_thousand_seeds(mutant: Mutant) {
    let first = number("PDW_FIRST").unwrap_or(0);
    let found = (first..first + MUTANT_SEEDS).find_map(|seed| Some((seed, outcome(seed, Some(mutant)).err()?)));
    let (seed, violation) = found.unwrap_or_else(|| panic!("{mutant:?} lives through {MUTANT_SEEDS} seeds"));
    println!("{mutant:?} is found by seed {seed}: {}", violation.lines().next().unwrap_or_default());
}

macro_rules! mutants {
    ($($name:ident: $mutant:ident,)*) => { $(
        #[test]
        fn $name() {
            found_within_a_thousand_seeds(Mutant::$mutant);
        }
    )* };
}

mutants! {
    a_lost_reply_is_found: LostReply,
    swapped_replies_are_found: SwappedReplies,
    reordering_over_paths_is_found: ReorderOverPaths,
    a_double_send_is_found: DoubleSend,
    a_split_multi_is_found: SplitMulti,
    a_leaked_slot_is_found: LeakedSlot,
    a_wrong_gather_order_is_found: WrongGatherOrder,
    a_stale_deadline_is_found: StaleDeadline,
    a_miscounted_skip_is_found: MiscountedSkip,
    a_missing_fence_is_found: MissingFence,
    a_repeat_of_what_counts_is_found: RepeatedAnything,
    a_repeat_after_the_deadline_is_found: RepeatAfterDeadline,
    an_answer_given_twice_is_found: AnsweredTwice,
    a_hold_that_overtakes_is_found: HoldOvertakes,
    a_session_blamed_for_its_upstream_is_found: WrongBlame,
    a_lane_that_overtakes_is_found: LaneOvertakes,
    a_missing_discard_is_found: MissingDiscard,
    a_leaked_lane_is_found: LeakedLane,
    a_repeat_whose_replies_are_miscounted_is_found: StaleReplies,
    an_unfenced_repeat_out_of_a_file_is_found: UnfencedSpool,
    a_file_that_overtakes_is_found: SpoolOvertakes,
    a_limit_that_is_not_released_is_found: LimitNotReleased,
    an_element_out_of_turn_is_found: WovenOutOfTurn,
    a_leak_of_credit_is_found: CreditLeak,
    what_came_on_a_lost_link_done_again_is_found: PositionIgnored,
    bytes_of_another_stream_are_found: WrongStream,
    a_stream_closed_too_early_is_found: StreamClosedEarly,
    a_peer_that_overtakes_is_found: PeerOvertakes,
    a_missing_fence_between_proxies_is_found: MissingPeerFence,
}
