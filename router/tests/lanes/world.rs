//! A router, its links, and what its driver would do.

use std::time::Duration;

use pdw_router::command::Table;
use pdw_router::limits::Limits;
use pdw_router::mutant::Mutation;
use pdw_router::place::{Homes, Placement, PlacementKind, PlacementOptions, Target, pdwfs_rules};
use pdw_router::{End, Input, LinkKey, Order, Output, Profile, Router, SessionKey, Setup, SpoolKey, Time};

const PROOF: &[u8] = b"+OK\r\n+OK\r\n*0\r\n+PONG\r\n$20\r\nid=1 addr=10.0.0.1:1\r\n";
/// Of an instance whose ACL forbids MULTI.
pub(crate) const WITHOUT_MULTI: &[u8] =
    b"+OK\r\n-NOPERM no\r\n-ERR EXEC without MULTI\r\n+PONG\r\n$20\r\nid=1 addr=10.0.0.1:1\r\n";
/// Keys of slots in the first and the second half.
pub(crate) const FIRST: &str = "b";
pub(crate) const SECOND: &str = "a";

/// A router, its links, and what its driver would do.
pub(crate) struct World {
    pub(crate) router: Router,
    pub(crate) now: Time,
    /// Links in the order in which they were asked for, with their upstream; those that are gone stay.
    pub(crate) links: Vec<(LinkKey, usize)>,
    pub(crate) closed: Vec<End>,
    /// What is ordered of the next bytes of links: so many are skipped, or relayed.
    moves: Vec<(LinkKey, u64)>,
    /// What every link was sent.
    pub(crate) sent: Vec<String>,
    /// What new links answer to the probe.
    pub(crate) proof: &'static [u8],
    /// Files in the order in which they were asked for, and what the router wrote there; those that are gone stay.
    pub(crate) files: Vec<(SpoolKey, String)>,
    /// No file can be made or made larger.
    pub(crate) disk_is_full: bool,
    /// Every relay that was ordered: from, to, and how many bytes.
    pub(crate) relays: Vec<(End, End, u64)>,
}

impl World {
    pub(crate) fn new(profile: Profile, limits: Limits) -> Self {
        Self::with(profile, limits, false)
    }

    /// With a spool.
    pub(crate) fn spooling(limits: Limits) -> Self {
        Self::with(Profile::Pdwfs, Limits { retain_max: 1 << 10, bulk_lanes: 1, spare_lanes: 0, ..limits }, true)
    }

    fn with(profile: Profile, limits: Limits, spool: bool) -> Self {
        let targets = [Target::named("x".into(), 1), Target::named("y".into(), 1)];
        let placement = Placement::new(&PlacementOptions::new(PlacementKind::Slots), &targets).unwrap();
        let setup = Setup {
            homes: Homes::new(placement, pdwfs_rules(false)).unwrap(),
            table: Table::new(),
            limits,
            profile,
            spool,
            peers: None,
            name: "pdw".into(),
            node: "test".into(),
            seed: 1,
            gate: std::sync::Arc::new(pdw_router::Open::default()),
            attempts: pdw_router::Attempts::default(),
            credentials: Vec::new(),
            mutation: Mutation::default(),
        };
        let router = Router::new(setup, Time::default());
        let (links, closed, moves, sent) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let now = Time::from_micros(1);
        let (files, relays) = (Vec::new(), Vec::new());
        let mut world =
            Self { router, now, links, closed, moves, sent, proof: PROOF, files, disk_is_full: false, relays };
        world.turn();
        world
    }

    /// Does all that the router wants, until it wants nothing more.
    pub(crate) fn turn(&mut self) {
        while let Some(output) = self.router.poll_output() {
            match output {
                Output::Connect(key, upstream) => {
                    self.links.push((key, upstream));
                    self.sent.push(String::new());
                    self.router.handle(self.now, Input::LinkConnected(key));
                    self.router.handle(self.now, Input::LinkBytes(key, self.proof));
                }
                Output::Order(End::Link(key), Order::Inject) => self.write(key),
                Output::Order(End::Link(key), Order::Relay { bytes, .. } | Order::Skip { bytes }) => {
                    self.moves.retain(|(link, _)| *link != key);
                    self.moves.push((key, bytes));
                }
                Output::CloseSession(key) => self.closed.push(End::Session(key)),
                Output::CloseLink(key) => self.closed.push(End::Link(key)),
                Output::CloseSpool(key) => self.closed.push(End::Spool(key)),
                Output::GrowSpool(key, _) => self.grow(key),
                Output::Order(End::Spool(key), Order::Inject) => self.fill(key),
                Output::Order(from, Order::Relay { to, bytes }) => self.relays.push((from, to, bytes)),
                _ => {}
            }
        }
    }

