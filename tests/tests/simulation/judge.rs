//! Whether a client's reply is one that it may get.

use std::collections::BTreeMap;

use pdw_router::{Refusal, Time};

use crate::history::{Execution, Fate, History, Spool, Violation, ensure};
use crate::resp::{elements, integer, shown};
use crate::script::{Expect, Request, Tag};
use crate::store::Value;

/// Holds one client's replies against the history.
#[derive(Debug)]
pub(crate) struct Judge {
    client: usize,
    not_sent: Vec<u8>,
    unknown: Vec<u8>,
    /// The latest moment at which the client knows what a key held: it may not see an older one.
    seen: BTreeMap<String, u64>,
    /// Transactions of which a command was refused.
    doomed: Vec<usize>,
}

impl Judge {
    pub(crate) fn new(client: usize) -> Self {
        let line = |why: Refusal| [b"-", why.text().as_slice(), b"\r\n"].concat();
        Self {
            client,
            not_sent: line(Refusal::NotSent),
            unknown: line(Refusal::OutcomeUnknown),
            seen: BTreeMap::new(),
            doomed: Vec::new(),
        }
    }

    /// Takes the reply to a request.
    pub(crate) fn take(
        &mut self,
        history: &mut History,
        index: usize,
        reply: &[u8],
        now: Time,
    ) -> Result<(), Violation> {
        let request = history.scripts[self.client].requests[index].clone();
        let fate = self.fate(history, index, &request, reply, now);
        let fate = fate.map_err(|why| {
            let asked = shown(&request.args.join(&b' '));
            format!("client {}, request {index} ({asked}), reply {}: {why}", self.client, shown(reply))
        })?;
        history.fates[self.client][index] = fate;
        Ok(())
    }

    fn fate(
        &mut self,
        history: &mut History,
        index: usize,
        request: &Request,
        reply: &[u8],
        now: Time,
    ) -> Result<Fate, Violation> {
        // The end of a transaction that has begun at its instance is the instance's to say.
        let remote = history.has_large_values() && request.args[0] == b"DISCARD";
        let local = matches!(request.expect, Expect::Exactly(_) | Expect::Refusal(_)) && !remote;
        let spoilt = history.spool.is_some() && is_of_spool(reply);
        if (reply == self.not_sent || spoilt) && !local {
            if matches!(request.expect, Expect::Queued { .. }) {
                self.doomed.extend(request.transaction);
            }
            return self.not_sent(history, index, request);
        }
        if reply == self.unknown && !local {
            let known = history.resumes() && !history.may_be_late(self.client, index, now);
            ensure(!known, || "somebody knows what became of it".into())?;
            return Ok(Fate::Unknown);
        }
        if is_trouble(reply) && !local {
            return self.in_trouble(history, index, request, now);
        }
        match &request.expect {
            Expect::Exactly(text) => ensure(reply == text, || format!("not {}", shown(text)))?,
            Expect::Refusal(start) => {
                ensure(reply.starts_with(start.as_bytes()), || format!("not {start}"))?;
                self.never_executed(history, index, request)?;
                return Ok(Fate::Refused);
            }
            expect if is_refused(history, request, expect, reply) => {
                self.never_executed(history, index, request)?;
                return Ok(Fate::Refused);
            }
            Expect::Recorded | Expect::Learned | Expect::Long => self.recorded(history, index, request, reply)?,
            Expect::Texts { keys, many } => self.texts(history, index, keys, *many, reply)?,
            Expect::Members { key, count } => self.members(history, index, key, *count, reply)?,
            Expect::Count(most) => {
                self.executions(history, index, request)?;
                let fits = integer(reply).is_some_and(|count| (0..=*most as i64).contains(&count));
                ensure(fits, || format!("not 0 to {most}"))?;
            }
            Expect::Claim(key) => claim(history, key, reply)?,
            Expect::AllDone => {
                self.executions(history, index, request)?;
                ensure(reply == b"+OK\r\n", || "not OK".into())?;
                request.args[1..].chunks(2).for_each(|pair| self.see_write(history, &pair[0], &pair[1..]));
            }
            Expect::Kind(kinds) => ensure(kinds.contains(&reply[0]), || "not of the kind expected".into())?,
            Expect::Begun => ensure(reply == b"+OK\r\n", || "not OK".into())?,
            Expect::Queued { apart } => return self.queued(request, *apart, reply),
            Expect::Executed { multi, apart } => return self.transaction(history, *multi, *apart, reply, now),
        }
        Ok(Fate::Done)
    }

