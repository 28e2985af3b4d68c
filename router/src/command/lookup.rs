//! From a request to its row of the command table.

use super::info::CommandInfo;
use super::{CommandId, CommandSpec, Transaction, Treatment, state, table};
use crate::resp::Request;

/// How many commands may be learned at run time; their names come from clients.
pub const LEARNED_MAX: usize = 512;

/// Longer names than any command has: not worth hashing.
const NAME_MAX: usize = 64;

/// Bytes of a name or argument that Redis repeats in its error.
const QUOTED_MAX: usize = 128;

/// No command; also the parent of commands that are no subcommands.
const NONE: u16 = u16::MAX;

/// The request is none the table knows. [`write`](Unknown::write) says so as Redis 7.0 does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unknown {
    /// No command of that name.
    #[error("unknown command; ask the upstream's COMMAND INFO about it")]
    Command,
    /// A container command, but no subcommand of that name.
    #[error("unknown subcommand; ask the upstream's COMMAND INFO about it")]
    Subcommand,
    /// Known, but the number of arguments is wrong. With `EXEC` this ends its transaction.
    #[error("wrong number of arguments; send as many as the command takes")]
    Arity(CommandId),
}

impl Unknown {
    /// Appends the error reply, CRLF included, byte for byte as Redis 7.0 words it.
    pub fn write(self, table: &Table, request: &Request<'_>, out: &mut Vec<u8>) {
        let start = out.len();
        match self {
            Unknown::Command => write_unknown_command(request, out),
            Unknown::Subcommand => write_unknown_subcommand(request, out),
            Unknown::Arity(id) => write_wrong_arity(table.spec(id), out),
        }
        for byte in &mut out[start..] {
            if matches!(byte, b'\r' | b'\n') {
                *byte = b' ';
            }
        }
        out.extend_from_slice(b"\r\n");
    }
}

/// `commandCheckExistence` of Redis 7.0: arguments are quoted until 128 bytes are full.
fn write_unknown_command(request: &Request<'_>, out: &mut Vec<u8>) {
    out.extend_from_slice(b"-ERR unknown command '");
    out.extend_from_slice(quoted(request.arg(0), QUOTED_MAX));
    out.extend_from_slice(b"', with args beginning with: ");
    let start = out.len();
    for argument in request.args(1) {
        let written = out.len() - start;
        if written >= QUOTED_MAX {
            break;
        }
        out.push(b'\'');
        out.extend_from_slice(quoted(argument, QUOTED_MAX - written));
        out.extend_from_slice(b"' ");
    }
}

fn write_unknown_subcommand(request: &Request<'_>, out: &mut Vec<u8>) {
    out.extend_from_slice(b"-ERR unknown subcommand '");
    out.extend_from_slice(quoted(request.arg(1), QUOTED_MAX));
    out.extend_from_slice(b"'. Try ");
    out.extend(quoted(request.arg(0), NAME_MAX).iter().map(u8::to_ascii_uppercase));
    out.extend_from_slice(b" HELP.");
}

/// `commandCheckArity`, and `execCommandAbort` for a wrong `EXEC`.
fn write_wrong_arity(spec: &CommandSpec, out: &mut Vec<u8>) {
    out.extend_from_slice(match spec.treatment {
        Treatment::Transaction(Transaction::Exec) => b"-EXECABORT Transaction discarded because of: ",
        _ => &b"-ERR "[..],
    });
    out.extend_from_slice(b"wrong number of arguments for '");
    out.extend_from_slice(spec.name.as_bytes());
    out.extend_from_slice(b"' command");
}

/// As `%.*s` prints it: up to the first NUL.
fn quoted(argument: &[u8], max: usize) -> &[u8] {
    let argument = &argument[..argument.len().min(max)];
    &argument[..memchr::memchr(0, argument).unwrap_or(argument.len())]
}

