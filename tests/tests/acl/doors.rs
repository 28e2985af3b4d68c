//! Who a session is: by password, by its listener, by where it comes from.

use std::os::unix::fs::PermissionsExt;

use pdw_tests::address::Address;
use pdw_tests::connection::{Connection, encode};
use pdw_tests::instance::{Instance, addresses};
use pdw_tests::proxy::Launch;

use crate::{Stage, ready, said};

const CLOSED: &str = "[[user]]\nname = \"default\"\nrules = \"on >pw ~* &* +@all\"\n";

/// A server that wants the same password.
fn oracle() -> Instance {
    Instance::start_with(&pdw_tests::instance::Server::redis(), &["--requirepass", "pw"]).unwrap()
}

#[test]
fn strangers_hear_what_redis_says_whatever_they_send() {
    let (oracle, stage) = (oracle(), Stage::start(1, CLOSED));
    let long = "x".repeat(16_385);
    let conversations: &[&[&[&str]]] = &[
        &[
            &["GET", "k"],
            &["NOSUCH"],
            &["GET"],
            &["CONFIG", "NOSUCH"],
            &["PING"],
            &["MULTI"],
            &["EXEC"],
            &["ACL", "WHOAMI"],
        ],
        &[&["HELLO"], &["HELLO", "2"], &["HELLO", "2", "AUTH", "default", "no"], &["HELLO", "2", "SETNAME", "x"]],
        &[
            &["AUTH", "no"],
            &["AUTH", "nobody", "pw"],
            &["AUTH"],
            &["AUTH", "a", "b", "c"],
            &["AUTH", ""],
            &["AUTH", "pw"],
            &["PING"],
        ],
        &[
            &["AUTH", "default", "pw"],
            &["AUTH", "no"],
            &["PING"],
            &["RESET"],
            &["PING"],
            &["AUTH", "pw"],
            &["ACL", "WHOAMI"],
        ],
        &[&["AUTH", "pw"], &["GET", &long], &["MGET", "1", "2", "3", "4", "5", "6", "7", "8", "9", "0", "1"]],
        &[&["GET", &long]],
        &[&["MGET", "1", "2", "3", "4", "5", "6", "7", "8", "9", "0", "1"]],
        &[&["QUIT"]],
    ];
    for conversation in conversations {
        let talk = |address: &Address| -> Vec<String> {
            let mut session = Connection::open(address).unwrap();
            conversation.iter().map(|words| said(session.call(words))).collect()
        };
        assert_eq!(talk(oracle.address()), talk(stage.proxy.address()), "{conversation:?}");
    }
}

#[test]
fn a_pipeline_may_go_beyond_the_strangers_bounds_once_it_has_authenticated() {
    let stage = Stage::start(1, CLOSED);
    let mut session = stage.stranger();
    let value = "x".repeat(100_000);
    let requests = [encode(&["AUTH", "pw"]), encode(&["SET", "k", &value]), encode(&["GET", "k"])].concat();
    session.send(&requests).unwrap();
    let said: Vec<String> = (0..3).map(|_| said(session.receive().map(|reply| reply.value))).collect();
    assert!(said == ["OK", "OK", &value], "{}", said[1]);
}

