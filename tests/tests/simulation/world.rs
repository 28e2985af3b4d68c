//! A whole world that a seed owns: clients, proxies, instances, their network and their clock.

use fastrand::Rng;
use pdw_router::mutant::Mutant;
use pdw_router::stats::Holding;
use pdw_router::{Input, LinkKey, Time};

use crate::client::Client;
use crate::history::{History, Violation, ensure};
use crate::instance::Instance;
use crate::net::Net;
use crate::scenario::Scenario;
use crate::tier::{LinkState, Peer, Tier};
use crate::trace::Trace;

/// Steps in which things may break.
const TROUBLED_STEPS: usize = 4_000;
/// Steps after which nothing can still be going on that leads anywhere.
const STEPS_MAX: usize = 200_000;
/// After the troubles everything must be answered within this time.
const CALM_MICROS: u64 = 60_000_000;

/// A simulated world.
pub(crate) struct World {
    net: Net,
    tiers: Vec<Tier>,
    instances: Vec<Instance>,
    clients: Vec<Client>,
    history: History,
    trouble: u16,
    gentle: bool,
    tiers_die: bool,
    calm: bool,
}

/// Something that can happen now.
#[derive(Clone, Copy, Debug)]
enum Action {
    Client(usize),
    Turn(usize),
    Connect(usize, LinkKey),
    Serve(usize),
}

impl World {
    /// The world of a seed.
    pub(crate) fn new(seed: u64, mutant: Option<Mutant>, trace: Trace) -> Self {
        let mut rng = Rng::with_seed(seed);
        let mut scenario = Scenario::new(&mut rng, mutant);
        let mut net = Net::new(rng, trace);
        let instances = (0..scenario.instances).map(|at| Instance::new(at, &mut net.rng)).collect();
        let mut clients = Vec::new();
        for client in 0..scenario.history.scripts.len() {
            let conn = net.connect();
            scenario.tiers[0].accept(net.now, conn, Some(client));
            clients.push(Client::new(client, conn, &scenario.history, &mut net));
        }
        Self {
            net,
            tiers: scenario.tiers,
            instances,
            clients,
            history: scenario.history,
            trouble: scenario.trouble,
            gentle: scenario.gentle,
            tiers_die: scenario.tiers_die,
            calm: false,
        }
    }

    /// Lives through it.
    pub(crate) fn run(&mut self) -> Result<(), Violation> {
        for _ in 0..TROUBLED_STEPS {
            if self.clients.iter().all(|client| client.over) {
                break;
            }
            self.step()?;
            if self.net.rng.u16(..) < self.trouble {
                self.break_something()?;
            }
        }
        self.heal();
        let until = self.net.now.micros() + CALM_MICROS;
        for _ in 0..STEPS_MAX {
            if self.is_quiet() {
                return self.history.check_increments();
            }
            ensure(self.net.now.micros() < until, || format!("not at rest after a minute: {}", self.unrest()))?;
            self.step()?;
        }
        Err(format!("not at rest after {STEPS_MAX} steps: {}", self.unrest()))
    }

    pub(crate) fn trace(&self) -> &Trace {
        &self.net.trace
    }

    fn step(&mut self) -> Result<(), Violation> {
        let actions = self.actions();
        if actions.is_empty() || self.net.rng.u8(..) < 8 {
            self.pass_time(actions.is_empty());
            return Ok(());
        }
        match actions[self.net.rng.usize(0..actions.len())] {
            Action::Client(client) => self.clients[client].act(&mut self.net, &mut self.history),
            Action::Turn(tier) => {
                let turned = self.tiers[tier].turn(&mut self.net, &mut self.history);
                let stats = self.tiers[tier].router.stats();
                let last = matches!(self.tiers[tier].peers[0], Peer::Instance(_));
                // Instances keep no ids: the proxy before them may be the one that does not know.
                let by_instance = stats.links_lost + stats.refused("outcome_unknown");
                let lost = stats.links_unresumed + if last { by_instance } else { 0 };
                self.history.lost_for_good |= lost + stats.closed_for("upstream") + stats.stalls > 0;
                self.history.links_lost |= stats.links_lost > 0;
                self.history.upstream_lost |= stats.links_lost > 0 && stats.closed_for("upstream") > 0;
                self.history.stalled_behind |= tier > 0 && stats.stalls > 0;
                turned
            }
            Action::Serve(instance) => self.instances[instance].serve(&mut self.net, &mut self.history),
            Action::Connect(tier, link) => {
                self.connect(tier, link);
                Ok(())
            }
        }
    }

