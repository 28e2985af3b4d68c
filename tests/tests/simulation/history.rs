//! Everything that instances carried out, in one order, and what may follow from it.

use std::collections::{BTreeMap, BTreeSet};

use pdw_router::Time;
use pdw_router::limits::Limits;

use crate::net::ConnId;
use crate::resp::{Args, bulk, shown};
use crate::script::{Script, Tag};
use crate::store::{Store, Value, keys};

/// What the simulation found to be wrong.
pub(crate) type Violation = String;

/// Fails with a violation unless `holds`.
pub(crate) fn ensure(holds: bool, violation: impl FnOnce() -> Violation) -> Result<(), Violation> {
    if holds { Ok(()) } else { Err(violation()) }
}

/// How far a request has come, as its client knows it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It is not answered.
    #[default]
    Open,
    /// Answered.
    Done,
    /// Answered with "not sent", or refused by the proxy: it is never carried out.
    Refused,
    /// Answered with "outcome unknown".
    Unknown,
}

/// One element of a request, carried out.
#[derive(Clone, Debug)]
pub(crate) struct Execution {
    /// Its place in the order of everything.
    pub(crate) seq: u64,
    pub(crate) reply: Vec<u8>,
    /// A later request of the same client was carried out by the same instance before it.
    pub(crate) overtaken: bool,
    /// The connection on which it came.
    conn: ConnId,
}

/// Commands that change nothing, however often.
fn is_read(args: &Args) -> bool {
    matches!(args[0].to_ascii_uppercase().as_slice(), b"TOUCH" | b"EXISTS")
}

/// Commands that may be carried out twice, as the design tells it.
fn is_repeatable(args: &Args) -> bool {
    match args[0].to_ascii_uppercase().as_slice() {
        b"SET" => args.len() == 3,
        b"SETNX" | b"MSET" | b"SADD" | b"SREM" | b"DEL" | b"UNLINK" => true,
        _ => false,
    }
}

/// What proxies of profile `pdwfs` keep large requests in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Spool {
    Sound,
    /// Now and then it does not take anything.
    Failing,
}

/// What happened so far, and what the clients want.
#[derive(Debug, Default)]
pub(crate) struct History {
    pub(crate) scripts: Vec<Script>,
    pub(crate) seq: u64,
    pub(crate) fates: Vec<Vec<Fate>>,
    /// When each client's requests had left it, in the order of everything.
    pub(crate) asked: Vec<Vec<u64>>,
    /// How many requests of each client its proxy has been given whole.
    delivered: Vec<usize>,
    ends: Vec<Vec<usize>>,
    arrivals: Vec<Vec<Time>>,
    /// When the proxy had last looked before that.
    looked: Vec<Vec<Time>>,
    /// When each client's session was last seen paused: what it had sent waited at least until then.
    pub(crate) paused: Vec<Time>,
    limits: Limits,
    /// When an instance first fell into trouble.
    pub(crate) in_trouble_since: Option<Time>,
    /// Proxies keep requests and send them again.
    pub(crate) holds: bool,
    /// Where they keep large ones.
    pub(crate) spool: Option<Spool>,
    /// There are proxies behind the first.
    pub(crate) proxied: bool,
    /// The first proxy divides requests over others, each of which has so many instances of its own.
    pub(crate) each: Option<usize>,
    /// Proxies reach others over framed links.
    pub(crate) by_peers: bool,
    /// The connection of what an instance carries out now is one that its proxy has given up.
    pub(crate) given_up: bool,
    /// A proxy has lost a link in the middle of a value, and with it a session.
    pub(crate) upstream_lost: bool,
    /// A proxy behind another one has closed a session of which nothing came, or went: whoever of the two proxies, or
    /// of those between, stood still.
    pub(crate) stalled_behind: bool,
    /// A proxy has lost a link.
    pub(crate) links_lost: bool,
    /// What was on one is gone with it, and nobody knows what became of that: it led to an instance, or to a proxy that
    /// was killed, or could not be resumed, or a large value was on it.
    pub(crate) lost_for_good: bool,
    pub(crate) executions: BTreeMap<Tag, Execution>,
    /// Replies to transactions, by client and MULTI.
    pub(crate) transactions: BTreeMap<(usize, usize), Vec<u8>>,
    /// Every key's contents, and since when.
    versions: BTreeMap<Vec<u8>, Vec<(u64, Option<Value>)>>,
    homes: BTreeMap<Vec<u8>, usize>,
    newest: BTreeMap<(usize, usize), usize>,
    increments: BTreeMap<Vec<u8>, usize>,
    /// Numbers handed out, by key.
    pub(crate) claims: BTreeMap<String, BTreeSet<i64>>,
}

impl History {
    pub(crate) fn new(scripts: Vec<Script>, limits: Limits, (holds, proxied): (bool, bool)) -> Self {
        let lens = || scripts.iter().map(|script| script.requests.len());
        Self {
            fates: lens().map(|len| vec![Fate::Open; len]).collect(),
            asked: lens().map(|len| vec![0; len]).collect(),
            delivered: vec![0; scripts.len()],
            ends: scripts.iter().map(Script::ends).collect(),
            arrivals: lens().map(|len| vec![Time::NEVER; len]).collect(),
            looked: lens().map(|len| vec![Time::NEVER; len]).collect(),
            paused: vec![Time::default(); scripts.len()],
            limits,
            holds,
            scripts,
            proxied,
            ..Self::default()
        }
    }

