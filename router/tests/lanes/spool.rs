//! Large requests in files: what goes there, when they are sent, and sent again.

use std::time::Duration;

use pdw_router::limits::Limits;
use pdw_router::{End, Input, LinkKey, LossReason, SessionKey, SpoolKey, Wait};

use crate::world::{FIRST, SECOND, World, large_set};

/// Bytes of the value of `large_set`, and the line end behind it.
const VALUE: u64 = 200_002;
const FENCED: &str = ":1\r\n";

fn spooling() -> World {
    World::spooling(Limits::default())
}

impl World {
    /// Has a session send a large SET; the file that has it.
    fn spool_set(&mut self, session: SessionKey, key: &str) -> SpoolKey {
        self.send(session, &large_set(key));
        self.relayed(End::Session(session), VALUE);
        self.files.last().unwrap().0
    }

    /// The lane to which this file was relayed last, and how many bytes.
    fn sent_to(&self, file: SpoolKey) -> Option<(LinkKey, u64)> {
        self.relays.iter().rev().find_map(|relay| match relay {
            (End::Spool(from), End::Link(lane), bytes) if *from == file => Some((*lane, *bytes)),
            _ => None,
        })
    }

    fn times_sent(&self, file: SpoolKey) -> usize {
        self.relays.iter().filter(|(from, ..)| *from == End::Spool(file)).count()
    }

    fn number(&self, link: LinkKey) -> usize {
        self.links.iter().position(|(key, _)| *key == link).unwrap()
    }

    fn lose(&mut self, link: LinkKey) {
        self.router.handle(self.now, Input::LinkLost(link, LossReason::Closed));
        self.turn();
    }

    /// The Shared link to the upstream of a key has been told to close a lost link, and says that it did.
    fn confirm_fence(&mut self, upstream: usize) {
        let at = (0..self.links.len()).find(|at| self.links[*at].1 == upstream).unwrap();
        assert!(self.sent[at].contains("KILL"), "no fence");
        self.reply(at, FENCED);
    }

    fn is_closed(&self, file: SpoolKey) -> bool {
        self.closed.contains(&End::Spool(file))
    }
}

#[test]
fn a_large_request_is_sent_when_it_is_whole_and_its_file_lasts_until_it_is_answered() {
    let mut world = spooling();
    let session = world.open();
    let links = world.links.len();
    world.send(session, &large_set(FIRST));
    world.relayed(End::Session(session), VALUE - 1);
    assert_eq!(world.links.len(), links, "a lane before it is whole");
    world.relayed(End::Session(session), 1);
    let (file, head) = world.files[0].clone();
    assert_eq!(head, large_set(FIRST));
    let (lane, bytes) = world.sent_to(file).unwrap();
    assert_eq!(bytes, head.len() as u64 + VALUE);
    world.relayed(End::Spool(file), bytes);
    assert!(!world.is_closed(file), "it is not answered");
    world.reply(world.number(lane), "+OK\r\n");
    assert!(world.is_closed(file));
    assert_eq!(world.take(session), "+OK\r\n");
    assert_eq!((world.router.holding().spools, world.router.holding().spooled_bytes), (0, 0));
}

#[test]
fn a_lost_request_is_sent_again_from_its_first_byte_when_the_fence_is_confirmed() {
    for passed in [1, 100_000, VALUE] {
        let mut world = spooling();
        let session = world.open();
        let file = world.spool_set(session, FIRST);
        let (lane, bytes) = world.sent_to(file).unwrap();
        world.relayed(End::Spool(file), passed);
        let upstream = world.links[world.number(lane)].1;
        world.lose(lane);
        assert_eq!(world.times_sent(file), 1, "it is not fenced");
        world.confirm_fence(upstream);
        let (again, more) = world.sent_to(file).unwrap();
        assert!(again != lane && more == bytes && world.times_sent(file) == 2);
        world.relayed(End::Spool(file), bytes);
        world.reply(world.number(again), "+OK\r\n");
        assert_eq!(world.take(session), "+OK\r\n");
    }
}

#[test]
fn what_counts_is_sent_again_only_if_nothing_of_it_was_sent() {
    for (passed, heard) in [(0, "+OK\r\n"), (1, "may or may not")] {
        let mut world = spooling();
        let session = world.open();
        world.send(session, &large_set(FIRST).replace("SET", "APPEND").replace("$3", "$6"));
        world.relayed(End::Session(session), VALUE);
        let file = world.files[0].0;
        let (lane, bytes) = world.sent_to(file).unwrap();
        world.relayed(End::Spool(file), passed);
        let upstream = world.links[world.number(lane)].1;
        world.lose(lane);
        world.confirm_fence(upstream);
        if passed == 0 {
            let (again, _) = world.sent_to(file).unwrap();
            world.relayed(End::Spool(file), bytes);
            world.reply(world.number(again), "+OK\r\n");
        }
        assert!(world.take(session).contains(heard), "{passed}");
        assert!(world.is_closed(file));
    }
}

