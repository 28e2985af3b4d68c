//! The configuration is read again: what is taken, what is refused, and nobody is disconnected.

use std::time::Duration;

use pdw_tests::address::Address;
use pdw_tests::connection::{Connection, until};
use pdw_tests::instance::Instance;
use pdw_tests::proxy::{Launch, Proxy};
use pdw_tests::reply::Value;
use rustix::process::Signal;

use crate::{LIMIT, metric, signal, wait_log};

const TAKEN: &str = "configuration read again";
const REFUSED: &str = "configuration not taken";

fn upstreams(named: &[(&str, &Instance)]) -> String {
    let list =
        named.iter().map(|(name, instance)| format!("{{address = \"{}\", name = \"{name}\"}}", instance.address()));
    format!("upstreams = [{}]\n", list.collect::<Vec<_>>().join(", "))
}

fn start(config: &str) -> (Proxy, Address) {
    let admin = Address::free_loopback().unwrap();
    let launch = Launch::new("redis", &[]).config(config).argument("--admin").argument(&admin.to_string());
    (launch.start().unwrap(), admin)
}

/// Rewrites the file, sends the signal, and waits for the outcome in the log.
fn reload(proxy: &mut Proxy, config: &str, by: Signal, outcome: &str) {
    let before = proxy.guard().output().matches(outcome).count();
    std::fs::write(proxy.config_file(), config).unwrap();
    signal(proxy.guard(), by);
    until(outcome, LIMIT, || {
        let log = proxy.guard().output();
        if log.matches(outcome).count() > before { Ok(()) } else { Err(std::io::Error::other(log)) }
    })
    .unwrap();
}

fn get(session: &mut Connection) -> Value {
    session.call(&["GET", "who"]).unwrap()
}

fn named(name: &str) -> Value {
    Value::Bulk(Some(name.as_bytes().to_vec()))
}

fn instance(name: &str) -> Instance {
    let instance = Instance::start().unwrap();
    instance.connect().unwrap().demand(&["SET", "who", name]).unwrap();
    instance
}

#[test]
fn live_options_take_effect_in_open_sessions_and_the_others_are_named() {
    let one = instance("one");
    let list = upstreams(&[("a", &one)]);
    let (mut proxy, admin) = start(&list);
    let mut session = proxy.connect().unwrap();
    session.demand(&["SET", "k".repeat(2000).as_str(), "v"]).unwrap();
    let limited = format!("{list}hash_tag = \"<>\"\n[limits]\nkey_max = \"1KiB\"\nargs_max = 16\n");
    reload(&mut proxy, &limited, Signal::HUP, TAKEN);
    let log = proxy.guard().output();
    assert!(log.contains("in force now: limits.key_max, limits.args_max"), "{log}");
    assert!(log.contains("at the next start, or now with SIGUSR2: hash_tag"), "{log}");
    let refused = session.call(&["SET", "k".repeat(2000).as_str(), "v"]).unwrap();
    assert!(matches!(refused, Value::Error(_)), "{refused:?}");
    assert_eq!(session.call(&["PING"]).unwrap(), Value::Simple(b"PONG".to_vec()));
    metric(&admin, "pdw_reload_successful 1").unwrap();
    let too_many = session.call(&["MGET"; 20]).unwrap();
    assert!(matches!(&too_many, Value::Error(text) if text.starts_with(b"ERR Protocol error")), "{too_many:?}");
}

#[test]
fn a_file_with_mistakes_changes_nothing_and_all_of_them_are_told() {
    let one = instance("one");
    let list = upstreams(&[("a", &one)]);
    let (mut proxy, admin) = start(&list);
    let bad = format!("{list}workers = 0\n[limits]\nkey_max = \"1KiB\"\nkey_min = 1\n");
    reload(&mut proxy, &bad, Signal::HUP, "key_min");
    let log = proxy.guard().output();
    assert!(log.contains("workers: 0 is out of range") && log.contains("limits.key_min: unknown option"), "{log}");
    metric(&admin, "pdw_reload_successful 0").unwrap();
    let mut session = proxy.connect().unwrap();
    session.demand(&["SET", "k".repeat(2000).as_str(), "v"]).unwrap();
    reload(&mut proxy, &list, Signal::HUP, TAKEN);
    until("metric", LIMIT, || metric(&admin, "pdw_reload_successful 1")).unwrap();
}