    fn actions(&self) -> Vec<Action> {
        let mut actions = Vec::new();
        let clients = self.clients.iter().enumerate();
        actions.extend(
            clients.filter(|(_, client)| client.is_ready(&self.net, &self.history)).map(|(at, _)| Action::Client(at)),
        );
        let instances = self.instances.iter().enumerate();
        actions.extend(instances.filter(|(_, instance)| instance.is_ready(&self.net)).map(|(at, _)| Action::Serve(at)));
        for (at, tier) in self.tiers.iter().enumerate() {
            if tier.is_ready(&self.net) {
                actions.push(Action::Turn(at));
            }
            let due = |state: LinkState| matches!(state, LinkState::Dialling { due, .. } if due <= self.net.now);
            let links = tier.links.iter().filter(|(_, link)| due(link.state));
            actions.extend(links.map(|(key, _)| Action::Connect(at, *key)));
        }
        actions
    }

    /// Lets time pass: until something is due if nothing else can happen, now and then far beyond.
    fn pass_time(&mut self, idle: bool) {
        let now = self.net.now.micros();
        let next = self.due().map(Time::micros).filter(|due| *due > now).min();
        let step = self.net.rng.u64(1..if self.calm { 100 } else { 3_000 });
        let then = match next {
            Some(next) if idle => next,
            Some(next) => next.min(now + step),
            None => now + step,
        };
        let oversleeps = !self.calm && self.net.rng.u8(0..100) == 0;
        let overslept = if oversleeps { self.net.rng.u64(0..1_500_000) } else { 0 };
        let micros = then + overslept - now;
        self.clients.iter_mut().for_each(|client| client.sleep(micros, &self.net, &self.history));
        self.net.now = Time::from_micros(then + overslept);
        self.net.trace.note(self.net.now, format_args!("time passes"));
    }

