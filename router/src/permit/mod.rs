//! What a user may do, compiled from the rules of an access control list.
//!
//! | file | holds |
//! |---|---|
//! | `commands` | which commands, by number in the command table |
//! | `glob` | patterns of keys and channels |
//! | `inside` | what is looked for anywhere in a key |
//! | `quick` | the short way, by which most requests are allowed |
//!
//! The crate `pdw-auth` reads the rules. A check allocates nothing; it says what `ACLCheckAllUserCommandPerm` of
//! Redis 7.0 says, whose structure this follows: a permit is a list of selectors, one of which has to allow the
//! whole request.

mod commands;
mod glob;
mod inside;
mod quick;
mod tokens;

pub use commands::{CommandRule, Commands};
pub use glob::Glob;
use quick::Shortcuts;

use crate::command::{CommandId, CommandSpec, Flags, KeyAccess, KeyError, KeyFlags, Table, first_access, key_accesses};
use crate::resp::Request;

bitflags::bitflags! {
    /// What may be done to keys.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct Access: u8 {
        /// Their data may be read: `%R~`.
        const READ = 1;
        /// Their data may be changed: `%W~`.
        const WRITE = 1 << 1;
    }
}

impl Access {
    /// What a request needs that does this to a key. To look whether it is there needs nothing.
    fn needed(flags: KeyFlags) -> Self {
        let mut needed = Self::empty();
        needed.set(Self::READ, flags.contains(KeyFlags::ACCESS));
        needed.set(Self::WRITE, flags.intersects(KeyFlags::INSERT | KeyFlags::DELETE | KeyFlags::UPDATE));
        needed
    }
}

/// Keys of one pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyPattern {
    /// What may be done to them.
    pub access: Access,
    /// Which they are.
    pub glob: Glob,
}

/// One set of rules, which allows a request as a whole or not at all.
#[derive(Clone, Debug, Default)]
pub struct Selector {
    /// Which commands.
    pub commands: Commands,
    /// On all keys.
    pub all_keys: bool,
    /// On these keys.
    pub keys: Vec<KeyPattern>,
    /// On all channels.
    pub all_channels: bool,
    /// On these channels.
    pub channels: Vec<Glob>,
}

/// Why a request is not allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Denied {
    /// No selector allows the command.
    Command,
    /// This argument is a key that none allows.
    Key(u32),
    /// This argument is a channel that none allows.
    Channel(u32),
}

impl Denied {
    /// How Redis weighs refusals of several selectors: by kind, then the last argument.
    fn weight(self) -> (u8, u32) {
        match self {
            Self::Command => (0, 0),
            Self::Key(position) => (1, position),
            Self::Channel(position) => (2, position),
        }
    }
}

/// What a user may do.
#[derive(Clone, Debug, Default)]
pub struct Permit {
    /// Each of them may allow a request; the first is the user's own, the others stand in parentheses.
    selectors: Vec<Selector>,
    /// By which most requests are allowed.
    shortcuts: Shortcuts,
}

/// Keys of the request that is being checked, found once for all selectors.
#[derive(Debug, Default)]
pub(crate) struct Found {
    keys: Vec<KeyAccess>,
    positions: Vec<u32>,
    outcome: Option<Result<(), KeyError>>,
}

impl Found {
    fn keys(&mut self, spec: &CommandSpec, request: &Request<'_>) -> Result<&[KeyAccess], KeyError> {
        let Self { keys, positions, outcome } = self;
        (*outcome.get_or_insert_with(|| key_accesses(spec, request, positions, keys)))?;
        Ok(keys)
    }
}

impl Permit {
    /// A permit of these selectors, each of which may allow a request; the first is the user's own.
    pub fn new(table: &Table, selectors: Vec<Selector>) -> Self {
        let shortcuts = Shortcuts::of(&selectors, table);
        Self { selectors, shortcuts }
    }

    /// A permit for everything.
    pub fn boundless() -> Self {
        let commands = Commands::everything();
        let selector = Selector { commands, all_keys: true, all_channels: true, ..Selector::default() };
        Self { selectors: vec![selector], shortcuts: Shortcuts::default() }
    }

    /// Whether nothing at all is forbidden, so that no request need be looked at.
    pub fn is_boundless(&self) -> bool {
        self.selectors.iter().any(|selector| selector.commands.is_all() && selector.all_keys && selector.all_channels)
    }

