//! Commands that could change a link, an instance or another session, as a real server lists them.

use std::io;

use pdw_tests::connection::Connection;
use pdw_tests::reply::Value;

/// One command with arguments.
#[derive(Debug)]
pub(super) struct Suspect {
    pub(super) words: Vec<String>,
}

impl Suspect {
    pub(super) fn new(words: &[&str]) -> Suspect {
        Suspect { words: words.iter().map(|word| (*word).to_owned()).collect() }
    }
}

/// Arguments that make a command do what it can do; one row for each way, the command's own words first.
const ARGUMENTS: &[&str] = &[
    "acl setuser default off",
    "acl deluser default",
    "acl log reset",
    "asking",
    "auth default wrong",
    "auth x",
    "bgrewriteaof",
    "bgsave schedule",
    "blmove k l left right 0",
    "blmpop 0 1 k left",
    "blpop k 0",
    "brpop k 0",
    "brpoplpush k l 0",
    "bzmpop 0 1 k min",
    "bzpopmax k 0",
    "bzpopmin k 0",
    "client caching yes",
    "client getname",
    "client id",
    "client info",
    "client kill type normal skipme yes",
    "client kill type normal skipme no",
    "client list",
    "client no-evict on",
    "client no-touch on",
    "client pause 100000",
    "client reply off",
    "client reply skip",
    "client reply on",
    "client setname mine",
    "client setinfo lib-name mine",
    "client tracking on bcast",
    "client unblock 1",
    "client unpause",
    "config set maxmemory 1",
    "config set timeout 1",
    "config resetstat",
    "config rewrite",
    "debug sleep 2",
    "debug segfault",
    "eval return{redis.call('PING')} 0",
    "failover abort",
    "failover",
    "function flush",
    "hello 2 setname mine",
    "hello 3",
    "hello 2 auth default x",
    "latency reset",
    "module load /nonexistent",
    "monitor",
    "pfselftest",
    "ping hello",
    "psubscribe *",
    "psync ? -1",
    "pubsub channels",
    "punsubscribe",
    "quit",
    "replconf listening-port 1",
    "replconf capa eof",
    "replicaof 127.0.0.1 1",
    "reset",
    "restore-asking k 0 x",
    "role",
    "save",
    "script debug yes",
    "script debug sync",
    "script flush",
    "script kill",
    "select 1",
    "select 15",
    "shutdown nosave",
    "shutdown abort",
    "slaveof 127.0.0.1 1",
    "slowlog reset",
    "spublish c m",
    "ssubscribe c",
    "subscribe a b c",
    "sunsubscribe",
    "sync",
    "unsubscribe",
    "wait 1 0",
    "waitaof 0 1 0",
    "xread block 0 streams k $",
    "xreadgroup group g c block 0 streams k >",
];

/// Not flagged as what they are.
const UNFLAGGED: &[&str] = &["swapdb 0 1", "move witness:0 1", "migrate h 1 k 0 1"];

/// Every command of the server that is flagged admin, blocking, pubsub or noscript, or is of category @connection.
pub(super) fn suspects(control: &mut Connection) -> io::Result<Vec<Suspect>> {
    let published = control.demand(&["COMMAND"])?;
    let mut rows: Vec<&Value> = published.elements().iter().collect();
    let subcommands = published.elements().iter().filter_map(|row| row.elements().get(9));
    rows.extend(subcommands.flat_map(Value::elements));
    let listed = rows.into_iter().filter(|row| is_suspect(row)).flat_map(variants);
    let unflagged = UNFLAGGED.iter().map(|line| Suspect::new(&line.split(' ').collect::<Vec<_>>()));
    Ok(listed.chain(unflagged).collect())
}

fn is_suspect(row: &Value) -> bool {
    let [_, _, flags, _, _, _, categories, ..] = row.elements() else { return false };
    let flagged = |flag: &Value| ["admin", "blocking", "pubsub", "noscript"].contains(&flag.text().as_str());
    flags.elements().iter().any(flagged) || categories.elements().iter().any(|name| name.bytes() == b"@connection")
}

/// The rows of [`ARGUMENTS`] for a command; without one, as many plain words as it takes.
fn variants(row: &Value) -> Vec<Suspect> {
    let (name, arity) = (row.elements()[0].text(), row.elements()[1].integer().unwrap_or(1));
    let own: Vec<&str> = name.split('|').collect();
    let matches = |line: &&&str| line.split(' ').take(own.len()).eq(own.iter().copied());
    let known: Vec<_> =
        ARGUMENTS.iter().filter(matches).map(|line| Suspect::new(&line.split(' ').collect::<Vec<_>>())).collect();
    if !known.is_empty() {
        return known;
    }
    let padding = (arity.unsigned_abs() as usize).saturating_sub(own.len());
    vec![Suspect::new(&own.into_iter().chain(std::iter::repeat_n("1", padding)).collect::<Vec<_>>())]
}
