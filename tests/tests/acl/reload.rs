//! Users are read again: who still may goes on, the others are closed, and a file with mistakes changes nothing.

use std::time::Duration;

use pdw_tests::connection::{Connection, until};
use rustix::process::{Pid, Signal, kill_process};

use crate::{LIMIT, Stage, said, users_file};

const BEFORE: &str = "user default off\nuser stays on >pw ~a* +@all\nuser leaves on >pw ~* +@all\n\
                      user rotates on >pw >new ~* +@all\nuser narrows on >pw ~* +@all\n";
const AFTER: &str = "user default off\nuser stays on >pw >more ~a* +@all\n\
                     user rotates on >new ~* +@all\nuser narrows on >pw ~a* +@all\nuser comes on >pw ~* +@all\n";

/// Who is to go is gone within this time, on a busy machine.
const GONE: Duration = Duration::from_secs(10);

fn reload(stage: &mut Stage, outcome: &str) {
    let pid = Pid::from_raw(stage.proxy.guard().pid() as i32).unwrap();
    let before = stage.proxy.guard().output().matches(outcome).count();
    kill_process(pid, Signal::HUP).unwrap();
    until(outcome, LIMIT, || {
        let log = stage.proxy.guard().output();
        if log.matches(outcome).count() > before { Ok(()) } else { Err(std::io::Error::other(log)) }
    })
    .unwrap();
}

fn is_closed(session: &mut Connection) -> bool {
    session.call(&["PING"]).is_err()
}

#[test]
fn who_still_may_goes_on_under_the_new_rules_and_the_others_are_closed() {
    let file = users_file(BEFORE);
    let mut stage = Stage::start(1, &format!("users = \"{}\"\n", file.path().display()));
    let mut sessions = ["stays", "leaves", "rotates", "narrows"].map(|user| stage.session(user));
    let mut fresh = stage.stranger();
    fresh.demand(&["AUTH", "rotates", "new"]).unwrap();
    let mut queued = stage.session("narrows");
    for words in [&["MULTI"][..], &["SET", "b", "x"]] {
        queued.demand(words).unwrap();
    }
    std::fs::write(file.path(), AFTER).unwrap();
    reload(&mut stage, "in force now: users");
    let [stays, leaves, rotates, narrows] = &mut sessions;
    until("the sessions' end", GONE, || {
        if is_closed(leaves) && is_closed(rotates) { Ok(()) } else { Err(std::io::Error::other("served")) }
    })
    .unwrap();
    assert_eq!(said(stays.call(&["SET", "a", "x"])), "OK");
    assert_eq!(said(fresh.call(&["SET", "b", "x"])), "OK");
    assert!(said(narrows.call(&["SET", "b", "x"])).starts_with("NOPERM"));
    assert_eq!(said(narrows.call(&["SET", "a", "x"])), "OK");
    assert!(said(queued.call(&["EXEC"])).starts_with("EXECABORT"));
    assert!(said(stage.stranger().call(&["AUTH", "leaves", "pw"])).starts_with("WRONGPASS"));
    assert_eq!(said(stage.session("comes").call(&["GET", "a"])), "x");
    assert_eq!(stage.proxy.scrape().unwrap().value("pdw_sessions_closed_total{reason=\"user\"}"), 2.0);
}

#[test]
fn a_file_with_mistakes_leaves_the_old_users_in_force_and_all_mistakes_are_told() {
    let file = users_file(BEFORE);
    let mut stage = Stage::start(1, &format!("users = \"{}\"\n", file.path().display()));
    let mut session = stage.session("leaves");
    std::fs::write(
        file.path(),
        "user default off\nuser bob on +gett ~* ~a\nuser eve hunter2\nuser bob off\nnonsense\n",
    )
    .unwrap();
    reload(&mut stage, "the old one stays in force");
    until("the last line", LIMIT, || {
        let log = stage.proxy.guard().output();
        if log.contains(":5: not `user") { Ok(()) } else { Err(std::io::Error::other(log)) }
    })
    .unwrap();
    let log = stage.proxy.guard().output();
    for told in [
        ":2: user `bob`: `+gett` names no",
        ":2: user `bob`: `~a` has no effect",
        ":3: user `eve`: rule 1",
        ":4: user `bob` is given twice",
    ] {
        assert!(log.contains(told), "{told}\n{log}");
    }
    assert!(!log.contains("hunter2"), "{log}");
    assert_eq!(said(session.call(&["SET", "k", "v"])), "OK");
    stage.session("leaves");
}
