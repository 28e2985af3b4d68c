//! What is to be seen: the processes, the numbers, what happened last.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::load::Report;
use super::numbers::{Numbers, Rates};
use super::plan::Plan;
use crate::cli::UpArgs;
use crate::embedded::{Event, Order};

/// How many of the things that happened are kept.
const KEPT: usize = 50;

/// What kind of process a member is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Instance,
    Proxy,
}

/// Where a process is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// Started, has not answered yet.
    Starting,
    /// It answers.
    Up,
    /// SIGSTOP.
    Stopped,
    /// Killed on purpose.
    Down,
    /// Died, and is started again.
    Died,
}

impl State {
    /// The state in a word.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Up => "up",
            Self::Stopped => "stopped",
            Self::Down => "down",
            Self::Died => "died",
        }
    }
}

/// One process.
#[derive(Clone, Debug)]
pub(super) struct Member {
    pub(super) name: String,
    pub(super) kind: Kind,
    /// Where clients of it connect.
    pub(super) address: String,
    pub(super) state: State,
    pub(super) pid: Option<u32>,
    /// It has served once.
    served: bool,
}

/// Everything that is shown.
pub(super) struct Scene {
    pub(super) members: Vec<Member>,
    selected: usize,
    pub(super) admin: String,
    pub(super) listen: String,
    plan: Plan,
    /// Of each proxy, as far as it answers.
    numbers: Vec<Option<Numbers>>,
    pub(super) rates: Rates,
    pub(super) load: Report,
    started: Instant,
    happened: VecDeque<(Duration, String)>,
    /// How many of them were ever said.
    said: usize,
}

impl Scene {
    /// All processes, before the first has started.
    pub(super) fn new(args: &UpArgs, sockets: &[PathBuf]) -> Self {
        let plan = Plan::new(args);
        let member = |(index, socket): (usize, &PathBuf)| {
            let own = socket.display().to_string();
            let address = if index == plan.front() { args.listen.clone() } else { own };
            let (name, kind) = (plan.name(index), plan.kind(index));
            Member { name, kind, address, state: State::Down, pid: None, served: false }
        };
        Self {
            members: sockets.iter().enumerate().map(member).collect(),
            selected: 0,
            admin: args.admin.clone(),
            listen: args.listen.clone(),
            plan,
            numbers: Vec::new(),
            rates: Rates::default(),
            load: Report::default(),
            started: Instant::now(),
            happened: VecDeque::new(),
            said: 0,
        }
    }

    /// Takes note of an event; why everything has to end, if it has.
    pub(super) fn note(&mut self, event: Event) -> Option<String> {
        match event {
            Event::Started { index, pid } => {
                let member = self.members.get_mut(index)?;
                (member.state, member.pid) = (State::Starting, Some(pid));
            }
            Event::Ready { index } => {
                let member = self.members.get_mut(index)?;
                member.served = true;
                if member.state == State::Starting {
                    member.state = State::Up;
                }
                let text = format!("{} answers", member.name);
                self.say(&text);
            }
            Event::Exited { index, how } => {
                let member = self.members.get_mut(index)?;
                if !member.served {
                    return Some(how);
                }
                let on_purpose = member.state == State::Down;
                member.pid = None;
                if !on_purpose {
                    member.state = State::Died;
                }
                let text = match on_purpose {
                    true => format!("{} is down", member.name),
                    false => format!("{} died, {how}; it is started again", member.name),
                };
                self.say(&text);
            }
        }
        None
    }

    /// Takes note of an order that was given.
    pub(super) fn obey(&mut self, order: Order, index: usize) {
        if let Some(member) = self.members.get_mut(index) {
            member.state = match (order, member.state) {
                (Order::Kill, _) => State::Down,
                (Order::Stop, State::Up | State::Starting) => State::Stopped,
                (Order::Continue, State::Stopped) => State::Up,
                (_, state) => state,
            };
        }
        self.ordered(&order.to_string(), index);
    }

    /// Says that something was done to a member.
    pub(super) fn ordered(&mut self, what: &str, index: usize) {
        let name = self.members.get(index).map_or("?", |member| &member.name);
        let text = format!("{what} {name}");
        self.say(&text);
    }

