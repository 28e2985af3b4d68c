//! A leaf, a spine with an instance, and the bytes between them. The spine's clock is ahead.

use std::sync::Arc;
use std::time::Duration;

use pdw_router::command::Table;
use pdw_router::limits::Limits;
use pdw_router::mutant::Mutation;
use pdw_router::place::{Homes, Placement, PlacementKind, PlacementOptions, Rule, Target};
use pdw_router::{
    Attempts, End, FenceCall, Input, LinkKey, Open, Order, Output, Peers, Profile, Router, SessionKey, Setup, Time,
};

/// What an instance says to a link's first words.
pub(crate) const PROOF: &[u8] = b"+OK\r\n+OK\r\n*0\r\n+PONG\r\n$20\r\nid=1 addr=10.0.0.1:1\r\n";
/// How far the spine's clock is ahead of the leaf's.
const AHEAD: Duration = Duration::from_secs(1_000);

pub(crate) fn homes(shards: usize) -> Homes {
    ruled_homes(shards, Vec::new())
}

pub(crate) fn ruled_homes(shards: usize, rules: Vec<Rule>) -> Homes {
    let targets: Vec<Target> = (0..shards).map(|at| Target::named(format!("shard-{at}"), 1)).collect();
    let placement = Placement::new(&PlacementOptions::new(PlacementKind::Slots), &targets).unwrap();
    Homes::new(placement, rules).unwrap()
}

pub(crate) fn setup(name: &str, shards: usize, peers: Option<Peers>) -> Setup {
    Setup {
        homes: homes(shards),
        peers,
        table: Table::new(),
        limits: Limits {
            stream_window: 1_000,
            peer_window: 4_000,
            large_min: 500,
            resume_max: 4_000,
            ..Limits::default()
        },
        profile: Profile::Redis,
        spool: false,
        name: format!("pdw/{name}"),
        node: name.to_owned(),
        seed: 1,
        gate: Arc::new(Open::default()),
        attempts: Attempts::default(),
        credentials: Vec::new(),
        mutation: Mutation::default(),
    }
}

/// One router and what it has asked for.
pub(crate) struct Node {
    pub(crate) router: Router,
    pub(crate) now: Time,
    pub(crate) links: Vec<LinkKey>,
    pub(crate) notices: Vec<String>,
    pub(crate) closed: Vec<End>,
    /// Fences that its other workers are to put up, and those that it has put up for them.
    pub(crate) called: Vec<(u64, String)>,
    pub(crate) answered: Vec<(FenceCall, bool)>,
    /// Connections that other workers are to have.
    pub(crate) handed: Vec<(SessionKey, usize)>,
    /// Bytes that clients send and that are not wanted.
    pub(crate) skipped: usize,
}

impl Node {
    pub(crate) fn new(setup: Setup, now: Time) -> Node {
        let (links, notices, closed) = (Vec::new(), Vec::new(), Vec::new());
        let (called, answered, handed) = (Vec::new(), Vec::new(), Vec::new());
        let (router, skipped) = (Router::new(setup, now), 0);
        let mut node = Node { router, now, links, notices, closed, called, answered, handed, skipped };
        node.obey();
        node
    }

    pub(crate) fn tell(&mut self, input: Input<'_>) {
        self.router.handle(self.now, input);
        self.obey();
    }

    fn obey(&mut self) {
        while let Some(output) = self.router.poll_output() {
            match output {
                Output::Connect(key, _) => self.links.push(key),
                Output::Notice(notice) => self.notices.push(notice.to_string()),
                Output::CloseSession(key) => self.closed.push(End::Session(key)),
                Output::CloseLink(key) => self.closed.push(End::Link(key)),
                Output::Order(End::Session(_), Order::Skip { bytes }) => self.skipped += bytes as usize,
                Output::Order(_, Order::Inject | Order::Skip { .. } | Order::Relay { .. }) | Output::Read(_) => {}
                Output::CallFence(number, name) => self.called.push((number, name)),
                Output::AnswerFence(call, confirmed) => self.answered.push((call, confirmed)),
                Output::HandOver(key, worker) => self.handed.push((key, worker)),
                Output::GrowSpool(..) | Output::CloseSpool(_) => panic!("no files here"),
            }
        }
    }

