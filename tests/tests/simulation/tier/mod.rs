//! A simulated driver: one router, its sockets, and the contract between them, taken literally.
//!
//! ```text
//!  turn: [write what was blocked, obey] ─► read some ends ─► [write, obey] ─► Timeout if due ─► write, obey
//!                                         (all, and written, before a Timeout)
//! ```
//!
//! Several events are given before the router's orders are drained, as the contract allows.

mod audit;
mod detour;
mod files;
mod reading;
mod writing;

use std::collections::BTreeMap;

use pdw_router::{End, Input, LinkKey, Order, Output, Router, SessionKey, SpoolKey, Time};

use self::audit::Audit;
use self::detour::Detour;
use self::files::Spool;
use crate::history::{History, Violation, ensure};
use crate::net::{ConnId, Net};

/// Timeouts at one moment past which a router is said to spin.
const TIMEOUTS_MAX: usize = 8;
/// Bytes of the largest read.
const READ_MAX: usize = 4096;
/// Bytes of frames that wait for a connection.
const FILL: usize = 128 << 10;
/// Bytes of the largest reply of the simulated instances.
const REPLY_MAX: usize = 8192;

/// Makes a proxy's router, each time with another name.
pub(crate) type Maker = Box<dyn Fn(u64, Time) -> Router>;

/// What a router's upstream is.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Peer {
    Instance(usize),
    Tier(usize),
}

/// One proxy.
pub(crate) struct Tier {
    pub(crate) index: usize,
    pub(crate) router: Router,
    make: Maker,
    pub(crate) peers: Vec<Peer>,
    pub(crate) sessions: BTreeMap<SessionKey, SessionSocket>,
    pub(crate) links: BTreeMap<LinkKey, LinkSocket>,
    spools: BTreeMap<SpoolKey, Spool>,
    /// Now and then its disk fails.
    pub(crate) disk_fails: bool,
    /// Ends that took less than all.
    unwritten: Vec<End>,
    timeouts: (Time, usize),
    /// When it last turned before now, and now.
    turned: (Time, Time),
    /// Until then its thread does not run, whatever happens.
    pub(crate) frozen: Time,
    /// The deadlines of what it writes are known.
    audited: bool,
}

/// A client's connection.
#[derive(Debug)]
pub(crate) struct SessionSocket {
    conn: ConnId,
    /// Which client of the simulation it is, if it is no proxy's link.
    client: Option<usize>,
    detour: Detour,
    /// There were bytes when the router did not want them.
    unread: bool,
    ended: bool,
    received: usize,
}

/// A connection to an upstream.
#[derive(Debug)]
pub(crate) struct LinkSocket {
    pub(crate) state: LinkState,
    detour: Detour,
    unread: bool,
    audit: Audit,
}

/// How far dialling has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LinkState {
    /// Nothing is known before this time.
    Dialling { upstream: usize, due: Time },
    /// The connection is there, which the router does not know yet.
    Established(ConnId),
    /// There will be none, likewise.
    Refused,
    /// The router knows of the connection.
    Open(ConnId),
}

impl Tier {
    /// `audited`: what it writes to its links are requests, whose deadlines it has to keep.
    pub(crate) fn new(index: usize, make: Maker, seed: u64, peers: Vec<Peer>, audited: bool) -> Self {
        Self {
            index,
            router: make(seed, Time::default()),
            make,
            peers,
            sessions: BTreeMap::new(),
            links: BTreeMap::new(),
            spools: BTreeMap::new(),
            disk_fails: false,
            unwritten: Vec::new(),
            timeouts: (Time::default(), 0),
            turned: (Time::default(), Time::default()),
            frozen: Time::default(),
            audited,
        }
    }

    /// The process is killed, and started again at once. What it wrote to its upstreams may still arrive.
    pub(crate) fn crash(&mut self, net: &mut Net) {
        net.trace.note(net.now, format_args!("tier {} is killed", self.index));
        self.sessions.values().for_each(|session| net.conn(session.conn).broken = true);
        for link in self.links.values() {
            if let LinkState::Established(conn) | LinkState::Open(conn) = link.state {
                net.close_below(conn);
            }
        }
        (self.sessions, self.links, self.unwritten) = (BTreeMap::new(), BTreeMap::new(), Vec::new());
        self.turned = (net.now, net.now);
        self.router = (self.make)(net.rng.u64(..), net.now);
    }

