//! The short way: what of a request is still to be looked at, command by command, worked out when a permit is compiled.

use super::{Access, Selector};
use crate::command::{BeginSearch, CommandSpec, FindKeys, Flags, KeyFlags, KeySpec, PUBLISHED, Table};
use crate::resp::Request;

/// What is left to look at of a command's requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Quick {
    /// Everything, the long way.
    All,
    /// Nothing: every request is allowed.
    Nothing,
    /// Argument 1, which is its only key.
    Key(Access),
    /// The same of `SET`, which may also read if it has options.
    Set,
}

/// What a selector leaves to be looked at, by number in the command table.
#[derive(Clone, Debug)]
pub(super) struct Shortcuts(Box<[Quick]>);

impl Shortcuts {
    pub(super) fn of(selector: &Selector, table: &Table) -> Self {
        Self(table.iter().take(PUBLISHED).map(|spec| quick(selector, table, spec)).collect())
    }

    /// Whether it can be told by the short way that a request is allowed. If not it may be all the same.
    pub(super) fn allow(&self, command: usize, selector: &Selector, request: &Request<'_>) -> bool {
        let needed = match self.0.get(command) {
            Some(Quick::Nothing) => return true,
            Some(Quick::Key(needed)) if request.spans.len() > 1 => *needed,
            Some(Quick::Set) if request.spans.len() == 3 && request.missing == 0 => Access::WRITE,
            _ => return false,
        };
        let key = request.arg(1);
        selector.keys.iter().any(|pattern| pattern.access.contains(needed) && pattern.glob.matches(key))
    }
}

fn quick(selector: &Selector, table: &Table, spec: &CommandSpec) -> Quick {
    let bare = Request { bytes: b"", spans: &[], missing: 0 };
    let allowed = table.find(spec.name.as_bytes()).is_some_and(|id| selector.commands.allow(id, spec, &bare));
    let listens = spec.flags.contains(Flags::PUBSUB) && !selector.all_channels;
    if !allowed || listens || matches!(&*spec.name, "sort" | "sort_ro" | "migrate") {
        return Quick::All;
    }
    match &*spec.keys {
        _ if selector.all_keys => Quick::Nothing,
        [] if !spec.flags.contains(Flags::MOVABLEKEYS) => Quick::Nothing,
        [KeySpec { begin: BeginSearch::Index(1), find: FindKeys::Range { last: 0, .. }, flags }] => match *flags {
            flags if flags.contains(KeyFlags::NOT_KEY) => Quick::All,
            flags if !flags.contains(KeyFlags::VARIABLE_FLAGS) => Quick::Key(Access::needed(flags)),
            _ if spec.name == "set" => Quick::Set,
            _ => Quick::All,
        },
        _ => Quick::All,
    }
}
