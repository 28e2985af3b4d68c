//! Everything in which a subject may differ from one Redis, with the reason. A mask that no run needs is an error.

use std::collections::BTreeSet;

use super::Step;
use crate::reply::Value;

/// One permitted difference.
#[derive(Debug)]
pub struct Mask {
    /// What reports call it.
    pub name: &'static str,
    /// Why it is permitted.
    pub reason: &'static str,
    /// What is done with it.
    pub rule: Rule,
}

/// How a mask applies.
#[derive(Clone, Copy, Debug)]
pub enum Rule {
    /// These requests, if Redis would accept them at all, are refused with an error that starts so; the oracle
    /// never gets them, and inside MULTI gets an unknown command in their place.
    Refused(fn(&Step, &Situation) -> bool, &'static str),
    /// For these requests two replies need only be as alike as this.
    Alike(fn(&Step) -> bool, fn(&Value, &Value) -> bool),
}

/// What is known when a request is about to be sent.
#[derive(Clone, Debug, Default)]
pub struct Situation {
    /// Shards behind the subject.
    pub shards: usize,
    /// Whether there is such a command and it takes so many arguments.
    pub well_formed: bool,
    /// Homes of the request's keys.
    pub homes: BTreeSet<usize>,
    /// Whether MULTI is open.
    pub queueing: bool,
    /// Home of the open transaction, once a key was queued.
    pub transaction_home: Option<usize>,
}

/// Names of the masks that were needed.
pub type Used = BTreeSet<&'static str>;

/// Commands that one Redis carries out on keys that lie anywhere, and a proxy too: part by part.
const SPLIT: &[&str] = &["MGET", "MSET", "DEL", "UNLINK", "EXISTS", "TOUCH"];

/// Commands that concern all shards at once.
const WHOLE: &[&str] = &["DBSIZE", "KEYS", "SCAN", "RANDOMKEY", "FLUSHALL", "FLUSHDB"];

/// Commands that concern the session.
const SESSION: &[&str] = &["SELECT", "CLIENT", "HELLO", "AUTH"];

/// Every mask.
pub const MASKS: &[Mask] = &[
    Mask {
        name: "cross-home",
        reason: "its keys, or those of its transaction, live on several instances, and it cannot be split",
        rule: Rule::Refused(crosses_homes, "CROSSSLOT"),
    },
    Mask {
        name: "whole-in-multi",
        reason: "a transaction is carried out by one instance, this command concerns all of them",
        rule: Rule::Refused(|step, at| at.shards > 1 && at.queueing && is_whole(step), "CROSSSLOT"),
    },
    Mask {
        name: "session-in-multi",
        reason: "what the proxy answers itself cannot take its turn inside a transaction that an instance carries out",
        rule: Rule::Refused(|step, at| at.queueing && is_one_of(step, SESSION), "ERR '"),
    },
    Mask {
        name: "keys-by-pattern",
        reason: "BY and GET of SORT name keys by a pattern; they may live on any instance",
        rule: Rule::Refused(|step, at| at.shards > 1 && sorts_by_pattern(step), "ERR 'SORT'"),
    },
    Mask {
        name: "needs-its-own-link",
        reason: "subscriptions, blocking commands and WATCH need a link of their own, which comes later",
        rule: Rule::Refused(needs_link, "ERR '"),
    },
    Mask {
        name: "one-database",
        reason: "the proxy serves database 0, and says so where one Redis with one database has words of its own",
        rule: Rule::Refused(reaches_other_database, "ERR '"),
    },
    Mask {
        name: "resp3",
        reason: "RESP3 comes later; clients fall back on NOPROTO",
        rule: Rule::Refused(|step, _| step.word(0) == "HELLO" && step.word(1) == "3", "NOPROTO"),
    },
    Mask {
        name: "greeting",
        reason: "HELLO tells the id of the session and the proxy's own version",
        rule: Rule::Alike(
            |step| step.word(0) == "HELLO",
            |wanted, found| wanted.elements().len() == found.elements().len() && wanted.error() == found.error(),
        ),
    },
    Mask {
        name: "newer-arity",
        reason: "Redis 7.2 takes an argument more than 7.0; a held command's arity is that of the newest server, \
                 and an older one's error shows at EXEC",
        rule: Rule::Alike(
            |step| is_one_of(step, &["ZRANK", "ZREVRANK"]) && step.arguments.len() == 4,
            |wanted, found| wanted.error().is_some() && (is_queued(found) || crosses(found)),
        ),
    },
    Mask {
        name: "clock",
        reason: "the two servers set an expiry at slightly different times",
        rule: Rule::Alike(|step| is_one_of(step, CLOCK), within_seconds),
    },
    Mask {
        name: "order",
        reason: "Redis leaves the order of these replies open: it depends on a random hash seed",
        rule: Rule::Alike(|step| is_one_of(step, UNORDERED), |wanted, found| sorted(wanted) == sorted(found)),
    },
];

fn is_queued(reply: &Value) -> bool {
    *reply == Value::Simple(b"QUEUED".to_vec())
}

fn crosses(reply: &Value) -> bool {
    reply.error().is_some_and(|text| text.starts_with("CROSSSLOT"))
}

const CLOCK: &[&str] = &["TTL", "PTTL", "EXPIRETIME", "PEXPIRETIME"];

const UNORDERED: &[&str] = &[
    "SMEMBERS",
    "SINTER",
    "SUNION",
    "SDIFF",
    "SPOP",
    "SRANDMEMBER",
    "SSCAN",
    "HGETALL",
    "HKEYS",
    "HVALS",
    "HRANDFIELD",
    "HSCAN",
    "ZRANDMEMBER",
    "ZSCAN",
    "KEYS",
    "SCAN",
    "GEOSEARCH",
];

fn is_one_of(step: &Step, names: &[&str]) -> bool {
    names.contains(&step.name().as_str())
}

/// WATCH inside MULTI is an error of Redis's own.
fn needs_link(step: &Step, at: &Situation) -> bool {
    is_one_of(step, &["BLPOP", "SUBSCRIBE"]) || (step.name() == "WATCH" && !at.queueing)
}

fn crosses_homes(step: &Step, at: &Situation) -> bool {
    if step.name() == "WATCH" {
        return false;
    }
    let elsewhere = at.queueing && at.transaction_home.is_some_and(|home| at.homes.iter().any(|other| *other != home));
    let split = SPLIT.contains(&step.name().as_str()) && !at.queueing;
    elsewhere || (at.homes.len() > 1 && !split)
}

fn is_whole(step: &Step) -> bool {
    let function = step.name() == "FUNCTION" && ["LOAD", "DELETE", "FLUSH"].contains(&step.word(1).as_str());
    function || step.name() == "SCRIPT" || is_one_of(step, WHOLE)
}

fn sorts_by_pattern(step: &Step) -> bool {
    is_one_of(step, &["SORT"]) && step.arguments.iter().skip(2).any(|word| word == b"BY" || word == b"GET")
}

fn reaches_other_database(step: &Step, _: &Situation) -> bool {
    let other = |pair: &[Vec<u8>]| pair[0].eq_ignore_ascii_case(b"db") && pair[1] != b"0";
    match step.name().as_str() {
        "MOVE" | "SWAPDB" => true,
        "COPY" => step.arguments.windows(2).skip(3).any(other),
        _ => false,
    }
}

fn within_seconds(wanted: &Value, found: &Value) -> bool {
    match (wanted.integer(), found.integer()) {
        // Milliseconds and seconds alike: the tolerance only has to exceed the time a sequence takes.
        (Some(wanted), Some(found)) if wanted > 0 && found > 0 => wanted.abs_diff(found) <= 10_000,
        _ => wanted == found,
    }
}

/// The value with the elements of every array in a fixed order.
fn sorted(value: &Value) -> Value {
    match value {
        Value::Array(Some(elements)) => {
            let mut elements: Vec<_> = elements.iter().map(sorted).collect();
            elements.sort();
            Value::Array(Some(elements))
        }
        other => other.clone(),
    }
}