    pub(crate) fn accept(&mut self, now: Time, conn: ConnId, client: Option<usize>) {
        let key = self.router.open_session(now);
        let detour = Detour::default();
        self.sessions.insert(key, SessionSocket { conn, client, detour, unread: false, ended: false, received: 0 });
    }

    /// Whether a turn would do anything.
    pub(crate) fn is_ready(&self, net: &Net) -> bool {
        net.now >= self.frozen && self.has_work(net)
    }

    fn has_work(&self, net: &Net) -> bool {
        self.router.poll_timeout().is_some_and(|due| due <= net.now)
            || self.sessions.values().any(|session| session.has_news(net))
            || self.links.values().any(|link| link.has_news(net))
            || self.unwritten.iter().any(|end| self.has_room(*end, net))
            || self.carriers().any(|(_, to)| self.has_room(to, net))
    }

    /// One pass of the event loop.
    pub(crate) fn turn(&mut self, net: &mut Net, history: &mut History) -> Result<(), Violation> {
        if net.now > self.turned.1 {
            self.turned = (self.turned.1, net.now);
        }
        self.note_paused(net.now, history);
        if net.rng.bool() {
            self.obey(net, history)?;
        }
        let due = self.router.poll_timeout().is_some_and(|due| due <= net.now);
        self.read_some(due, net, history)?;
        if net.rng.bool() || due {
            self.obey(net, history)?;
            self.report_waits(net);
        }
        self.keep_time(net)?;
        self.obey(net, history)?;
        self.note_paused(net.now, history);
        self.check_bounds()
    }

    fn keep_time(&mut self, net: &mut Net) -> Result<(), Violation> {
        if self.router.poll_timeout().is_none_or(|due| due > net.now) {
            return Ok(());
        }
        let before = if self.timeouts.0 == net.now { self.timeouts.1 } else { 0 };
        self.timeouts = (net.now, before + 1);
        net.trace.note(net.now, format_args!("tier {} timeout", self.index));
        self.router.handle(net.now, Input::Timeout);
        ensure(before < TIMEOUTS_MAX, || format!("tier {} spins: {before} timeouts at one moment", self.index))
    }

    /// Writes what was blocked, and does what the router says.
    fn obey(&mut self, net: &mut Net, history: &mut History) -> Result<(), Violation> {
        self.flush(net, history)?;
        while let Some(output) = self.router.poll_output() {
            net.trace.note(net.now, format_args!("tier {} {output:?}", self.index));
            match output {
                Output::Connect(key, upstream) => self.dial(key, upstream, net),
                Output::Order(End::Spool(key), Order::Inject) => self.write_spool(key, net),
                Output::Order(End::Spool(key), order) => self.order_spool(key, order)?,
                Output::Order(end, Order::Inject) => self.write(end, net, history)?,
                Output::GrowSpool(key, _) => self.grow_spool(key, net),
                Output::CloseSpool(key) => drop(self.spools.remove(&key)),
                Output::Order(end, order) => {
                    if let Some(detour) = self.detour(end) {
                        detour.order(order);
                    }
                    self.read_again(end);
                }
                Output::Read(end) => self.read_again(end),
                Output::CloseSession(key) => self.close_session(key, net),
                Output::CloseLink(key) => self.close_link(key, net),
                // Each proxy here has one worker.
                Output::Notice(_) | Output::CallFence(..) | Output::AnswerFence(..) | Output::HandOver(..) => {}
            }
        }
        Ok(())
    }

    /// Tells the router for which ends relays stand still.
    fn report_waits(&mut self, net: &mut Net) {
        let sessions = self.sessions.iter_mut().map(|(key, session)| (End::Session(*key), &mut session.detour));
        let links = self.links.iter_mut().map(|(key, link)| (End::Link(*key), &mut link.detour));
        let mut news: Vec<_> = sessions.chain(links).filter_map(|(end, detour)| Some((end, detour.news()?))).collect();
        news.extend(self.spools.iter_mut().filter_map(|(key, spool)| Some((End::Spool(*key), spool.news()?))));
        for (end, wait) in news {
            net.trace.note(net.now, format_args!("tier {} relay of {end:?} waits for its {wait:?}", self.index));
            self.router.handle(net.now, Input::RelayWaits(end, wait));
        }
    }

