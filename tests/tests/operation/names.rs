//! Upstreams with names, in a mount namespace whose `/etc/hosts` the test writes.

use std::path::{Path, PathBuf};

use pdw_tests::address::Address;
use pdw_tests::connection::until;
use pdw_tests::instance::{Instance, Server};
use pdw_tests::proxy::{Launch, Proxy};
use pdw_tests::reply::Value;
use tempfile::TempDir;

use crate::LIMIT;

struct Hosts {
    folder: TempDir,
}

impl Hosts {
    fn new(text: &str) -> Hosts {
        let hosts = Hosts { folder: tempfile::tempdir().unwrap() };
        hosts.write(text);
        hosts
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("hosts")
    }

    /// In place: the namespace has this file, not this path.
    fn write(&self, text: &str) {
        std::fs::write(self.file(), text).unwrap();
    }

    /// Starts a proxy that looks names up in this file. The name is `moving.test`.
    fn start(&self, port: &str) -> Proxy {
        let config = format!("upstreams = [{{ address = \"moving.test:{port}\", name = \"moving\" }}]\n");
        let mounted = format!("mount --bind {} /etc/hosts && exec \"$@\"", self.file().display());
        let launch = Launch::new("pdwfs", &[]).config(&config);
        launch.under(&["unshare", "--map-root-user", "--mount", "sh", "-c", &mounted, "sh"]).start().unwrap()
    }
}

fn instance(host: &str, port: &str) -> Instance {
    Instance::start_with(&Server::redis(), &["--bind", host, "--port", port, "--protected-mode", "no"]).unwrap()
}

fn free_port() -> String {
    Address::free_loopback().unwrap().port().to_string()
}

fn can_mount() -> bool {
    let status = std::process::Command::new("unshare").args(["--map-root-user", "--mount", "true"]).status();
    let can = status.is_ok_and(|status| status.success()) && Path::new("/etc/hosts").exists();
    if !can {
        pdw_tests::skipped("no mount namespace can be made (unshare)");
    }
    can
}

#[test]
fn a_name_that_changes_is_followed_when_its_link_is_lost() {
    if !can_mount() {
        return;
    }
    let port = free_port();
    let (one, other) = (instance("127.0.0.2", &port), instance("127.0.0.3", &port));
    other.connect().unwrap().demand(&["SET", "who", "other"]).unwrap();
    let hosts = Hosts::new("127.0.0.2 moving.test\n");
    let proxy = hosts.start(&port);
    let mut session = proxy.connect().unwrap();
    assert_eq!(session.demand(&["GET", "who"]).unwrap(), Value::Bulk(None));
    hosts.write("127.0.0.3 moving.test\n");
    drop(one);
    assert_eq!(session.demand(&["GET", "who"]).unwrap(), Value::Bulk(Some(b"other".to_vec())));
    proxy.wait_log("address has changed").unwrap();
}

#[test]
fn a_name_that_cannot_be_looked_up_keeps_its_last_address_and_is_told_of_once() {
    if !can_mount() {
        return;
    }
    let port = free_port();
    let one = instance("127.0.0.2", &port);
    let hosts = Hosts::new("127.0.0.2 moving.test\n");
    let mut proxy = hosts.start(&port);
    let mut session = proxy.connect().unwrap();
    session.demand(&["SET", "k", "v"]).unwrap();
    hosts.write("");
    drop(one);
    // It is dialled, and its name looked up, many times meanwhile.
    proxy.wait_log("cannot be looked up").unwrap();
    std::thread::sleep(std::time::Duration::from_secs(3));
    let _again = instance("127.0.0.2", &port);
    until("the old address", LIMIT, || session.demand(&["SET", "k", "v"])).unwrap();
    assert_eq!(proxy.guard().output().matches("cannot be looked up").count(), 1, "{}", proxy.guard().output());
}