    /// Takes note of numbers.
    pub(super) fn tell(&mut self, numbers: Vec<Option<Numbers>>, load: Report) {
        self.load = load;
        let front = self.plan.front() - self.plan.instances;
        let of_front = |numbers: &[Option<Numbers>]| numbers.get(front).cloned().flatten();
        match (of_front(&self.numbers), of_front(&numbers)) {
            (Some(before), Some(now)) if before == now => {}
            (Some(before), Some(now)) => self.rates = now.since(&before),
            _ => self.rates = Rates::default(),
        }
        self.numbers = numbers;
    }

    /// Adds to what happened.
    pub(super) fn say(&mut self, text: &str) {
        self.said += 1;
        self.happened.push_back((self.started.elapsed(), text.to_owned()));
        if self.happened.len() > KEPT {
            self.happened.pop_front();
        }
    }

    /// What happened after the first `seen` things, and how many there were by now.
    pub(super) fn news(&self, seen: usize) -> (impl Iterator<Item = &(Duration, String)>, usize) {
        let unseen = (self.said - seen).min(self.happened.len());
        (self.happened.iter().skip(self.happened.len() - unseen), self.said)
    }

    /// What happened last, the newest last.
    pub(super) fn last(&self, count: usize) -> impl Iterator<Item = &(Duration, String)> {
        self.happened.iter().skip(self.happened.len().saturating_sub(count))
    }

    /// Since the start.
    pub(super) fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    /// The chosen process.
    pub(super) fn selected(&self) -> usize {
        self.selected
    }

    /// Chooses a process; a position that nobody has changes nothing.
    pub(super) fn select(&mut self, index: usize) {
        if index < self.members.len() {
            self.selected = index;
        }
    }

    /// Chooses the one so many further down, from the last to the first.
    pub(super) fn move_selection(&mut self, by: isize) {
        let count = self.members.len() as isize;
        self.selected = (self.selected as isize + by).rem_euclid(count.max(1)) as usize;
    }

    /// How many processes of a kind answer, and how many there are.
    pub(super) fn up(&self, kind: Kind) -> (usize, usize) {
        let of_kind = || self.members.iter().filter(move |member| member.kind == kind);
        (of_kind().filter(|member| member.state == State::Up).count(), of_kind().count())
    }

    /// A number of the first proxy, if it answers.
    pub(super) fn number(&self, name: &str) -> Option<f64> {
        let front = self.plan.front() - self.plan.instances;
        self.numbers.get(front)?.as_ref().map(|numbers| numbers.value(name))
    }

    /// Whether there are proxies that should have links to a member.
    pub(super) fn is_linked(&self, index: usize) -> bool {
        !self.plan.below(index).is_empty()
    }

    /// Whether all proxies that answer have a link to a member, and how often they had to look for another; `None` if
    /// none answers.
    pub(super) fn link(&self, index: usize) -> Option<(bool, f64)> {
        let name = self.plan.name(index);
        let below = self.numbers.get(self.plan.below(index))?.iter().flatten();
        let said = below.map(|numbers| {
            let up = numbers.of_upstream("pdw_upstream_up", &name) > 0.0;
            (up, numbers.of_upstream("pdw_link_reconnects_total", &name))
        });
        said.reduce(|(up, retries), (also, more)| (up && also, retries + more))
    }

    /// How redis-cli reaches the proxy.
    pub(super) fn client(&self) -> String {
        match self.listen.rsplit_once(':') {
            Some(_) if self.listen.contains('/') => format!("redis-cli -s {}", self.listen),
            Some((host, port)) => format!("redis-cli -h {host} -p {port}"),
            None => format!("redis-cli -s {}", self.listen),
        }
    }

    /// What to try.
    pub(super) fn tries(&self) -> Vec<String> {
        let client = self.client();
        let mut lines = vec![
            format!("{client} set greeting hello"),
            format!("{client} mget greeting nothere"),
            format!("{client} dbsize"),
        ];
        if !self.admin.contains('/') {
            lines.push(format!("curl http://{}/metrics", self.admin));
        }
        lines
    }
}

/// A latency in words.
pub(super) fn latency(seconds: Option<f64>) -> String {
    match seconds {
        None => "-".to_owned(),
        Some(seconds) if seconds.is_infinite() => ">1 min".to_owned(),
        Some(seconds) if seconds < 1e-3 => format!("{:.0} us", seconds * 1e6),
        Some(seconds) if seconds < 1.0 => format!("{:.1} ms", seconds * 1e3),
        Some(seconds) => format!("{seconds:.1} s"),
    }
}
