//! Clients whose certificates make users of them.

use std::io;

use pdw_tests::certificates::Pair;
use pdw_tests::connection::until;
use pdw_tests::tls_client::{TlsClient, TlsSession};
use rustix::process::{Pid, Signal, kill_process};

use crate::{LIMIT, Stage};

const USERS: &str = "user default on nopass ~public:* +@all\nuser job-17 on >secret ~job:* +@all\n\
                     user node.example on ~node:* +@all\nuser gone off ~* +@all\n";

fn stage(entries: &str) -> (Stage, tempfile::NamedTempFile) {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), USERS).unwrap();
    let options = format!("users = \"{}\"", file.path().display());
    (Stage::new(&format!(", client_ca = \"CA\"{entries}"), &options), file)
}

fn open(stage: &Stage, own: Option<&Pair>) -> TlsSession {
    TlsClient::new(&stage.authority.file(), own).unwrap().connect(&stage.sealed).unwrap()
}

fn said(session: &mut TlsSession, words: &[&str]) -> String {
    let value = session.call(words).unwrap();
    value.error().unwrap_or_else(|| value.text())
}

#[test]
fn the_common_name_of_a_certificate_makes_a_user_of_who_shows_it() {
    let (stage, _file) = stage(", client_auth = \"optional\", client_user = \"cn\"");
    let sign = |name: &str| stage.authority.sign(name, name, &["node.example"]).unwrap();
    let mut job = open(&stage, Some(&sign("job-17")));
    assert_eq!(said(&mut job, &["ACL", "WHOAMI"]), "job-17");
    assert_eq!(said(&mut job, &["SET", "job:1", "x"]), "OK");
    assert!(said(&mut job, &["SET", "public:1", "x"]).starts_with("NOPERM"));
    // RESET makes it what it was when it came in.
    assert_eq!(said(&mut job, &["RESET"]), "RESET");
    assert_eq!(said(&mut job, &["ACL", "WHOAMI"]), "job-17");
    assert_eq!(said(&mut open(&stage, Some(&sign("nobody-knows"))), &["ACL", "WHOAMI"]), "default");
    assert_eq!(said(&mut open(&stage, None), &["ACL", "WHOAMI"]), "default");
    let mut gone = open(&stage, Some(&sign("gone")));
    assert!(said(&mut gone, &["GET", "public:1"]).starts_with("NOAUTH"));
    assert_eq!(said(&mut gone, &["AUTH", "job-17", "secret"]), "OK");
}

#[test]
fn an_alternative_name_does_where_that_is_asked_for_and_no_name_where_none_is() {
    let (stage, _file) = stage(", client_user = \"san\"");
    let own = stage.authority.sign("own", "job-17", &["other.example", "node.example"]).unwrap();
    assert_eq!(said(&mut open(&stage, Some(&own)), &["ACL", "WHOAMI"]), "node.example");
    let (stage, _file) = self::stage("");
    let own = stage.authority.sign("own", "job-17", &["node.example"]).unwrap();
    assert_eq!(said(&mut open(&stage, Some(&own)), &["ACL", "WHOAMI"]), "default");
}

#[test]
fn a_session_whose_certificate_s_user_is_gone_is_closed_and_does_not_become_another() {
    let (mut stage, file) = stage(", client_user = \"cn\"");
    let own = stage.authority.sign("own", "job-17", &["x.example"]).unwrap();
    let other = stage.authority.sign("other", "unknown", &["x.example"]).unwrap();
    let (mut job, mut stays) = (open(&stage, Some(&own)), open(&stage, Some(&other)));
    assert_eq!(said(&mut job, &["ACL", "WHOAMI"]), "job-17");
    assert_eq!(said(&mut stays, &["ACL", "WHOAMI"]), "default");
    std::fs::write(file.path(), USERS.replace("job-17", "job-18")).unwrap();
    kill_process(Pid::from_raw(stage.proxy.guard().pid() as i32).unwrap(), Signal::HUP).unwrap();
    stage.wait_log("in force now: users");
    until("its end", LIMIT, || match job.call(&["PING"]) {
        Err(_) => Ok(()),
        Ok(value) => Err(io::Error::other(value.text())),
    })
    .unwrap();
    assert_eq!(said(&mut stays, &["ACL", "WHOAMI"]), "default");
}

#[test]
fn a_name_is_no_use_without_an_authority() {
    use pdw_tests::proxy::program;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("config.toml");
    let listen = "listen = [{ address = \"127.0.0.1:1\", seal = \"tls\", certificate = \"c\", key = \"k\", client_user = \"cn\" }]";
    std::fs::write(&file, format!("{listen}\nupstreams = [\"127.0.0.1:2\"]\n")).unwrap();
    let told = std::process::Command::new(program().unwrap()).arg("check").arg(&file).output().unwrap();
    let told = String::from_utf8_lossy(&told.stderr).into_owned() + &String::from_utf8_lossy(&told.stdout);
    assert!(told.contains("client_ca") && !told.contains("unknown"), "{told}");
}
