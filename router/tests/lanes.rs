//! Lanes and their sessions: who leaves what behind, and who waits for whom.

#![allow(clippy::unwrap_used, reason = "tests may")]

use std::time::Duration;

use pdw_router::command::Table;
use pdw_router::limits::Limits;
use pdw_router::mutant::Mutation;
use pdw_router::place::{Homes, Placement, PlacementKind, PlacementOptions, Target, pdwfs_rules};
use pdw_router::{End, Input, LinkKey, LossReason, Order, Output, Profile, Router, SessionKey, Setup, Time, Wait};

const PROOF: &[u8] = b"+OK\r\n+OK\r\n*0\r\n+PONG\r\n$20\r\nid=1 addr=10.0.0.1:1\r\n";
/// Of an instance whose ACL forbids MULTI.
const WITHOUT_MULTI: &[u8] =
    b"+OK\r\n-NOPERM no\r\n-ERR EXEC without MULTI\r\n+PONG\r\n$20\r\nid=1 addr=10.0.0.1:1\r\n";
/// Keys of slots in the first and the second half.
const FIRST: &str = "b";
const SECOND: &str = "a";

/// A router, its links, and what its driver would do.
struct World {
    router: Router,
    now: Time,
    /// What the next links answer to the probe.
    proof: &'static [u8],
    /// Links in the order in which they were asked for, with their upstream; those that are gone stay.
    links: Vec<(LinkKey, usize)>,
    closed: Vec<End>,
    /// What every link was sent.
    sent: Vec<String>,
}

impl World {
    fn new(profile: Profile, limits: Limits) -> Self {
        let targets = [Target::named("x".into(), 1), Target::named("y".into(), 1)];
        let placement = Placement::new(&PlacementOptions::new(PlacementKind::Slots), &targets).unwrap();
        let setup = Setup {
            homes: Homes::new(placement, pdwfs_rules(false)).unwrap(),
            table: Table::new(),
            limits,
            profile,
            name: "pdw".into(),
            seed: 1,
            mutation: Mutation::default(),
        };
        let router = Router::new(setup, Time::default());
        let (links, closed, sent) = (Vec::new(), Vec::new(), Vec::new());
        let mut world = Self { router, now: Time::from_micros(1), proof: PROOF, links, closed, sent };
        world.turn();
        world
    }

    /// Does all that the router wants, until it wants nothing more.
    fn turn(&mut self) {
        while let Some(output) = self.router.poll_output() {
            match output {
                Output::Connect(key, upstream) => {
                    self.links.push((key, upstream));
                    self.sent.push(String::new());
                    self.router.handle(self.now, Input::LinkConnected(key));
                    self.router.handle(self.now, Input::LinkBytes(key, self.proof));
                }
                Output::Order(End::Link(key), Order::Inject) => self.write(key),
                Output::CloseSession(key) => self.closed.push(End::Session(key)),
                Output::CloseLink(key) => self.closed.push(End::Link(key)),
                _ => {}
            }
        }
    }

    fn write(&mut self, key: LinkKey) {
        let bytes = self.router.link_output(self.now, key).to_vec();
        let at = self.links.iter().position(|(link, _)| *link == key).unwrap();
        self.sent[at] += &String::from_utf8_lossy(&bytes);
        // As the real driver: nothing is reported when nothing is written.
        if !bytes.is_empty() {
            self.router.handle(self.now, Input::LinkWritten(key, bytes.len()));
        }
    }

    fn send(&mut self, session: SessionKey, text: &str) {
        self.router.handle(self.now, Input::SessionBytes(session, text.as_bytes()));
        self.turn();
    }

    fn reply(&mut self, link: usize, text: &str) {
        self.router.handle(self.now, Input::LinkBytes(self.links[link].0, text.as_bytes()));
        self.turn();
    }

    fn relayed(&mut self, end: End, bytes: u64) {
        self.router.handle(self.now, Input::Relayed(end, bytes));
        self.turn();
    }

    fn take(&mut self, session: SessionKey) -> String {
        let text = String::from_utf8_lossy(self.router.session_output(session)).into_owned();
        if !text.is_empty() {
            self.router.handle(self.now, Input::SessionWritten(session, text.len()));
        }
        self.turn();
        text
    }

    fn wait(&mut self, time: Duration) {
        let until = self.now.after(time);
        // As the real driver: it looks in whenever the router wants it to.
        while self.now < until {
            let due = self.router.poll_timeout().unwrap_or(until).max(Time::from_micros(self.now.micros() + 1));
            self.now = due.min(until);
            self.router.handle(self.now, Input::Timeout);
            self.turn();
        }
    }

