//! By hand: what the proxy does with commands that concern their connection or their instance.
//!
//! The rule of the allow-set: a command flagged admin, blocking, pubsub or noscript, or of category
//! @connection, may travel on a Shared link only if a row here says so. Without a row it is refused.
//! Every other command may travel: it leaves its link as it was.

use super::{Categories, CommandSpec, Condition, Flags, Gathered, Local, Reason, RequestPolicy, ResponsePolicy};
use super::{Transaction, Treatment};
use Reason::{
    Admin, Blocking, Cluster, ConnectionState, Monitor, OtherClients, OtherDatabase, PerInstance, Replication,
    ReplyMode, Subscription, Tracking, Users, Watch,
};
use Treatment::{Forward, Refused};

/// One row: `name` is a command's, or `container|*` for subcommands without a row of their own.
#[derive(Clone, Copy, Debug)]
pub(super) struct StateRow {
    pub(super) name: &'static str,
    pub(super) treatment: Treatment,
    pub(super) refused_if: Option<&'static Condition>,
    pub(super) why: &'static str,
}

const fn row(name: &'static str, treatment: Treatment, why: &'static str) -> StateRow {
    StateRow { name, treatment, refused_if: None, why }
}

const fn local(name: &'static str, local: Local, why: &'static str) -> StateRow {
    row(name, Treatment::Local(local), why)
}

const fn refused_if(name: &'static str, condition: &'static Condition, why: &'static str) -> StateRow {
    StateRow { name, treatment: Forward, refused_if: Some(condition), why }
}

const READ_STREAMS: Reason = Blocking("the same command without BLOCK");

const fn block_option(from: usize) -> Condition {
    Condition { option: "BLOCK", from, until: "STREAMS", except: "", reason: READ_STREAMS }
}

static XREAD_BLOCK: Condition = block_option(1);
static XREADGROUP_BLOCK: Condition = block_option(4);
static OTHER_DATABASE_OPTION: Condition =
    Condition { option: "DB", from: 3, until: "", except: "0", reason: OtherDatabase };