#[test]
fn a_listener_makes_somebody_of_who_comes_from_its_range() {
    let instances = Instance::start_many(1).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("s");
    let [inside, outside] = [(); 2].map(|()| Address::free_loopback().unwrap());
    let config = format!(
        "listen = [{{ address = \"{inside}\", user = \"fs\", from = [\"127.0.0.0/8\", \"10.0.0.0/8\"] }},\n\
         {{ address = \"{outside}\", user = \"fs\", from = \"10.0.0.0/8\" }},\n\
         {{ address = \"{}\", user = \"fs\", mode = \"0660\" }}]\nupstreams = [\"{}\"]\n\
         [[user]]\nname = \"default\"\nrules = \"off\"\n[[user]]\nname = \"fs\"\nrules = \"on >pw ~fs:* +@all\"\n",
        socket.display(),
        instances[0].address()
    );
    let file = crate::users_file(&config);
    let _proxy = bare(&file, &inside);
    for (address, whole) in [(inside, true), (Address::Unix(socket.clone()), true), (outside, false)] {
        let mut session = Connection::open(&address).unwrap();
        let wanted = if whole { "fs" } else { "NOAUTH Authentication required." };
        assert_eq!(said(session.call(&["ACL", "WHOAMI"])), wanted, "{address}");
        session.demand(&["AUTH", "fs", "pw"]).unwrap();
        assert_eq!(said(session.call(&["SET", "fs:1", "x"])), "OK");
        assert!(said(session.call(&["SET", "k", "x"])).starts_with("NOPERM"));
        assert_eq!(said(session.call(&["RESET"])), "RESET");
        assert_eq!(said(session.call(&["ACL", "WHOAMI"])), wanted, "{address}");
    }
    assert_eq!(std::fs::metadata(&socket).unwrap().permissions().mode() & 0o777, 0o660);
}

/// A proxy of which everything stands in its file.
fn bare(file: &tempfile::NamedTempFile, address: &Address) -> pdw_tests::guard::Guard {
    let folder = file.path().with_extension("log");
    let mut command = std::process::Command::new(pdw_tests::proxy::program().unwrap());
    command.args(["serve", "--profile", "redis", "--config"]).arg(file.path());
    let guard = pdw_tests::guard::Guard::start(&mut command, &folder).unwrap();
    pdw_tests::connection::until("the proxy", crate::LIMIT, || Connection::open(address)?.call(&["PING"])).unwrap();
    let _ = std::fs::remove_file(folder);
    guard
}

#[test]
fn acl_log_tells_what_was_denied_as_redis_does() {
    let oracle = Instance::start().unwrap();
    oracle.connect().unwrap().demand(&["ACL", "SETUSER", "bob", "on", ">pw", "+@all", "~a*", "-publish"]).unwrap();
    let stage = Stage::start(1, "[[user]]\nname = \"bob\"\nrules = \"on >pw +@all ~a* -publish\"\n");
    let told = |address: &Address| {
        let mut session = crate::session(address, "bob");
        for words in
            [&["GET", "b"][..], &["GET", "b"], &["PUBLISH", "c", "x"], &["MULTI"], &["SET", "c", "x"], &["DISCARD"]]
        {
            session.call(words).unwrap();
        }
        session.call(&["AUTH", "bob", "no"]).unwrap();
        let log = session.demand(&["ACL", "LOG"]).unwrap();
        let entry = |entry: &pdw_tests::reply::Value| {
            let fields: Vec<String> = entry
                .elements()
                .iter()
                .map(|one| one.integer().map_or_else(|| one.text(), |n| n.to_string()))
                .collect();
            fields[..10].to_vec()
        };
        let entries: Vec<Vec<String>> = log.elements().iter().map(entry).collect();
        assert_eq!(session.demand(&["ACL", "LOG", "1"]).unwrap().elements().len(), 1);
        session.demand(&["ACL", "LOG", "RESET"]).unwrap();
        assert_eq!(session.demand(&["ACL", "LOG"]).unwrap().elements().len(), 0);
        entries
    };
    assert_eq!(told(oracle.address()), told(stage.proxy.address()));
}

#[test]
fn rules_are_not_changed_by_commands_and_the_answer_says_how_they_are() {
    let stage = Stage::start(1, "");
    let mut session = stage.stranger();
    for words in [&["ACL", "SETUSER", "x"][..], &["ACL", "DELUSER", "x"], &["ACL", "LOAD"], &["ACL", "SAVE"]] {
        let text = said(session.call(words));
        assert!(text.contains("from its configuration; edit them there and send it SIGHUP"), "{text}");
    }
    assert_eq!(said(session.call(&["ACL", "GENPASS"])).len(), 64);
    let proxy = ready(Launch::new("redis", &addresses(&Instance::start_many(1).unwrap())));
    assert_eq!(said(proxy.connect().unwrap().call(&["ACL", "WHOAMI"])), "default");
}