    fn open(&mut self) -> SessionKey {
        self.router.open_session(self.now)
    }

    /// Begins a transaction with a large value on a new lane; its link's number.
    fn go_live(&mut self, session: SessionKey) -> usize {
        self.send(session, &format!("MULTI\r\n{}", large_set(FIRST)));
        self.relayed(End::Session(session), 100_002);
        let lane = self.links.len() - 1;
        self.reply(lane, "+OK\r\n+QUEUED\r\n");
        lane
    }
}

/// The head of a SET of 100,000 bytes.
fn large_set(key: &str) -> String {
    format!("*3\r\n$3\r\nSET\r\n$1\r\n{key}\r\n$100000\r\n")
}

fn world() -> World {
    World::new(Profile::Pdwfs, Limits { bulk_lanes: 1, retain_max: 1 << 10, ..Limits::default() })
}

#[test]
fn a_client_that_dies_before_exec_leaves_no_lane_inside_its_transaction() {
    let mut world = world();
    let session = world.open();
    let lane = world.go_live(session);
    world.router.handle(world.now, Input::SessionLost(session));
    world.turn();
    assert!(world.closed.contains(&End::Link(world.links[lane].0)), "the next session would be queued");
}

#[test]
fn reset_and_a_broken_exec_end_a_live_transaction_at_the_instance() {
    for end in ["RESET\r\n", "EXEC now\r\n"] {
        let mut world = world();
        let session = world.open();
        let lane = world.go_live(session);
        world.send(session, end);
        assert!(world.sent[lane].ends_with("DISCARD\r\n"), "{end}: {}", world.sent[lane]);
    }
    let mut world = world();
    let session = world.open();
    let lane = world.go_live(session);
    world.take(session);
    world.send(session, "QUIT\r\n");
    assert_eq!(world.take(session), "+OK\r\n");
    assert!(world.closed.contains(&End::Link(world.links[lane].0)) || world.sent[lane].ends_with("DISCARD\r\n"));
}

#[test]
fn a_lane_is_for_one_upstream() {
    let mut world = world();
    let session = world.open();
    world.send(session, &format!("MULTI\r\n{}", large_set(FIRST)));
    world.relayed(End::Session(session), 100_002);
    let lane = world.links.len() - 1;
    world.send(session, &format!("GET {SECOND}\r\nEXEC\r\n{}", large_set(SECOND)));
    assert_eq!(world.sent[lane].matches("SET").count(), 1, "{}", world.sent[lane]);
    world.reply(lane, "+OK\r\n+QUEUED\r\n+OK\r\n");
    assert!(world.take(session).contains("EXECABORT"));
    let other = world.links.len() - 1;
    assert_eq!(world.links[other].1, 1 - world.links[lane].1);
    assert!(world.sent[other].contains("SET"));
}

#[test]
fn a_session_that_goes_silent_with_a_lane_loses_it_when_others_wait() {
    let mut world = world();
    let (idle, waiting) = (world.open(), world.open());
    world.go_live(idle);
    world.take(idle);
    world.send(waiting, &large_set(FIRST));
    let due = world.router.poll_timeout().unwrap();
    assert!(due <= world.now.after(Duration::from_secs(10)), "nobody would look");
    world.wait(Duration::from_secs(10));
    assert!(world.closed.contains(&End::Session(idle)));
    assert!(world.sent.last().unwrap().contains("SET"), "the lane was not given on");
}

#[test]
fn a_client_that_ends_in_the_middle_of_a_request_on_a_lane_is_closed() {
    let mut world = world();
    let session = world.open();
    world.send(session, "*5\r\n$3\r\nSET\r\n$1\r\nb\r\n$100000\r\n");
    world.relayed(End::Session(session), 100_002);
    world.send(session, "$2\r\nEX");
    world.router.handle(world.now, Input::SessionEnded(session));
    world.turn();
    assert!(world.closed.contains(&End::Session(session)));
}

#[test]
fn a_client_that_sends_nothing_more_is_closed_when_its_large_reply_is_through() {
    let mut world = world();
    let session = world.open();
    world.send(session, &format!("GET {FIRST}\r\n"));
    let link = (0..2).find(|link| world.sent[*link].contains("GET")).unwrap();
    world.router.handle(world.now, Input::SessionEnded(session));
    world.reply(link, "$100000\r\n");
    world.take(session);
    world.relayed(End::Link(world.links[link].0), 100_002);
    assert!(world.closed.contains(&End::Session(session)));
}

