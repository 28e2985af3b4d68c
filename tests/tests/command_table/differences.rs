//! Where one server's `COMMAND` differs from the table, which is the union of two servers', and why.

use crate::server::Kind::{self, Redis70, Valkey9};
use Column::{Arity, Categories, Flags, Keys, Tips};

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Column {
    Arity,
    Flags,
    Categories,
    Keys,
    Tips,
    Subcommands,
}

pub(crate) struct Difference {
    pub(crate) server: Kind,
    pub(crate) column: Column,
    pub(crate) commands: &'static [&'static str],
    /// Why the table has something else.
    pub(crate) why: &'static str,
}

const fn differs(server: Kind, column: Column, commands: &'static [&'static str], why: &'static str) -> Difference {
    Difference { server, column, commands, why }
}

const ALLOWED_WHILE_BUSY: &[&str] = &[
    "client|caching",
    "client|getname",
    "client|getredir",
    "client|id",
    "client|no-evict",
    "client|setname",
    "select",
];
const ALLOWED_WHILE_LOADING: &[&str] = &[
    "cluster|info",
    "cluster|myid",
    "cluster|nodes",
    "cluster|shards",
    "cluster|slots",
    "memory|malloc-stats",
    "memory|purge",
];
const NEW_POLICIES: &[&str] =
    &["acl|deluser", "acl|save", "acl|setuser", "client|setname", "config|resetstat", "config|rewrite"];
const BLOCKING_IN_SCRIPTS: &[&str] = &["blmove", "blpop", "brpop", "brpoplpush", "bzpopmax", "bzpopmin", "wait"];

#[rustfmt::skip]
pub(crate) const DIFFERENCES: &[Difference] = &[
    differs(Redis70, Arity, &["zrank", "zrevrank"], "Valkey added WITHSCORE"),
    differs(Redis70, Arity, &["cluster|replicate"], "Valkey added NO ONE"),
    differs(Redis70, Arity, &["script|debug"], "Valkey lets the engine be named"),
    differs(Redis70, Arity, &["command|getkeys", "command|getkeysandflags"], "Valkey takes commands without arguments"),
    differs(Redis70, Flags, ALLOWED_WHILE_BUSY, "Valkey answers more connection commands while a script runs"),
    differs(Redis70, Flags, ALLOWED_WHILE_LOADING, "Valkey answers more commands while it loads"),
    differs(Redis70, Flags, &["client|reply", "multi", "watch"], "Valkey publishes what may not be queued"),
    differs(Redis70, Flags, &["script|exists", "script|flush"], "Valkey allows them on stale replicas"),
    differs(Redis70, Flags, &["wait"], "Valkey publishes that it blocks"),
    differs(Redis70, Flags, &["exec"], "Valkey renamed its slow log to command log"),
    differs(Redis70, Categories, &["wait"], "Valkey publishes that it blocks"),
    differs(Redis70, Keys, &["georadius", "georadiusbymember"], "Valkey publishes that the flags depend on the arguments"),
    differs(Redis70, Keys, &["sinterstore"], "Valkey publishes that the destination is overwritten, not read"),
    differs(Redis70, Tips, NEW_POLICIES, "Valkey publishes policies that Redis 7.0 left out"),
    differs(Redis70, Tips, &["latency|reset"], "Valkey sums the numbers of reset series"),
    differs(Redis70, Tips, &["msetnx"], "Redis 7.0 publishes a split that breaks all or nothing; Valkey withdrew it"),
    differs(Redis70, Tips, &["randomkey", "scan"], "Valkey publishes that the replies need a rule of their own"),
    differs(Valkey9, Flags, BLOCKING_IN_SCRIPTS, "Valkey lets scripts call blocking commands"),
    differs(Valkey9, Flags, &["exec"], "Valkey renamed its slow log to command log"),
    differs(Valkey9, Tips, &["msetex"], "the state table forbids a split that breaks all or nothing"),
];

/// Whether this difference is listed.
pub(crate) fn expected(server: Kind, command: &str, column: Column) -> bool {
    let listed = |difference: &&Difference| difference.server == server && difference.column == column;
    DIFFERENCES.iter().filter(listed).any(|difference| difference.commands.contains(&command))
}