/// Whether a browser was tricked into sending this: Redis closes the connection without a word.
///
/// Only to be asked about unknown commands. Source: `securityWarningCommand` of Redis.
pub fn looks_like_http(request: &Request<'_>) -> bool {
    [&b"post"[..], b"host:"].iter().any(|word| request.arg(0).eq_ignore_ascii_case(word))
}

/// Why a command could not be learned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LearnError {
    /// The upstream answered about another command.
    #[error("the upstream's COMMAND INFO names another command; check what stands between")]
    OtherName,
    /// [`LEARNED_MAX`] commands have been learned.
    #[error("no more than {LEARNED_MAX} commands can be learned; generate the command table from this server")]
    Full,
}

/// The command table: every command's row, found by name.
#[derive(Clone, Debug)]
pub struct Table {
    specs: Vec<CommandSpec>,
    /// Per row the container it is a subcommand of, or [`NONE`].
    parents: Vec<u16>,
    /// Open addressing with linear probing; at most half full.
    slots: Box<[u16]>,
    published: usize,
}

impl Default for Table {
    fn default() -> Self {
        Self::new()
    }
}

impl Table {
    /// The table as generated, completed by the state table.
    pub fn new() -> Self {
        let slots = ((table::ROWS.len() + LEARNED_MAX) * 2).next_power_of_two();
        let mut table = Table {
            specs: Vec::with_capacity(table::ROWS.len()),
            parents: Vec::with_capacity(table::ROWS.len()),
            slots: vec![NONE; slots].into_boxed_slice(),
            published: table::ROWS.len(),
        };
        for row in table::ROWS {
            table.insert(row.clone());
        }
        table
    }

    /// The row of a command.
    ///
    /// Ids come from this table and its rows never go, so there always is one.
    pub fn spec(&self, id: CommandId) -> &CommandSpec {
        &self.specs[id.index()]
    }

    /// Every row, learned ones last.
    pub fn iter(&self) -> impl Iterator<Item = &CommandSpec> {
        self.specs.iter()
    }

    /// How many commands there are, subcommands and learned ones included.
    pub fn len(&self) -> usize {
        self.specs.len()
    }

    /// Whether there is no command, which is never so.
    pub fn is_empty(&self) -> bool {
        self.specs.is_empty()
    }

    /// The command of this name, whatever its case; subcommands as `script|load`.
    pub fn find(&self, name: &[u8]) -> Option<CommandId> {
        let id = match memchr::memchr(b'|', name) {
            None => self.probe(NONE, name)?,
            Some(bar) => self.probe(self.probe(NONE, &name[..bar])?, &name[bar + 1..])?,
        };
        Some(CommandId(id))
    }

    /// The command or subcommand of a request that has as many arguments as it should.
    pub fn resolve(&self, request: &Request<'_>) -> Result<CommandId, Unknown> {
        let mut id = self.probe(NONE, request.arg(0)).ok_or(Unknown::Command)?;
        if self.specs[usize::from(id)].has_subcommands && request.len() > 1 {
            id = self.probe(id, request.arg(1)).ok_or(Unknown::Subcommand)?;
        }
        if self.specs[usize::from(id)].allows(request.len()) {
            Ok(CommandId(id))
        } else {
            Err(Unknown::Arity(CommandId(id)))
        }
    }

    /// Adds what an upstream's `COMMAND INFO name` says, unless the table has it already.
    ///
    /// The rule of the allow-set holds for learned commands as for all others.
    pub fn learn(&mut self, name: &[u8], info: CommandInfo) -> Result<CommandId, LearnError> {
        if let Some(id) = self.find(name) {
            return Ok(id);
        }
        if !name.eq_ignore_ascii_case(info.spec.name.as_bytes()) || name.len() > NAME_MAX {
            return Err(LearnError::OtherName);
        }
        if self.specs.len() - self.published + 1 + info.subcommands.len() > LEARNED_MAX {
            return Err(LearnError::Full);
        }
        let id = self.insert(info.spec);
        for subcommand in info.subcommands {
            if subcommand.container() == Some(&*self.spec(id).name) && self.find(subcommand.name.as_bytes()).is_none() {
                self.insert(subcommand);
            }
        }
        Ok(id)
    }

