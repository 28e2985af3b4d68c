//! From a request to its row of the command table.

use super::info::CommandInfo;
use super::{CommandId, CommandSpec, Unknown, state, table};
use crate::resp::Request;

/// How many commands may be learned at run time; their names come from clients.
pub const LEARNED_MAX: usize = 512;

/// Rows of every table, by the same numbers; what is learned comes behind them.
pub const PUBLISHED: usize = table::ROWS.len();

/// Longer names than any command has, in bytes: not worth hashing.
const NAME_MAX: usize = 64;

/// No command; also the parent of commands that are no subcommands.
const NONE: u16 = u16::MAX;

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
    /// Open addressing with linear probing; at most half full.
    slots: Box<[Slot]>,
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
            slots: vec![Slot::EMPTY; slots].into_boxed_slice(),
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
        let name = Folded::new(spec.own_name().as_bytes());
        let mut at = self.first_slot(parent, &name);
        while self.slots[at].id != NONE {
            at = self.next_slot(at);
        }
        self.slots[at] = Slot { name, parent, id, ambiguous: is_ambiguous(spec.own_name().as_bytes()) };
        self.specs.push(spec);
        CommandId(id)
    }

    fn probe(&self, parent: u16, name: &[u8]) -> Option<u16> {
        let folded = Folded::new(name);
        let mut at = self.first_slot(parent, &folded);
        loop {
            let slot = &self.slots[at];
            if slot.name == folded && slot.parent == parent && self.is_named(slot, name) {
                return Some(slot.id);
            }
            if slot.id == NONE {
                return None;
            }
            at = self.next_slot(at);
        }
    }

    /// Whether a slot whose folded name fits has exactly this name.
    fn is_named(&self, slot: &Slot, name: &[u8]) -> bool {
        !slot.ambiguous || self.specs[usize::from(slot.id)].own_name().as_bytes().eq_ignore_ascii_case(name)
    }

    fn first_slot(&self, parent: u16, name: &Folded) -> usize {
        name.hash(parent) & (self.slots.len() - 1)
    }

    fn next_slot(&self, at: usize) -> usize {
        (at + 1) & (self.slots.len() - 1)
    }
}

/// One place of the hash table.
#[derive(Clone, Copy, Debug)]
struct Slot {
    name: Folded,
    /// The container this is a subcommand of, or [`NONE`].
    parent: u16,
    /// The row, or [`NONE`] if the place is free.
    id: u16,
    /// Whether another name could be folded to the same.
    ambiguous: bool,
}

impl Slot {
    /// Its name equals no folded one, in which some bit is always set.
    const EMPTY: Slot =
        Slot { name: Folded { first: 0, last: 0, length: 0 }, parent: NONE, id: NONE, ambiguous: false };
}

/// A name's first and last eight bytes with the bit set by which upper and lower case letters differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Folded {
    first: u64,
    last: u64,
    length: usize,
}

impl Folded {
    fn new(name: &[u8]) -> Folded {
        const CASE: u64 = 0x2020_2020_2020_2020;
        let length = name.len();
        let (first, last) = match length {
            0 => (0, 0),
            1..4 => (u64::from(name[0]) | u64::from(name[length / 2]) << 8 | u64::from(name[length - 1]) << 16, 0),
            4..8 => (half_word(name, 0) | half_word(name, length - 4) << 32, 0),
            _ => (word(name, 0), word(name, length - 8)),
        };
        Folded { first: first | CASE, last: last | CASE, length }
    }

    /// Multiplicative hash; the high bits are the good ones (Knuth, TAOCP 3, 6.4).
    fn hash(&self, parent: u16) -> usize {
        const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15; // 2^64 / golden ratio
        let mixed = (self.first ^ u64::from(parent)).wrapping_mul(GOLDEN) ^ self.last;
        (mixed.wrapping_mul(GOLDEN) >> 40) as usize
    }
}

/// Whether folding loses something of a name: bytes in the middle, or which byte a sign was.
fn is_ambiguous(name: &[u8]) -> bool {
    name.len() > 16 || !name.iter().all(u8::is_ascii_alphabetic)
}

fn half_word(name: &[u8], at: usize) -> u64 {
    name.get(at..at + 4).and_then(|bytes| bytes.try_into().ok()).map_or(0, |bytes| u64::from(u32::from_le_bytes(bytes)))
}

fn word(name: &[u8], at: usize) -> u64 {
    name.get(at..at + 8).and_then(|bytes| bytes.try_into().ok()).map_or(0, u64::from_le_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::info::parse_commands;
    use crate::command::testing::Arguments;
    use crate::command::{Reason, Treatment};

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
        for name in [
            &b""[..],
            b"ge",
            b"cluster|countXfailureXreports",
            b"cluster|count-failurX-reports",
            b"gett",
            b"load",
            b"script|",
            b"|load",
            b"script|load|x",
            &[b'a'; 4096],
            b"get\0",
        ] {
            assert_eq!(table.find(name), None, "{name:?}");
        }
    }

    #[test]
    fn bytes_that_fold_to_the_same_are_told_apart() {
        let table = Table::new();
        for spec in table.iter() {
            for at in (0..spec.name.len()).filter(|&at| spec.name.as_bytes()[at] != b'|') {
                for bit in 0..8 {
                    let mut name = spec.name.as_bytes().to_vec();
                    name[at] ^= 1 << bit;
                    let same = |other: &CommandSpec| other.name.as_bytes().eq_ignore_ascii_case(&name);
                    assert_eq!(table.find(&name).map(CommandId::index), table.iter().position(same), "{name:?}");
                }
            }
        }
    }

    #[test]
    fn subcommands_are_resolved_by_their_container() {
        assert_eq!(resolved("SCRIPT LOAD return"), "script|load");
        assert_eq!(resolved("command"), "command");
        assert_eq!(resolved("CoMManD counT"), "command|count");
        assert_eq!(resolved("Get k"), "get");
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