#[rustfmt::skip]
pub(super) const ROWS: &[StateRow] = &[
    // The session: its state is the proxy's.
    local("ping",               Local::Ping,          "answers for the proxy; a link's own PING goes by the Control lane"),
    local("echo",               Local::Echo,          "needs no instance"),
    local("select",             Local::Select,        "the database is state of a link; only 0 is served"),
    local("quit",               Local::Quit,          "ends the session, not the link"),
    local("reset",              Local::Reset,         "resets the session, not the link"),
    local("hello",              Local::Hello,         "the protocol version is the session's"),
    local("auth",               Local::Auth,          "users are the proxy's"),
    local("acl|whoami",         Local::AclWhoAmI,     "the user is the session's"),
    local("acl|list",           Local::AclList,       "users are the proxy's"),
    local("acl|users",          Local::AclUsers,      "users are the proxy's"),
    local("acl|getuser",        Local::AclGetUser,    "users are the proxy's"),
    local("acl|cat",            Local::AclCat,        "rules are about the commands of the proxy's table"),
    local("acl|dryrun",         Local::AclDryRun,     "users are the proxy's"),
    local("acl|log",            Local::AclLog,        "what the proxy denied, no instance has seen"),
    local("client|id",          Local::ClientId,      "the client is a session, an instance sees a link"),
    local("client|getname",     Local::ClientGetName, "the name is the session's"),
    local("client|setname",     Local::ClientSetName, "the name is the session's"),
    local("client|setinfo",     Local::ClientSetInfo, "the library's name is the session's"),
    local("client|info",        Local::ClientInfo,    "the client is a session"),
    local("client|list",        Local::ClientList,    "the clients are sessions"),
    local("client|getredir",    Local::ClientGetRedir, "no session tracks, so none redirects"),
    local("client|no-evict",    Local::ClientNoEvict, "would mark a link"),
    local("client|no-touch",    Local::ClientNoTouch, "would mark a link"),
    local("config|get",         Local::ConfigGet,     "clients read limits at their start; those of the proxy hold"),
    local("info",               Local::Info,          "clients look for a version and a role at their start"),
    row("client|help",          Forward,              "a constant text"),
    row("client|kill",          Refused(OtherClients), "would kill links, or a client of the instance that is not ours"),
    row("client|pause",         Refused(OtherClients), "would stop every link of the instance"),
    row("client|unpause",       Refused(OtherClients), "goes with CLIENT PAUSE"),
    row("client|unblock",       Refused(OtherClients), "ids are those of links"),
    row("client|tracking",      Refused(Tracking),    "invalidations would arrive on a link"),
    row("client|trackinginfo",  Refused(Tracking),    "would describe a link"),
    row("client|caching",       Refused(Tracking),    "is state of a link"),
    row("client|reply",         Refused(ReplyMode),   "a missing reply gives every later one to the wrong session"),
    row("client|capa",          Refused(ConnectionState), "redirections would then arrive on a link"),
    row("client|import-source", Refused(ConnectionState), "marks the link as a source of expired data"),

    // Transactions.
    row("multi",   Treatment::Transaction(Transaction::Multi),   "opens a held transaction"),
    row("exec",    Treatment::Transaction(Transaction::Exec),    "sends a held transaction"),
    row("discard", Treatment::Transaction(Transaction::Discard), "drops a held transaction"),
    row("watch",   Refused(Watch),  "watched keys are state of a link"),
    row("unwatch", Forward,         "nothing is watched on a Shared link, so it changes nothing and answers OK"),

    // Blocking: the link would stand still for everybody.
    row("blpop",      Refused(Blocking("LPOP")),    "blocks the link"),
    row("brpop",      Refused(Blocking("RPOP")),    "blocks the link"),
    row("blmove",     Refused(Blocking("LMOVE")),   "blocks the link"),
    row("blmpop",     Refused(Blocking("LMPOP")),   "blocks the link"),
    row("brpoplpush", Refused(Blocking("LMOVE")),   "blocks the link"),
    row("bzpopmin",   Refused(Blocking("ZPOPMIN")), "blocks the link"),
    row("bzpopmax",   Refused(Blocking("ZPOPMAX")), "blocks the link"),
    row("bzmpop",     Refused(Blocking("ZMPOP")),   "blocks the link"),
    refused_if("xread",      &XREAD_BLOCK, "blocks only with BLOCK"),
    refused_if("xreadgroup", &XREADGROUP_BLOCK, "blocks only with BLOCK"),
    row("wait",    Refused(Replication), "means the writes of one connection, and a link carries those of many"),
    row("waitaof", Refused(Replication), "means the writes of one connection, and a link carries those of many"),

    // Subscriptions; publishing too, as long as nobody behind the proxy could hear it.
    row("subscribe",    Refused(Subscription), "messages would arrive on a link"),
    row("unsubscribe",  Refused(Subscription), "answers with messages"),
    row("psubscribe",   Refused(Subscription), "messages would arrive on a link"),
    row("punsubscribe", Refused(Subscription), "answers with messages"),
    row("ssubscribe",   Refused(Subscription), "messages would arrive on a link"),
    row("sunsubscribe", Refused(Subscription), "answers with messages"),
    row("publish",      Refused(Subscription), "no subscriber of this proxy could hear it"),
    row("spublish",     Refused(Subscription), "no subscriber of this proxy could hear it"),
    row("pubsub|*",     Refused(Subscription), "would count the subscriptions of one instance"),

    // Scripts and functions leave the link as it was: what a script selects ends with the script.
    row("eval",            Forward, "by its keys; a script that names no key runs on any one shard"),
    row("eval_ro",         Forward, "as EVAL"),
    row("evalsha",         Forward, "by its keys; NOSCRIPT is an answer"),
    row("evalsha_ro",      Forward, "as EVALSHA"),
    row("fcall",           Forward, "by its keys"),
    row("fcall_ro",        Forward, "as FCALL"),
    row("script|load",     Forward, "by its policies: all instances"),
    row("script|exists",   Forward, "by its policies: present only where present on all shards"),
    row("script|flush",    Forward, "by its policies: all instances"),
    row("script|kill",     Forward, "by its policies: one success is enough"),
    row("script|show",     Refused(PerInstance), "a script that EVAL left on one shard would seem missing"),
    row("script|debug",    Refused(ConnectionState), "turns the link into a debugger's"),
    row("function|load",   Forward, "by its policies: all shards"),
    row("function|delete", Forward, "by its policies: all shards"),
    row("function|flush",  Forward, "by its policies: all shards"),
    row("function|restore", Forward, "by its policies: all shards"),
    row("function|kill",   Forward, "by its policies: one success is enough"),
    row("function|list",   Forward, "every shard has the same libraries"),
    row("function|dump",   Forward, "every shard has the same libraries"),
    row("function|stats",  Refused(PerInstance), "says what one instance is running"),

    // The keyspace as a whole.
    row("scan",      Treatment::Gathered(Gathered::Scan),      "a cursor belongs to one shard"),
    row("randomkey", Treatment::Gathered(Gathered::RandomKey), "an empty shard must not answer for the others"),
    row("keys",      Treatment::Gathered(Gathered::Keys),      "a spread set has its key on several shards"),
    row("swapdb",    Refused(OtherDatabase), "there is only database 0"),
    row("move",      Refused(OtherDatabase), "there is only database 0"),
    refused_if("copy", &OTHER_DATABASE_OPTION, "there is only database 0"),
    row("migrate",   Refused(Admin), "the key would leave its home, where the proxy looks for it"),

    // One instance's affairs.
    row("command",           Forward, "the same on every instance"),
    row("command|*",         Forward, "the same on every instance"),
    row("acl|help",          Forward, "a constant text"),
    row("acl|genpass",       Forward, "a random text, whoever makes it"),
    row("acl|*",             Refused(Users), "users are the proxy's, from its configuration"),
    row("config|set",        Refused(Admin), "one instance's configuration is not the proxy's to change"),
    row("config|rewrite",    Refused(Admin), "as CONFIG SET"),
    row("config|resetstat",  Refused(Admin), "would reset statistics that others watch"),
    row("latency|*",         Refused(Admin), "latencies of one instance"),
    row("slowlog|*",         Refused(Admin), "the slow log of one instance"),
    row("commandlog|*",      Refused(Admin), "the command log of one instance"),
    row("module|*",          Refused(Admin), "code of one instance"),
    row("memory|doctor",     Refused(PerInstance), "no rule joins several of its texts"),
    row("memory|stats",      Refused(PerInstance), "no rule joins several of its reports"),
    row("memory|malloc-stats", Refused(PerInstance), "no rule joins several of its texts"),
    row("lastsave",          Refused(PerInstance), "a time of one instance"),
    row("debug",             Refused(Admin), "can crash or stop an instance"),
    row("pfdebug",           Refused(Admin), "a tool for developers of the instance"),
    row("pfselftest",        Refused(Admin), "a tool for developers of the instance"),
    row("save",              Refused(Admin), "stops an instance for as long as it writes"),
    row("bgsave",            Refused(Admin), "persistence is the instance's operator's"),
    row("bgrewriteaof",      Refused(Admin), "persistence is the instance's operator's"),
    row("shutdown",          Refused(Admin), "would stop an instance for everybody"),
    row("monitor",           Refused(Monitor), "turns the link into a stream"),
    row("role",              Refused(Replication), "describes one instance"),
    row("sync",              Refused(Replication), "turns the link into a replica's"),
    row("psync",             Refused(Replication), "turns the link into a replica's"),
    row("replconf",          Refused(Replication), "marks the link as a replica's"),
    row("replicaof",         Refused(Replication), "would make an instance drop its data"),
    row("slaveof",           Refused(Replication), "would make an instance drop its data"),
    row("failover",          Refused(Replication), "would change an instance's role"),

    // The proxy shows one instance without cluster support, whatever it stands on.
    row("cluster",        Refused(Cluster), "the container of the next row"),
    row("cluster|*",      Refused(Cluster), "clients that look for a cluster must find none"),
    row("clusterscan",    Refused(Cluster), "clients that look for a cluster must find none"),
    row("asking",         Refused(Cluster), "is state of a link"),
    row("restore-asking", Refused(Cluster), "for links between instances of a cluster"),
    row("readonly",       Refused(Cluster), "is state of a link"),
    row("readwrite",      Refused(Cluster), "is state of a link"),
];

