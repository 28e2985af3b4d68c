//! What is promised of keys: whom they let in, how long they last, who may read them, and where they never show.

use std::fs;
use std::io;
use std::net::TcpListener;
use std::num::NonZeroU16;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use pdw_auth::Role;
use pdw_auth::noise::Settings;
use pdw_tests::address::Address;
use pdw_tests::certificates::secret;
use pdw_tests::connection::{encode, until};
use pdw_tests::instance::Instance;
use pdw_tests::proxy::{Launch, Proxy, program};
use pdw_tests::sealed::{SealedStream, keys, noise_by};
use rustix::process::Signal;

use crate::house::House;
use crate::{LIMIT, noise, quoted};

/// Has a key made as an operator does; what it prints.
fn keygen(kind: &str, file: &Path) -> String {
    let made = Command::new(program().unwrap()).args(["keygen", kind]).arg(file).output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    String::from_utf8(made.stdout).unwrap()
}

/// An identity's file, and its public key.
fn identity(folder: &Path, name: &str) -> (PathBuf, String) {
    let file = folder.join(name);
    let said = keygen("identity", &file);
    (file, said.split_whitespace().last().unwrap().to_owned())
}

/// A proxy with a noise listener of these entries before an instance, or one that reaches it.
fn proxy(listens: Option<(&Address, &str)>, upstream: &str) -> Proxy {
    let plain = Address::free_loopback().unwrap();
    let further = listens.map_or_else(String::new, |(address, entries)| {
        format!(", {{ address = \"{address}\", seal = \"noise\", {entries} }}")
    });
    let config = format!("listen = [\"{plain}\"{further}]\nupstreams = [{upstream}]\n");
    Launch::new("redis", &[]).levels(1).config(&config).listens_by_file(&plain).with_admin().spawn().unwrap()
}

fn is_served(proxy: &Proxy) -> io::Result<()> {
    until("served", LIMIT, || proxy.connect()?.demand(&["SET", "k", "v"]).map(drop))
}

#[test]
fn nodes_with_identities_and_names_speak_to_whom_they_know_and_to_nobody_else() {
    let (folder, instance) = (tempfile::tempdir().unwrap(), Instance::start().unwrap());
    let shared = folder.path().join("shared.key");
    keygen("noise", &shared);
    let [(spine, spine_is), (leaf, leaf_is), (stranger, stranger_is)] =
        ["spine.id", "leaf.id", "stranger.id"].map(|name| identity(folder.path(), name));
    let sealed = Address::free_loopback().unwrap();
    let entries = |own: &Path, far: &str, opener: &str| {
        let names = format!("link = \"a\", opener = \"{opener}\", accepter = \"spine\"");
        format!("key = {}, identity = {}, far = \"{far}\", {names}", quoted(&shared), quoted(own))
    };
    let below = format!("\"{}\"", instance.address());
    let lower = proxy(Some((&sealed, &entries(&spine, &leaf_is, "leaf"))), &below);
    let up = |entries: String| proxy(None, &format!("{{ address = \"{sealed}\", seal = \"noise\", {entries} }}"));
    is_served(&up(entries(&leaf, &spine_is, "leaf"))).unwrap();
    // The key alone is not enough, and one node's key is not another's name.
    for wrong in [
        entries(&stranger, &spine_is, "leaf"),
        entries(&leaf, &stranger_is, "leaf"),
        entries(&leaf, &spine_is, "other"),
        format!("key = {}", quoted(&shared)),
    ] {
        let proxy = up(wrong.clone());
        proxy.wait_log("not sealed").unwrap();
        let refused = proxy.connect().unwrap().call(&["SET", "k", "stolen"]);
        assert!(refused.is_ok_and(|value| value.error().is_some()), "{wrong}");
    }
    lower.wait_log("not sealed").unwrap();
    is_served(&up(entries(&leaf, &spine_is, "leaf"))).unwrap();
}

#[test]
fn a_node_that_expects_itself_at_the_far_end_is_told_so_before_it_starts() {
    let folder = tempfile::tempdir().unwrap();
    let shared = folder.path().join("shared.key");
    keygen("noise", &shared);
    let [(own, own_is), (_, far_is)] = ["own.id", "far.id"].map(|name| identity(folder.path(), name));
    let check = |far: &str| {
        let seal = format!("seal = \"noise\", key = {}, identity = {}, far = {far}", quoted(&shared), quoted(&own));
        let file = folder.path().join("config.toml");
        fs::write(&file, format!("upstreams = [{{ address = \"127.0.0.1:1\", {seal} }}]\n")).unwrap();
        let checked = Command::new(program().unwrap()).arg("check").arg(&file).output().unwrap();
        (checked.status.success(), String::from_utf8_lossy(&checked.stderr).into_owned())
    };
    assert!(check(&format!("\"{far_is}\"")).0);
    let (good, told) = check(&format!("\"{own_is}\""));
    assert!(!good && told.contains("which is this node's own `identity`: write that of the far node"), "{told}");
}

