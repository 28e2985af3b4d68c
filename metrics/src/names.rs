//! The values of those labels that are not the same in every process.

use std::collections::HashSet;

use crate::table::Label;

/// The name under which everything without a name is counted.
pub(crate) const OTHER: &str = "other";

/// Values of labels, by index. The worker that counts gives them; workers need not have the same ones.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names {
    /// Commands, in lower case.
    pub commands: Vec<String>,
    /// Configured upstreams.
    pub upstreams: Vec<String>,
    /// Kinds of refusals.
    pub refusals: Vec<String>,
    /// Kinds of error replies from upstreams: first words, as `OOM`.
    pub errors: Vec<String>,
    /// Reasons to close a session.
    pub closes: Vec<String>,
    /// Proxies above and below, as they call themselves.
    pub peers: Vec<String>,
}

impl Names {
    /// The values of `label`; none where they are not given here.
    pub fn of(&self, label: Label) -> &[String] {
        match label {
            Label::Command => &self.commands,
            Label::Upstream => &self.upstreams,
            Label::Refusal => &self.refusals,
            Label::Error => &self.errors,
            Label::Close => &self.closes,
            Label::Peer => &self.peers,
            _ => &[],
        }
    }

    /// Number of values of `label`, wherever they come from.
    pub(crate) fn count(&self, label: Label) -> usize {
        label.fixed().map_or_else(|| self.of(label).len(), <[_]>::len)
    }

    /// Value `index` of `label`.
    pub(crate) fn value(&self, label: Label, index: usize) -> &str {
        match label.fixed() {
            Some(values) => values.get(index).copied().unwrap_or_default(),
            None => self.of(label).get(index).map_or("", String::as_str),
        }
    }

    /// These names, followed by those that only `other` has; each once. An empty one is none: what bears it is shown as
    /// [`OTHER`].
    pub(crate) fn union(&self, other: &Names) -> Names {
        Names {
            commands: union(&self.commands, &other.commands),
            upstreams: union(&self.upstreams, &other.upstreams),
            refusals: union(&self.refusals, &other.refusals),
            errors: union(&self.errors, &other.errors),
            closes: union(&self.closes, &other.closes),
            peers: union(&self.peers, &other.peers),
        }
    }
}

fn union(first: &[String], second: &[String]) -> Vec<String> {
    let mut seen = HashSet::new();
    let named = first.iter().chain(second).filter(|name| !name.is_empty());
    named.filter(|name| seen.insert(name.as_str())).cloned().collect()
}