    /// Takes what is to be written to an end.
    pub(crate) fn take(&mut self, end: End) -> Vec<u8> {
        let bytes = match end {
            End::Session(key) => self.router.session_output(key).to_vec(),
            End::Link(key) => self.router.link_output(self.now, key).to_vec(),
            End::Spool(_) => panic!("no files here"),
        };
        match end {
            _ if bytes.is_empty() => {}
            End::Session(key) => self.tell(Input::SessionWritten(key, bytes.len())),
            End::Link(key) => self.tell(Input::LinkWritten(key, bytes.len())),
            End::Spool(_) => {}
        }
        bytes
    }

    pub(crate) fn text(&mut self, end: End) -> String {
        String::from_utf8_lossy(&self.take(end)).into_owned()
    }

    /// Connects the newest link to an instance.
    pub(crate) fn connect_instance(&mut self) -> LinkKey {
        let key = *self.links.last().unwrap();
        self.tell(Input::LinkConnected(key));
        self.take(End::Link(key));
        self.tell(Input::LinkBytes(key, PROOF));
        key
    }

    pub(crate) fn wait(&mut self, time: Duration) {
        let until = self.now.after(time);
        // As the real driver: it looks in whenever the router wants it to.
        while self.now < until {
            let due = self.router.poll_timeout().unwrap_or(until).max(Time::from_micros(self.now.micros() + 1));
            self.now = due.min(until);
            self.tell(Input::Timeout);
        }
    }
}

/// A leaf before a spine, which is before one instance.
pub(crate) struct Tree {
    pub(crate) leaf: Node,
    pub(crate) spine: Node,
    /// The leaf's framed link, and the spine's end of it.
    pub(crate) link: LinkKey,
    pub(crate) accepted: SessionKey,
    pub(crate) instance: LinkKey,
}

impl Tree {
    pub(crate) fn new() -> Tree {
        Tree::before(setup("spine", 1, None))
    }

    /// The leaf before a spine of this kind.
    pub(crate) fn before(spine: Setup) -> Tree {
        let limits = setup("leaf", 9, None).limits;
        Tree::with(spine, limits)
    }

    /// The same, and the leaf has limits of its own.
    pub(crate) fn with(spine: Setup, limits: Limits) -> Tree {
        Tree::of(limits, Profile::Redis, spine)
    }

    /// The same, and a profile of its own.
    pub(crate) fn of(limits: Limits, profile: Profile, spine: Setup) -> Tree {
        let now = Time::from_micros(1);
        let leaf = Setup { limits, profile, ..setup("leaf", 9, Some(Peers { count: 1, links: 1 })) };
        let leaf = Node::new(leaf, now);
        let mut spine = Node::new(spine, now.after(AHEAD));
        let instance = spine.connect_instance();
        let accepted = spine.router.open_session(spine.now);
        let link = leaf.links[0];
        let mut tree = Tree { leaf, spine, link, accepted, instance };
        tree.leaf.tell(Input::LinkConnected(link));
        tree.pass();
        tree
    }

    /// Carries what the leaf has to say.
    pub(crate) fn up(&mut self) {
        let bytes = self.leaf.take(End::Link(self.link));
        self.say_up(&bytes);
    }

    pub(crate) fn say_up(&mut self, bytes: &[u8]) {
        if !bytes.is_empty() {
            self.spine.tell(Input::SessionBytes(self.accepted, bytes));
        }
    }

    /// Carries what the spine has to say.
    pub(crate) fn down(&mut self) {
        let bytes = self.spine.take(End::Session(self.accepted));
        if !bytes.is_empty() {
            self.leaf.tell(Input::LinkBytes(self.link, &bytes));
        }
    }

    /// Carries everything both ways until nobody has anything to say.
    pub(crate) fn pass(&mut self) {
        for _ in 0..50 {
            self.up();
            self.down();
        }
    }

    pub(crate) fn client(&mut self) -> SessionKey {
        self.leaf.router.open_session(self.leaf.now)
    }

    pub(crate) fn ask(&mut self, client: SessionKey, request: &str) {
        self.leaf.tell(Input::SessionBytes(client, request.as_bytes()));
    }

    /// What the instance was sent.
    pub(crate) fn sent(&mut self) -> String {
        self.spine.text(End::Link(self.instance))
    }

    pub(crate) fn answer(&mut self, reply: &str) {
        self.spine.tell(Input::LinkBytes(self.instance, reply.as_bytes()));
    }

    pub(crate) fn reply(&mut self, client: SessionKey) -> String {
        self.leaf.text(End::Session(client))
    }

    pub(crate) fn wait(&mut self, time: Duration) {
        self.leaf.wait(time);
        self.spine.wait(time);
    }
}