#[test]
fn padded_records_do_not_show_how_long_a_reply_is() {
    let house = House::with("", ", pad_to = 512", "");
    let settings = Settings { pad_to: NonZeroU16::new(512), ..Settings::new(keys(&house.key).unwrap()) };
    let mut stream = SealedStream::new(house.dial("noise").unwrap(), noise_by(Role::Opens, settings)).unwrap();
    let mut lengths = Vec::new();
    for size in [0, 1, 100, 400] {
        stream.send(&encode(&["ECHO", &"x".repeat(size)])).unwrap();
        // Each record begins with its length.
        let mut length = [0; 2];
        until("a record", LIMIT, || match stream.socket().peek(&mut length)? {
            2 => Ok(()),
            _ => Err(io::ErrorKind::WouldBlock.into()),
        })
        .unwrap();
        lengths.push(u16::from_be_bytes(length));
        stream.receive().unwrap();
    }
    // A tag of 16 bytes behind what is padded.
    assert_eq!(lengths, [512 + 16; 4]);
}

#[test]
fn keys_are_replaced_on_a_link_that_lives_long_and_nothing_is_lost() {
    let house = House::new("");
    let mut stream = house.open("noise").unwrap();
    // A key lasts for 65,536 records: these need three.
    let (batch, batches) = (500, 300);
    for number in 0..batches {
        let records: Vec<u8> = (0..batch).flat_map(|_| stream.seal(&encode(&["PING"])).unwrap()).collect();
        io::Write::write_all(&mut stream.socket(), &records).unwrap();
        let pongs = stream.receive_exactly(batch * 7).unwrap();
        assert!(pongs == b"+PONG\r\n".repeat(batch), "batch {number}");
    }
    // And the other way for a gibibyte: with PDW_FULL=1.
    if pdw_tests::is_full() {
        let value = noise(3, 50 << 20);
        house.proxy.connect().unwrap().demand(&[&b"SET"[..], b"big", &value]).unwrap();
        for _ in 0..25 {
            stream.send(&encode(&["GET", "big"])).unwrap();
            let head = format!("${}\r\n", value.len()).len();
            let got = stream.receive_exactly(head + value.len() + 2).unwrap();
            assert!(got[head..head + value.len()] == value);
        }
    }
    stream.send(&encode(&["PING"])).unwrap();
    assert_eq!(stream.receive().unwrap(), b"+PONG\r\n");
}

#[test]
fn a_daemon_has_at_most_eight_handshakes_of_a_proxy_at_once() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = Address::Tcp(listener.local_addr().unwrap());
    let count = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&count);
    // It answers nothing: each of its connections is a handshake, until the proxy gives it up.
    thread::spawn(move || {
        let mut kept = Vec::new();
        for socket in listener.incoming().flatten() {
            counted.fetch_add(1, Ordering::SeqCst);
            kept.push(socket);
        }
    });
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("key");
    secret(&file, &noise(1, 32)).unwrap();
    let plain = Address::free_loopback().unwrap();
    let config = format!(
        "listen = \"{plain}\"\nupstreams = [{{ address = \"{address}\", seal = \"spiped\", key = {} }}]\n\
         times.connect_timeout = \"5s\"\n[group]\nkind = \"peers\"\nlinks = 20\n",
        quoted(&file)
    );
    let launch = Launch::new("redis", &[]).levels(1).config(&config).listens_by_file(&plain).workers(2);
    let _proxy = launch.spawn().unwrap();
    until("eight", LIMIT, || match count.load(Ordering::SeqCst) {
        8.. => Ok(()),
        few => Err(io::Error::other(few.to_string())),
    })
    .unwrap();
    // Forty links of two workers want to be opened; none of the eight is given up yet.
    thread::sleep(Duration::from_secs(2));
    assert_eq!(count.load(Ordering::SeqCst), 8);
    // And when they are, others have their turn.
    until("more", LIMIT, || match count.load(Ordering::SeqCst) {
        9.. => Ok(()),
        few => Err(io::Error::other(few.to_string())),
    })
    .unwrap();
}

#[test]
fn a_key_that_others_can_read_is_refused_at_the_start_whatever_it_is_for() {
    let folder = tempfile::tempdir().unwrap();
    let (shared, id) = (folder.path().join("shared.key"), identity(folder.path(), "node.id"));
    secret(&shared, &noise(1, 32)).unwrap();
    let told = |entries: &str, open: &Path| {
        fs::set_permissions(open, fs::Permissions::from_mode(0o640)).unwrap();
        let plain = Address::free_loopback().unwrap();
        let config = format!("listen = {{ address = \"{plain}\", {entries} }}\nupstreams = [\"127.0.0.1:1\"]\n");
        let mut proxy = Launch::new("redis", &[]).levels(1).config(&config).listens_by_file(&plain).spawn().unwrap();
        assert!(!proxy.guard().wait_end(LIMIT).unwrap().success(), "{entries}");
        fs::set_permissions(open, fs::Permissions::from_mode(0o600)).unwrap();
        proxy.guard().output()
    };
    let key = quoted(&shared);
    for (entries, open) in [
        (format!("seal = \"spiped\", key = {key}"), &shared),
        (format!("seal = \"noise\", key = {key}"), &shared),
        (format!("seal = \"noise\", key = {key}, identity = {}, far = \"{}\"", quoted(&id.0), id.1), &id.0),
    ] {
        let log = told(&entries, open);
        assert!(log.contains("its mode is 640") && log.contains(&open.display().to_string()), "{log}");
    }
}