#[test]
fn an_instance_that_does_not_answer_a_large_value_is_given_up() {
    let mut world = world();
    let session = world.open();
    world.send(session, &large_set(FIRST));
    world.relayed(End::Session(session), 100_002);
    for _ in 0..13 {
        world.wait(Duration::from_secs(10));
    }
    assert!(world.take(session).contains("may or may not"));
}

#[test]
fn a_session_that_waits_for_a_full_batch_wakes_when_the_batch_is_given_up() {
    for profile in [Profile::Pdwfs, Profile::Redis] {
        let mut world = World::new(profile, Limits { link_output_max: 10, ..Limits::default() });
        let (one, two) = (world.open(), world.open());
        // Not written yet: the driver's socket takes nothing.
        world.router.handle(world.now, Input::SessionBytes(one, b"GET b\r\n"));
        world.router.handle(world.now, Input::SessionBytes(two, b"GET b\r\n"));
        while world.router.poll_output().is_some() {}
        let link = world.links[0].0;
        world.router.handle(world.now, Input::LinkLost(link, pdw_router::LossReason::Closed));
        world.now = world.now.after(Duration::from_secs(61));
        world.router.handle(world.now, Input::Timeout);
        world.turn();
        assert!(world.take(one).contains("not sent"));
        world.wait(Duration::from_secs(61));
        world.wait(Duration::from_secs(61));
        let answered = world.sent.last().unwrap().contains("GET") || world.take(two).contains("not sent");
        assert!(answered, "{profile:?}: it waits for ever");
    }
}

#[test]
fn a_retired_link_does_not_make_its_upstream_unready() {
    let mut world = world();
    let session = world.open();
    world.send(session, &format!("GET {FIRST}\r\n"));
    let link = (0..2).find(|link| world.sent[*link].contains("GET")).unwrap();
    let bytes: &[u8] = b"$100000\r\n";
    world.router.handle(world.now, Input::LinkBytes(world.links[link].0, bytes));
    assert!(world.router.readiness().all(|ready| ready));
}

#[test]
fn profile_redis_refuses_a_large_value_for_an_upstream_that_is_away() {
    let mut world = World::new(Profile::Redis, Limits::default());
    let links: Vec<LinkKey> = world.links.iter().map(|(key, _)| *key).collect();
    for link in links {
        world.router.handle(world.now, Input::LinkLost(link, pdw_router::LossReason::Closed));
    }
    let session = world.open();
    world.router.handle(world.now, Input::SessionBytes(session, large_set(FIRST).as_bytes()));
    let outputs: Vec<Output> = std::iter::from_fn(|| world.router.poll_output()).collect();
    assert!(outputs.contains(&Output::Order(End::Session(session), Order::Skip { bytes: 100_002 })), "{outputs:?}");
    assert!(world.take(session).contains("not sent"));
}

#[test]
fn the_operator_is_told_once_why_an_upstream_is_down() {
    let mut world = world();
    let mut told = 0;
    for _ in 0..5 {
        let link = world.links[0].0;
        world.router.handle(world.now, Input::LinkLost(link, pdw_router::LossReason::Unreachable));
        world.now = world.now.after(Duration::from_secs(6));
        world.router.handle(world.now, Input::Timeout);
        while let Some(output) = world.router.poll_output() {
            match output {
                Output::Notice(_) => told += 1,
                Output::Connect(key, 0) => world.links[0].0 = key,
                _ => {}
            }
        }
    }
    assert_eq!(told, 1);
}

#[test]
fn a_transaction_is_not_begun_on_a_lane_that_may_not_run_multi() {
    let mut world = World::new(Profile::Pdwfs, Limits::default());
    let session = world.open();
    world.send(session, &format!("MULTI\r\nSET {FIRST} 1\r\n"));
    world.proof = WITHOUT_MULTI;
    world.send(session, &format!("*3\r\n$3\r\nSET\r\n$1\r\n{FIRST}\r\n$2000000\r\nxx"));
    world.send(session, "*1\r\n$4\r\nEXEC\r\n");
    let told = world.take(session);
    assert!(told.starts_with("+OK\r\n+QUEUED\r\n-NOPERM"), "{told}");
    assert!(told.ends_with("-EXECABORT Transaction discarded because of previous errors.\r\n"), "{told}");
    assert!(!world.sent.concat().contains("SET\r\n"), "{:?}", world.sent);
}

