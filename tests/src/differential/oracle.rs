//! One Redis, asked step by step, says what the subject must answer.

use std::collections::HashMap;
use std::io;

use pdw_router::place::Placement;

use super::masks::{MASKS, Mask, Rule, Situation};
use super::{Shape, Step};
use crate::connection::{Connection, encode};
use crate::instance::Instance;
use crate::reply::Value;

/// What the subject must answer to one step.
#[derive(Clone, Debug)]
pub(super) enum Expected {
    /// This, or something as alike as a mask permits; with the steps that an EXEC carried out.
    Reply(Value, Vec<Step>),
    /// An error that starts as one of these masks says; where several apply, the subject may name any reason.
    Refusal(Vec<(&'static Mask, &'static str)>),
    /// Nothing at all.
    Silence,
    /// It is not sent: inside a transaction over several shards nobody can say where a command belongs
    /// in whose arguments Redis finds no keys though there should be some.
    Untried,
}

/// An instance that answers for what should be.
#[derive(Debug)]
pub(super) struct Oracle {
    control: Connection,
    instance: Instance,
    arities: Arities,
}

/// How many arguments each command takes, its name included; negative: at least so many. Subcommands as `a|b`.
type Arities = HashMap<String, i64>;

impl Oracle {
    pub(super) fn start(instance: Instance) -> io::Result<Oracle> {
        let mut control = instance.connect()?;
        let published = control.demand(&["COMMAND"])?;
        let subcommands = published.elements().iter().filter_map(|row| row.elements().get(9));
        let rows = published.elements().iter().chain(subcommands.flat_map(Value::elements));
        let arity = |row: &Value| Some((row.elements().first()?.text(), row.elements().get(1)?.integer()?));
        let arities = rows.filter_map(arity).collect();
        Ok(Oracle { control, instance, arities })
    }

    /// Carries out `steps` on an empty instance. `placement` tells where the subject has its keys.
    pub(super) fn answer(&mut self, steps: &[Step], placement: &Placement) -> io::Result<Vec<Expected>> {
        clear(&mut self.control)?;
        let session = self.instance.connect()?;
        let at = Situation { shards: placement.shards(), ..Situation::default() };
        let mut asking =
            Asking { control: &mut self.control, arities: &self.arities, session, placement, at, queued: vec![] };
        steps.iter().map(|step| asking.step(step)).collect()
    }
}

/// Removes keys, scripts and functions.
pub(super) fn clear(control: &mut Connection) -> io::Result<()> {
    let commands: [&[&str]; 3] = [&["FLUSHALL"], &["SCRIPT", "FLUSH"], &["FUNCTION", "FLUSH"]];
    control.send(&commands.iter().flat_map(|command| encode(command)).collect::<Vec<_>>())?;
    control.receive_many(commands.len()).map(drop)
}

struct Asking<'a> {
    control: &'a mut Connection,
    arities: &'a Arities,
    session: Connection,
    placement: &'a Placement,
    at: Situation,
    queued: Vec<Step>,
}