    /// An instance could not do it for now: its client hears of that only when the patience is over.
    fn in_trouble(
        &mut self,
        history: &mut History,
        index: usize,
        request: &Request,
        now: Time,
    ) -> Result<Fate, Violation> {
        ensure(!history.keeps_all() || history.patience_is_over(self.client, index, now), || "it was not held".into())?;
        if matches!(request.expect, Expect::Queued { .. }) {
            self.doomed.extend(request.transaction);
            return Ok(Fate::Refused);
        }
        self.not_sent(history, index, request)
    }

    /// "Not sent": never carried out. A part of a divided request may be, when another was not sent.
    fn not_sent(&self, history: &mut History, index: usize, request: &Request) -> Result<Fate, Violation> {
        match &request.expect {
            Expect::Texts { .. } | Expect::Count(_) | Expect::AllDone | Expect::Kind(_) => return Ok(Fate::Unknown),
            Expect::Executed { multi, .. } => {
                let executed = history.transactions.contains_key(&(self.client, *multi));
                ensure(!executed, || "the transaction was carried out".into())?;
            }
            _ => self.never_executed(history, index, request)?,
        }
        Ok(Fate::Refused)
    }

    fn never_executed(&self, history: &History, index: usize, request: &Request) -> Result<(), Violation> {
        let executed = self.tags(index, request).any(|tag| history.executions.contains_key(&tag));
        ensure(!executed, || "it was carried out".into())
    }

