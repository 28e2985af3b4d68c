//! Which commands a selector allows.

use crate::command::{Categories, CommandId, CommandSpec, Flags, PUBLISHED, Table};
use crate::resp::Request;

const WORDS: usize = PUBLISHED.div_ceil(64);

/// One rule about commands; a later one overrides an earlier one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CommandRule {
    /// Every command, those of the future included: `+@all`, `-@all`.
    All(bool),
    /// Every command of a category: `+@read`.
    Category(Categories, bool),
    /// One command, with its subcommands if it has any: `+get`, `-config|set`. Lower case. A command that the table
    /// lacks may be learned later.
    Command(Box<str>, bool),
    /// One first argument of a command that is not allowed otherwise: `+select|0`.
    FirstArgument(Box<str>, Box<str>),
}

/// Commands that are allowed.
#[derive(Clone, Debug, Default)]
pub struct Commands {
    /// All of them, of the past and of the future.
    all: bool,
    /// By number in the command table, as far as it is published.
    bits: [u64; WORDS],
    /// First arguments for which a command is allowed though its bit is not set.
    first_arguments: Vec<(CommandId, Box<str>)>,
    /// The rules in order, for commands that are learned later.
    rules: Vec<CommandRule>,
}

impl Commands {
    /// Every command, those of the future included.
    pub fn everything() -> Self {
        Self { all: true, bits: [u64::MAX; WORDS], rules: vec![CommandRule::All(true)], ..Self::default() }
    }

    /// Whether every command is allowed, whatever may be learned.
    pub fn is_all(&self) -> bool {
        self.all
    }

    /// Applies one more rule.
    pub fn apply(&mut self, table: &Table, rule: CommandRule) {
        match &rule {
            CommandRule::All(true) => return *self = Self::everything(),
            CommandRule::All(false) => return *self = Self::default(),
            CommandRule::Category(wanted, allow) => {
                for (id, spec) in published(table).filter(|(_, spec)| spec.categories.intersects(*wanted)) {
                    self.change(table, id, spec, *allow);
                }
            }
            CommandRule::Command(name, allow) => {
                if let Some(id) = table.find(name.as_bytes()) {
                    self.change(table, id, table.spec(id), *allow);
                }
            }
            CommandRule::FirstArgument(name, argument) => {
                let id = table.find(name.as_bytes());
                self.first_arguments.extend(id.map(|id| (id, argument.clone())));
            }
        }
        if let CommandRule::Category(_, false) | CommandRule::Command(_, false) = rule {
            // It may be about a command that is learned later.
            self.all = false;
        }
        self.rules.push(rule);
    }

    /// A container takes its subcommands along.
    fn change(&mut self, table: &Table, id: CommandId, spec: &CommandSpec, allow: bool) {
        self.first_arguments.retain(|(command, _)| *command != id);
        self.set(id, allow);
        if spec.has_subcommands {
            let inside = |(_, other): &(CommandId, &CommandSpec)| other.container() == Some(&*spec.name);
            published(table).filter(inside).for_each(|(id, _)| self.set(id, allow));
        }
    }

    fn set(&mut self, id: CommandId, allow: bool) {
        let Some(word) = self.bits.get_mut(id.index() / 64) else { return };
        let bit = 1 << (id.index() % 64);
        if allow {
            *word |= bit;
        } else {
            *word &= !bit;
            self.all = false;
        }
    }

    /// Whether a request's command is allowed.
    pub(super) fn allow(&self, id: CommandId, spec: &CommandSpec, request: &Request<'_>) -> bool {
        if self.all {
            return true;
        }
        let bit = self.bits.get(id.index() / 64).is_some_and(|word| word >> (id.index() % 64) & 1 == 1);
        (bit && id.index() < PUBLISHED) || self.allow_otherwise(id, spec, request)
    }

    /// By its first argument, if it is not learned, or flagged as allowed to everybody.
    fn allow_otherwise(&self, id: CommandId, spec: &CommandSpec, request: &Request<'_>) -> bool {
        let first = request.arg(if spec.container().is_some() { 2 } else { 1 });
        let fits = |(command, argument): &(CommandId, Box<str>)| {
            *command == id && first.eq_ignore_ascii_case(argument.as_bytes())
        };
        spec.flags.contains(Flags::NO_AUTH)
            || request.len() > 1 && self.first_arguments.iter().any(fits)
            || id.index() >= PUBLISHED && self.allow_learned(spec)
    }

    /// A command that the table lacked when the rules were compiled. Categories of modules' commands count for
    /// nothing, as in Redis 7.0.
    fn allow_learned(&self, spec: &CommandSpec) -> bool {
        let names = |name: &str| name == spec.name || Some(name) == spec.container();
        self.rules.iter().fold(false, |allowed, rule| match rule {
            CommandRule::All(allow) => *allow,
            CommandRule::Category(wanted, allow)
                if spec.categories.intersects(*wanted) && !spec.flags.contains(Flags::MODULE) =>
            {
                *allow
            }
            CommandRule::Command(name, allow) if names(name) => *allow,
            _ => allowed,
        })
    }
}

/// The rows that every table has, by the same numbers.
fn published(table: &Table) -> impl Iterator<Item = (CommandId, &CommandSpec)> {
    let numbered = table.iter().take(PUBLISHED).enumerate();
    numbered
        .map(|(index, spec)| (CommandId(index as u16), spec))
        .filter(|(_, spec)| !spec.flags.contains(Flags::MODULE))
}