#[test]
fn an_option_behind_the_value_makes_it_unrepeatable() {
    for (rest, passes) in [("$2\r\nEX\r\n$3\r\n100\r\n", true), ("$2\r\nEX\r\n$2\r\nNX\r\n", false)] {
        let mut world = spooling();
        let session = world.open();
        world.send(session, &large_set(FIRST).replace("*3", "*5"));
        world.relayed(End::Session(session), VALUE);
        world.send(session, rest);
        let file = world.files[0].0;
        let (lane, bytes) = world.sent_to(file).unwrap();
        assert_eq!(bytes, (large_set(FIRST).len() + rest.len()) as u64 + VALUE);
        world.relayed(End::Spool(file), bytes);
        let upstream = world.links[world.number(lane)].1;
        world.lose(lane);
        world.confirm_fence(upstream);
        assert_eq!(world.times_sent(file), if passes { 2 } else { 1 }, "{rest}");
        assert_eq!(world.take(session).contains("may or may not"), !passes);
    }
}

#[test]
fn an_error_that_passes_is_sat_out() {
    let mut world = spooling();
    let session = world.open();
    let file = world.spool_set(session, FIRST);
    let (lane, bytes) = world.sent_to(file).unwrap();
    world.relayed(End::Spool(file), bytes);
    world.reply(world.number(lane), "-OOM command not allowed when used memory > 'maxmemory'.\r\n");
    assert_eq!(world.take(session), "");
    world.wait(Duration::from_millis(100));
    assert_eq!(world.times_sent(file), 2);
    world.relayed(End::Spool(file), bytes);
    world.reply(world.number(world.sent_to(file).unwrap().0), "+OK\r\n");
    assert_eq!(world.take(session), "+OK\r\n");
}

#[test]
fn after_the_patience_the_instances_own_words_are_handed_on() {
    let mut world = World::spooling(Limits { patience: Duration::from_secs(5), ..Limits::default() });
    let session = world.open();
    let file = world.spool_set(session, FIRST);
    for _ in 0..50 {
        if let Some((lane, bytes)) = world.sent_to(file).filter(|_| !world.is_closed(file)) {
            let sent = world.times_sent(file);
            world.relayed(End::Spool(file), bytes);
            world.reply(world.number(lane), "-LOADING Redis is loading the dataset in memory\r\n");
            while world.times_sent(file) == sent && !world.is_closed(file) {
                world.wait(Duration::from_millis(100));
            }
        }
    }
    let heard = world.take(session);
    assert!(heard.starts_with("-LOADING"), "{heard}");
    assert!(world.is_closed(file));
}

#[test]
fn a_transaction_is_kept_from_multi_to_exec_and_its_commands_are_answered_here() {
    let mut world = spooling();
    let session = world.open();
    world.send(session, &format!("MULTI\r\nGET {FIRST}\r\n{}", large_set(FIRST)));
    world.relayed(End::Session(session), VALUE);
    world.send(session, &format!("GET {FIRST}\r\n"));
    assert_eq!(world.take(session), "+OK\r\n+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n");
    let file = world.files[0].0;
    assert_eq!(world.sent_to(file), None, "it is not whole");
    world.send(session, "EXEC\r\n");
    let (lane, bytes) = world.sent_to(file).unwrap();
    assert_eq!(bytes, world.files[0].1.len() as u64 + VALUE);
    assert!(world.files[0].1.starts_with("*1\r\n$5\r\nMULTI\r\n") && world.files[0].1.ends_with("EXEC\r\n"));
    world.relayed(End::Spool(file), bytes);
    let upstream = world.links[world.number(lane)].1;
    world.reply(world.number(lane), "+OK\r\n+QUEUED\r\n+QUEUED\r\n");
    world.lose(lane);
    world.confirm_fence(upstream);
    let lane = world.sent_to(file).unwrap().0;
    world.relayed(End::Spool(file), bytes);
    world.reply(world.number(lane), "+OK\r\n+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n*3\r\n$-1\r\n+OK\r\n$1\r\nv\r\n");
    assert_eq!(world.take(session), "*3\r\n$-1\r\n+OK\r\n$1\r\nv\r\n");
    assert!(world.is_closed(file));
}