    /// A proxy has been given so many bytes of a client.
    pub(crate) fn deliver(&mut self, client: usize, received: usize, (looked, now): (Time, Time)) {
        let whole = self.ends[client].partition_point(|end| *end <= received);
        let before = std::mem::replace(&mut self.delivered[client], whole);
        self.arrivals[client][before..whole].fill(now);
        self.looked[client][before..whole].fill(looked);
    }

    /// A time by which the deadline of a request's parts has surely passed.
    pub(crate) fn deadline(&self, tag: Tag) -> Time {
        if self.scripts[tag.client].is_unhurried(tag.request, &self.limits) {
            return Time::NEVER;
        }
        let arrival = self.arrivals[tag.client][self.scripts[tag.client].sent_with(tag.request)];
        arrival.max(self.paused[tag.client]).after(self.limits.patience)
    }

    /// Who leaves something undone for so long may be standing in the way of others, and be hung up on.
    pub(crate) fn stall_micros(&self) -> u64 {
        self.limits.stall_max.as_micros() as u64
    }

    /// Requests that are longer are not held until they are whole.
    pub(crate) fn whole_max(&self) -> usize {
        self.limits.request_buffer_max
    }

    /// Whether values pass through as they come.
    pub(crate) fn has_large_values(&self) -> bool {
        self.limits.large_min.min(self.limits.request_buffer_max).min(self.limits.multi_max) < self.limits.request_max
    }

    /// Whether every request is kept until it is answered.
    pub(crate) fn keeps_all(&self) -> bool {
        let spooled = self.spool == Some(Spool::Sound) && self.limits.spool_max > 1 << 20;
        self.holds && (spooled || !self.has_large_values())
    }

    /// An instance has carried out a command, inside a transaction or not.
    pub(crate) fn executed(
        &mut self,
        (instance, conn): (usize, ConnId),
        store: &Store,
        args: &Args,
        reply: &[u8],
        queued: bool,
    ) -> Result<(), Violation> {
        self.seq += 1;
        for key in keys(args) {
            let home = *self.homes.entry(key.to_vec()).or_insert(instance);
            ensure(home == instance, || format!("key {} is at home on {home} and on {instance}", shown(key)))?;
            self.note_version(key, store.get(key));
        }
        if args[0].eq_ignore_ascii_case(b"INCR") {
            *self.increments.entry(args[1].clone()).or_default() += 1;
        }
        Tag::all(args).try_for_each(|tag| self.note_element((instance, conn), tag, args, reply, queued))
    }

    /// An instance has lost these keys.
    pub(crate) fn forgotten(&mut self, keys: Vec<Vec<u8>>) {
        self.seq += 1;
        keys.iter().for_each(|key| self.note_version(key, None));
    }

    /// When a request that a proxy keeps may be answered with an instance's trouble.
    pub(crate) fn patience_is_over(&self, client: usize, request: usize, now: Time) -> bool {
        // A proxy counts from its last look before the request came.
        let since = self.looked[client][self.scripts[client].sent_with(request)];
        now >= since.after(self.limits.patience - self.limits.patience / 8)
    }

    fn note_version(&mut self, key: &[u8], value: Option<&Value>) {
        let versions = self.versions.entry(key.to_vec()).or_insert_with(|| vec![(0, None)]);
        if versions.last().is_none_or(|(_, last)| last.as_ref() != value) {
            versions.push((self.seq, value.cloned()));
        }
    }

    fn note_element(
        &mut self,
        (instance, conn): (usize, ConnId),
        tag: Tag,
        args: &Args,
        reply: &[u8],
        queued: bool,
    ) -> Result<(), Violation> {
        let what = || format!("{tag:?}: {}", shown(&args.join(&b' ')));
        let script = &self.scripts[tag.client];
        let sent_with = script.sent_with(tag.request);
        let fate = self.fates[tag.client][sent_with];
        ensure(fate != Fate::Refused, || format!("carried out though refused: {}", what()))?;
        let again = self.holds && is_read(args);
        ensure(fate != Fate::Done || again, || format!("carried out after its reply: {}", what()))?;
        let whole = self.delivered[tag.client] > sent_with;
        ensure(whole, || format!("carried out though never received whole: {}", what()))?;
        let request = &script.requests[tag.request];
        ensure(queued == request.transaction.is_some(), || format!("queued: {queued}, not as asked: {}", what()))?;
        let newest = self.newest.entry((tag.client, instance)).or_default();
        // A transaction is carried out in one piece, and may be so twice.
        let overtaken = sent_with < *newest;
        *newest = sent_with.max(*newest);
        // The second copy of a read changes nothing, whenever it comes.
        let overtaken =
            overtaken && !(is_read(args) && self.executions.get(&tag).is_some_and(|first| !first.overtaken));
        let execution = Execution { seq: self.seq, reply: reply.to_vec(), overtaken, conn };
        let Some(before) = self.executions.insert(tag, execution).filter(|_| !is_read(args)) else { return Ok(()) };
        let again = self.holds && is_repeatable(args) && !self.is_once(tag);
        ensure(again, || format!("carried out twice: {}", what()))?;
        // By way of another peer it may come on an older connection; what is carried out after its reply is told above.
        // So may it on another lane, which its proxy still has.
        let newer = before.conn < conn || before.conn > conn && !self.given_up;
        let newer = newer || before.conn == conn && self.is_divided(tag, instance);
        ensure(self.by_peers || newer, || format!("an older copy was carried out after its repeat: {}", what()))
    }