    pub(crate) fn write(&mut self, key: LinkKey) {
        let bytes = self.router.link_output(self.now, key).to_vec();
        let at = self.links.iter().position(|(link, _)| *link == key).unwrap();
        self.sent[at] += &String::from_utf8_lossy(&bytes);
        // As the real driver: nothing is reported when nothing is written.
        if !bytes.is_empty() {
            self.router.handle(self.now, Input::LinkWritten(key, bytes.len()));
        }
    }

    fn grow(&mut self, key: SpoolKey) {
        if self.files.iter().all(|(file, _)| *file != key) {
            self.files.push((key, String::new()));
        }
        let grown = if self.disk_is_full { Input::SpoolFailed(key) } else { Input::SpoolReady(key) };
        self.router.handle(self.now, grown);
    }

    fn fill(&mut self, key: SpoolKey) {
        let text = String::from_utf8_lossy(self.router.spool_output(key)).into_owned();
        if let Some((_, file)) = self.files.iter_mut().find(|(file, _)| *file == key) {
            *file += &text;
        }
        self.router.handle(self.now, Input::SpoolWritten(key, text.len()));
    }

    pub(crate) fn send(&mut self, session: SessionKey, text: &str) {
        self.router.handle(self.now, Input::SessionBytes(session, text.as_bytes()));
        self.turn();
    }

    pub(crate) fn reply(&mut self, link: usize, text: &str) {
        self.router.handle(self.now, Input::LinkBytes(self.links[link].0, text.as_bytes()));
        self.turn();
    }

    /// An instance sends this many bytes of a value, and then `text`: what is ordered of them is done, the rest read.
    pub(crate) fn arrives(&mut self, link: usize, value: usize, text: &str) {
        let (key, bytes) = (self.links[link].0, ["v".repeat(value).as_str(), text].concat());
        let at = self.moves.iter().position(|(link, _)| *link == key);
        let moved = at.map_or(0, |at| self.moves.swap_remove(at).1);
        self.relayed(End::Link(key), moved);
        self.reply(link, &bytes[moved as usize..]);
    }

    pub(crate) fn relayed(&mut self, end: End, bytes: u64) {
        self.router.handle(self.now, Input::Relayed(end, bytes));
        self.turn();
    }

    pub(crate) fn take(&mut self, session: SessionKey) -> String {
        let text = String::from_utf8_lossy(self.router.session_output(session)).into_owned();
        if !text.is_empty() {
            self.router.handle(self.now, Input::SessionWritten(session, text.len()));
        }
        self.turn();
        text
    }

    pub(crate) fn wait(&mut self, time: Duration) {
        let until = self.now.after(time);
        // As the real driver: it looks in whenever the router wants it to.
        while self.now < until {
            let due = self.router.poll_timeout().unwrap_or(until).max(Time::from_micros(self.now.micros() + 1));
            self.now = due.min(until);
            self.router.handle(self.now, Input::Timeout);
            self.turn();
        }
    }

    pub(crate) fn open(&mut self) -> SessionKey {
        self.router.open_session(self.now)
    }

    /// Begins a transaction with a large value on a new lane; its link's number.
    pub(crate) fn go_live(&mut self, session: SessionKey) -> usize {
        self.send(session, &format!("MULTI\r\n{}", large_set(FIRST)));
        self.relayed(End::Session(session), 200_002);
        let lane = self.links.len() - 1;
        self.reply(lane, "+OK\r\n+QUEUED\r\n");
        lane
    }
}

/// The head of a SET of 200,000 bytes.
pub(crate) fn large_set(key: &str) -> String {
    format!("*3\r\n$3\r\nSET\r\n$1\r\n{key}\r\n$200000\r\n")
}

pub(crate) fn world() -> World {
    World::new(Profile::Pdwfs, Limits { bulk_lanes: 1, spare_lanes: 0, retain_max: 1 << 10, ..Limits::default() })
}