/// Whether a text has some of these bytes in it, as they are or as somebody would print them.
fn shows(text: &[u8], secret: &[u8]) -> bool {
    let hex = |form: fn(&u8) -> String| secret.iter().map(form).collect::<Vec<_>>();
    let joined = hex(|byte| format!("{byte:02x}")).concat();
    let listed = hex(u8::to_string).join(", ");
    [secret, joined.as_bytes(), joined.to_uppercase().as_bytes(), listed.as_bytes()]
        .iter()
        .any(|form| text.windows(form.len()).any(|bytes| bytes == *form))
}

#[test]
fn nothing_secret_shows_in_logs_numbers_checks_errors_or_dumps() {
    // Digits and letters, so that a text may carry it whole.
    let password = "correct-horse-battery-staple";
    let options = format!(
        "log = \"trace\"\n[[user]]\nname = \"default\"\nrules = \"on nopass ~* +@all\"\n\
         [[user]]\nname = \"alice\"\nrules = \"on >{password} ~* +@all\"\n"
    );
    let mut house = House::new(&options);
    for seal in ["spiped", "noise"] {
        let mut stream = house.open(seal).unwrap();
        stream.send(&encode(&["AUTH", "alice", password])).unwrap();
        assert_eq!(stream.receive().unwrap(), b"+OK\r\n");
        let other = House::handshake(seal, Role::Opens, &noise(8, 32));
        SealedStream::new(house.dial(seal).unwrap(), other).unwrap_err();
    }
    let mut asks = house.proxy.connect().unwrap();
    let told: Vec<u8> =
        [&["ACL", "LIST"][..], &["ACL", "GETUSER", "alice"], &["ACL", "LOG"], &["CONFIG", "GET", "*"], &["INFO"]]
            .iter()
            .flat_map(|words| format!("{:?}", asks.call(words).unwrap()).into_bytes())
            .collect();
    let checked = Command::new(program().unwrap()).arg("check").arg(house.proxy.config_file()).output().unwrap();
    let scrape = format!("{:?}", house.proxy.scrape().unwrap());
    house.proxy.guard().signal(Signal::HUP).unwrap();
    house.wait_log("configuration read again");
    let log = house.proxy.guard().output();
    assert!(log.contains("DEBUG") || log.contains("TRACE"), "{log}");
    let all = [log.as_bytes(), scrape.as_bytes(), &checked.stdout, &checked.stderr, &told];
    let pem = fs::read_to_string(house.authority.folder().join("server.key")).unwrap();
    let line = pem.lines().nth(1).unwrap();
    for text in all {
        for secret in [&house.key[..], &house.key[..16], password.as_bytes(), line.as_bytes()] {
            assert!(!shows(text, secret), "{}", String::from_utf8_lossy(text));
        }
    }
}

/// Whether a proxy that dies leaves an image of its memory.
fn leaves_dump(config: &str, plain: &Address) -> bool {
    // An image would be put where it runs.
    let folder = tempfile::tempdir().unwrap();
    let inside = format!("cd {}; ulimit -c unlimited; exec \"$@\"", folder.path().display());
    let launch = Launch::new("redis", &[]).levels(1).config(config).listens_by_file(plain);
    let mut proxy = launch.under(&["sh", "-c", &inside, "sh"]).spawn().unwrap();
    until("it listens", LIMIT, || proxy.connect().map(drop)).unwrap();
    proxy.guard().signal(Signal::ABORT).unwrap();
    proxy.guard().wait_end(LIMIT).unwrap().core_dumped()
}

#[test]
fn a_proxy_with_keys_leaves_no_image_of_its_memory_when_it_dies() {
    let (instance, folder) = (Instance::start().unwrap(), tempfile::tempdir().unwrap());
    let [plain, sealed] = [(); 2].map(|()| Address::free_loopback().unwrap());
    let upstream = format!("upstreams = [\"{}\"]\n", instance.address());
    if !leaves_dump(&format!("listen = \"{plain}\"\n{upstream}"), &plain) {
        return pdw_tests::skipped("nobody's memory is dumped on this machine");
    }
    let file = folder.path().join("key");
    secret(&file, &noise(1, 32)).unwrap();
    let listener = format!("{{ address = \"{sealed}\", seal = \"noise\", key = {} }}", quoted(&file));
    assert!(!leaves_dump(&format!("listen = [\"{plain}\", {listener}]\n{upstream}"), &plain));
}