/// Rows for commands of servers that the table was not generated from, lest they be learned as harmless.
pub(super) const ROWS_ELSEWHERE: &[StateRow] = &[
    row("himport", Refused(ConnectionState), "Redis 8: its field set is state of a link"),
    row("himport|*", Refused(ConnectionState), "Redis 8: its field set is state of a link"),
];

/// Commands published as `multi_shard` that must not be split, and why.
pub(super) const NEVER_SPLIT: &[(&str, &str)] = &[
    ("msetnx", "all or nothing: a part could succeed where another finds its key"),
    ("msetex", "all or nothing with NX and XX"),
];

/// Whether a command must have a row in the state table before it may travel on a Shared link.
pub fn needs_row(spec: &CommandSpec) -> bool {
    spec.flags.intersects(Flags::ADMIN | Flags::BLOCKING | Flags::PUBSUB | Flags::NOSCRIPT)
        || spec.categories.contains(Categories::CONNECTION)
}

/// The names of the state table's rows, `container|*` among them, each with its why.
pub fn state_names() -> impl Iterator<Item = (&'static str, &'static str)> {
    ROWS.iter().map(|row| (row.name, row.why))
}

/// Completes a published row by what this file says about it.
pub(super) fn decide(spec: &mut CommandSpec) {
    if NEVER_SPLIT.iter().any(|&(name, _)| name == spec.name) {
        (spec.request, spec.response) = (RequestPolicy::Default, ResponsePolicy::Default);
    }
    match find_row(spec) {
        Some(row) => (spec.treatment, spec.refused_if) = (row.treatment, row.refused_if),
        None => spec.treatment = without_row(spec),
    }
}

