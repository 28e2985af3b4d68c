//! Transactions, held and live, without any link.

use std::sync::Arc;

use crate::command::Table;
use crate::limits::Limits;
use crate::mutant::Mutation;
use crate::place::{Homes, Placement, PlacementKind, PlacementOptions, Target};
use crate::{Input, Open, Profile, Router, Setup, Time};

fn router(shards: usize, limits: Limits) -> Router {
    let targets: Vec<_> = (0..shards).map(|shard| Target::named(shard.to_string(), 1)).collect();
    let placement = Placement::new(&PlacementOptions::new(PlacementKind::Slots), &targets).unwrap();
    let setup = Setup {
        homes: Homes::new(placement, Vec::new()).unwrap(),
        table: Table::new(),
        limits,
        profile: Profile::Redis,
        spool: false,
        peers: None,
        name: "pdw/test".to_owned(),
        node: "test".to_owned(),
        seed: 1,
        gate: Arc::new(Open::default()),
        credentials: Vec::new(),
        mutation: Mutation::default(),
    };
    Router::new(setup, Time::default())
}

fn queued(command: &str) -> String {
    let mut router = router(3, Limits::default());
    let session = router.open_session(Time::default());
    let text = format!("MULTI\r\n{command}\r\n");
    router.handle(Time::default(), Input::SessionBytes(session, text.as_bytes()));
    String::from_utf8_lossy(router.session_output(session)).into_owned()
}

#[test]
fn a_doomed_transaction_never_begins_however_long_it_gets() {
    let mut router = router(1, Limits { multi_max: 1000, ..Limits::default() });
    let session = router.open_session(Time::default());
    let text = format!("MULTI\r\nGET\r\n{}EXEC\r\n", format!("APPEND k {}\r\n", "x".repeat(600)).repeat(4));
    router.handle(Time::default(), Input::SessionBytes(session, text.as_bytes()));
    let replies = String::from_utf8_lossy(router.session_output(session)).into_owned();
    let end = format!("{}-EXECABORT Transaction discarded because of previous errors.\r\n", "+QUEUED\r\n".repeat(4));
    assert!(replies.ends_with(&end), "{replies}");
    assert_eq!(router.holding().in_flight, 0);
}

#[test]
fn the_probe_of_a_proxy_in_front_is_queued_though_there_are_several_shards() {
    assert_eq!(queued("PING"), "+OK\r\n+QUEUED\r\n");
    assert!(queued("DBSIZE").starts_with("+OK\r\n-CROSSSLOT"));
}
