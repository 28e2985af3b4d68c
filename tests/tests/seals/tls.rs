//! Clients that speak TLS, beside plain ones.

use std::fs;
use std::io;

use pdw_tests::clients::{redis_cli, redis_py, run};
use pdw_tests::connection::{encode, until};
use pdw_tests::reply::Value;
use pdw_tests::tls_client::TlsClient;
use rustix::process::{Pid, Signal, kill_process};

use crate::{LIMIT, Stage, noise};

fn simple(text: &str) -> Value {
    Value::Simple(text.as_bytes().to_vec())
}

#[test]
fn redis_cli_and_plain_clients_are_served_side_by_side() {
    let stage = Stage::new("", "");
    let ca = stage.authority.file().display().to_string();
    let cli = |arguments: &[&str], input: &str| {
        redis_cli(&stage.sealed, &[&["--tls", "--cacert", &ca], arguments].concat(), input).unwrap()
    };
    assert_eq!(cli(&["SET", "k", "v"], "").trim(), "OK");
    assert_eq!(redis_cli(stage.proxy.address(), &["GET", "k"], "").unwrap().trim(), "v");
    assert_eq!(cli(&["GET", "k"], "").trim(), "v");
    let lines: String = (0..5000).map(|n| format!("SET bulk:{n} {n}\r\n")).collect();
    assert!(cli(&["--pipe"], &lines).contains("errors: 0, replies: 5000"));
}

#[test]
fn redis_py_over_tls_works() {
    let Some(folder) = redis_py() else { return };
    let stage = Stage::new("", "");
    let script = "import redis, sys\n\
        r = redis.Redis(port=int(sys.argv[1]), protocol=2, ssl=True, ssl_ca_certs=sys.argv[2], ssl_check_hostname=True)\n\
        big = b'x' * 3000000\n\
        assert r.set('k', big) and r.get('k') == big\n\
        p = r.pipeline(transaction=True)\n\
        assert p.incr('n').incr('n').execute() == [1, 2]\n\
        print('done')";
    let (port, ca) = (stage.sealed.port().to_string(), stage.authority.file().display().to_string());
    let path = folder.to_string_lossy().into_owned();
    let output = run("python3", &["-c", script, &port, &ca], &[("PYTHONPATH", &path)], "").unwrap();
    assert!(output.contains("done"), "{output}");
}

#[test]
fn large_values_and_long_pipelines_pass_both_ways() {
    let stage = Stage::new("", "");
    let client = TlsClient::new(&stage.authority.file(), None).unwrap();
    let mut sealed = client.connect(&stage.sealed).unwrap();
    let mut plain = stage.proxy.connect().unwrap();
    let sizes = [0, 1, 16_383, 16_384, 16_385, 65_536, 131_071, 131_072, 1 << 20];
    for (number, size) in sizes.into_iter().chain([20_000_003]).enumerate() {
        let (key, value) = (format!("v:{number}"), noise(number as u64, size));
        assert_eq!(sealed.call(&[b"SET".as_slice(), key.as_bytes(), &value]).unwrap(), simple("OK"), "{size}");
        assert!(plain.call(&["GET", &key]).unwrap().bytes() == value, "{size}");
        assert!(sealed.call(&["GET", &key]).unwrap().bytes() == value, "{size}");
    }
    // Large replies between small ones, all asked for at once: what a record leaves over is not lost.
    let many: Vec<u8> = (0..300).flat_map(|n| encode(&["GET".to_owned(), format!("v:{}", n % 9)])).collect();
    sealed.send(&many).unwrap();
    for n in 0..300 {
        assert_eq!(sealed.receive().unwrap().bytes().len(), sizes[n % 9], "{n}");
    }
}

#[test]
fn who_says_that_nothing_follows_gets_every_reply_and_the_same_word() {
    let stage = Stage::new("", "");
    let client = TlsClient::new(&stage.authority.file(), None).unwrap();
    let mut session = client.connect(&stage.sealed).unwrap();
    let pings: Vec<u8> = (0..1000).flat_map(|_| encode(&["PING"])).collect();
    session.send(&pings).unwrap();
    session.say_end().unwrap();
    assert_eq!(session.read_to_end().unwrap(), b"+PONG\r\n".repeat(1000));
    let mut session = client.connect(&stage.sealed).unwrap();
    session.send(&encode(&["QUIT"])).unwrap();
    assert_eq!(session.read_to_end().unwrap(), b"+OK\r\n");
}