    fn insert(&mut self, mut spec: CommandSpec) -> CommandId {
        state::decide(&mut spec);
        let id = u16::try_from(self.specs.len()).unwrap_or(NONE);
        let parent = spec.container().and_then(|container| self.probe(NONE, container.as_bytes())).unwrap_or(NONE);
        let mut slot = self.first_slot(parent, spec.own_name().as_bytes());
        while self.slots[slot] != NONE {
            slot = self.next_slot(slot);
        }
        self.slots[slot] = id;
        self.parents.push(parent);
        self.specs.push(spec);
        CommandId(id)
    }

    fn probe(&self, parent: u16, name: &[u8]) -> Option<u16> {
        if name.len() > NAME_MAX {
            return None;
        }
        let mut slot = self.first_slot(parent, name);
        while self.slots[slot] != NONE {
            let id = self.slots[slot];
            if self.is_named(id, parent, name) {
                return Some(id);
            }
            slot = self.next_slot(slot);
        }
        None
    }

    fn is_named(&self, id: u16, parent: u16, name: &[u8]) -> bool {
        let index = usize::from(id);
        if self.parents[index] != parent {
            return false;
        }
        let full = self.specs[index].name.as_bytes();
        let own = full.len().wrapping_sub(name.len());
        // A subcommand's own name is the tail behind its container's name and the bar.
        let container = if parent == NONE { 0 } else { self.specs[usize::from(parent)].name.len() + 1 };
        own == container && full[own..].eq_ignore_ascii_case(name)
    }

    fn first_slot(&self, parent: u16, name: &[u8]) -> usize {
        hash(parent, name) & (self.slots.len() - 1)
    }

    fn next_slot(&self, slot: usize) -> usize {
        (slot + 1) & (self.slots.len() - 1)
    }
}