#[test]
fn a_transaction_whose_home_is_another_or_whose_client_leaves_is_never_sent() {
    let mut world = spooling();
    let session = world.open();
    world.send(session, &format!("MULTI\r\n{}", large_set(FIRST)));
    world.relayed(End::Session(session), VALUE);
    world.send(session, &format!("GET {SECOND}\r\nEXEC\r\n"));
    assert!(world.take(session).contains("EXECABORT"));
    let gone = world.open();
    world.send(gone, &format!("MULTI\r\n{}", large_set(FIRST)));
    world.relayed(End::Session(gone), VALUE);
    world.router.handle(world.now, Input::SessionLost(gone));
    world.turn();
    assert!(world.files.len() == 2 && world.files.iter().all(|(file, _)| world.is_closed(*file)));
    assert!(world.relays.iter().all(|(from, ..)| !matches!(from, End::Spool(_))));
}

#[test]
fn what_is_whole_is_sent_though_its_client_is_gone() {
    let mut world = spooling();
    let session = world.open();
    let file = world.spool_set(session, FIRST);
    world.router.handle(world.now, Input::SessionLost(session));
    world.turn();
    let (lane, bytes) = world.sent_to(file).unwrap();
    assert!(!world.is_closed(file) && !world.router.is_quiet());
    world.relayed(End::Spool(file), bytes);
    world.reply(world.number(lane), "+OK\r\n");
    assert!(world.is_closed(file) && world.router.is_quiet());
}

#[test]
fn a_session_that_stands_still_while_it_fills_its_file_holds_no_lane() {
    let mut world = spooling();
    let (idle, other) = (world.open(), world.open());
    world.send(idle, &large_set(FIRST));
    let file = world.spool_set(other, FIRST);
    assert!(world.sent_to(file).is_some());
    world.wait(Duration::from_secs(30));
    assert!(!world.closed.contains(&End::Session(idle)), "it is in nobody's way");
}

#[test]
fn it_is_closed_when_others_wait_for_room() {
    let mut world = World::spooling(Limits { spool_max: 500_000, ..Limits::default() });
    let (idle, one, two) = (world.open(), world.open(), world.open());
    world.send(idle, &large_set(FIRST));
    world.send(one, &large_set(SECOND));
    world.send(two, &large_set(FIRST));
    assert_eq!(world.files.len(), 2, "there is room for two");
    assert!(!world.router.wants_bytes(two));
    for session in [idle, one] {
        world.router.handle(world.now, Input::RelayWaits(End::Session(session), Wait::Source));
    }
    world.wait(Duration::from_secs(5));
    world.relayed(End::Session(one), 1);
    world.wait(Duration::from_secs(6));
    assert!(world.closed.contains(&End::Session(idle)) && !world.closed.contains(&End::Session(one)));
    assert_eq!(world.files.len(), 3);
}

#[test]
fn one_upstream_does_not_take_the_room_of_the_others() {
    let mut world = World::spooling(Limits { spool_max: 1_000_000, ..Limits::default() });
    let sessions: Vec<SessionKey> = (0..5).map(|_| world.open()).collect();
    sessions.iter().for_each(|session| world.send(*session, &large_set(FIRST)));
    assert_eq!(world.files.len(), 2, "more than is left for others");
    let other = world.open();
    world.send(other, &large_set(SECOND));
    assert_eq!(world.files.len(), 3);
}

#[test]
fn while_its_upstream_is_away_a_client_waits_in_tcp() {
    let mut world = spooling();
    let session = world.open();
    let shared: Vec<LinkKey> = world.links.iter().map(|(key, _)| *key).collect();
    for link in &shared {
        world.router.handle(world.now, Input::LinkLost(*link, LossReason::Closed));
    }
    world.router.handle(world.now, Input::SessionBytes(session, large_set(FIRST).as_bytes()));
    assert!(!world.router.wants_bytes(session) && world.files.is_empty());
    world.wait(Duration::from_secs(2));
    assert_eq!(world.files.len(), 1);
}

#[test]
fn where_no_file_can_be_made_it_passes_as_without_a_spool() {
    let mut world = spooling();
    world.disk_is_full = true;
    let session = world.open();
    world.send(session, &large_set(FIRST));
    world.relayed(End::Session(session), VALUE);
    let lane = world.links.len() - 1;
    assert!(world.sent[lane].contains("SET"));
    world.reply(lane, "+OK\r\n");
    assert_eq!(world.take(session), "+OK\r\n");
    world.disk_is_full = false;
    world.spool_set(session, FIRST);
    assert_eq!(world.files.len(), 2, "the next one is kept again");
}

