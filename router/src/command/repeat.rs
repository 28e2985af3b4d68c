//! By hand: which commands may be sent again though they may have been carried out already.
//!
//! An instance keeps no record of what it has done, so a request whose reply was lost can be repeated only
//! where the state comes out the same. Where the reply then may differ, it is an integer that tells how much
//! was changed ("a repeated SADD answers 0"), and that is counted. What is not listed here is never repeated.

use sha1::Digest;

use super::{Categories, Flags, Table};
use crate::resp::Request;

/// What becomes of a request that is carried out twice. Ordered: of a transaction the worst counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Repeat {
    /// It changes nothing.
    Read,
    /// State and reply come out the same.
    Same,
    /// The state comes out the same; an integer in the reply may not.
    MayDiffer,
    /// The state would not come out the same, or nobody knows.
    Never,
}

/// Commands that change nothing, though servers do not flag them so.
pub const READS: [&str; 6] = ["multi", "exec", "ping", "time", "script|exists", "script|load"];

/// Commands that leave the same state and give the same reply when they are carried out twice.
pub const SAME: [&str; 14] = [
    "set",
    "mset",
    "setex",
    "psetex",
    "setrange",
    "hmset",
    "lset",
    "expire",
    "pexpire",
    "expireat",
    "pexpireat",
    "pfmerge",
    "sinterstore",
    "sunionstore",
];

/// Commands that leave the same state but may give another reply: what the reply tells, and what that of a repeat is.
pub const MAY_DIFFER: [(&str, &str, &str); 16] = [
    ("sadd", "members added", "0"),
    ("srem", "members removed", "0"),
    ("setnx", "1 if it was set", "0"),
    ("msetnx", "1 if all were set", "0"),
    ("del", "keys removed", "0"),
    ("unlink", "keys removed", "0"),
    ("hset", "fields added", "0"),
    ("hsetnx", "1 if it was set", "0"),
    ("hdel", "fields removed", "0"),
    ("zadd", "members added", "0"),
    ("zrem", "members removed", "0"),
    ("persist", "1 if it had a time to live", "0"),
    ("smove", "1 if it was moved", "0"),
    ("setbit", "the bit as it was before", "the bit as it is set"),
    ("pfadd", "1 if the estimate changed", "0"),
    ("geoadd", "members added", "0"),
];

/// Options that make a command depend on what it did before: `SET k v NX`, `SET k v GET`, `ZADD k INCR 1 m`.
pub const CONDITIONS: [&[u8]; 7] = [b"NX", b"XX", b"GT", b"LT", b"GET", b"INCR", b"CH"];

/// SHA-1 of the script by which pdwfs cuts a stripe to a length; cut twice, it is as long.
const PDWFS_TRIM: [u8; 20] = [
    0x09, 0x32, 0x96, 0xb6, 0x88, 0x5f, 0x97, 0xa7, 0xcb, 0x3a, 0x40, 0xd8, 0x00, 0x21, 0xdc, 0x5f, 0x5c, 0xec, 0x92,
    0x0d,
];

/// What becomes of a whole request that is carried out twice.
pub fn repeat_of(table: &Table, request: &Request<'_>) -> Repeat {
    Verdict::of(table, request).repeat
}

/// The same of a request that is seen argument by argument.
#[derive(Clone, Copy, Debug)]
pub struct Verdict {
    /// What becomes of it, as far as it was seen.
    pub repeat: Repeat,
    /// It may be a script of which nobody knows what it has done when it fails.
    pub script: bool,
    /// The first argument that may be one of [`CONDITIONS`], if any may.
    options: usize,
    /// Arguments seen.
    seen: usize,
}

impl Verdict {
    /// Of a whole request.
    pub fn of(table: &Table, request: &Request<'_>) -> Self {
        let mut verdict = Self::begin(table, request);
        request.args(0).for_each(|arg| verdict.see(arg));
        verdict
    }

