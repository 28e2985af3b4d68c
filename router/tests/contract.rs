//! What a driver may rely on; each of these once failed under the simulation.

#![allow(clippy::unwrap_used, reason = "tests may")]

use std::sync::Arc;
use std::time::Duration;

use pdw_router::command::Table;
use pdw_router::limits::Limits;
use pdw_router::mutant::Mutation;
use pdw_router::place::{Homes, Placement, PlacementKind, PlacementOptions, Target};
use pdw_router::{
    Attempts, End, Input, LinkKey, LossReason, Open, Order, Output, Profile, Refusal, Router, SessionKey, Setup, Time,
};

const NOW: Time = Time::from_micros(1);
/// What an instance answers to a new link.
const PROOF: &[u8] = b"+OK\r\n+OK\r\n*0\r\n+PONG\r\n$20\r\nid=1 addr=10.0.0.1:1\r\n";

fn router(profile: Profile, limits: Limits) -> Router {
    let targets = [Target::named("a".into(), 1), Target::named("b".into(), 1)];
    let placement = Placement::new(&PlacementOptions::new(PlacementKind::Slots), &targets).unwrap();
    let homes = Homes::new(placement, Vec::new()).unwrap();
    let (table, mutation) = (Table::new(), Mutation::default());
    let (gate, credentials) = (Arc::new(Open::default()), Vec::new());
    let (name, node, peers) = ("pdw".into(), "test".into(), None);
    let (spool, seed, attempts) = (false, 1, Attempts::default());
    let setup =
        Setup { homes, peers, table, limits, profile, spool, name, node, seed, gate, attempts, credentials, mutation };
    Router::new(setup, Time::default())
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
    let request_buffer_max = request_max.min(1 << 20);
    Limits { request_buffer_max, request_max, session_pending_max, ..Limits::default() }
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
    let proof = replies(&mut spine, session);
    assert!(proof.starts_with("+OK\r\n+OK\r\n*0\r\n+PONG\r\n$") && !proof.contains("addr="), "{proof}");
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

/// The beginning of a large value for a key, of which 96 bytes and the line end are missing.
fn large(key: &str) -> String {
    format!("*3\r\n$3\r\nSET\r\n$1\r\n{key}\r\n$100\r\nvvvv")
}

fn large_limits() -> Limits {
    Limits { large_min: 64, retain_max: 64, ..Limits::default() }
}

/// A router whose client has sent `text`, which ends in a large value; the lane that it took.
fn on_a_lane(text: &str) -> (Router, SessionKey, LinkKey) {
    let mut router = router(Profile::Pdwfs, large_limits());
    connect(&mut router);
    let session = router.open_session(NOW);
    send(&mut router, session, text);
    let lane = connect(&mut router)[0];
    write(&mut router, &[lane]);
    (router, session, lane)
}

#[test]
fn a_large_value_for_another_shard_leaves_no_reply_of_its_transaction_waiting() {
    let mut router = router(Profile::Pdwfs, large_limits());
    connect(&mut router);
    let session = router.open_session(NOW);
    send(&mut router, session, &format!("MULTI\r\nGET a\r\n{}", large("b")));
    let text = replies(&mut router, session);
    assert!(text.starts_with("+OK\r\n+QUEUED\r\n-CROSSSLOT"), "{text}");
}

#[test]
fn a_lane_is_closed_when_its_client_is_lost_inside_a_transaction() {
    let (mut router, session, lane) = on_a_lane(&format!("MULTI\r\n{}", large("a")));
    router.handle(NOW, Input::Relayed(End::Session(session), 98));
    router.handle(NOW, Input::LinkBytes(lane, b"+OK\r\n+QUEUED\r\n"));
    router.handle(NOW, Input::SessionLost(session));
    assert!(drain(&mut router).0.contains(&Output::CloseLink(lane)));
}

#[test]
fn a_lane_is_not_used_for_another_shard() {
    let (mut router, session, lane) = on_a_lane(&format!("MULTI\r\n{}", large("a")));
    router.handle(NOW, Input::Relayed(End::Session(session), 98));
    send(&mut router, session, "GET b\r\nEXEC\r\nGETRANGE b 0 99\r\n");
    let bytes = String::from_utf8_lossy(router.link_output(NOW, lane)).into_owned();
    assert!(bytes.contains("DISCARD") && !bytes.contains("GETRANGE"), "{bytes}");
}

#[test]
fn a_lane_does_not_overtake_the_shared_link() {
    let (mut router, session, lane) = on_a_lane(&format!("MULTI\r\n{}", large("a")));
    router.handle(NOW, Input::Relayed(End::Session(session), 98));
    send(&mut router, session, "GET b\r\nEXEC\r\nSETRANGE a 9 x\r\nGETRANGE a 0 99\r\n");
    let bytes = String::from_utf8_lossy(router.link_output(NOW, lane)).into_owned();
    assert!(!bytes.contains("GETRANGE"), "{bytes}");
}

#[test]
fn nothing_more_is_relayed_to_a_link_that_is_lost() {
    let (mut router, session, lane) = on_a_lane(&large("a"));
    assert!(router.may_relay(NOW, End::Session(session)));
    router.handle(NOW, Input::LinkLost(lane, LossReason::Failed));
    assert!(!router.may_relay(NOW, End::Session(session)));
}

#[test]
fn a_session_that_has_ended_is_closed_after_a_large_reply() {
    let mut router = router(Profile::Pdwfs, large_limits());
    let links = connect(&mut router);
    let session = router.open_session(NOW);
    send(&mut router, session, "GET a\r\n");
    router.handle(NOW, Input::SessionEnded(session));
    write(&mut router, &links);
    links.iter().for_each(|link| router.handle(NOW, Input::LinkBytes(*link, b"$100\r\nvvvv")));
    let sent = replies(&mut router, session);
    assert_eq!(sent, "$100\r\nvvvv");
    links.iter().for_each(|link| router.handle(NOW, Input::Relayed(End::Link(*link), 96)));
    links.iter().for_each(|link| router.handle(NOW, Input::LinkBytes(*link, b"\r\n")));
    assert_eq!(replies(&mut router, session), "\r\n");
    assert!(drain(&mut router).0.contains(&Output::CloseSession(session)));
}

#[test]
fn routers_of_one_process_give_no_two_sessions_one_number() {
    let mut numbers = Vec::new();
    for nth in 0..2 {
        let mut router = router(Profile::Redis, Limits::default());
        router.stand_among(nth, 2);
        for _ in 0..3 {
            let session = router.open_session(NOW);
            send(&mut router, session, "CLIENT ID\r\n");
            numbers.push(replies(&mut router, session));
        }
    }
    numbers.sort();
    assert_eq!(numbers, [":1\r\n", ":2\r\n", ":3\r\n", ":4\r\n", ":5\r\n", ":6\r\n"]);
}

#[test]
fn requests_without_keys_are_shared_out_however_sessions_are_numbered() {
    // As many workers as shards: each of them must still use all shards.
    let mut router = router(Profile::Redis, Limits::default());
    router.stand_among(0, 2);
    let links = connect(&mut router);
    for _ in 0..2 {
        let session = router.open_session(NOW);
        send(&mut router, session, "TIME\r\n");
    }
    assert!(links.iter().all(|link| !router.link_output(NOW, *link).is_empty()));
}

#[test]
fn the_beginning_of_a_reply_to_nothing_loses_the_link_before_it_swallows_others() {
    let mut router = router(Profile::Redis, Limits::default());
    let links = connect(&mut router);
    router.handle(NOW, Input::LinkBytes(links[0], b"$200\r\nx"));
    assert!(drain(&mut router).0.contains(&Output::CloseLink(links[0])));
}

/// A client's request is on a link, unanswered.
fn sent() -> (Router, SessionKey, LinkKey) {
    let mut router = router(Profile::Pdwfs, Limits::default());
    let links = connect(&mut router);
    let session = router.open_session(NOW);
    send(&mut router, session, "SET a v\r\n");
    let link = *links.iter().find(|link| !router.link_output(NOW, **link).is_empty()).unwrap();
    write(&mut router, &[link]);
    (router, session, link)
}

/// A client's request has been answered `OOM`, and its link is lost before it is sent again.
fn put_aside() -> (Router, SessionKey) {
    let (mut router, session, link) = sent();
    router.handle(NOW, Input::LinkBytes(link, b"-OOM no room\r\n"));
    router.handle(NOW, Input::LinkLost(link, LossReason::Closed));
    assert_eq!(replies(&mut router, session), "");
    (router, session)
}

#[test]
fn what_was_not_sent_again_is_answered_with_what_the_instance_said() {
    let (mut router, session) = put_aside();
    let mut now = NOW;
    // The pause before it is sent again; no link comes.
    for _ in 0..100 {
        now = now.after(Duration::from_secs(1));
        router.handle(now, Input::Timeout);
    }
    assert_eq!(replies(&mut router, session), "-OOM no room\r\n");
}

#[test]
fn what_was_sent_again_and_lost_is_not_answered_with_what_the_instance_said_before() {
    let (mut router, session) = put_aside();
    let mut now = NOW.after(Duration::from_secs(1));
    router.handle(now, Input::Timeout);
    let links = connect(&mut router);
    now = now.after(Duration::from_secs(1));
    router.handle(now, Input::Timeout);
    let sent: Vec<LinkKey> =
        links.into_iter().filter(|link| router.link_output(now, *link).starts_with(b"*3\r\n$3\r\nSET")).collect();
    assert_eq!(sent.len(), 1);
    write(&mut router, &sent);
    router.handle(now, Input::LinkLost(sent[0], LossReason::Closed));
    for _ in 0..100 {
        now = now.after(Duration::from_secs(1));
        router.handle(now, Input::Timeout);
    }
    assert!(replies(&mut router, session).contains("may or may not have been carried out"));
}

/// A client's request was on a link that is lost; it is sent again, and this is said to that when its time is up.
fn refused_again(reply: &[u8]) -> String {
    let (mut router, session, link) = sent();
    router.handle(NOW, Input::LinkLost(link, LossReason::Closed));
    router.handle(NOW.after(Duration::from_secs(1)), Input::Timeout);
    let link = connect(&mut router)[0];
    assert!(router.link_output(NOW, link).starts_with(b"*6\r\n$6\r\nCLIENT\r\n$4\r\nKILL"));
    write(&mut router, &[link]);
    router.handle(NOW, Input::LinkBytes(link, b":1\r\n"));
    assert!(router.link_output(NOW, link).starts_with(b"*3\r\n$3\r\nSET"));
    write(&mut router, &[link]);
    // It has come before the driver says how late it is.
    router.handle(NOW.after(Limits::default().patience), Input::LinkBytes(link, reply));
    replies(&mut router, session)
}

#[test]
fn what_was_lost_and_then_refused_may_have_been_carried_out() {
    let peer = [b"-", Refusal::NotSent.text().as_slice(), b"\r\n"].concat();
    for reply in [b"-LOADING Redis is loading the dataset in memory\r\n", peer.as_slice()] {
        assert!(refused_again(reply).contains("may or may not have been carried out"));
    }
    assert_eq!(refused_again(b"+OK\r\n"), "+OK\r\n");
}