#[test]
fn a_file_that_fails_while_it_is_filled_costs_its_request_alone() {
    for rest in ["", "$2\r\nEX\r\n$3\r\n100\r\n"] {
        let mut world = spooling();
        let session = world.open();
        let head = large_set(FIRST).replace("*3", if rest.is_empty() { "*3" } else { "*5" });
        world.send(session, &head);
        world.relayed(End::Session(session), 1000);
        world.router.handle(world.now, Input::SpoolFailed(world.files[0].0));
        let skip = std::iter::from_fn(|| world.router.poll_output()).find_map(|output| match output {
            pdw_router::Output::Order(End::Session(_), pdw_router::Order::Skip { bytes }) => Some(bytes),
            _ => None,
        });
        assert_eq!(skip, Some(VALUE - 1000));
        world.send(session, &format!("{rest}PING\r\n"));
        let heard = world.take(session);
        assert!(heard.starts_with("-ERR the spool") && heard.ends_with("+PONG\r\n"), "{heard}");
    }
}

#[test]
fn a_transaction_whose_file_fails_is_not_carried_out() {
    let mut world = spooling();
    let session = world.open();
    world.send(session, &format!("MULTI\r\n{}", large_set(FIRST)));
    world.relayed(End::Session(session), 1000);
    world.router.handle(world.now, Input::SpoolFailed(world.files[0].0));
    world.turn();
    world.send(session, &format!("GET {FIRST}\r\nEXEC\r\nPING\r\n"));
    let heard = world.take(session);
    assert!(heard.starts_with("+OK\r\n-ERR the spool") && heard.contains("+QUEUED\r\n-EXECABORT"), "{heard}");
    assert!(heard.ends_with("+PONG\r\n"), "{heard}");
}

#[test]
fn a_transaction_that_finds_no_more_room_is_refused() {
    let mut world = World::spooling(Limits { spool_max: 500_000, ..Limits::default() });
    let session = world.open();
    world.send(session, &format!("MULTI\r\n{}", large_set(FIRST)));
    world.relayed(End::Session(session), VALUE);
    world.send(session, &large_set(FIRST));
    world.relayed(End::Session(session), VALUE);
    world.send(session, &large_set(FIRST));
    world.send(session, "EXEC\r\n");
    let heard = world.take(session);
    assert!(heard.contains("-ERR transaction is longer") && heard.contains("-EXECABORT"), "{heard}");
}

#[test]
fn a_request_waits_for_its_sessions_own_on_the_same_shard() {
    let mut world = spooling();
    let session = world.open();
    world.send(session, &format!("SET {FIRST} 1\r\n"));
    world.send(session, &large_set(FIRST));
    assert!(world.files.is_empty(), "it would overtake");
    let link = (0..2).find(|link| world.sent[*link].contains("SET")).unwrap();
    world.reply(link, "+OK\r\n");
    assert_eq!(world.files.len(), 1);
    world.relayed(End::Session(session), VALUE);
    world.send(session, &format!("SET {FIRST} 2\r\n"));
    assert_eq!(world.sent[link].matches("SET").count(), 1, "it would overtake");
}

#[test]
fn a_request_that_waits_for_a_lane_has_time_as_long_as_others_are_taken() {
    let limits = Limits { patience: Duration::from_secs(5), ..Limits::default() };
    let mut world = World::spooling(limits);
    let (one, two) = (world.open(), world.open());
    let first = world.spool_set(one, FIRST);
    let second = world.spool_set(two, FIRST);
    assert!(world.sent_to(second).is_none(), "there is one lane");
    for _ in 0..10 {
        world.wait(Duration::from_secs(2));
        world.relayed(End::Spool(first), 100);
    }
    assert_eq!(world.take(two), "");
    world.wait(Duration::from_secs(6));
    assert!(world.take(two).contains("was not sent"), "nothing is taken any more");
    assert!(world.is_closed(second) && !world.is_closed(first));
}

#[test]
fn an_answer_that_comes_before_all_is_sent_frees_the_lane_only_afterwards() {
    let mut world = spooling();
    let (one, two) = (world.open(), world.open());
    let first = world.spool_set(one, FIRST);
    let (lane, bytes) = world.sent_to(first).unwrap();
    world.relayed(End::Spool(first), 1000);
    world.reply(world.number(lane), "-ERR request is longer than limits.request_max\r\n");
    let second = world.spool_set(two, FIRST);
    assert!(world.take(one).starts_with("-ERR request") && world.sent_to(second).is_none());
    world.relayed(End::Spool(first), bytes - 1000);
    assert!(world.is_closed(first) && world.sent_to(second).is_some());
}

#[test]
fn an_answer_that_comes_before_all_is_sent_leaves_no_file_when_the_lane_is_lost_then() {
    let mut world = spooling();
    let session = world.open();
    let file = world.spool_set(session, FIRST);
    let lane = world.sent_to(file).unwrap().0;
    world.relayed(End::Spool(file), 1000);
    world.reply(world.number(lane), "-ERR request is longer than limits.request_max\r\n");
    world.lose(lane);
    assert!(world.is_closed(file));
}
