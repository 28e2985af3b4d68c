//! Users and permits: the same verdicts in the same words as Redis's own engine, and what an operator or an attacker does.

#![allow(clippy::unwrap_used, reason = "what fails in a test's own tools fails the test")]

mod attempts;
mod differential;
mod doors;
mod large;
mod random;
mod reload;
mod upstreams;

use std::io;
use std::time::Duration;

use pdw_tests::address::Address;
use pdw_tests::connection::{Connection, until};
use pdw_tests::instance::{Instance, Server, addresses};
use pdw_tests::proxy::{Launch, Proxy};
use pdw_tests::reply::Value;

/// How long anything may take on a busy machine.
const LIMIT: Duration = Duration::from_secs(30);

/// A proxy with users, and its instances.
struct Stage {
    proxy: Proxy,
    _instances: Vec<Instance>,
}

impl Stage {
    /// Starts a proxy before `shards` instances; `config` names its users.
    fn start(shards: usize, config: &str) -> Stage {
        let instances = Instance::start_many(shards).unwrap();
        let proxy = ready(Launch::new("redis", &addresses(&instances)).config(config).with_admin());
        Stage { proxy, _instances: instances }
    }

    /// A session that has not authenticated.
    fn stranger(&self) -> Connection {
        self.proxy.connect().unwrap()
    }

    /// A session of a user whose password is `pw`.
    fn session(&self, user: &str) -> Connection {
        session(self.proxy.address(), user)
    }
}

/// Starts a proxy that may want a password of whoever asks whether it is there.
fn ready(launch: Launch) -> Proxy {
    let proxy = launch.spawn().unwrap();
    until("the proxy", LIMIT, || Connection::open(proxy.address())?.call(&["PING"]).map(drop)).unwrap();
    proxy
}

fn session(address: &Address, user: &str) -> Connection {
    let mut session = Connection::open(address).unwrap();
    session.demand(&["AUTH", user, "pw"]).unwrap();
    session
}

/// A reply in words: an error's text, or what was said.
fn said(reply: io::Result<Value>) -> String {
    let value = reply.unwrap();
    value.error().unwrap_or_else(|| value.text())
}

/// A file with users.
fn users_file(text: &str) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), text).unwrap();
    file
}

/// Valkey, where there is one.
fn valkey() -> Option<Instance> {
    Server::found()
        .into_iter()
        .find(|server| server.name == "valkey")
        .map(|server| Instance::start_with(&server, &[]).unwrap())
}

#[test]
fn each_row_fails_with_its_mechanism_switched_off() -> io::Result<()> {
    let rows = pdw_proxy::MECHANISMS.map(|row| (row.test, row.switched_off));
    pdw_tests::switched_off::demand_failures("acl", rows)
}
