//! One sequence against oracle and subject.

use std::fmt;
use std::io;

use pdw_router::place::Placement;

use super::compare::equal;
use super::masks::Used;
use super::oracle::{Expected, Oracle, clear, scan};
use super::{Shape, Step};
use crate::address::Address;
use crate::connection::Connection;
use crate::instance::Instance;
use crate::reply::{Reply, printable};

/// What is compared with one Redis.
#[derive(Debug)]
pub struct Subject {
    /// Where it listens.
    pub address: Address,
    /// How it places keys on the instances behind it.
    pub placement: Placement,
}

/// A difference that no mask permits.
#[derive(Clone, Debug)]
pub struct Difference {
    /// Index of the step.
    pub step: usize,
    /// What one Redis answers.
    pub wanted: String,
    /// What the subject answered.
    pub found: String,
}

impl fmt::Display for Difference {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "step {}: wanted {}\n         found  {}", self.step, self.wanted, self.found)
    }
}

impl Difference {
    /// Which command got what, roughly: two of one kind have one cause, more likely than not.
    pub fn kind(&self, steps: &[Step]) -> (String, String) {
        (steps[self.step].name(), self.found.chars().take(12).collect())
    }
}

/// An oracle and a subject, ready for sequences.
#[derive(Debug)]
pub struct Trial {
    oracle: Oracle,
    subject: Subject,
    /// Past the subject, to each instance behind it.
    controls: Vec<Connection>,
    /// Masks that were needed so far.
    pub used: Used,
}

impl Trial {
    /// Compares `subject`, which stands before `instances`, with `oracle`.
    ///
    /// # Errors
    /// When an instance cannot be reached.
    pub fn new(oracle: Instance, subject: Subject, instances: &[Instance]) -> io::Result<Trial> {
        let controls = instances.iter().map(Instance::connect).collect::<io::Result<_>>()?;
        Ok(Trial { oracle: Oracle::start(oracle)?, subject, controls, used: Used::new() })
    }

    /// Runs one sequence from empty instances.
    ///
    /// # Errors
    /// When the oracle or an instance fails; what the subject does is never an error.
    pub fn run(&mut self, steps: &[Step]) -> io::Result<Option<Difference>> {
        let expected = self.oracle.answer(steps, &self.subject.placement)?;
        self.controls.iter_mut().try_for_each(clear)?;
        let mut session = Connection::open(&self.subject.address)?;
        let mut start = 0;
        while start < steps.len() {
            let end = chunk_end(steps, start);
            if let Some(difference) = self.chunk(&mut session, steps, &expected, start..end) {
                return Ok(Some(difference));
            }
            start = end;
        }
        Ok(None)
    }

    /// Sends a chunk in one `write()` and compares its replies.
    fn chunk(
        &mut self,
        session: &mut Connection,
        steps: &[Step],
        expected: &[Expected],
        range: std::ops::Range<usize>,
    ) -> Option<Difference> {
        if steps[range.start].shape == Shape::Scan {
            let found = scan(session, &steps[range.start]);
            let reply = found.map(|value| Reply { raw: format!("{value:?}").into_bytes(), value });
            return self.judge(steps, expected, range.start, reply);
        }
        let tried = range.clone().filter(|index| !matches!(expected[*index], Expected::Untried));
        let bytes: Vec<u8> = tried.flat_map(|index| steps[index].bytes()).collect();
        if let Err(error) = session.send(&bytes) {
            return Some(Difference { step: range.start, wanted: "replies".into(), found: error.to_string() });
        }
        let mut answered = range.filter(|index| !matches!(expected[*index], Expected::Silence | Expected::Untried));
        answered.find_map(|index| {
            let reply = session.receive();
            self.judge(steps, expected, index, reply)
        })
    }

    fn judge(
        &mut self,
        steps: &[Step],
        expected: &[Expected],
        index: usize,
        reply: io::Result<Reply>,
    ) -> Option<Difference> {
        let (permitted, wanted) = match (&expected[index], &reply) {
            (Expected::Reply(wanted, queued), Ok(found)) => {
                (equal(&steps[index], queued, wanted, &found.value, &mut self.used), show(wanted))
            }
            (Expected::Refusal(masks), Ok(found)) => {
                // Refusals name the command as it was typed.
                let text = found.value.error().unwrap_or_default().to_ascii_uppercase();
                let named = masks.iter().find(|(_, prefix)| text.starts_with(prefix));
                self.used.extend(named.map(|(mask, _)| mask.name));
                let (mask, prefix) = masks[0];
                (named.is_some(), format!("-{prefix}... ({}: {})", mask.name, mask.reason))
            }
            (Expected::Reply(wanted, _), Err(_)) => (false, show(wanted)),
            (_, Err(_)) | (Expected::Silence | Expected::Untried, _) => (false, "nothing".to_owned()),
        };
        let found = reply.map_or_else(|error| error.to_string(), |found| printable(&found.raw));
        (!permitted).then_some(Difference { step: index, wanted, found })
    }
}

fn show(value: &crate::reply::Value) -> String {
    use crate::reply::Value;
    match value {
        Value::Simple(text) => format!("+{}", printable(text)),
        Value::Error(text) => format!("-{}", printable(text)),
        Value::Integer(number) => format!(":{number}"),
        Value::Bulk(None) | Value::Array(None) => "nil".to_owned(),
        Value::Bulk(Some(bytes)) => format!("\"{}\"", printable(bytes)),
        Value::Array(Some(elements)) => format!("[{}]", elements.iter().map(show).collect::<Vec<_>>().join(", ")),
    }
}

/// Where the chunk ends that begins at `start`: a scan goes alone, since it has to read before it sends on.
fn chunk_end(steps: &[Step], start: usize) -> usize {
    let rest = &steps[start..];
    if rest[0].shape == Shape::Scan {
        return start + 1;
    }
    let scan = rest.iter().position(|step| step.shape == Shape::Scan).unwrap_or(rest.len());
    let cut = rest.iter().position(|step| step.cut).map_or(rest.len(), |at| at + 1);
    start + scan.min(cut)
}