#[test]
fn a_transaction_that_waits_for_its_link_is_refused_when_that_may_not_run_multi() {
    let mut world = World::new(Profile::Pdwfs, Limits::default());
    let (session, lost) = (world.open(), world.links[0]);
    world.router.handle(world.now, Input::LinkLost(lost.0, LossReason::Closed));
    let key = if lost.1 == 0 { FIRST } else { SECOND };
    world.send(session, &format!("MULTI\r\nSET {key} 1\r\nEXEC\r\nGET {key}\r\n"));
    world.proof = WITHOUT_MULTI;
    world.wait(Duration::from_secs(10));
    assert_eq!(world.take(session).matches("-NOPERM").count(), 3);
    let sent = world.sent.last().unwrap();
    assert!(sent.ends_with(&format!("GET\r\n$1\r\n{key}\r\n")) && !sent.contains("SET\r\n"), "{sent}");
}

#[test]
fn a_held_transaction_is_refused_when_its_upstream_has_come_back_without_multi() {
    let mut world = World::new(Profile::Pdwfs, Limits::default());
    let session = world.open();
    world.send(session, &format!("MULTI\r\nSET {FIRST} 1\r\n"));
    world.proof = WITHOUT_MULTI;
    for index in 0..2 {
        world.router.handle(world.now, Input::LinkLost(world.links[index].0, LossReason::Closed));
    }
    world.wait(Duration::from_secs(10));
    world.send(session, "EXEC\r\n");
    assert!(world.take(session).starts_with("+OK\r\n+QUEUED\r\n-NOPERM"));
    assert!(!world.sent.concat().contains("SET\r\n"), "{:?}", world.sent);
}

#[test]
fn a_transaction_that_has_begun_is_discarded_even_if_its_lane_is_lost() {
    let mut world = World::new(Profile::Pdwfs, Limits::default());
    let session = world.open();
    world.send(session, &format!("MULTI\r\n*3\r\n$3\r\nSET\r\n$1\r\n{FIRST}\r\n$2000000\r\n"));
    world.relayed(End::Session(session), 2_000_002);
    let lane = world.links.len() - 1;
    world.reply(lane, "+OK\r\n+QUEUED\r\n");
    assert_eq!(world.take(session), "+OK\r\n+QUEUED\r\n");
    world.router.handle(world.now, Input::SessionBytes(session, b"DISCARD\r\n"));
    world.router.handle(world.now, Input::LinkLost(world.links[lane].0, LossReason::Closed));
    world.send(session, "PING\r\n");
    assert_eq!(world.take(session), "+OK\r\n+PONG\r\n");
}

/// A client asks for a list of 100 elements of 50 KiB, of which half arrive; its link's number.
fn half_a_list(world: &mut World, session: SessionKey) -> usize {
    world.send(session, &format!("LRANGE {FIRST} 0 -1\r\n"));
    let link = (0..2).find(|link| world.sent[*link].contains("LRANGE")).unwrap();
    world.reply(link, "*100\r\n");
    (0..50).for_each(|_| world.reply(link, &element()));
    link
}

fn element() -> String {
    format!("$51200\r\n{}\r\n", "x".repeat(51_200))
}

#[test]
fn a_long_reply_of_small_values_is_handed_on_as_its_session_takes_it() {
    let mut world = world();
    let session = world.open();
    let link = half_a_list(&mut world, session);
    assert!(!world.router.wants_link_bytes(world.links[link].0), "nobody holds it back");
    assert!(world.router.holding().bytes() < 8 << 20);
    // What the test gave to a link that was not to be read goes first.
    let mut text = world.take(session) + &world.take(session);
    assert!(world.router.wants_link_bytes(world.links[link].0), "it is held back for ever");
    for _ in 50..100 {
        world.reply(link, &element());
        text += &world.take(session);
    }
    assert_eq!(text, format!("*100\r\n{}", element().repeat(100)));
    assert!(world.closed.contains(&End::Link(world.links[link].0)), "the retired link stays");
}

/// A client that reads nothing of a long reply, another whose reply is behind it, and their link's number.
fn slow_and_behind(world: &mut World) -> (SessionKey, SessionKey, usize) {
    let (slow, behind) = (world.open(), world.open());
    world.router.handle(world.now, Input::SessionBytes(slow, b"LRANGE b 0 -1\r\n"));
    world.router.handle(world.now, Input::SessionBytes(behind, b"GET b\r\n"));
    world.turn();
    let link = (0..2).find(|link| world.sent[*link].contains("LRANGE")).unwrap();
    world.reply(link, "*100\r\n");
    (0..50).for_each(|_| world.reply(link, &element()));
    (slow, behind, link)
}