#[test]
fn a_client_must_show_a_certificate_unless_that_is_optional() {
    let mut stage = Stage::new(", client_ca = \"CA\"", "");
    let own = stage.authority.sign("client", "job-17", &["job-17.example"]).unwrap();
    let strange = pdw_tests::certificates::Authority::new().unwrap().sign("client", "job-17", &["x.example"]);
    let file = stage.authority.file();
    let ping = |own: Option<_>| TlsClient::new(&file, own).unwrap().connect(&stage.sealed)?.call(&["PING"]);
    assert_eq!(ping(Some(&own)).unwrap(), simple("PONG"));
    ping(None).unwrap_err();
    stage.wait_log("it shows no certificate");
    let old = stage.authority.sign_until("old", "job-17", &["x.example"], 2020).unwrap();
    TlsClient::new(&file, Some(&old))
        .unwrap()
        .connect(&stage.sealed)
        .and_then(|mut session| session.call(&["PING"]))
        .unwrap_err();
    // One line a minute and kind of trouble.
    assert_eq!(stage.proxy.guard().output().matches("not sealed").count(), 1);
    drop(strange);
    let stage = Stage::new(", client_ca = \"CA\", client_auth = \"optional\"", "");
    let ping =
        |own: Option<_>| TlsClient::new(&stage.authority.file(), own).unwrap().connect(&stage.sealed)?.call(&["PING"]);
    assert_eq!(ping(None).unwrap(), simple("PONG"));
}

#[test]
fn certificates_are_read_again_and_nobody_is_disconnected() {
    let mut stage = Stage::new("", "");
    let first = TlsClient::new(&stage.authority.file(), None).unwrap();
    let mut open = first.connect(&stage.sealed).unwrap();
    let other = pdw_tests::certificates::Authority::new().unwrap();
    let pair = other.sign("server", "localhost", &["localhost"]).unwrap();
    let file = |name: &str| stage.authority.folder().join(name);
    fs::copy(&pair.certificate, file("server.pem")).unwrap();
    reload(&mut stage, "configuration not taken", "do not belong together");
    let file = |name: &str| stage.authority.folder().join(name);
    fs::copy(&pair.key, file("server.key")).unwrap();
    reload(&mut stage, "configuration read again", "certificates of 1 seal");
    assert_eq!(open.call(&["PING"]).unwrap(), simple("PONG"));
    first.connect(&stage.sealed).unwrap_err();
    let second = TlsClient::new(&other.file(), None).unwrap();
    assert_eq!(second.connect(&stage.sealed).unwrap().call(&["PING"]).unwrap(), simple("PONG"));
    assert_eq!(open.call(&["PING"]).unwrap(), simple("PONG"));
}

/// Sends SIGHUP, and waits for the outcome and its words in the log.
fn reload(stage: &mut Stage, outcome: &str, words: &str) {
    kill_process(Pid::from_raw(stage.proxy.guard().pid() as i32).unwrap(), Signal::HUP).unwrap();
    until(outcome, LIMIT, || {
        let log = stage.proxy.guard().output();
        let found = log.lines().any(|line| line.contains(outcome) && line.contains(words));
        if found { Ok(()) } else { Err(io::Error::other(log)) }
    })
    .unwrap();
}

#[test]
fn a_key_that_others_can_read_and_a_file_that_is_none_are_refused_at_the_start() {
    use std::os::unix::fs::PermissionsExt;
    let authority = pdw_tests::certificates::Authority::new().unwrap();
    let pair = authority.sign("server", "localhost", &["localhost"]).unwrap();
    let (plain, sealed) =
        (pdw_tests::address::Address::free_loopback().unwrap(), pdw_tests::address::Address::free_loopback().unwrap());
    let config = crate::listeners(&plain, &sealed, &pair, "");
    let told = || {
        let mut proxy =
            pdw_tests::proxy::Launch::new("redis", &[]).config(&config).listens_by_file(&plain).spawn().unwrap();
        assert!(!proxy.guard().wait_end(LIMIT).unwrap().success());
        proxy.guard().output()
    };
    fs::set_permissions(&pair.key, fs::Permissions::from_mode(0o640)).unwrap();
    assert!(told().contains("server.key can be read by others"));
    fs::set_permissions(&pair.key, fs::Permissions::from_mode(0o600)).unwrap();
    fs::write(&pair.certificate, "nothing").unwrap();
    assert!(told().contains("has no certificate in it"));
    fs::remove_file(&pair.certificate).unwrap();
    assert!(told().contains("server.pem cannot be read"));
}
