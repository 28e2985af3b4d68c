//! Random users, rules and requests: a proxy says what Redis's own engine says.

use std::collections::BTreeSet;

use fastrand::Rng;
use pdw_auth::users::User;
use pdw_router::command::info::parse_commands;
use pdw_router::command::{CommandSpec, Table};
use pdw_tests::connection::{Connection, encode};
use pdw_tests::differential::{Setting, Shape, sequence};
use pdw_tests::instance::Instance;
use pdw_tests::reply::Value;

use crate::random::Vocabulary;
use crate::{Stage, said, session, users_file, valkey};

const USERS: usize = 40;
const REQUESTS: usize = 500;
/// A flag that Redis 7.0 gives to a user that is reset.
const SANITIZE: &str = "sanitize-payload";

/// Users that both sides have taken, by name.
struct Users {
    stage: Stage,
    names: Vec<String>,
    vocabulary: Vocabulary,
    rng: Rng,
}

/// Gives random users to a server and to a proxy. What one refuses the other refuses too.
/// `shown`: what their `reset` leaves to be seen of a user.
fn users(oracle: &mut Connection, shards: usize, seed: u64, shown: &str) -> Users {
    let known = commands_of(oracle);
    let vocabulary = Vocabulary::of(|name| known.contains(name));
    let (mut rng, table) = (Rng::with_seed(seed), Table::new());
    let (mut file, mut names) = (String::new(), Vec::new());
    while names.len() < USERS {
        let (name, rules) = (format!("u{}", names.len()), vocabulary.rules(&mut rng));
        let words: Vec<&str> = ["ACL", "SETUSER", &name, "reset"].into_iter().chain(rules.split(' ')).collect();
        let (theirs, ours) = (oracle.call(&words).unwrap(), User::parse(&table, &rules));
        assert_eq!(theirs.error().is_some(), ours.is_err(), "{rules}\n{theirs:?}\n{ours:?}");
        if ours.is_ok() {
            file += &format!("user {name} {shown} {rules}\n");
            names.push(name);
        }
    }
    let file = users_file(&file);
    let stage = Stage::start(shards, &format!("users = \"{}\"\n", file.path().display()));
    Users { stage, names, vocabulary, rng }
}

/// Commands that a server has, subcommands as `a|b`, of which the table says the same as far as access control asks.
fn commands_of(server: &mut Connection) -> BTreeSet<String> {
    server.send(&encode(&["COMMAND"])).unwrap();
    let rows = parse_commands(&server.receive().unwrap().raw).unwrap().into_iter().flatten();
    let specs: Vec<_> = rows.flat_map(|row| row.subcommands.into_iter().chain([row.spec])).collect();
    let table = Table::new();
    let same = |spec: &&CommandSpec| {
        let ours = table.find(spec.name.as_bytes()).map(|id| table.spec(id));
        ours.is_some_and(|ours| (ours.arity, ours.categories, &ours.keys) == (spec.arity, spec.categories, &spec.keys))
    };
    let alike: BTreeSet<String> = specs.iter().filter(same).map(|spec| spec.name.to_string()).collect();
    assert!(alike.len() * 10 > specs.len() * 9, "{} of {}", alike.len(), specs.len());
    alike
}

fn ask(connection: &mut Connection, requests: &[Vec<String>]) -> Vec<String> {
    connection.send(&requests.iter().flat_map(|words| encode(words)).collect::<Vec<_>>()).unwrap();
    requests.iter().map(|_| said(connection.receive().map(|reply| reply.value))).collect()
}

/// Keys that Redis 7.0 does not hold against the rules, and goes on to use: all but the first of several destinations of
/// `GEORADIUS`, `SORT` behind one that is called as an option, streams behind a consumer called `STREAMS`. Users reach by that
/// what they may not; here they do not.
fn may_be_stricter(words: &[String]) -> bool {
    let count =
        |wanted: &[&str]| words.iter().filter(|word| wanted.iter().any(|one| word.eq_ignore_ascii_case(one))).count();
    match words.first().map(String::as_str) {
        Some("georadius" | "georadiusbymember") => count(&["STORE", "STOREDIST"]) > 1,
        Some("sort") => count(&["STORE"]) > 1,
        Some("xreadgroup") => count(&["STREAMS"]) > 1,
        _ => false,
    }
}

/// Redis 7.0 finds no key in a `PFMERGE` without sources, so that everybody may make one.
fn is_overlooked(words: &[String]) -> bool {
    words.len() == 2 && words[0] == "pfmerge"
}

#[test]
fn dry_runs_of_every_command_have_the_same_verdict_and_text() {
    let instance = Instance::start().unwrap();
    for seed in seeds(7) {
        dry_runs(&mut instance.connect().unwrap(), seed);
    }
}

/// One seed, or many for the full measure.
fn seeds(first: u64) -> std::ops::Range<u64> {
    let many = pdw_tests::is_full();
    first..first + if many { 20 } else { 1 }
}

fn dry_runs(oracle: &mut Connection, seed: u64) {
    let mut users = users(oracle, 1, seed, SANITIZE);
    let mut subject = users.stage.stranger();
    let mut denied = 0;
    for name in &users.names {
        let request = |_| {
            let tried = users.vocabulary.request(&mut users.rng);
            ["ACL", "DRYRUN", name].into_iter().map(str::to_owned).chain(tried).collect()
        };
        let requests: Vec<Vec<String>> = (0..REQUESTS).map(request).collect();
        let (wanted, found) = (ask(oracle, &requests), ask(&mut subject, &requests));
        let rules = oracle.call(&["ACL", "LIST"]).unwrap();
        let rules = rules.elements().iter().map(Value::text).find(|line| line.starts_with(&format!("user {name} ")));
        let all = requests.iter().zip(&wanted).zip(&found);
        for ((request, wanted), found) in all.filter(|((request, _), _)| !is_overlooked(&request[3..])) {
            let is_stricter = may_be_stricter(&request[3..]) && wanted == "OK" && found.starts_with("This user");
            assert!(wanted == found || is_stricter, "{wanted}\n{found}\n{request:?}\n{rules:?}");
            denied += usize::from(wanted.starts_with("This user"));
        }
    }
    let all = USERS * REQUESTS;
    assert!((all / 4..all * 9 / 10).contains(&denied), "{denied} of {all} denied: the test compares too little");
}