impl Asking<'_> {
    fn step(&mut self, step: &Step) -> io::Result<Expected> {
        match step.shape {
            Shape::Silent => Ok(Expected::Silence),
            Shape::Scan if !self.at.queueing => Ok(Expected::Reply(scan(&mut self.session, step)?, Vec::new())),
            Shape::Array | Shape::Inline | Shape::Scan => self.command(step),
        }
    }

    fn command(&mut self, step: &Step) -> io::Result<Expected> {
        if !self.look_at(step)? {
            return Ok(Expected::Untried);
        }
        let refusing = MASKS.iter().filter_map(|mask| match mask.rule {
            Rule::Refused(applies, prefix) if self.at.well_formed && applies(step, &self.at) => Some((mask, prefix)),
            _ => None,
        });
        let refusing: Vec<_> = refusing.collect();
        if !refusing.is_empty() {
            if self.at.queueing {
                self.session.call(&["PDW-REFUSED"])?;
            }
            return Ok(Expected::Refusal(refusing));
        }
        let value = self.session.call(&step.arguments)?;
        Ok(self.follow(step, value))
    }

    /// Keeps track of the transaction.
    fn follow(&mut self, step: &Step, value: Value) -> Expected {
        let mut carried = Vec::new();
        if value == Value::Simple(b"QUEUED".to_vec()) {
            self.queued.push(step.clone());
            self.at.transaction_home = self.at.transaction_home.or(self.at.homes.first().copied());
        } else if step.name() == "MULTI" && value.error().is_none() {
            self.at.queueing = true;
        } else if ends_transaction(step, &value) {
            carried = std::mem::take(&mut self.queued);
            (self.at.queueing, self.at.transaction_home) = (false, None);
        }
        Expected::Reply(value, carried)
    }

    /// Asks Redis itself which keys the request has, and whether it is one at all; whether it is worth trying.
    fn look_at(&mut self, step: &Step) -> io::Result<bool> {
        let question = [&[b"COMMAND".to_vec(), b"GETKEYS".to_vec()], step.arguments.as_slice()].concat();
        let keys = self.control.call(&question)?;
        self.at.well_formed = self.is_well_formed(step);
        let miscounted = !counts_keys(step);
        let lost = miscounted || keys.error().is_some_and(|text| text.starts_with("ERR Invalid arguments"));
        let mut keys: Vec<&[u8]> = keys.elements().iter().map(Value::bytes).collect();
        // A value is missing, or the number of keys is none: Redis finds keys but will not carry it out.
        let odd = ["MSET", "MSETNX"].contains(&step.name().as_str()) && step.arguments.len().is_multiple_of(2);
        if odd || miscounted {
            keys.clear();
        }
        self.at.homes = keys.iter().map(|key| self.placement.home(key).index()).collect();
        Ok(!(lost && self.at.queueing && self.at.shards > 1))
    }

    fn is_well_formed(&self, step: &Step) -> bool {
        let name = step.name().to_ascii_lowercase();
        let subcommand = format!("{name}|{}", step.word(1).to_ascii_lowercase());
        let count = step.arguments.len() as i64;
        let takes = |arity: &i64| if *arity < 0 { count >= -arity } else { count == *arity };
        // A container command takes any subcommand by its own arity, but there must be such a one.
        let container =
            self.arities.keys().any(|known| known.strip_prefix(&name).is_some_and(|rest| rest.starts_with('|')));
        let found = if container { self.arities.get(&subcommand) } else { self.arities.get(&name) };
        found.is_some_and(takes)
    }
}

/// Whether the number of keys, of commands that take one, is a number; COMMAND GETKEYS reads 3 from `3.5`.
fn counts_keys(step: &Step) -> bool {
    let at = match step.name().as_str() {
        "EVAL" | "EVAL_RO" | "EVALSHA" | "EVALSHA_RO" | "FCALL" | "FCALL_RO" => 2,
        "ZUNIONSTORE" | "ZINTERSTORE" => 2,
        "LMPOP" | "ZMPOP" | "SINTERCARD" | "ZINTERCARD" | "ZUNION" | "ZINTER" | "ZDIFF" => 1,
        _ => return true,
    };
    step.arguments.get(at).is_none_or(|count| is_integer(count))
}

/// As Redis reads one: no sign but a minus, no blank, no leading zero.
fn is_integer(text: &[u8]) -> bool {
    let number = std::str::from_utf8(text).ok().and_then(|text| text.parse::<i64>().ok());
    number.is_some_and(|number| number.to_string().as_bytes() == text)
}

/// Whether MULTI is closed afterwards: EXEC and DISCARD close it with an error too, but for a wrong number of arguments.
fn ends_transaction(step: &Step, value: &Value) -> bool {
    let closes = ["EXEC", "DISCARD", "RESET"].contains(&step.name().as_str());
    closes && !value.error().is_some_and(|text| text.starts_with("ERR wrong number"))
}

/// All elements of a scan, once each; the last reply if it is an error.
pub(super) fn scan(session: &mut Connection, step: &Step) -> io::Result<Value> {
    // SSCAN and its like name a key before the cursor.
    let at = if step.name() == "SCAN" { 1 } else { 2 };
    let mut arguments = step.arguments.clone();
    let mut elements = std::collections::BTreeSet::new();
    for _ in 0..10_000 {
        let page = session.call(&arguments)?;
        let [cursor, found] = page.elements() else { return Ok(page) };
        elements.extend(found.elements().iter().cloned());
        if cursor.bytes() == b"0" {
            return Ok(Value::Array(Some(elements.into_iter().collect())));
        }
        arguments[at] = cursor.bytes().to_vec();
    }
    Err(io::Error::other("a scan that never ends"))
}
