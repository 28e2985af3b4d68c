//! Who guesses passwords waits, is told of once, and troubles nobody else.

use std::time::Instant;

use pdw_tests::connection::{encode, until};
use pdw_tests::instance::{Instance, addresses};
use pdw_tests::proxy::Launch;
use rustix::process::{Pid, Signal, kill_process};

use crate::{LIMIT, Stage, ready, said, session};

const GUESSES: usize = 10_000;

const USERS: &str =
    "[[user]]\nname = \"default\"\nrules = \"off\"\n[[user]]\nname = \"bob\"\nrules = \"on >pw ~* +@all\"\n";

#[test]
fn ten_thousand_wrong_passwords_are_hardly_looked_at_and_told_once() {
    let mut stage = Stage::start(1, USERS);
    let mut before = session(stage.proxy.address(), "bob");
    let begun = Instant::now();
    let mut attacker = stage.stranger();
    attacker.send(&encode(&["AUTH", "bob", "guess-hunter2"]).repeat(GUESSES)).unwrap();
    let mut told = [0; 2];
    for _ in 0..GUESSES {
        let text = said(attacker.receive().map(|reply| reply.value));
        told[usize::from(text.starts_with("ERR too many wrong passwords"))] += 1;
    }
    assert!(told[0] < 20 && told[1] > GUESSES - 20, "{told:?} looked at and not");
    assert!(begun.elapsed() < LIMIT, "{:?}", begun.elapsed());
    // The right password has to wait too, lest it be known from the answer; who is in is served.
    assert!(said(attacker.call(&["AUTH", "bob", "pw"])).starts_with("ERR too many"));
    assert_eq!(said(attacker.call(&["GET", "k"])), "NOAUTH Authentication required.");
    before.demand(&["SET", "k", "v"]).unwrap();
    let scrape = stage.proxy.scrape().unwrap();
    assert_eq!(scrape.value("pdw_logins_failed_total"), told[0] as f64);
    assert_eq!(scrape.value("pdw_logins_postponed_total"), told[1] as f64 + 1.0);
    let log = stage.proxy.guard().output();
    assert_eq!(log.matches("a wrong password for user 'bob' came from 127.0.0.1").count(), 1, "{log}");
    assert!(!log.contains("hunter2"), "{log}");
}

#[test]
fn after_a_while_the_right_password_is_good_again() {
    let stage = Stage::start(1, USERS);
    let mut client = stage.stranger();
    for _ in 0..9 {
        assert!(said(client.call(&["AUTH", "bob", "x"])).starts_with("WRONGPASS"));
    }
    assert!(said(client.call(&["AUTH", "bob", "pw"])).starts_with("ERR too many"));
    std::thread::sleep(std::time::Duration::from_millis(1300));
    assert_eq!(said(client.call(&["AUTH", "bob", "pw"])), "OK");
}

#[test]
fn workers_count_wrong_passwords_together_also_when_others_have_taken_over() {
    const WORKERS: usize = 4;
    let instances = Instance::start_many(1).unwrap();
    let launch = Launch::new("redis", &addresses(&instances)).config(USERS).with_admin().workers(WORKERS);
    let mut proxy = ready(launch);
    // So many that each worker has some of them.
    let mut attackers: Vec<_> = (0..16 * WORKERS).map(|_| proxy.connect().unwrap()).collect();
    let mut guess = || {
        let tried = attackers.iter_mut().map(|one| said(one.call(&["AUTH", "bob", "x"])));
        tried.filter(|text| text.starts_with("WRONGPASS")).count()
    };
    let begun = Instant::now();
    let looked_at = guess() + guess();
    // Nine, and one more for each time that an address has waited.
    let most = 9 + (begun.elapsed().as_secs() as usize).min(16);
    assert!((9..=most).contains(&looked_at), "{looked_at} wrong passwords were looked at, not {most}");
    assert_eq!(proxy.scrape().unwrap().value("pdw_logins_failed_total"), looked_at as f64);
    // New workers take over, and know of all.
    let config = std::fs::read_to_string(proxy.config_file()).unwrap();
    std::fs::write(proxy.config_file(), format!("hash_tag = \"{{}}\"\n{config}")).unwrap();
    kill_process(Pid::from_raw(proxy.guard().pid() as i32).unwrap(), Signal::USR2).unwrap();
    until("the new workers", LIMIT, || {
        let log = proxy.guard().output();
        if log.contains("configuration read again") { Ok(()) } else { Err(std::io::Error::other(log)) }
    })
    .unwrap();
    assert!(said(proxy.connect().unwrap().call(&["AUTH", "bob", "pw"])).starts_with("ERR too many"));
}
