//! The columns of the command table, with the names Redis itself publishes.
//!
//! Source: the documentation pages "COMMAND", "Key specifications" and "Command tips" of Redis 7.0.

use std::borrow::Cow;

use super::{Categories, Flags, Hints, KeyFlags, Reason};
use crate::resp::Request;

/// Index of a command in its [`Table`](super::Table).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CommandId(pub u16);

impl CommandId {
    /// The command's position in the table.
    pub fn index(self) -> usize {
        usize::from(self.0)
    }
}

/// Where the key arguments of a [`KeySpec`] begin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BeginSearch {
    /// At this argument; the command's name is argument 0.
    Index(i32),
    /// After the first argument that equals `word`, whatever its case.
    Keyword {
        /// The keyword, as published.
        word: Cow<'static, str>,
        /// Where the search starts; negative: that far from the end, and backwards.
        start_from: i32,
    },
    /// The server cannot tell.
    Unknown,
}

/// Which arguments are keys, counted from where [`BeginSearch`] pointed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FindKeys {
    /// A range.
    Range {
        /// Last key relative to the first; negative: relative to the end of the arguments.
        last: i32,
        /// One key every `step` arguments.
        step: i32,
        /// With `last` -1: only the first one in `limit` of the remaining arguments are keys; 0 and 1: no limit.
        limit: i32,
    },
    /// A number of keys that is itself an argument.
    KeyNum {
        /// Where that number is.
        key_num_index: i32,
        /// Where the first key is.
        first_key: i32,
        /// One key every `step` arguments.
        step: i32,
    },
    /// The server cannot tell.
    Unknown,
}

/// One rule that finds key arguments; a command may have several.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeySpec {
    /// Where the keys begin.
    pub begin: BeginSearch,
    /// How many there are.
    pub find: FindKeys,
    /// What is done to them.
    pub flags: KeyFlags,
}

impl KeySpec {
    /// How many arguments go with each key, itself included: 2 for `MSET`.
    pub fn step(&self) -> usize {
        match self.find {
            FindKeys::Range { step, .. } | FindKeys::KeyNum { step, .. } => usize::try_from(step).unwrap_or(1).max(1),
            FindKeys::Unknown => 1,
        }
    }
}

/// Which shards a command is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RequestPolicy {
    /// The shard of its keys; any one shard if it has none.
    #[default]
    Default,
    /// Every instance, replicas included.
    AllNodes,
    /// Every shard.
    AllShards,
    /// Split by the shards of its keys.
    MultiShard,
    /// None of the above; the server does not say what.
    Special,
}

/// How the replies of several shards become one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ResponsePolicy {
    /// Without keys: arrays are concatenated. With keys: in the order of the keys.
    #[default]
    Default,
    /// One success is enough.
    OneSucceeded,
    /// Every shard must succeed.
    AllSucceeded,
    /// Logical AND, element by element where replies are arrays.
    AggLogicalAnd,
    /// Logical OR, element by element where replies are arrays.
    AggLogicalOr,
    /// The smallest integer.
    AggMin,
    /// The largest integer.
    AggMax,
    /// The sum of the integers.
    AggSum,
    /// None of the above; the server does not say what.
    Special,
}

/// What the proxy does with a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Treatment {
    /// Routed by its keys and policies.
    Forward,
    /// Answered by the proxy itself.
    Local(Local),
    /// Opens or ends a transaction.
    Transaction(Transaction),
    /// Asked of the shards, its answer gathered by a rule of its own.
    Gathered(Gathered),
    /// Answered with an error.
    Refused(Reason),
}

/// Commands the proxy answers itself: they concern the session, which is the proxy's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "each variant is the command of that name")]
pub enum Local {
    Ping,
    Echo,
    Select,
    Quit,
    Reset,
    Hello,
    Auth,
    AclWhoAmI,
    AclList,
    AclUsers,
    AclGetUser,
    AclCat,
    AclDryRun,
    AclLog,
    ClientId,
    ClientGetName,
    ClientSetName,
    ClientSetInfo,
    ClientInfo,
    ClientList,
    ClientGetRedir,
    ClientNoEvict,
    ClientNoTouch,
    ConfigGet,
    Info,
}

