//! What a driver may rely on; each of these once failed under the simulation.

#![allow(clippy::unwrap_used, reason = "tests may")]

use pdw_router::command::Table;
use pdw_router::limits::Limits;
use pdw_router::mutant::Mutation;
use pdw_router::place::{Homes, Placement, PlacementKind, PlacementOptions, Target};
use pdw_router::{End, Input, LinkKey, LossReason, Order, Output, Profile, Router, SessionKey, Setup, Time};

const NOW: Time = Time::from_micros(1);
/// What an instance answers to a new link.
const PROOF: &[u8] = b"+OK\r\n+OK\r\n*0\r\n+PONG\r\n";

fn router(profile: Profile, limits: Limits) -> Router {
    let targets = [Target::named("a".into(), 1), Target::named("b".into(), 1)];
    let placement = Placement::new(&PlacementOptions::new(PlacementKind::Slots), &targets).unwrap();
    let homes = Homes::new(placement, Vec::new()).unwrap();
    let (table, mutation) = (Table::new(), Mutation::default());
    Router::new(Setup { homes, table, limits, profile, name: "pdw".into(), seed: 1, mutation }, Time::default())
}

/// Drains what the router wants; the links that it wants to have.
fn drain(router: &mut Router) -> (Vec<Output>, Vec<LinkKey>) {
    let outputs: Vec<Output> = std::iter::from_fn(|| router.poll_output()).collect();
    let links = outputs.iter().filter_map(|output| match output {
        Output::Connect(key, _) => Some(*key),
        _ => None,
    });
    (outputs.clone(), links.collect())
}

/// Connects every link, writes everything.
fn connect(router: &mut Router) -> Vec<LinkKey> {
    let links = drain(router).1;
    for link in &links {
        router.handle(NOW, Input::LinkConnected(*link));
        router.handle(NOW, Input::LinkBytes(*link, PROOF));
    }
    drain(router);
    links
}

fn write(router: &mut Router, links: &[LinkKey]) {
    for link in links {
        let written = router.link_output(NOW, *link).len();
        router.handle(NOW, Input::LinkWritten(*link, written));
    }
}

fn send(router: &mut Router, session: SessionKey, text: &str) {
    router.handle(NOW, Input::SessionBytes(session, text.as_bytes()));
}

fn replies(router: &mut Router, session: SessionKey) -> String {
    let text = String::from_utf8_lossy(router.session_output(session)).into_owned();
    router.handle(NOW, Input::SessionWritten(session, text.len()));
    text
}

fn limits(request_max: usize, session_pending_max: usize) -> Limits {
    Limits { request_max, session_pending_max, ..Limits::default() }
}

#[test]
fn a_request_above_the_limit_is_refused_though_it_came_whole() {
    let mut router = router(Profile::Pdwfs, limits(30, 9));
    let session = router.open_session(NOW);
    send(&mut router, session, "*3\r\n$3\r\nSET\r\n$1\r\na\r\n$9\r\nvvvvvvvvv\r\nPING\r\n");
    let text = replies(&mut router, session);
    assert!(text.starts_with("-ERR request is longer") && text.ends_with("+PONG\r\n"), "{text}");
}

#[test]
fn a_proxy_in_front_is_not_kept_waiting_by_the_upstreams() {
    let mut leaf = router(Profile::Redis, Limits::default());
    let link = drain(&mut leaf).1[0];
    leaf.handle(NOW, Input::LinkConnected(link));
    let probe = String::from_utf8_lossy(leaf.link_output(NOW, link)).replace("pdw", "odd");
    let mut spine = router(Profile::Pdwfs, Limits::default());
    let session = spine.open_session(NOW);
    send(&mut spine, session, &probe);
    assert_eq!(replies(&mut spine, session).as_bytes(), PROOF);
}

#[test]
fn a_command_that_nobody_can_be_asked_about_is_unknown() {
    let mut router = router(Profile::Redis, limits(1 << 20, 1));
    let links = connect(&mut router);
    let session = router.open_session(NOW);
    send(&mut router, session, "FIRST\r\n");
    let control = drain(&mut router).1[0];
    router.handle(NOW, Input::LinkLost(control, LossReason::Unreachable));
    assert!(replies(&mut router, session).starts_with("-ERR unknown command 'FIRST'"));
    send(&mut router, session, "GET a\r\nSECOND\r\n");
    write(&mut router, &links);
    links.iter().for_each(|link| router.handle(NOW, Input::LinkLost(*link, LossReason::Closed)));
    let text = replies(&mut router, session) + &replies(&mut router, session);
    assert!(text.contains("-ERR unknown command 'SECOND'"), "{text}");
}

#[test]
fn nothing_is_held_of_what_a_session_sends_after_its_end() {
    let mut router = router(Profile::Pdwfs, Limits::default());
    let session = router.open_session(NOW);
    send(&mut router, session, "GET a\r\nQUIT\r\nSET a");
    send(&mut router, session, "b\r\nGET b\r\n");
    let holding = router.holding();
    assert_eq!((holding.sessions, holding.pending, holding.request_bytes), (1, 2, 0));
}

#[test]
fn a_session_is_not_read_before_the_driver_knows_what_to_skip() {
    let mut router = router(Profile::Pdwfs, limits(100, 1));
    let links = connect(&mut router);
    let session = router.open_session(NOW);
    send(&mut router, session, "GET a\r\n*3\r\n$3\r\nSET\r\n$1\r\na\r\n$200\r\nvvvv");
    write(&mut router, &links);
    links.iter().for_each(|link| router.handle(NOW, Input::LinkBytes(*link, b"$-1\r\n")));
    assert!(replies(&mut router, session).starts_with("$-1\r\n"));
    assert!(!router.wants_bytes(session));
    let outputs = drain(&mut router).0;
    assert!(outputs.contains(&Output::Order(End::Session(session), Order::Skip { bytes: 198 })));
    assert!(router.wants_bytes(session));
}

#[test]
fn a_client_that_ends_inside_a_transaction_leaves_nothing_behind() {
    let mut router = router(Profile::Pdwfs, Limits::default());
    let session = router.open_session(NOW);
    send(&mut router, session, "MULTI\r\nGET");
    router.handle(NOW, Input::SessionEnded(session));
    assert_eq!(replies(&mut router, session), "+OK\r\n");
    assert!(drain(&mut router).0.contains(&Output::CloseSession(session)));
    assert_eq!(router.holding().sessions, 0);
}