/// Multiplicative hash over words of eight bytes, blind to the case of letters.
fn hash(parent: u16, name: &[u8]) -> usize {
    const CASE: u64 = 0x2020_2020_2020_2020;
    const MULTIPLIER: u64 = 0x9E37_79B9_7F4A_7C15; // 2^64 / golden ratio (Knuth, TAOCP 3, 6.4)
    let mut hash = u64::from(parent);
    for chunk in name.chunks(8) {
        let mut word = [0; 8];
        word[..chunk.len()].copy_from_slice(chunk);
        hash = (hash.rotate_left(23) ^ (u64::from_le_bytes(word) | CASE)).wrapping_mul(MULTIPLIER);
    }
    (hash >> 40) as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::Reason;
    use crate::command::info::parse_commands;
    use crate::command::testing::Arguments;

    fn refusal(parts: &[&[u8]]) -> String {
        let (table, arguments) = (Table::new(), Arguments::from_parts(parts));
        let mut out = Vec::new();
        table.resolve(&arguments.request()).unwrap_err().write(&table, &arguments.request(), &mut out);
        String::from_utf8_lossy(&out).into_owned()
    }

    fn resolved(text: &str) -> String {
        let (table, arguments) = (Table::new(), Arguments::new(text));
        table.spec(table.resolve(&arguments.request()).unwrap()).name.to_string()
    }

    #[test]
    fn every_row_is_found_by_its_name_in_any_case() {
        let table = Table::new();
        for (index, spec) in table.iter().enumerate() {
            assert_eq!(table.find(spec.name.as_bytes()).map(CommandId::index), Some(index), "{}", spec.name);
            assert_eq!(table.find(spec.name.to_uppercase().as_bytes()).map(CommandId::index), Some(index));
        }
    }

    #[test]
    fn names_that_are_no_commands_are_not_found() {
        let table = Table::new();
        for name in [&b""[..], b"ge", b"gett", b"load", b"script|", b"|load", b"script|load|x", &[b'a'; 4096], b"get\0"]
        {
            assert_eq!(table.find(name), None, "{name:?}");
        }
    }

    #[test]
    fn subcommands_are_resolved_by_their_container() {
        assert_eq!(resolved("SCRIPT LOAD return"), "script|load");
        assert_eq!(resolved("command"), "command");
        assert_eq!(resolved("CoMManD counT"), "command|count");
        assert_eq!(resolved("Get k"), "get");
    }

    #[test]
    fn refusals_are_worded_as_redis_words_them() {
        assert_eq!(refusal(&[b"GET"]), "-ERR wrong number of arguments for 'get' command\r\n");
        assert_eq!(refusal(&[b"SCRIPT", b"LOAD"]), "-ERR wrong number of arguments for 'script|load' command\r\n");
        assert_eq!(refusal(&[b"SCRIPT"]), "-ERR wrong number of arguments for 'script' command\r\n");
        assert_eq!(refusal(&[b"script", b"X"]), "-ERR unknown subcommand 'X'. Try SCRIPT HELP.\r\n");
        let text = "-ERR unknown command 'foo', with args beginning with: 'a' 'b' \r\n";
        assert_eq!(refusal(&[b"foo", b"a", b"b"]), text);
        let text = "-ERR unknown command 'script|load', with args beginning with: \r\n";
        assert_eq!(refusal(&[b"script|load"]), text);
    }

    #[test]
    fn what_a_client_sends_cannot_break_the_line_or_fill_the_reply() {
        assert_eq!(refusal(&[b"a\r\nb", b"c\0d"]), "-ERR unknown command 'a  b', with args beginning with: 'c' \r\n");
        assert!(refusal(&[&[b'x'; 9000], &[b'y'; 9000], b"z"]).len() < 400);
    }

    const INFO: &str =
        "*1\r\n*10\r\n$4\r\nwarp\r\n:-2\r\n*1\r\n+write\r\n:1\r\n:1\r\n:1\r\n*1\r\n+@slow\r\n*0\r\n*0\r\n*0\r\n";

    #[test]
    fn a_learned_command_obeys_the_rule_of_the_allow_set() {
        let mut table = Table::new();
        let info = |text: &str| parse_commands(text.as_bytes()).unwrap().remove(0).unwrap();
        let id = table.learn(b"WARP", info(INFO)).unwrap();
        assert_eq!(table.spec(id).treatment, Treatment::Forward);
        assert_eq!(table.find(b"warp"), Some(id));
        let flagged = INFO.replace("+write", "+noscript").replace("$4\r\nwarp", "$4\r\nwarq");
        let id = table.learn(b"warq", info(&flagged)).unwrap();
        assert_eq!(table.spec(id).treatment, Treatment::Refused(Reason::Unlisted));
        assert_eq!(table.learn(b"warr", info(INFO)), Err(LearnError::OtherName));
    }

    #[test]
    fn what_the_table_knows_cannot_be_relearned_as_something_else() {
        let mut table = Table::new();
        let id = table.find(b"monitor").unwrap();
        let before = table.spec(id).clone();
        let info = parse_commands(INFO.replace("warp", "monitor").replace("$4", "$7").as_bytes()).unwrap();
        assert_eq!(table.learn(b"monitor", info[0].clone().unwrap()), Ok(id));
        assert_eq!(table.spec(id), &before);
    }

    #[test]
    fn no_more_is_learned_than_the_limit() {
        let mut table = Table::new();
        let info = parse_commands(INFO.as_bytes()).unwrap()[0].clone().unwrap();
        let name = |index: usize| format!("learned{index}");
        let mut learn = |index: usize| {
            let mut info = info.clone();
            info.spec.name = name(index).into();
            table.learn(name(index).as_bytes(), info)
        };
        assert!((0..LEARNED_MAX).all(|index| learn(index).is_ok()));
        assert_eq!(learn(LEARNED_MAX), Err(LearnError::Full));
        assert!(table.find(name(LEARNED_MAX - 1).as_bytes()).is_some());
    }
}
