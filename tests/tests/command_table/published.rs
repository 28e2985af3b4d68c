//! What a server publishes, read by the `redis-protocol` crate, equals the table's row.

use std::collections::BTreeMap;
use std::process::Command;

use pdw_router::command::{BeginSearch, CommandSpec, FindKeys, KeySpec, Table, needs_row, state_names};
use redis_protocol::resp2::types::OwnedFrame;

use crate::differences::{Column, DIFFERENCES, expected};
use crate::server::{Client, Kind, Server, servers, words};

/// A row as text, column by column, so that the server's and ours can be compared.
type Row = BTreeMap<Column, String>;

fn text(frame: &OwnedFrame) -> String {
    match frame {
        OwnedFrame::SimpleString(text) | OwnedFrame::BulkString(text) => String::from_utf8(text.clone()).unwrap(),
        OwnedFrame::Integer(number) => number.to_string(),
        other => panic!("no text: {other:?}"),
    }
}

fn array(frame: &OwnedFrame) -> &[OwnedFrame] {
    let OwnedFrame::Array(elements) = frame else { panic!("no array: {frame:?}") };
    elements
}

fn sorted(words: impl Iterator<Item = String>) -> String {
    let mut words: Vec<String> = words.collect();
    words.sort();
    words.join(" ")
}

fn field<'a>(frame: &'a OwnedFrame, name: &str) -> &'a OwnedFrame {
    &array(frame).chunks(2).find(|pair| text(&pair[0]) == name).unwrap_or_else(|| panic!("no {name}"))[1]
}

/// `index index=1 / range keystep=1 lastkey=0 limit=0 / RO access`
fn server_keys(specs: &OwnedFrame) -> String {
    let search = |frame: &OwnedFrame| {
        let fields = array(field(frame, "spec")).chunks(2).map(|pair| format!("{}={}", text(&pair[0]), text(&pair[1])));
        format!("{} {}", text(field(frame, "type")), sorted(fields))
    };
    let spec = |frame: &OwnedFrame| {
        let flags = sorted(array(field(frame, "flags")).iter().map(|flag| text(flag).to_lowercase()));
        format!("{} / {} / {flags}", search(field(frame, "begin_search")), search(field(frame, "find_keys")))
    };
    array(specs).iter().map(spec).collect::<Vec<_>>().join("; ")
}

fn table_keys(specs: &[KeySpec]) -> String {
    let begin = |begin: &BeginSearch| match begin {
        BeginSearch::Index(index) => format!("index index={index}"),
        BeginSearch::Keyword { word, start_from } => format!("keyword keyword={word} startfrom={start_from}"),
        BeginSearch::Unknown => "unknown ".to_owned(),
    };
    let find = |find: &FindKeys| match find {
        FindKeys::Range { last, step, limit } => format!("range keystep={step} lastkey={last} limit={limit}"),
        FindKeys::KeyNum { key_num_index, first_key, step } => {
            format!("keynum firstkey={first_key} keynumidx={key_num_index} keystep={step}")
        }
        FindKeys::Unknown => "unknown ".to_owned(),
    };
    let flags = |spec: &KeySpec| sorted(spec.flags.iter_names().map(|(name, _)| name.to_lowercase()));
    let spec = |spec: &KeySpec| format!("{} / {} / {}", begin(&spec.begin), find(&spec.find), flags(spec));
    specs.iter().map(spec).collect::<Vec<_>>().join("; ")
}

/// `MultiShard` as `multi_shard`; nothing for the default.
fn policy(kind: &str, policy: impl std::fmt::Debug) -> Option<String> {
    let mut name = String::new();
    for letter in format!("{policy:?}").chars() {
        if letter.is_uppercase() && !name.is_empty() {
            name.push('_');
        }
        name.push(letter.to_ascii_lowercase());
    }
    (name != "default").then(|| format!("{kind}:{name}"))
}