#[test]
fn an_upstream_that_keeps_its_name_and_place_is_followed_to_its_new_address() {
    let (one, other) = (instance("one"), instance("other"));
    let (mut proxy, _) = start(&upstreams(&[("a", &one)]));
    let mut session = proxy.connect().unwrap();
    assert_eq!(get(&mut session), named("one"));
    reload(&mut proxy, &upstreams(&[("a", &other)]), Signal::HUP, TAKEN);
    until("the other", LIMIT, || {
        let got = get(&mut session);
        if got == named("other") { Ok(()) } else { Err(std::io::Error::other(format!("{got:?}"))) }
    })
    .unwrap();
}

#[test]
fn another_list_of_upstreams_is_refused_unless_forced_and_then_sessions_keep_what_they_began_with() {
    let (one, other) = (instance("one"), instance("other"));
    let (mut proxy, admin) = start(&upstreams(&[("a", &one)]));
    let mut session = proxy.connect().unwrap();
    assert_eq!(get(&mut session), named("one"));
    let replaced = upstreams(&[("b", &other)]);
    reload(&mut proxy, &replaced, Signal::HUP, REFUSED);
    assert!(proxy.guard().output().contains("SIGUSR2"));
    assert_eq!(get(&mut proxy.connect().unwrap()), named("one"));
    let renewed = format!("{replaced}workers = 2\n");
    let busy = std::thread::spawn(move || {
        for _ in 0..30 {
            assert_eq!(get(&mut session), named("one"));
            std::thread::sleep(Duration::from_millis(20));
        }
    });
    reload(&mut proxy, &renewed, Signal::USR2, TAKEN);
    until("the new one", LIMIT, || {
        let got = get(&mut proxy.connect()?);
        if got == named("other") { Ok(()) } else { Err(std::io::Error::other(format!("{got:?}"))) }
    })
    .unwrap();
    busy.join().unwrap();
    until("the metrics of the new workers", LIMIT, || metric(&admin, "pdw_upstream_up{upstream=\"b\"} 1")).unwrap();
    signal(proxy.guard(), Signal::TERM);
    assert!(proxy.guard().wait_end(LIMIT).unwrap().success());
}

#[test]
fn new_workers_go_on_before_the_proxys_own_instances() {
    let (mut proxy, _) = start("instances = 2\n");
    proxy.connect().unwrap().demand(&["SET", "who", "one"]).unwrap();
    let other = "instances = 3\n[limits]\nhandshakes_max = 10\n";
    reload(&mut proxy, other, Signal::USR2, TAKEN);
    until("the same instances", LIMIT, || proxy.connect()?.demand(&["GET", "who"])).unwrap();
    assert_eq!(get(&mut proxy.connect().unwrap()), named("one"));
    reload(&mut proxy, other, Signal::HUP, "; at the next start: instances");
}

#[test]
fn another_list_of_peers_is_not_said_to_lose_keys() {
    let (one, two) = (instance("one"), instance("two"));
    let spines = [&one, &two].map(|one| Launch::new("redis", std::slice::from_ref(one.address())).start().unwrap());
    let list = |order: [usize; 2]| {
        let [first, second] = order.map(|index| spines[index].address().to_string());
        format!("upstreams = [\"{first}\", \"{second}\"]\ngroup.kind = \"peers\"\n")
    };
    let (mut proxy, _) = start(&list([0, 1]));
    reload(&mut proxy, &list([1, 0]), Signal::HUP, REFUSED);
    let log = proxy.guard().output();
    assert!(log.contains("SIGUSR2") && !log.contains("hold nothing that matters"), "{log}");
}

#[test]
fn the_filter_of_log_lines_is_live_and_without_a_file_a_lost_terminal_ends_the_proxy() {
    let one = instance("one");
    let list = upstreams(&[("a", &one)]);
    let (mut proxy, _) = start(&list);
    assert!(!proxy.guard().output().contains("drained"));
    reload(&mut proxy, &format!("log = \"info\"\n{list}"), Signal::HUP, TAKEN);
    signal(proxy.guard(), Signal::TERM);
    wait_log(&mut proxy, "drained");
    let mut proxy = Launch::new("redis", &[one.address().clone()]).start().unwrap();
    signal(proxy.guard(), Signal::HUP);
    assert!(proxy.guard().wait_end(LIMIT).unwrap().success());
}
