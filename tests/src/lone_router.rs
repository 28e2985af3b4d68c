//! A router between sessions and instances that exist only in memory: what a request costs the core.

#![allow(clippy::unwrap_used, reason = "three shards are a placement")]

use std::sync::Arc;

use pdw_router::command::Table;
use pdw_router::limits::Limits;
use pdw_router::mutant::Mutation;
use pdw_router::place::{Homes, Placement, PlacementKind, PlacementOptions, Target, pdwfs_rules};
use pdw_router::resp::{RequestScan, Scanned};
use pdw_router::{Attempts, End, Gate, Input, LinkKey, Order, Output, Profile, Router, SessionKey, Setup, Time};

/// The router, its sessions, and the time.
#[derive(Debug)]
pub struct LoneRouter {
    router: Router,
    now: u64,
    sessions: Vec<SessionKey>,
    scan: RequestScan,
    /// Replies of the instance to what was just written to a link.
    replies: Vec<u8>,
    written: Vec<u8>,
    /// Requests that were answered.
    pub answered: usize,
}

impl LoneRouter {
    /// A router with these users, whose links are ready, and `sessions`.
    ///
    /// # Panics
    /// When three shards are no placement.
    pub fn new(gate: Arc<dyn Gate>, sessions: usize) -> Self {
        let targets: Vec<Target> = (0..3).map(|index| Target::named(format!("shard{index}"), 1)).collect();
        let placement = Placement::new(&PlacementOptions::new(PlacementKind::Pdwfs), &targets).unwrap();
        let setup = Setup {
            homes: Homes::new(placement, pdwfs_rules(false)).unwrap(),
            table: Table::new(),
            limits: Limits::default(),
            profile: Profile::Pdwfs,
            spool: false,
            peers: None,
            node: "test".to_owned(),
            name: "pdw/allocations".to_owned(),
            seed: 1,
            gate,
            attempts: Attempts::default(),
            credentials: Vec::new(),
            mutation: Mutation::default(),
        };
        let mut router = Router::new(setup, Time::default());
        let sessions = (0..sessions).map(|_| router.open_session(Time::default())).collect();
        let (replies, written) = (Vec::new(), Vec::new());
        let mut core = Self { router, now: 0, sessions, scan: RequestScan::default(), replies, written, answered: 0 };
        core.obey();
        core
    }

    /// Every session sends, then turns pass until all is answered.
    pub fn round(&mut self, batch: &[u8]) {
        self.now += 100;
        for at in 0..self.sessions.len() {
            self.handle(Input::SessionBytes(self.sessions[at], batch));
        }
        self.obey();
    }

    fn handle(&mut self, input: Input<'_>) {
        self.router.handle(Time::from_micros(self.now), input);
    }

    fn obey(&mut self) {
        while let Some(output) = self.router.poll_output() {
            match output {
                Output::Connect(key, _) => self.handle(Input::LinkConnected(key)),
                Output::Order(End::Session(key), Order::Inject) => {
                    let written = self.router.session_output(key).len();
                    self.handle(Input::SessionWritten(key, written));
                }
                Output::Order(End::Link(key), Order::Inject) => self.serve(key),
                Output::Read(_) | Output::Notice(_) => {}
                other => panic!("{other:?}"),
            }
        }
    }

    /// Takes what waits for a link and answers it.
    fn serve(&mut self, key: LinkKey) {
        self.written.clear();
        self.written.extend_from_slice(self.router.link_output(Time::from_micros(self.now), key));
        self.handle(Input::LinkWritten(key, self.written.len()));
        self.replies.clear();
        let mut at = 0;
        while let Ok(Scanned::Request(len)) = self.scan.scan(&self.written[at..]) {
            let name = self.scan.request(&self.written[at..]).arg(0);
            self.replies.extend_from_slice(reply(name));
            self.answered += 1;
            at += len;
        }
        assert_eq!(at, self.written.len());
        let replies = std::mem::take(&mut self.replies);
        self.handle(Input::LinkBytes(key, &replies));
        self.replies = replies;
    }
}

fn reply(name: &[u8]) -> &'static [u8] {
    match name {
        b"GET" => b"$8\r\nvvvvvvvv\r\n",
        b"MGET" => b"*2\r\n$1\r\nv\r\n$-1\r\n",
        b"SADD" => b":1\r\n",
        b"EXEC" => b"*1\r\n+OK\r\n",
        _ => b"+OK\r\n",
    }
}
