//! Links over TLS to a real instance with `tls-port`.

use std::process::Command;

use pdw_tests::address::Address;
use pdw_tests::certificates::{Authority, Pair};
use pdw_tests::connection::until;
use pdw_tests::guard::Guard;
use pdw_tests::proxy::{Launch, Proxy};
use tempfile::TempDir;

use crate::{LIMIT, noise, quoted};

/// A `redis-server` that listens by TLS alone.
struct TlsInstance {
    address: Address,
    _guard: Guard,
    _folder: TempDir,
}

impl TlsInstance {
    /// `clients`: whether they have to show a certificate of `ca`.
    fn start(pair: &Pair, ca: &Authority, clients: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let address = Address::free_loopback().unwrap();
        let port = address.port().to_string();
        let mut command = Command::new("redis-server");
        command.current_dir(folder.path()).args([
            "--port",
            "0",
            "--tls-port",
            &port,
            "--save",
            "",
            "--appendonly",
            "no",
        ]);
        command.args(["--tls-auth-clients", clients, "--tls-cert-file"]).arg(&pair.certificate);
        command.arg("--tls-key-file").arg(&pair.key).arg("--tls-ca-cert-file").arg(ca.file());
        let guard = Guard::start(&mut command, &folder.path().join("log")).unwrap();
        until("TLS instance", LIMIT, || std::net::TcpStream::connect(address.to_string()).map(drop)).unwrap();
        Self { address, _guard: guard, _folder: folder }
    }
}

/// A proxy before a TLS instance; `entries`: of the upstream's table.
fn proxy(instance: &TlsInstance, ca: &Authority, entries: &str) -> Proxy {
    let listen = Address::free_loopback().unwrap();
    let config = format!(
        "listen = \"{listen}\"\nupstreams = [{{ address = \"{}\", seal = \"tls\", ca = {}{entries} }}]\n",
        instance.address,
        quoted(&ca.file())
    );
    let launch = Launch::new("redis", &[]).config(&config).listens_by_file(&listen);
    let mut proxy = launch.spawn().unwrap();
    until("the proxy", LIMIT, || proxy.connect().map(drop)).map_err(|error| (error, proxy.guard().output())).unwrap();
    proxy
}

#[test]
fn small_and_large_values_pass_to_an_instance_behind_tls() {
    let ca = Authority::new().unwrap();
    let pair = ca.sign("server", "redis", &["127.0.0.1"]).unwrap();
    let instance = TlsInstance::start(&pair, &ca, "no");
    let proxy = proxy(&instance, &ca, "");
    let mut session = proxy.connect().unwrap();
    until("ready", LIMIT, || session.demand(&["SET", "k", "v"]).map(drop)).unwrap();
    for size in [0, 1, 16_384, 131_072, 5_000_000, 50 << 20] {
        let value = noise(size as u64, size);
        session.demand(&[b"SET".as_slice(), b"big", &value]).unwrap();
        assert!(session.demand(&["GET", "big"]).unwrap().bytes() == value, "{size}");
        assert_eq!(session.demand(&["GET", "k"]).unwrap().text(), "v");
    }
}

#[test]
fn a_certificate_is_shown_to_an_instance_that_asks_for_one() {
    let ca = Authority::new().unwrap();
    let pair = ca.sign("server", "redis", &["127.0.0.1"]).unwrap();
    let own = ca.sign("proxy", "proxy", &["proxy.example"]).unwrap();
    let instance = TlsInstance::start(&pair, &ca, "yes");
    let shown = format!(", certificate = {}, key = {}", quoted(&own.certificate), quoted(&own.key));
    let with = proxy(&instance, &ca, &shown);
    let mut session = with.connect().unwrap();
    until("ready", LIMIT, || session.demand(&["SET", "k", "v"]).map(drop)).unwrap();
    let without = proxy(&instance, &ca, "");
    without.wait_log("the far end refuses").unwrap();
}

#[test]
fn an_instance_whose_certificate_is_not_what_it_should_be_gets_nothing_and_the_log_says_why() {
    let (ca, other) = (Authority::new().unwrap(), Authority::new().unwrap());
    let cases = [
        (
            ca.sign_until("old", "redis", &["127.0.0.1"], 2020).unwrap(),
            &ca,
            "",
            "the upstream's certificate has expired",
        ),
        (ca.sign("elsewhere", "redis", &["other.example"]).unwrap(), &ca, "", "is for another name"),
        (ca.sign("good", "redis", &["127.0.0.1"]).unwrap(), &other, "", "is signed by nobody in `ca`"),
    ];
    for (pair, trusted, entries, words) in &cases {
        let instance = TlsInstance::start(pair, &ca, "no");
        let mut proxy = proxy(&instance, trusted, entries);
        proxy.wait_log(words).unwrap();
        let log = proxy.guard().output();
        assert_eq!(log.matches("not sealed").count(), 1, "once a minute: {log}");
        let mut session = proxy.connect().unwrap();
        assert!(session.call(&["GET", "k"]).unwrap().error().is_some());
    }
    let instance = TlsInstance::start(&cases[1].0, &ca, "no");
    let proxy = proxy(&instance, &ca, ", server_name = \"other.example\"");
    let mut session = proxy.connect().unwrap();
    until("ready", LIMIT, || session.demand(&["SET", "k", "v"]).map(drop)).unwrap();
}

#[test]
fn an_instance_without_tls_is_told_from_one_with_it() {
    let ca = Authority::new().unwrap();
    let address = Address::free_loopback().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new("redis-server");
    command.current_dir(folder.path()).args(["--port", &address.port().to_string(), "--save", ""]);
    let guard = Guard::start(&mut command, &folder.path().join("log")).unwrap();
    until("instance", LIMIT, || std::net::TcpStream::connect(address.to_string()).map(drop)).unwrap();
    let instance = TlsInstance { address, _guard: guard, _folder: folder };
    let proxy = proxy(&instance, &ca, "");
    let mut session = proxy.connect().unwrap();
    assert!(session.call(&["GET", "k"]).unwrap().error().is_some(), "it was asked without a seal");
    proxy.wait_log("not sealed").unwrap();
}