    /// Whether a request has to be carried out exactly once, and be answered so: whatever was lost between two proxies, both
    /// of them live.
    fn is_once(&self, tag: Tag) -> bool {
        let request = &self.scripts[tag.client].requests[tag.request];
        self.resumes() && keys(&request.args).len() == 1
    }

    /// Whether every link between proxies that was lost goes on on another connection.
    pub(crate) fn resumes(&self) -> bool {
        self.by_peers && !self.lost_for_good && self.in_trouble_since.is_none()
    }

    /// Whether a request's time may be over at some level of a tree, of which each gives it a little less.
    pub(crate) fn may_be_late(&self, client: usize, request: usize, now: Time) -> bool {
        let since = self.looked[client][self.scripts[client].sent_with(request)];
        now >= since.after(self.limits.patience * 3 / 4)
    }

    /// Whether a request is divided by a proxy behind the first, which hears only of the part that failed: then it sends
    /// all of it again, and what was carried out comes on the same connection once more.
    fn is_divided(&self, tag: Tag, instance: usize) -> bool {
        let request = &self.scripts[tag.client].requests[tag.request];
        let Some(each) = self.each.filter(|_| request.transaction.is_none()) else { return false };
        let beside = |home: usize| home != instance && home / each == instance / each;
        keys(&request.args).iter().any(|key| self.homes.get(*key).is_none_or(|home| beside(*home)))
    }

    /// An instance has carried out a transaction.
    pub(crate) fn executed_transaction(&mut self, commands: &[Args], reply: &[u8]) -> Result<(), Violation> {
        if commands.is_empty() || commands == [vec![b"PING".to_vec()]] {
            return Ok(());
        }
        let what = || commands.iter().map(|args| shown(&args.join(&b' '))).collect::<Vec<_>>().join("; ");
        let tag = commands.iter().find_map(|args| Tag::all(args).next());
        let tag = tag.ok_or_else(|| format!("a transaction that nobody asked for: {}", what()))?;
        let script = &self.scripts[tag.client];
        let multi = script.requests[tag.request].transaction.unwrap_or(usize::MAX);
        ensure(script.queued(multi).eq(commands), || format!("not the transaction of {tag:?}: {}", what()))?;
        self.transactions.insert((tag.client, multi), reply.to_vec());
        Ok(())
    }

    /// The first moment from `from` on at which what a key held fits.
    pub(crate) fn when(&self, key: &str, from: u64, fits: impl Fn(Option<&Value>) -> bool) -> Option<u64> {
        let Some(versions) = self.versions.get(key.as_bytes()) else { return fits(None).then_some(from) };
        let until = |at: usize| versions.get(at + 1).map_or(u64::MAX, |(seq, _)| *seq);
        let alive = versions.iter().enumerate().filter(|(at, _)| until(*at) > from);
        alive.map(|(_, version)| version).find(|(_, value)| fits(value.as_ref())).map(|(seq, _)| from.max(*seq))
    }

    /// What a reply says of a text key, alone or among many.
    pub(crate) fn text_reply(value: Option<&Value>, many: bool) -> Vec<u8> {
        match value {
            Some(Value::Text(text)) => bulk(text),
            Some(Value::Set(_)) if !many => crate::store::WRONG_TYPE.to_vec(),
            _ => b"$-1\r\n".to_vec(),
        }
    }

    /// Whether every number that was counted up was counted for somebody.
    pub(crate) fn check_increments(&self) -> Result<(), Violation> {
        for (key, count) in &self.increments {
            let known = self.claims.get(&String::from_utf8_lossy(key).into_owned()).map_or(0, BTreeSet::len);
            let unknown = self.unanswered_increments(key);
            ensure((known..=known + unknown).contains(count), || {
                format!("{} was counted up {count} times; {known} replies, {unknown} without", shown(key))
            })?;
        }
        Ok(())
    }

    fn unanswered_increments(&self, key: &[u8]) -> usize {
        let requests =
            self.scripts.iter().zip(&self.fates).flat_map(|(script, fates)| script.requests.iter().zip(fates));
        let open = |fate: &Fate| matches!(fate, Fate::Open | Fate::Unknown);
        requests.filter(|(request, fate)| open(fate) && request.args[0] == b"INCR" && request.args[1] == key).count()
    }
}