    fn tags<'r>(&self, index: usize, request: &'r Request) -> impl Iterator<Item = Tag> + use<'r> {
        let client = self.client;
        Tag::all(&request.args).filter(move |tag| (tag.client, tag.request) == (client, index))
    }

    /// Every element's execution: each there, and in the client's order.
    fn executions<'h>(
        &self,
        history: &'h History,
        index: usize,
        request: &Request,
    ) -> Result<Vec<&'h Execution>, Violation> {
        let found = self.tags(index, request).map(|tag| history.executions.get(&tag));
        let found: Option<Vec<&Execution>> = found.collect();
        let found = found.ok_or("answered, but not carried out")?;
        ensure(!found.iter().any(|execution| execution.overtaken), || "carried out after a later request".into())?;
        Ok(found)
    }

    fn recorded(&mut self, history: &History, index: usize, request: &Request, reply: &[u8]) -> Result<(), Violation> {
        let key = String::from_utf8_lossy(&request.args[1]).into_owned();
        for execution in self.executions(history, index, request)? {
            ensure(execution.reply == reply, || format!("the instance said {}", shown(&execution.reply)))?;
            self.seen.insert(key.clone(), execution.seq);
        }
        Ok(())
    }

    fn from(&self, history: &History, index: usize, key: &str) -> u64 {
        history.asked[self.client][index].max(self.seen.get(key).copied().unwrap_or(0))
    }

    fn texts(
        &mut self,
        history: &History,
        index: usize,
        keys: &[String],
        many: bool,
        reply: &[u8],
    ) -> Result<(), Violation> {
        let parts = if many { elements(reply).ok_or("no array")? } else { vec![reply] };
        ensure(parts.len() == keys.len(), || format!("{} elements", parts.len()))?;
        let mut seen = Vec::new();
        for (key, part) in keys.iter().zip(parts) {
            let from = self.from(history, index, key);
            let when = history.when(key, from, |value| History::text_reply(value, many) == part);
            seen.push((key.clone(), when.ok_or_else(|| format!("{key} never held that"))?));
        }
        self.seen.extend(seen);
        Ok(())
    }

    fn members(
        &mut self,
        history: &History,
        index: usize,
        key: &str,
        count: bool,
        reply: &[u8],
    ) -> Result<(), Violation> {
        let fits = |value: Option<&Value>| match value {
            Some(Value::Text(_)) => reply.starts_with(b"-WRONGTYPE"),
            Some(Value::Set(set)) if count => integer(reply) == Some(set.len() as i64),
            None if count => integer(reply) == Some(0),
            Some(Value::Set(set)) => elements(reply).is_some_and(|found| {
                found.len() == set.len() && set.iter().all(|m| found.contains(&&*crate::resp::bulk(m)))
            }),
            None => reply == b"*0\r\n",
        };
        let when = history.when(key, self.from(history, index, key), fits);
        self.seen.insert(key.to_owned(), when.ok_or_else(|| format!("{key} never held that"))?);
        Ok(())
    }

    fn queued(&mut self, request: &Request, apart: bool, reply: &[u8]) -> Result<Fate, Violation> {
        if reply == b"+QUEUED\r\n" {
            // Whether it was carried out, EXEC will tell.
            return Ok(Fate::Open);
        }
        ensure(apart && reply.starts_with(b"-CROSSSLOT"), || "not QUEUED".into())?;
        self.doomed.extend(request.transaction);
        Ok(Fate::Refused)
    }

    fn transaction(
        &mut self,
        history: &History,
        multi: usize,
        apart: bool,
        reply: &[u8],
        now: Time,
    ) -> Result<Fate, Violation> {
        let doomed = self.doomed.contains(&multi);
        let recorded = history.transactions.get(&(self.client, multi));
        if reply.starts_with(b"-EXECABORT") {
            // A client that waited for each reply learns only here that the instance was in trouble, or that a proxy
            // behind had refused a command that was queued here already.
            let troubled = history.in_trouble_since.is_some_and(|since| since <= now);
            // Profile redis: a lane that is lost between two commands of a transaction is told at EXEC.
            let lost = !history.holds && history.has_large_values() && history.links_lost;
            let spoilt = history.holds && history.spool == Some(Spool::Failing);
            ensure(doomed || apart || troubled || lost || spoilt || history.proxied, || {
                "nothing was wrong with it".into()
            })?;
            ensure(recorded.is_none(), || "it was carried out".into())?;
            return Ok(Fate::Refused);
        }
        ensure(!doomed, || "a command of it was refused".into())?;
        let recorded = recorded.ok_or("answered, but not carried out")?;
        ensure(recorded == reply, || format!("the instance said {}", shown(recorded)))?;
        for args in history.scripts[self.client].queued(multi) {
            let overtaken = Tag::all(args).any(|tag| history.executions.get(&tag).is_some_and(|found| found.overtaken));
            ensure(!overtaken, || "carried out after a later request".into())?;
            self.see_write(history, &args[1], args);
        }
        Ok(Fate::Done)
    }

    /// The client knows that what it tagged was written to `key`.
    fn see_write(&mut self, history: &History, key: &[u8], tagged: &[Vec<u8>]) {
        let seq = Tag::all(tagged).filter_map(|tag| history.executions.get(&tag)).map(|found| found.seq).max();
        if let Some(seq) = seq {
            self.seen.insert(String::from_utf8_lossy(key).into_owned(), seq);
        }
    }
}

/// Whether an instance says that it cannot, for now.
fn is_trouble(reply: &[u8]) -> bool {
    [b"-LOADING".as_slice(), b"-OOM", b"-READONLY", b"-BUSY"].iter().any(|error| reply.starts_with(error))
}

/// Whether a proxy says that it cannot keep a request.
fn is_of_spool(reply: &[u8]) -> bool {
    [b"-ERR the spool".as_slice(), b"-ERR transaction is longer"].iter().any(|error| reply.starts_with(error))
}

/// Whether the proxy may have refused a request, and did.
fn is_refused(history: &History, request: &Request, expect: &Expect, reply: &[u8]) -> bool {
    match expect {
        Expect::Learned => reply.starts_with(b"-ERR unknown command"),
        Expect::Long => reply.starts_with(b"-ERR request is longer"),
        // Its keys live apart, and it is too long to be held until it is divided.
        Expect::AllDone => {
            let long = request.bytes.len() > history.whole_max() && request.args.len() > 3;
            long && reply.starts_with(b"-ERR request")
        }
        _ => false,
    }
}

fn claim(history: &mut History, key: &str, reply: &[u8]) -> Result<(), Violation> {
    let number = integer(reply).ok_or("no number")?;
    let new = history.claims.entry(key.to_owned()).or_default().insert(number);
    ensure(new, || "somebody else was given this number".into())
}
