//! A router, for tests at its door.

use std::sync::Arc;

use crate::command::Table;
use crate::limits::Limits;
use crate::mutant::Mutation;
use crate::order::{Input, LinkKey, Output};
use crate::place::{Homes, Placement, PlacementKind, PlacementOptions, Target};
use crate::router::{Profile, Router, Setup};
use crate::session::attempts::Attempts;
use crate::session::gate::Open;
use crate::time::Time;

/// The router of one shard, and its Shared link, which is ready.
pub(crate) fn router() -> (Router, LinkKey) {
    let mut router = unconnected(1, Limits::default());
    let link = connected(&mut router);
    (router, link)
}

/// A router of profile `redis` that has no link yet.
pub(crate) fn unconnected(shards: usize, limits: Limits) -> Router {
    of_profile(Profile::Redis, shards, limits)
}

/// One of either profile that has no link yet.
pub(crate) fn of_profile(profile: Profile, shards: usize, limits: Limits) -> Router {
    let setup = Setup {
        homes: homes(shards),
        table: Table::new(),
        limits,
        profile,
        spool: false,
        peers: None,
        name: "pdw/test".to_owned(),
        node: "test".to_owned(),
        seed: 1,
        gate: Arc::new(Open::default()),
        attempts: Attempts::default(),
        credentials: Vec::new(),
        mutation: Mutation::of(None),
    };
    Router::new(setup, Time::default())
}

/// Where keys live before so many shards.
pub(crate) fn homes(shards: usize) -> Homes {
    let targets: Vec<_> = (0..shards).map(|shard| Target::named(shard.to_string(), 1)).collect();
    let placement = Placement::new(&PlacementOptions::new(PlacementKind::Slots), &targets).unwrap();
    Homes::new(placement, Vec::new()).unwrap()
}

/// The link that the router has just asked for, ready.
pub(crate) fn connected(router: &mut Router) -> LinkKey {
    let now = Time::default();
    let asked = std::iter::from_fn(|| router.poll_output()).find_map(|output| match output {
        Output::Connect(link, _) => Some(link),
        _ => None,
    });
    let link = asked.unwrap();
    router.handle(now, Input::LinkConnected(link));
    let probe = router.link_output(now, link).len();
    router.handle(now, Input::LinkWritten(link, probe));
    router.handle(now, Input::LinkBytes(link, b"+OK\r\n+OK\r\n*0\r\n+PONG\r\n-ERR unknown\r\n"));
    link
}

/// Writes what a link has to send, and returns it.
pub(crate) fn written(router: &mut Router, link: LinkKey) -> Vec<u8> {
    let bytes = router.link_output(Time::default(), link).to_vec();
    router.handle(Time::default(), Input::LinkWritten(link, bytes.len()));
    bytes
}