fn table_row(spec: &CommandSpec) -> Row {
    let tips = spec.hints.iter_names().map(|(name, _)| name.to_lowercase());
    let policies = policy("request_policy", spec.request).into_iter().chain(policy("response_policy", spec.response));
    Row::from([
        (Column::Arity, spec.arity.to_string()),
        (Column::Flags, sorted(spec.flags.iter_names().map(|(name, _)| name.to_lowercase()))),
        (Column::Categories, sorted(spec.categories.iter_names().map(|(name, _)| format!("@{}", name.to_lowercase())))),
        (Column::Tips, sorted(tips.chain(policies))),
        (Column::Keys, table_keys(&spec.keys)),
        (Column::Subcommands, spec.has_subcommands.to_string()),
    ])
}

fn server_row(columns: &[OwnedFrame]) -> Row {
    let list = |index: usize| sorted(array(&columns[index]).iter().map(text));
    Row::from([
        (Column::Arity, text(&columns[1])),
        (Column::Flags, list(2)),
        (Column::Categories, list(6)),
        (Column::Tips, list(7)),
        (Column::Keys, server_keys(&columns[8])),
        (Column::Subcommands, (!array(&columns[9]).is_empty()).to_string()),
    ])
}

/// Every command and subcommand the server publishes.
fn server_rows(server: &Server) -> BTreeMap<String, Row> {
    let mut client = Client::new(server);
    client.send(&words(&["COMMAND"]));
    let reply = client.reply();
    let commands = array(&reply).iter().flat_map(|command| {
        let columns = array(command);
        std::iter::once(columns).chain(array(&columns[9]).iter().map(array))
    });
    commands.map(|columns| (text(&columns[0]).to_lowercase(), server_row(columns))).collect()
}

/// Columns in which a server's commands differ from the table's rows.
fn found_differences(server: &Server) -> Vec<(String, Column)> {
    let table = Table::new();
    let mut found = Vec::new();
    for (name, theirs) in server_rows(server) {
        let id = table.find(name.as_bytes()).unwrap_or_else(|| panic!("{name} is not in the table: generate it again"));
        let ours = table_row(table.spec(id));
        for (column, value) in theirs {
            if ours[&column] == value {
                continue;
            }
            let listed = expected(server.kind, &name, column);
            assert!(listed, "{:?} {name} {column:?}: {value:?}, the table has {:?}", server.kind, ours[&column]);
            found.push((name.clone(), column));
        }
    }
    found
}

#[test]
fn the_table_has_what_the_servers_publish() {
    for server in servers() {
        let found = found_differences(&server);
        for difference in DIFFERENCES.iter().filter(|difference| difference.server == server.kind) {
            for command in difference.commands {
                let needed = found.iter().any(|(name, column)| name == command && *column == difference.column);
                assert!(needed, "{:?} {command}: no longer so: {}", server.kind, difference.why);
            }
        }
    }
}

#[test]
fn every_flagged_command_of_a_server_has_a_row_in_the_state_table() {
    let has_row = |name: &str| state_names().any(|(row, _)| covers(row, name));
    for server in servers() {
        for (name, row) in server_rows(&server) {
            let flags = ["admin", "blocking", "pubsub", "noscript"];
            let flagged = row[&Column::Flags].split(' ').any(|flag| flags.contains(&flag));
            if flagged || row[&Column::Categories].split(' ').any(|category| category == "@connection") {
                assert!(has_row(&name), "{name} needs a row in state.rs");
                let table = Table::new();
                assert!(needs_row(table.spec(table.find(name.as_bytes()).unwrap())), "{name}");
            }
        }
    }
}

fn covers(row: &str, name: &str) -> bool {
    row == name || row.strip_suffix('*').is_some_and(|prefix| name.starts_with(prefix))
}

#[test]
fn the_generator_writes_the_committed_table() {
    let servers = servers();
    if !servers.iter().any(|server| server.kind == Kind::Valkey9) {
        return;
    }
    let sockets = servers.iter().map(|server| &server.socket);
    let output = Command::new(env!("CARGO_BIN_EXE_command_table")).args(sockets).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let committed = include_str!("../../../router/src/command/table.rs");
    assert!(output.stdout == committed.as_bytes(), "generate router/src/command/table.rs again");
}