#[test]
fn requests_of_random_users_are_denied_in_the_same_words_and_transactions_die_alike() {
    let instance = Instance::start().unwrap();
    let mut control = instance.connect().unwrap();
    for (shards, seed) in [(1, 11), (3, 12)] {
        let mut users = users(&mut control, shards, seed, SANITIZE);
        let mut denied = 0;
        for name in &users.names {
            let steps = sequence(users.rng.u64(..), &Setting::default());
            let (mut oracle, mut subject) = (session(instance.address(), name), users.stage.session(name));
            for step in steps.iter().filter(|step| step.shape == Shape::Array) {
                let (wanted, found) = (oracle.call(&step.arguments), subject.call(&step.arguments));
                let (Ok(wanted), Ok(found)) = (wanted, found) else { break };
                if wanted.error().is_some_and(|text| text.starts_with("ERR wrong number")) {
                    // Of newer servers some commands take more.
                    continue;
                }
                let verdict = |value: &Value| value.error().filter(|text| text.contains("NOPERM"));
                assert_eq!(verdict(&wanted), verdict(&found), "{name}: {step}\n{wanted:?}\n{found:?}");
                denied += usize::from(verdict(&wanted).is_some());
            }
        }
        assert!(denied > 100, "{denied} denied: the test compares too little");
    }
}

#[test]
fn what_is_told_about_users_makes_the_same_users_at_redis() {
    let instance = Instance::start().unwrap();
    let mut oracle = instance.connect().unwrap();
    let users = users(&mut oracle, 1, 21, SANITIZE);
    let mut subject = users.stage.stranger();
    let lines = subject.demand(&["ACL", "LIST"]).unwrap();
    assert_eq!(lines.elements().len(), USERS + 1);
    for line in lines.elements().iter().map(Value::text) {
        let words: Vec<&str> = line.split(' ').collect();
        let told: Vec<&str> =
            ["ACL", "SETUSER", "copy", "reset"].into_iter().chain(words[2..].iter().copied()).collect();
        oracle.demand(&told).unwrap();
        let (copy, own) = (getuser(&mut oracle, "copy"), getuser(&mut oracle, words[1]));
        if words[1] != "default" {
            assert_eq!(copy, own, "{line}");
        }
    }
    let names = |server: &mut Connection| server.demand(&["ACL", "USERS"]).unwrap();
    oracle.demand(&["ACL", "DELUSER", "copy"]).unwrap();
    assert_eq!(names(&mut oracle), names(&mut subject));
}

fn getuser(server: &mut Connection, name: &str) -> Value {
    server.demand(&["ACL", "GETUSER", name]).unwrap()
}

/// Without what Valkey tells of databases.
fn plain(value: &Value) -> Value {
    let Value::Array(Some(elements)) = value else { return value.clone() };
    let at = elements.iter().position(|one| one.text() == "databases");
    let kept = elements.iter().enumerate().filter(|(index, _)| at.is_none_or(|at| *index != at && *index != at + 1));
    Value::Array(Some(kept.map(|(_, one)| plain(one)).collect()))
}

#[test]
fn what_is_told_about_users_is_what_valkey_tells() {
    let Some(instance) = valkey() else { return };
    let mut oracle = instance.connect().unwrap();
    let users = users(&mut oracle, 1, 31, "");
    let mut subject = users.stage.stranger();
    let list = |server: &mut Connection| server.demand(&["ACL", "LIST"]).unwrap();
    for (theirs, ours) in list(&mut oracle).elements().iter().zip(list(&mut subject).elements()) {
        assert_eq!(theirs.text(), ours.text());
    }
    for name in users.names.iter().map(String::as_str).chain(["default", "nobody"]) {
        let theirs = oracle.call(&["ACL", "GETUSER", name]).unwrap();
        assert_eq!(plain(&theirs), getuser(&mut subject, name), "{name}");
    }
}

#[test]
fn categories_are_those_of_redis_and_hold_the_same_commands() {
    let instance = Instance::start().unwrap();
    let mut oracle = instance.connect().unwrap();
    let known = commands_of(&mut oracle);
    let stage = Stage::start(1, "");
    let mut subject = stage.stranger();
    let all = oracle.demand(&["ACL", "CAT"]).unwrap();
    assert_eq!(all, subject.demand(&["ACL", "CAT"]).unwrap());
    for category in all.elements().iter().map(Value::text) {
        let inside = |server: &mut Connection| -> BTreeSet<String> {
            let found = server.demand(&["ACL", "CAT", &category]).unwrap();
            found.elements().iter().map(Value::text).filter(|name| known.contains(name)).collect()
        };
        assert_eq!(inside(&mut oracle), inside(&mut subject), "{category}");
    }
    for request in
        [&["ACL", "CAT", "nosuch"][..], &["ACL", "CAT", "read", "x"], &["ACL", "LOG", "x"], &["ACL", "LOG", "1", "2"]]
    {
        assert_eq!(said(oracle.call(request)), said(subject.call(request)), "{request:?}");
    }
}
