//! Permits hold for large values and for requests that are scattered over several instances: nothing of what is denied
//! travels.

use pdw_tests::instance::Instance;

use crate::{Stage, said};

const USERS: &str = "[[user]]\nname = \"bob\"\nrules = \"on >pw +@all ~a* %R~r* %W~w*\"\n";

/// Bytes of a value that passes through.
const LARGE: usize = 3 << 20;

fn keys(instances: &[Instance]) -> usize {
    let count = |instance: &Instance| instance.connect().unwrap().demand(&["DBSIZE"]).unwrap().integer().unwrap();
    instances.iter().map(|instance| count(instance) as usize).sum()
}

#[test]
fn a_large_value_for_a_denied_key_is_skipped_and_the_session_goes_on() {
    for shards in [1, 3] {
        let stage = Stage::start(shards, USERS);
        let mut session = stage.session("bob");
        let value = "x".repeat(LARGE);
        for words in [
            &["SET", "b", &value][..],
            &["SET", "r1", &value],
            &["SET", "w1", &value, "GET"],
            &["MSET", "a1", &value, "b", &value],
            &["APPEND", "b", &value],
            &["RESTORE", "b", "0", &value],
        ] {
            let text = said(session.call(words));
            let denied = text.starts_with("NOPERM") || words[0] == "MSET" && text.starts_with("ERR");
            assert!(denied, "{shards} {} {} {}: {text}", words[0], words[1], words.len());
            assert_eq!(said(session.call(&["ECHO", "still here"])), "still here");
        }
        assert_eq!(keys(&stage._instances), 0);
        assert_eq!(said(session.call(&["SET", "w1", &value])), "OK");
        assert_eq!(said(session.call(&["SET", "a1", &value])), "OK");
        assert_eq!(said(session.call(&["STRLEN", "a1"])), "");
        assert_eq!(keys(&stage._instances), 2);
    }
}

#[test]
fn a_large_denied_value_dooms_its_transaction() {
    let stage = Stage::start(1, USERS);
    let mut session = stage.session("bob");
    let value = "x".repeat(LARGE);
    for words in [&["MULTI"][..], &["SET", "a1", &value], &["SET", "b", &value], &["SET", "a2", "x"]] {
        session.call(words).unwrap();
    }
    let text = said(session.call(&["EXEC"]));
    assert_eq!(text, "EXECABORT Transaction discarded because of previous errors.");
    assert_eq!(keys(&stage._instances), 0);
}

#[test]
fn of_a_scattered_request_every_key_is_looked_at_first() {
    let stage = Stage::start(3, USERS);
    let mut session = stage.session("bob");
    let many: Vec<String> = (0..40).map(|n| format!("a{n}")).collect();
    let mut words = vec!["DEL".to_owned()];
    for name in &many {
        session.demand(&["SET", name, "v"]).unwrap();
        words.push(name.clone());
    }
    words.push("b".to_owned());
    assert!(said(session.call(&words)).starts_with("NOPERM"));
    assert_eq!(keys(&stage._instances), 40);
    words.pop();
    assert_eq!(session.call(&words).unwrap().integer(), Some(40));
}

#[test]
fn sort_reads_no_keys_by_patterns_for_who_may_not_read_all() {
    let stage = Stage::start(1, &format!("{USERS}[[user]]\nname = \"eve\"\nrules = \"on >pw +@all %R~* %W~a*\"\n"));
    let oracle = Instance::start().unwrap();
    let mut control = oracle.connect().unwrap();
    control.demand(&["ACL", "SETUSER", "bob", "on", ">pw", "+@all", "~a*", "%R~r*", "%W~w*"]).unwrap();
    control.demand(&["ACL", "SETUSER", "eve", "on", ">pw", "+@all", "%R~*", "%W~a*"]).unwrap();
    for user in ["bob", "eve"] {
        let (mut wanted, mut found) = (crate::session(oracle.address(), user), stage.session(user));
        for words in [
            &["SORT", "a", "BY", "w_*"][..],
            &["SORT", "a", "BY", "nosort"],
            &["SORT", "a", "GET", "#"],
            &["SORT", "a", "LIMIT", "0", "1", "GET", "x_*"],
            &["SORT_RO", "a", "BY", "w_*"],
            &["SORT", "a", "BY", "w_*", "STORE", "b"],
        ] {
            assert_eq!(said(wanted.call(words)), said(found.call(words)), "{user} {words:?}");
        }
    }
}