fn find_row(spec: &CommandSpec) -> Option<&'static StateRow> {
    let named = |wanted: &str| ROWS.iter().chain(ROWS_ELSEWHERE).find(|row| row.name == wanted);
    named(&spec.name).or_else(|| named(&format!("{}|*", spec.container()?)))
}

fn without_row(spec: &CommandSpec) -> Treatment {
    if needs_row(spec) {
        Refused(Reason::Unlisted)
    } else if spec.request == RequestPolicy::Special || spec.response == ResponsePolicy::Special {
        Refused(Reason::Ungathered)
    } else {
        Forward
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::Table;

    #[test]
    fn every_flagged_command_has_a_row() {
        let table = Table::new();
        let missing: Vec<_> =
            table.iter().filter(|spec| needs_row(spec) && find_row(spec).is_none()).map(|spec| &spec.name).collect();
        assert!(missing.is_empty(), "write rows in state.rs for {missing:?}");
    }

    #[test]
    fn every_row_names_an_existing_command() {
        let table = Table::new();
        for row in ROWS {
            let exists = match row.name.strip_suffix('*') {
                Some(prefix) => table.iter().any(|spec| spec.name.starts_with(prefix)),
                None => table.iter().any(|spec| spec.name == row.name),
            };
            assert!(exists, "no server has {}", row.name);
            assert!(!row.why.is_empty());
        }
    }

    #[test]
    fn no_name_has_two_rows() {
        for (index, row) in ROWS.iter().enumerate() {
            assert!(ROWS[..index].iter().all(|other| other.name != row.name), "{} twice", row.name);
        }
    }

    #[test]
    fn a_command_without_a_row_is_refused_when_it_is_flagged() {
        let mut spec = Table::new().iter().find(|spec| spec.name == "get").cloned().unwrap();
        spec.name = "brandnew".into();
        for flag in [Flags::ADMIN, Flags::BLOCKING, Flags::PUBSUB, Flags::NOSCRIPT] {
            let mut flagged = CommandSpec { flags: flag, ..spec.clone() };
            decide(&mut flagged);
            assert_eq!(flagged.treatment, Refused(Reason::Unlisted), "{flag:?}");
        }
        let mut connection = CommandSpec { categories: Categories::CONNECTION, ..spec.clone() };
        decide(&mut connection);
        assert_eq!(connection.treatment, Refused(Reason::Unlisted));
        decide(&mut spec);
        assert_eq!(spec.treatment, Forward);
    }

    #[test]
    fn nothing_is_forwarded_whose_replies_nobody_can_join() {
        for spec in Table::new().iter().filter(|spec| spec.treatment == Forward) {
            assert_ne!(spec.request, RequestPolicy::Special, "{}", spec.name);
            assert_ne!(spec.response, ResponsePolicy::Special, "{}", spec.name);
        }
    }

    #[test]
    fn what_is_all_or_nothing_is_never_split() {
        for (name, _) in NEVER_SPLIT {
            let table = Table::new();
            let spec = table.iter().find(|spec| spec.name == *name).unwrap();
            assert_eq!(spec.request, RequestPolicy::Default, "{name}");
        }
    }
}