/// The commands around a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Transaction {
    /// `MULTI`
    Multi,
    /// `EXEC`
    Exec,
    /// `DISCARD`
    Discard,
}

/// Commands whose published response policy is `special` or not enough.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Gathered {
    /// `SCAN`: one shard after another, the shard kept in the cursor.
    Scan,
    /// `RANDOMKEY`: of a shard that has keys.
    RandomKey,
    /// `KEYS`: concatenated, a key that several shards hold named once.
    Keys,
}

/// An option that a command may not be given, though the command itself may travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Condition {
    /// The option's word, upper case.
    pub option: &'static str,
    /// The first argument that can be an option.
    pub from: usize,
    /// The word after which no option follows; empty if there is none.
    pub until: &'static str,
    /// The option's value that is harmless; empty if there is none.
    pub except: &'static str,
    /// Why it is refused.
    pub reason: Reason,
}

impl Condition {
    /// Whether the request carries the option. Without its value it is a syntax error, which the server says best.
    pub fn holds(&self, request: &Request<'_>) -> bool {
        (self.from..request.len().saturating_sub(1))
            .take_while(|&at| !self.ends_options(request.arg(at)))
            .any(|at| is_word(request.arg(at), self.option) && !self.excuses(request.arg(at + 1)))
    }

    fn ends_options(&self, argument: &[u8]) -> bool {
        !self.until.is_empty() && is_word(argument, self.until)
    }

    fn excuses(&self, value: &[u8]) -> bool {
        !self.except.is_empty() && value == self.except.as_bytes()
    }
}

/// Whether an argument is this keyword, as Redis compares them.
pub(super) fn is_word(argument: &[u8], word: &str) -> bool {
    argument.eq_ignore_ascii_case(word.as_bytes())
}

/// One row of the command table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommandSpec {
    /// Lower case; subcommands as `script|load`.
    pub name: Cow<'static, str>,
    /// Number of arguments with the name; negative: at least that many.
    pub arity: i16,
    /// Redis's flags.
    pub flags: Flags,
    /// Redis's access control categories.
    pub categories: Categories,
    /// How its keys are found; empty if it has none.
    pub keys: Cow<'static, [KeySpec]>,
    /// Which shards it is for.
    pub request: RequestPolicy,
    /// How their replies are joined.
    pub response: ResponsePolicy,
    /// The remaining tips.
    pub hints: Hints,
    /// Whether its second argument names a subcommand.
    pub has_subcommands: bool,
    /// What the proxy does with it; [`treatment_of`](Self::treatment_of) minds the request's options too.
    pub treatment: Treatment,
    /// An option with which it is refused after all.
    pub refused_if: Option<&'static Condition>,
}

impl CommandSpec {
    /// What the proxy does with this request of the command.
    pub fn treatment_of(&self, request: &Request<'_>) -> Treatment {
        match self.refused_if {
            Some(condition) if condition.holds(request) => Treatment::Refused(condition.reason),
            _ => self.treatment,
        }
    }

    /// Whether a request may have this many arguments, the name included.
    pub fn allows(&self, arguments: usize) -> bool {
        let wanted = usize::from(self.arity.unsigned_abs());
        if self.arity < 0 { arguments >= wanted } else { arguments == wanted }
    }

    /// Whether who has not authenticated may use it.
    pub fn is_for_strangers(&self) -> bool {
        self.flags.contains(Flags::NO_AUTH)
    }

    /// Name of the container command, if this is a subcommand.
    pub fn container(&self) -> Option<&str> {
        self.name.split_once('|').map(|(container, _)| container)
    }

    /// The name without its container.
    pub fn own_name(&self) -> &str {
        self.name.split_once('|').map_or(&*self.name, |(_, own)| own)
    }
}