#[test]
fn a_proxy_that_stood_still_itself_blames_nobody() {
    let mut world = world();
    let (slow, ..) = slow_and_behind(&mut world);
    // Nothing was written meanwhile, so nobody refused to take it.
    world.wait(Duration::from_secs(100));
    assert!(!world.closed.contains(&End::Session(slow)));
    world.router.handle(world.now, Input::SessionWritten(slow, 0));
    world.wait(Duration::from_secs(9));
    assert!(!world.closed.contains(&End::Session(slow)));
    world.wait(Duration::from_secs(1));
    assert!(world.closed.contains(&End::Session(slow)));
}

#[test]
fn who_reads_nothing_of_a_long_reply_does_not_hold_up_those_behind_it() {
    let mut world = world();
    let (slow, behind, link) = slow_and_behind(&mut world);
    world.router.handle(world.now, Input::SessionWritten(slow, 0));
    world.wait(Duration::from_secs(10));
    assert!(world.closed.contains(&End::Session(slow)));
    (50..100).for_each(|_| world.reply(link, &element()));
    world.reply(link, "$-1\r\n");
    assert_eq!(world.take(behind), "$-1\r\n");
}

#[test]
fn a_session_that_leaves_in_the_middle_of_a_long_reply_leaves_no_link_behind() {
    let mut world = world();
    let session = world.open();
    let link = half_a_list(&mut world, session);
    world.router.handle(world.now, Input::SessionLost(session));
    world.turn();
    (50..100).for_each(|_| world.reply(link, &element()));
    assert!(world.closed.contains(&End::Link(world.links[link].0)));
    assert!(world.router.holding().bytes() < 8 << 20);
}

#[test]
fn more_parts_than_can_be_numbered_are_refused() {
    let mut world = world();
    let session = world.open();
    let keys = "$8\r\n:stripes\r\n".repeat(32_767);
    world.send(session, &format!("*32768\r\n$6\r\nUNLINK\r\n{keys}"));
    assert!(world.take(session).contains("name at most 32766"));
}

/// One client in the middle of a large value, another that waits for its lane.
fn mover_and_waiter(world: &mut World) -> SessionKey {
    let (mover, waiter) = (world.open(), world.open());
    world.send(mover, &large_set(FIRST));
    world.send(waiter, &large_set(FIRST));
    mover
}

#[test]
fn who_delivers_nothing_of_a_value_loses_its_lane_to_those_who_wait() {
    let mut world = world();
    let mover = mover_and_waiter(&mut world);
    world.router.handle(world.now, Input::RelayWaits(End::Session(mover), Wait::Source));
    world.wait(Duration::from_secs(9));
    assert!(!world.closed.contains(&End::Session(mover)));
    world.wait(Duration::from_secs(1));
    assert!(world.closed.contains(&End::Session(mover)));
}

#[test]
fn an_instance_that_takes_nothing_is_not_its_clients_fault() {
    let mut world = world();
    let mover = mover_and_waiter(&mut world);
    world.router.handle(world.now, Input::RelayWaits(End::Session(mover), Wait::Sink));
    for _ in 0..9 {
        world.wait(Duration::from_secs(10));
    }
    assert!(!world.closed.contains(&End::Session(mover)));
    // Awake again, it takes the rest; and then it is the client that stands still.
    world.relayed(End::Session(mover), 50_000);
    world.router.handle(world.now, Input::RelayWaits(End::Session(mover), Wait::Source));
    world.wait(Duration::from_secs(10));
    assert!(world.closed.contains(&End::Session(mover)));
}

#[test]
fn an_instance_that_takes_nothing_for_too_long_is_given_up() {
    let mut world = world();
    let mover = mover_and_waiter(&mut world);
    let lane = world.links.last().unwrap().0;
    world.router.handle(world.now, Input::RelayWaits(End::Session(mover), Wait::Sink));
    for _ in 0..12 {
        world.wait(Duration::from_secs(10));
    }
    assert!(world.closed.contains(&End::Link(lane)));
}

#[test]
fn nothing_gets_between_the_commands_of_a_transaction_whose_client_is_slow() {
    let mut world = World::new(Profile::Pdwfs, Limits { session_output_max: 1, ..Limits::default() });
    let session = world.open();
    let lane = world.go_live(session);
    // Its client takes no replies, so it is not read either.
    world.send(session, &format!("GET {FIRST}\r\n"));
    for _ in 0..4 {
        world.wait(Duration::from_secs(30));
    }
    assert!(!world.sent[lane].contains("PING\r\n*1"), "{}", world.sent[lane]);
    assert_eq!(world.sent[lane].matches("PING").count(), 0, "{}", world.sent[lane]);
}