    fn detour(&mut self, end: End) -> Option<&mut Detour> {
        match end {
            End::Session(key) => self.sessions.get_mut(&key).map(|session| &mut session.detour),
            End::Link(key) => self.links.get_mut(&key).map(|link| &mut link.detour),
            End::Spool(_) => None,
        }
    }

    /// An end that was not wanted may be wanted now.
    fn read_again(&mut self, end: End) {
        let unread = match end {
            End::Session(key) => self.sessions.get_mut(&key).map(|session| &mut session.unread),
            End::Link(key) => self.links.get_mut(&key).map(|link| &mut link.unread),
            End::Spool(_) => None,
        };
        if let Some(unread) = unread {
            *unread = false;
        }
    }

    fn dial(&mut self, key: LinkKey, upstream: usize, net: &mut Net) {
        let due = Time::from_micros(net.now.micros() + net.rng.u64(0..2_000));
        let state = LinkState::Dialling { upstream, due };
        self.links.insert(key, LinkSocket { state, detour: Detour::default(), unread: false, audit: Audit::default() });
    }

    fn close_session(&mut self, key: SessionKey, net: &mut Net) {
        if let Some(session) = self.sessions.remove(&key) {
            net.close_above(session.conn);
        }
    }

    fn close_link(&mut self, key: LinkKey, net: &mut Net) {
        self.spools.values_mut().for_each(|spool| spool.stop(End::Link(key)));
        let state = self.links.remove(&key).map(|link| link.state);
        if let Some(LinkState::Established(conn) | LinkState::Open(conn)) = state {
            net.close_below(conn);
        }
    }

    /// Takes note of sessions whose requests may have to wait before they are looked at.
    fn note_paused(&self, now: Time, history: &mut History) {
        let paused = self.sessions.iter().filter(|(key, _)| !self.router.wants_bytes(**key));
        paused.filter_map(|(_, session)| session.client).for_each(|client| history.paused[client] = now);
    }

    /// The router holds no more than its limits say.
    fn check_bounds(&self) -> Result<(), Violation> {
        let (holding, limits) = (self.router.holding(), self.router.limits());
        // What is on its way past a limit when the limit is reached: one request, one read, one reply.
        let request = limits.request_max + limits.multi_max + READ_MAX;
        let links: usize = holding.links.iter().flatten().sum();
        let replies = limits.session_output_max + limits.session_pending_max * REPLY_MAX;
        // Buffers are counted whole, and may have grown to twice of what is in them.
        let streams = holding.streams[0];
        let (links, all) = (links + streams, holding.sessions + holding.streams[1] + holding.accepted);
        let framed = links + holding.accepted + holding.severed;
        let frames = links * 2 * (FILL + READ_MAX) + framed * 2 * (FILL + limits.resume_max);
        let both = all * replies + links * 2 * REPLY_MAX + frames;
        // Of a file, what waits to be written, and what is remembered of at most a hundred commands.
        let files = holding.spools * (4 * request + 100 * 160);
        let batches = links * 2 * (limits.link_output_max + request) + frames + files;
        let bounds = [
            ("pending", holding.pending, all * (limits.session_pending_max + 1)),
            (
                "request bytes",
                holding.request_bytes,
                all * 2 * (limits.request_buffer_max + READ_MAX + limits.stream_window),
            ),
            ("transaction bytes", holding.transaction_bytes, all * (limits.multi_max + READ_MAX)),
            ("batch bytes", holding.batch_bytes, batches),
            ("room in files", holding.spooled_bytes as usize, limits.spool_max),
            ("reply bytes", holding.reply_bytes, both),
        ];
        let broken = bounds.iter().find(|(_, held, bound)| held > bound);
        broken.map_or(Ok(()), |(what, held, bound)| Err(format!("{what}: {held} held, {bound} allowed")))
    }
}

impl SessionSocket {
    fn has_news(&self, net: &Net) -> bool {
        let readable = !self.unread && !self.ended && self.detour.appetite().is_some();
        net.is_broken(self.conn) || readable && net.has_news(self.conn, true)
    }
}

impl LinkSocket {
    fn has_news(&self, net: &Net) -> bool {
        match self.state {
            LinkState::Dialling { .. } => false,
            LinkState::Established(_) | LinkState::Refused => true,
            LinkState::Open(conn) => {
                let readable = !self.unread && self.detour.appetite().is_some();
                net.is_broken(conn) || readable && net.has_news(conn, false)
            }
        }
    }
}