    fn due(&self) -> impl Iterator<Item = Time> + '_ {
        let routers = self.tiers.iter().filter_map(|tier| tier.router.poll_timeout());
        let dialling = self.tiers.iter().flat_map(|tier| tier.links.values()).filter_map(|link| match link.state {
            LinkState::Dialling { due, .. } => Some(due),
            _ => None,
        });
        let thaws = self.tiers.iter().map(|tier| tier.frozen);
        routers.chain(dialling).chain(thaws).chain(self.instances.iter().map(|instance| instance.stalled))
    }

    /// Carries out a dial whose time has come.
    fn connect(&mut self, tier: usize, key: LinkKey) {
        let Some(link) = self.tiers[tier].links.get(&key) else { return };
        let LinkState::Dialling { upstream, .. } = link.state else { return };
        let state = match self.tiers[tier].peers[upstream] {
            Peer::Instance(index) if self.net.now < self.instances[index].down => LinkState::Refused,
            Peer::Instance(index) => {
                let conn = self.net.connect();
                self.instances[index].accept(conn);
                LinkState::Established(conn)
            }
            Peer::Tier(index) => {
                let conn = self.net.connect();
                self.tiers[index].accept(self.net.now, conn, None);
                LinkState::Established(conn)
            }
        };
        self.net.trace.note(self.net.now, format_args!("tier {tier} {key:?}: {state:?}"));
        if let Some(link) = self.tiers[tier].links.get_mut(&key) {
            link.state = state;
        }
    }

    fn break_something(&mut self) -> Result<(), Violation> {
        let (at, what, which) =
            (self.net.rng.usize(0..self.instances.len()), self.net.rng.u8(0..20), self.net.rng.usize(..));
        let what = if self.gentle && what < 12 { 5 } else { what };
        let until = Time::from_micros(self.net.now.micros() + self.net.rng.u64(0..4_000_000));
        let instance = &mut self.instances[at];
        match what {
            0 => instance.cut(which, true, &mut self.net, &mut self.history)?,
            1 => instance.cut(which, false, &mut self.net, &mut self.history)?,
            2 => instance.silence(which, &mut self.net),
            3 => instance.babble(which, &mut self.net),
            4 => instance.crash(until, which.is_multiple_of(4), &mut self.net, &mut self.history),
            5 | 6 => instance.stalled = until,
            7 if self.tiers_die && which.is_multiple_of(2) => {
                let tier = 1 + which / 2 % (self.tiers.len() - 1);
                self.tiers[tier].crash(&mut self.net);
                self.history.lost_for_good = true;
            }
            7 => self.break_between_tiers(which),
            12..14 if self.tiers_die => self.break_between_tiers(which),
            8..11 => {
                self.history.in_trouble_since.get_or_insert(self.net.now);
                instance.fall_into_trouble(which, until, &mut self.net);
            }
            11 => self.move_upstream(which),
            _ => {
                let tier = which % self.tiers.len();
                self.net.trace.note(self.net.now, format_args!("tier {tier} is frozen until {}", until.micros()));
                self.tiers[tier].frozen = until;
                // What waits for an instance that stands still is late when both wake up.
                if which.is_multiple_of(2) {
                    instance.stalled = until;
                }
            }
        }
        Ok(())
    }

    /// A proxy hears of another address of one of its upstreams, which leads to where the old one does.
    fn move_upstream(&mut self, which: usize) {
        let count = self.tiers.len();
        let tier = &mut self.tiers[which % count];
        let upstream = which / count % tier.peers.len();
        self.net.trace.note(self.net.now, format_args!("tier {} hears that upstream {upstream} has moved", tier.index));
        tier.router.handle(self.net.now, Input::UpstreamMoved(upstream));
    }

    fn break_between_tiers(&mut self, which: usize) {
        if self.tiers.len() == 1 {
            return;
        }
        let below = |tier: &&Tier| matches!(tier.peers[0], Peer::Tier(_));
        let open: Vec<_> = self
            .tiers
            .iter()
            .filter(below)
            .flat_map(|tier| tier.links.values())
            .filter_map(|link| match link.state {
                LinkState::Open(conn) => Some(conn),
                _ => None,
            })
            .collect();
        if !open.is_empty() {
            let conn = open[which % open.len()];
            self.net.trace.note(self.net.now, format_args!("{conn:?} breaks"));
            self.net.conn(conn).broken = true;
        }
    }

    /// Ends all troubles.
    fn heal(&mut self) {
        self.net.trace.note(self.net.now, format_args!("all is well again"));
        for instance in &mut self.instances {
            instance.stalled = Time::default();
            instance.down = Time::default();
            instance.trouble.0 = Time::default();
        }
        self.tiers.iter_mut().for_each(|tier| tier.frozen = Time::default());
        self.net.heal();
        self.calm = true;
    }

    /// Whether all clients are gone and nothing of them is left.
    fn is_quiet(&self) -> bool {
        self.clients.iter().all(|client| client.over)
            && self.tiers.iter().all(|tier| {
                let holding = tier.router.holding();
                // Sessions of a proxy behind a proxy are that one's links, which stay.
                let Holding { links, batch_bytes, reply_bytes, accepted, .. } = holding;
                let sessions = if tier.index == 0 { 0 } else { tier.sessions.len() - accepted };
                // Links keep their buffers.
                let clean = Holding { sessions, links, batch_bytes, reply_bytes, accepted, ..Holding::default() };
                holding == clean && tier.router.readiness().all(|ready| ready)
            })
    }

    fn unrest(&self) -> String {
        let clients = self.clients.iter().filter(|client| !client.over).map(|client| client.progress(&self.history));
        let tiers = self.tiers.iter().map(|tier| format!("tier {}: {:?}", tier.index, tier.router.holding()));
        clients.chain(tiers).collect::<Vec<_>>().join("\n")
    }
}
