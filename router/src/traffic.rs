//! Everything that a router has going on: sessions, links, upstreams, and what they wait for.

use std::collections::{HashSet, VecDeque};

use slotmap::SlotMap;

use crate::large::files::LargeFiles;
use crate::large::relays::Relays;
use crate::large::room::Asker;
use crate::large::spool::Spool;
use crate::link::links::Links;
use crate::link::upstream::Upstream;
use crate::memory::Budget;
use crate::order::{End, LinkKey, Output, SessionKey, SpoolKey};
use crate::peer::fence::FenceTask;
use crate::peer::severed::HandOver;
use crate::permit::Found;
use crate::place::Homes;
use crate::pool::Pool;
use crate::random::Random;
use crate::request::gather::Gather;
use crate::request::lookups::Lookups;
use crate::request::pending::{Pending, PendingKey};
use crate::request::plan::Scratch;
use crate::router::Setup;
use crate::session::denials::Denials;
use crate::session::{Partial, Session};
use crate::stats::Stats;
use crate::time::Time;

/// Everything in a router that changes.
#[derive(Debug)]
pub(crate) struct Traffic {
    pub(crate) now: Time,
    /// When it was looked before that: what has come since may have come any time after it.
    pub(crate) before: Time,
    /// The driver was away: until then what peers have said meanwhile, or say on coming back from the same absence, is
    /// listened to before anybody is told that a peer has not answered in time.
    pub(crate) listens: Time,
    pub(crate) sessions: SlotMap<SessionKey, Session>,
    pub(crate) pendings: SlotMap<PendingKey, Pending>,
    pub(crate) links: Links,
    pub(crate) spools: SlotMap<SpoolKey, Spool>,
    /// So much of `limits.spool_max` is taken.
    pub(crate) spooled: u64,
    /// Who waits for room in the spool.
    pub(crate) spool_waiting: VecDeque<Asker>,
    /// There may be room for the next of them.
    pub(crate) spool_freed: bool,
    pub(crate) upstreams: Vec<Upstream>,
    pub(crate) outputs: VecDeque<Output>,
    /// Sessions that may be read again.
    pub(crate) resumable: Vec<SessionKey>,
    pub(crate) buffers: Pool,
    #[allow(clippy::vec_box, reason = "a request that waits for no parts shall not carry a gather's size")]
    pub(crate) gathers: Vec<Box<Gather>>,
    #[allow(clippy::vec_box, reason = "an idle session shall not carry a scanner's size")]
    pub(crate) partials: Vec<Box<Partial>>,
    pub(crate) scratch: Scratch,
    /// Commands that the table lacked and an upstream was asked about.
    pub(crate) unknown: HashSet<Vec<u8>>,
    /// Questions to an upstream about such commands, and the sessions that wait for the answer.
    pub(crate) lookups: Lookups,
    /// COMMAND INFO replies that the table has yet to learn from.
    pub(crate) learned: Vec<(Vec<u8>, Vec<u8>)>,
    /// Bytes that the driver moves without us.
    pub(crate) relays: Relays,
    pub(crate) budget: Budget,
    /// What the driver holds for clients that are no sessions yet.
    pub(crate) guest_bytes: usize,
    /// Links whose reply's turn has come.
    pub(crate) unparked: Vec<LinkKey>,
    /// Requests of whose woven reply more may be handed on.
    pub(crate) weaving: Vec<PendingKey>,
    /// Upstreams of which a Bulk lane may be free.
    pub(crate) freed_lanes: Vec<usize>,
    pub(crate) large: LargeFiles,
    /// Proxies that are being fenced off for others.
    pub(crate) fence_tasks: Vec<FenceTask>,
    /// The proxy is to end.
    pub(crate) leaving: bool,
    /// Connections that other workers are to have.
    pub(crate) handed_over: Vec<(SessionKey, HandOver)>,
    /// No framed link without a connection is to be forgotten before this time.
    pub(crate) severed_until: Time,
    /// More is held for such links.
    pub(crate) grown: bool,
    /// Sessions that are framed links of proxies below, be they without a connection for now.
    pub(crate) accepted: Vec<SessionKey>,
    /// Carried sessions that may be read again.
    pub(crate) revived: Vec<SessionKey>,
    /// Streams of which what has come is taken again.
    pub(crate) refreshed: Vec<LinkKey>,
    /// It is known where keys live.
    pub(crate) homes_known: bool,
    /// What a peer has said of that.
    pub(crate) learned_homes: Option<Homes>,
    pub(crate) denials: Denials,
    pub(crate) found: Found,
    pub(crate) random: Random,
    pub(crate) last_id: u64,
    /// The first session's number, and from one session's to the next's.
    pub(crate) numbering: (u64, u64),
    pub(crate) stats: Stats,
}

impl Traffic {
    /// Whether a session's bytes may be handed in now.
    pub(crate) fn wants_bytes(&self, setup: &Setup, key: SessionKey) -> bool {
        let session = self.sessions.get(key).filter(|session| session.paused.is_none() && !session.ordered);
        session.is_some() && self.may_pass(setup, End::Session(key))
    }

    /// Whether something is left to be settled before the driver is asked anything.
    pub(crate) fn is_unsettled(&self) -> bool {
        !self.learned.is_empty()
            || self.learned_homes.is_some()
            || !self.revived.is_empty()
            || !self.refreshed.is_empty()
            || !self.unparked.is_empty()
            || !self.weaving.is_empty()
            || !self.freed_lanes.is_empty()
            || self.spool_freed
            || self.grown
            || !self.resumable.is_empty()
    }

    /// What a router begins with.
    pub(crate) fn new(setup: &Setup, now: Time) -> Self {
        let mut traffic = Self {
            now,
            before: now,
            listens: Time::default(),
            sessions: SlotMap::with_key(),
            pendings: SlotMap::with_key(),
            links: Links::default(),
            spools: SlotMap::with_key(),
            spooled: 0,
            spool_waiting: VecDeque::new(),
            spool_freed: false,
            upstreams: Vec::new(),
            outputs: VecDeque::new(),
            resumable: Vec::new(),
            buffers: Pool::default(),
            gathers: Vec::new(),
            partials: Vec::new(),
            scratch: Scratch::default(),
            unknown: HashSet::new(),
            lookups: Lookups::default(),
            learned: Vec::new(),
            relays: Relays::default(),
            budget: Budget::default(),
            guest_bytes: 0,
            unparked: Vec::new(),
            weaving: Vec::new(),
            freed_lanes: Vec::new(),
            large: LargeFiles::default(),
            fence_tasks: Vec::new(),
            leaving: false,
            handed_over: Vec::new(),
            severed_until: Time::NEVER,
            grown: false,
            accepted: Vec::new(),
            revived: Vec::new(),
            refreshed: Vec::new(),
            homes_known: !setup.has_peers(),
            learned_homes: None,
            denials: Denials::default(),
            found: Found::default(),
            random: Random(setup.seed | 1),
            last_id: 0,
            numbering: (1, 1),
            stats: Stats::default(),
        };
        for index in 0..setup.peers.map_or(setup.homes.shards(), |peers| peers.count) {
            traffic.add_upstream(setup, index);
        }
        traffic
    }
}