    /// Of a request of which as much is there as tells its command.
    pub fn begin(table: &Table, head: &Request<'_>) -> Self {
        let Ok(id) = table.resolve(head) else { return Self { script: false, ..Self::never() } };
        let spec = table.spec(id);
        let name = &*spec.name;
        let repeat = match name {
            "eval" | "evalsha" if is_pdwfs_trim(name, head.arg(1)) => Repeat::MayDiffer,
            _ if spec.flags.contains(Flags::READONLY) || READS.contains(&name) => Repeat::Read,
            _ if SAME.contains(&name) => Repeat::Same,
            _ if MAY_DIFFER.iter().any(|(command, ..)| *command == name) => Repeat::MayDiffer,
            _ => Repeat::Never,
        };
        let script = spec.categories.contains(Categories::SCRIPTING) && repeat == Repeat::Never;
        Self { repeat, script, options: first_option(name), seen: 0 }
    }

    /// Of a request of which nothing is known.
    pub fn never() -> Self {
        Self { repeat: Repeat::Never, script: true, options: usize::MAX, seen: 0 }
    }

    /// Looks at the next argument.
    pub fn see(&mut self, arg: &[u8]) {
        let conditional = self.seen >= self.options && CONDITIONS.iter().any(|option| arg.eq_ignore_ascii_case(option));
        if conditional && self.repeat != Repeat::Read {
            self.repeat = Repeat::Never;
        }
        self.seen += 1;
    }

    /// The next argument is too large to be an option.
    pub fn pass(&mut self) {
        self.seen += 1;
    }
}

/// Where a command's options begin, if it has any of [`CONDITIONS`].
fn first_option(name: &str) -> usize {
    match name {
        "zadd" | "geoadd" => 2,
        // SET's value may be one of these words.
        "set" | "expire" | "pexpire" | "expireat" | "pexpireat" => 3,
        _ => usize::MAX,
    }
}

fn is_pdwfs_trim(name: &str, script: &[u8]) -> bool {
    match name {
        "eval" => sha1::Sha1::digest(script).as_slice() == PDWFS_TRIM,
        _ => script.len() == 40 && PDWFS_TRIM.iter().zip(script.chunks(2)).all(|(byte, hex)| is_hex(*byte, hex)),
    }
}

fn is_hex(byte: u8, text: &[u8]) -> bool {
    std::str::from_utf8(text).ok().and_then(|text| u8::from_str_radix(text, 16).ok()) == Some(byte)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::testing::Arguments;

    fn repeat(words: &str) -> Repeat {
        repeat_of(&Table::new(), &Arguments::new(words).request())
    }

    #[test]
    fn every_listed_command_is_in_the_table() {
        let table = Table::new();
        let differing = MAY_DIFFER.iter().map(|(command, ..)| command);
        let names = READS.iter().chain(&SAME).chain(differing);
        let unknown: Vec<_> = names.filter(|name| table.find(name.as_bytes()).is_none()).collect();
        assert!(unknown.is_empty(), "{unknown:?}");
    }

    #[test]
    fn what_pdwfs_sends_is_repeatable() {
        let trim = "evalsha 093296b6885f97a7cb3a40d80021dc5f5cec920d 1 k 10";
        for words in
            ["multi", "exec", "sadd k m", "srem k m", "setnx k v", "set k v", "setrange k 1 v", "unlink a b", trim]
        {
            assert_ne!(repeat(words), Repeat::Never, "{words}");
        }
        for words in ["get k", "getrange k 0 1", "strlen k", "exists k", "smembers k"] {
            assert_eq!(repeat(words), Repeat::Read, "{words}");
        }
    }

    #[test]
    fn what_counts_or_depends_on_what_was_there_is_not() {
        let counting =
            ["incr k", "append k v", "lpush k v", "lpop k", "spop k", "getdel k", "getset k v", "ltrim k 1 -1"];
        let depending = ["set k v NX", "set k v get", "zadd k incr 1 m", "expire k 1 GT", "eval return 0", "flushall"];
        for words in counting.iter().chain(&depending) {
            assert_eq!(repeat(words), Repeat::Never, "{words}");
        }
        assert_eq!(repeat("set k nx"), Repeat::Same);
    }
}