    /// Whether some selector allows this command, whatever keys it has.
    pub fn allows_command(&self, table: &Table, name: &str) -> bool {
        let Some(id) = table.find(name.as_bytes()) else { return false };
        let bare = Request { bytes: b"", spans: &[], missing: 0 };
        self.selectors.iter().any(|one| one.commands.allow(id, table.spec(id), &bare))
    }

    /// Whether it can be told by a short way that a request is allowed. If not it may be all the same.
    #[inline]
    pub(crate) fn waves_through(&self, id: CommandId, request: &Request<'_>) -> bool {
        self.shortcuts.allow(id, request)
    }

    /// Whether a request is allowed.
    pub(crate) fn check(
        &self,
        id: CommandId,
        spec: &CommandSpec,
        request: &Request<'_>,
        found: &mut Found,
    ) -> Result<(), Denied> {
        found.outcome = None;
        let mut why = Denied::Command;
        for selector in &self.selectors {
            match selector.check(id, spec, request, found) {
                Ok(()) => return Ok(()),
                Err(denied) if denied.weight() > why.weight() => why = denied,
                Err(_) => {}
            }
        }
        Err(why)
    }

    /// Whether a request is allowed together with reading any key at all.
    pub(crate) fn reads_everything(
        &self,
        id: CommandId,
        spec: &CommandSpec,
        request: &Request<'_>,
        found: &mut Found,
    ) -> bool {
        found.outcome = None;
        self.selectors.iter().any(|one| one.check(id, spec, request, found).is_ok() && one.reads_every_key())
    }
}

impl Selector {
    fn check(&self, id: CommandId, spec: &CommandSpec, request: &Request<'_>, found: &mut Found) -> Result<(), Denied> {
        if !self.commands.allow(id, spec, request) {
            return Err(Denied::Command);
        }
        if !self.all_keys {
            self.check_keys(spec, request, found)?;
        }
        if !self.all_channels && spec.flags.contains(Flags::PUBSUB) {
            self.check_channels(spec, request)?;
        }
        Ok(())
    }

    fn check_keys(&self, spec: &CommandSpec, request: &Request<'_>, found: &mut Found) -> Result<(), Denied> {
        if let Some(access) = first_access(spec, request) {
            return self.check_key(access, request);
        }
        match found.keys(spec, request) {
            Ok(keys) => keys.iter().try_for_each(|access| self.check_key(*access, request)),
            // No instance carries it out: what is wrong with it, one of them says best.
            Err(KeyError::Malformed) => Ok(()),
            Err(KeyError::Unknown) => Err(Denied::Key(0)),
        }
    }

    fn check_key(&self, access: KeyAccess, request: &Request<'_>) -> Result<(), Denied> {
        let (needed, key) = (Access::needed(access.flags), request.arg(access.position as usize));
        let allows = |pattern: &KeyPattern| pattern.access.contains(needed) && pattern.glob.matches(key);
        if self.keys.iter().any(allows) { Ok(()) } else { Err(Denied::Key(access.position)) }
    }

    fn check_channels(&self, spec: &CommandSpec, request: &Request<'_>) -> Result<(), Denied> {
        let Some(channels) = Channels::of(spec) else { return Ok(()) };
        let count = if channels.one { 1 } else { usize::MAX };
        for (at, channel) in request.args(1).take(count).enumerate() {
            let allows = |glob: &Glob| match channels.patterns {
                true => glob.text() == channel,
                false => glob.matches(channel),
            };
            if !self.channels.iter().any(allows) {
                return Err(Denied::Channel(at as u32 + 1));
            }
        }
        Ok(())
    }

    fn reads_every_key(&self) -> bool {
        let reads = |pattern: &KeyPattern| pattern.access.contains(Access::READ) && pattern.glob.text() == b"*";
        self.all_keys || self.keys.iter().any(reads)
    }
}

/// Which arguments of a command are channels.
struct Channels {
    /// Only the first; else all.
    one: bool,
    /// They are patterns, and compared as texts.
    patterns: bool,
}

impl Channels {
    /// To leave a channel nobody needs a permit.
    fn of(spec: &CommandSpec) -> Option<Self> {
        match &*spec.name {
            "publish" | "spublish" => Some(Self { one: true, patterns: false }),
            "subscribe" | "ssubscribe" => Some(Self { one: false, patterns: false }),
            "psubscribe" => Some(Self { one: false, patterns: true }),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests;
