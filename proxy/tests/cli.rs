//! The commands that need no server, as the shell sees them.

#![allow(clippy::unwrap_used, reason = "helpers of tests may unwrap as the tests do")]

use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Output, Stdio};

fn pdw_proxy(args: &[&str], input: &[u8]) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_pdw-proxy"))
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A thread of its own: the program prints while it reads.
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_vec();
    let writer = std::thread::spawn(move || drop(stdin.write_all(&input)));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    output
}

fn printed(args: &[&str], input: &[u8]) -> String {
    let output = pdw_proxy(args, input);
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// What a failing command says on standard error.
fn complaint(args: &[&str]) -> String {
    let output = pdw_proxy(args, b"");
    assert!(!output.status.success() && output.stdout.is_empty(), "{args:?}");
    String::from_utf8(output.stderr).unwrap()
}

#[test]
fn route_places_every_vector_as_pdwfs_does() {
    let vectors = include_str!("../../router/tests/vectors/pdwfs-ring.tsv");
    let rows: Vec<[&str; 3]> = vectors
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| line.split('\t').collect::<Vec<_>>().try_into().unwrap())
        .collect();
    assert_eq!(rows.len(), 1000);
    let mut sizes: Vec<&str> = rows.iter().map(|row| row[0]).collect();
    sizes.sort_unstable();
    sizes.dedup();
    for shards in sizes {
        let rows = rows.iter().filter(|row| row[0] == shards);
        let (keys, expected): (String, String) =
            rows.map(|[_, key, index]| (format!("{key}\n"), format!("{key}\t{index}\n"))).unzip();
        // Profile redis has no rules: the vectors tell where a key lives, not how a set is spread.
        let args = ["route", "--profile", "redis", "--placement", "pdwfs", "--shards", shards, "-"];
        assert_eq!(printed(&args, keys.as_bytes()), expected, "{shards} shards");
    }
}

#[test]
fn route_takes_any_bytes_and_mixes_arguments_with_input() {
    let args = ["route", "--placement", "slots", "--shards", "4", "foo", "-", "bar"];
    let output = pdw_proxy(&args, b"\xff\x00\nlast without newline");
    let lines: Vec<&[u8]> = output.stdout.split(|byte| *byte == b'\n').collect();
    // Redis's slots 12182 and 5061, in quarters of 4096.
    assert_eq!(lines[0], b"foo\t2");
    assert!(lines[1].starts_with(b"\xff\x00\t") && lines[2].starts_with(b"last without newline\t"));
    assert_eq!((lines[3], lines.len()), (&b"bar\t1"[..], 5));
}

#[test]
fn verbose_route_adds_rule_hashed_part_and_slot() {
    let slots =
        printed(&["route", "--verbose", "--profile", "redis", "--placement", "slots", "--shards", "3", "a{foo}"], b"");
    assert_eq!(slots, "a{foo}\t2\trule=none\thashed=foo\tslot=12182\n");
    let spread = printed(&["route", "-v", "--shards", "3", "/m/f:stripes", "{/m/d}:children"], b"");
    assert_eq!(
        spread,
        "/m/f:stripes\t*\trule=stripe-set\tlayout=partial-set\thashed=/m/f:stripes\tmember=$1:$member\n\
         {/m/d}:children\t2\trule=none\thashed=/m/d\n"
    );
}

#[test]
fn route_follows_the_rules_of_a_file() {
    let file = file(
        "upstreams = ['a:1', 'b:1', 'c:1']\nspread_children = true\n\
         [[rule]]\nname = 'stripes'\nkeys = '*:#'\nunless = '{*'\nlayout = 'stripe-modulo'\n",
    );
    let path = file.path().to_str().unwrap();
    let lines = printed(&["route", "--config", path, "-v", "/m/f:0", "/m/f:1", "/m/f:2", "{/m/d}:children"], b"");
    let mut homes: Vec<&str> = lines.lines().take(3).map(|line| line.split('\t').nth(1).unwrap()).collect();
    homes.sort_unstable();
    assert_eq!(homes, ["0", "1", "2"], "three stripes on three shards");
    assert!(
        lines.contains("/m/f:1\t") && lines.contains("\trule=stripes\tlayout=stripe-modulo\thashed=/m/f\tnumber=1\n")
    );
    assert!(lines.contains("{/m/d}:children\t*\trule=children\t") && lines.contains("\tanchor=\"\"@"), "{lines}");
}

#[test]
fn route_asks_for_what_is_missing_and_refuses_what_contradicts() {
    assert!(complaint(&["route", "a"]).contains("--config <FILE>|--shards <N>"));
    assert!(complaint(&["route", "--shards", "3"]).contains("<KEY>"));
    assert!(complaint(&["route", "--shards", "0", "a"]).contains("1..=16384"));
    assert!(complaint(&["route", "--shards", "3", "--placement", "modula", "a"]).contains("possible values"));
    assert!(complaint(&["route", "--config", "x", "--shards", "3", "a"]).contains("cannot be used with"));
    let leaf = file("upstreams = ['a:1', 'b:1']\ngroup.kind = 'peers'");
    assert!(complaint(&["route", "--config", leaf.path().to_str().unwrap(), "a"]).contains("learned from the peers"));
}

fn file(text: &str) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    file
}

#[test]
fn check_says_what_a_good_file_describes_and_warns_of_what_is_open() {
    let file = file("listen = '0.0.0.0:6380'\nupstreams = ['a:1', 'b:1']\nprofile = 'redis'");
    let output = pdw_proxy(&["check", file.path().to_str().unwrap()], b"");
    assert!(output.status.success());
    let told = String::from_utf8(output.stdout).unwrap();
    assert!(told.ends_with(": good: profile redis, placement ring over 2 upstreams\n"), "{told}");
    let warned = String::from_utf8(output.stderr).unwrap();
    assert!(warned.contains("warning: anybody who reaches 0.0.0.0:6380"), "{warned}");
    let leaf = self::file("upstreams = ['a:1', 'b:1']\ngroup.kind = 'peers'");
    let told = printed(&["check", leaf.path().to_str().unwrap()], b"");
    assert!(told.ends_with(": good: profile pdwfs, where keys live is learned from 2 peers\n"), "{told}");
}

#[test]
fn check_tells_every_mistake_and_fails() {
    let file = file("lisen = 1\nworkers = 0\nadmin = 'x'\n");
    let path = file.path().to_str().unwrap();
    let told = complaint(&["check", path]);
    let starts =
        [": lisen: unknown option; did you mean `listen`?", ": workers: 0 is out of range", ": admin: `x` is no"];
    assert_eq!(told.lines().count(), starts.len(), "{told}");
    for (index, (line, start)) in told.lines().zip(starts).enumerate() {
        assert!(line.starts_with(&format!("{path}:{}{start}", index + 1)), "{line}");
    }
}

#[test]
fn check_tells_every_key_and_certificate_that_cannot_be_had() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    std::fs::write(path("open.key"), [7; 32]).unwrap();
    std::fs::set_permissions(path("open.key"), std::fs::Permissions::from_mode(0o644)).unwrap();
    let good = printed(&["keygen", "noise", &path("good.key")], b"");
    assert!(good.contains("good.key: a new key"), "{good}");
    let config = format!(
        "listen = [\n  {{ address = '127.0.0.1:7001', seal = 'noise', key = '{}' }},\n\
           {{ address = '127.0.0.1:7002', seal = 'spiped', key = '{}' }},\n\
           {{ address = '127.0.0.1:7003', seal = 'tls', certificate = '{}', key = '{}' }},\n]\n\
         upstreams = [{{ address = 'spine:6379', seal = 'noise', key = '{}' }}]\n",
        path("good.key"),
        path("missing.key"),
        path("open.key"),
        path("good.key"),
        path("open.key"),
    );
    let file = file(&config);
    let told = complaint(&["check", file.path().to_str().unwrap()]);
    let lines: Vec<&str> = told.lines().collect();
    assert_eq!(lines.len(), 3, "{told}");
    assert!(lines.iter().all(|line| line.starts_with(file.path().to_str().unwrap())), "{told}");
    assert!(lines[0].contains(": listener 127.0.0.1:7002: ") && lines[0].contains("cannot be read"), "{told}");
    assert!(lines[1].contains(": listener 127.0.0.1:7003: ") && lines[1].contains("has no certificate"), "{told}");
    assert!(lines[2].contains(": upstream spine:6379: ") && lines[2].contains("chmod 600"), "{told}");
}

#[test]
fn serve_refuses_a_wrong_configuration_before_it_does_anything() {
    let told = complaint(&["serve", "--listen", "nowhere", "--workers", "0"]);
    assert!(told.starts_with("--listen: `nowhere` is no address") && told.contains("--workers: 0 is out"), "{told}");
}

#[test]
fn help_has_examples_and_the_defaults_of_the_table() {
    assert!(printed(&["--help"], b"").contains("Examples:\n  pdw-proxy up "));
    let help = printed(&["serve", "--help"], b"");
    let joined = help.split_whitespace().collect::<Vec<_>>().join(" ");
    for (flag, default) in [
        ("--listen <ADDR>", "[default: 127.0.0.1:6380]"),
        ("--profile <NAME>", "[default: pdwfs] [possible values: pdwfs, redis]"),
        ("--placement <NAME>", "[default: pdwfs (profile pdwfs), ring (profile redis)]"),
        ("--workers <N>", "[default: 1]"),
        ("--instances <N>", "[default: 3]"),
        ("--upstream <ADDR>", "[default: none]"),
        ("--admin <ADDR>", "[default: none]"),
        ("--log <FILTER>", "[default: warn]"),
    ] {
        let (_, after) = joined.split_once(flag).unwrap();
        assert!(after.split(" --").next().unwrap().contains(default), "{flag}: {help}");
    }
    for command in ["up", "check", "route", "keygen", "completions", "man", "reference"] {
        assert!(printed(&[command, "--help"], b"").contains(&format!("Usage: pdw-proxy {command}")));
    }
}

#[test]
fn completions_manual_and_reference_are_generated() {
    for shell in ["bash", "zsh", "fish"] {
        let script = printed(&["completions", shell], b"");
        assert!(["route", "placement", "ketama", "keygen"].iter().all(|word| script.contains(word)), "{shell}");
    }
    let page = printed(&["man", "serve"], b"");
    assert!(page.contains(".TH pdw-proxy-serve") && page.contains("\\-\\-upstream"), "{page}");
    assert!(page.contains(".SH \"EXAMPLES\"\n.nf\n  pdw\\-proxy serve\n"), "{page}");
    assert!(printed(&["man", "up"], b"").contains(".SH \"KEYS ON THE SCREEN\"\n"));
    let whole = printed(&["man"], b"");
    assert!(whole.contains("pdw\\-proxy \\- "));
    let version = format!("\"pdw-proxy {}\"", env!("CARGO_PKG_VERSION"));
    for page in [page, whole] {
        let title = page.lines().find(|line| line.starts_with(".TH")).unwrap();
        assert!(title.contains(&version), "{title}");
    }
    assert_eq!(printed(&["reference"], b""), include_str!("../../docs/configuration.md"));
    assert_eq!(printed(&["reference", "metrics"], b""), include_str!("../../docs/metrics.md"));
    assert_eq!(printed(&["reference", "failures"], b""), include_str!("../../docs/failures.md"));
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_pdw-proxy"))
        .args(["reference"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
}

#[test]
fn an_identity_that_is_there_tells_its_public_key_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("node.identity").display().to_string();
    let made = printed(&["keygen", "identity", &path], b"");
    let told = complaint(&["keygen", "identity", &path]);
    assert_eq!(told.lines().last(), made.lines().last(), "{told}");
    assert!(told.contains("stays as it is") && complaint(&["keygen", "noise", &path]).contains("name another file"));
}

#[test]
fn where_it_cannot_listen_the_remedy_is_of_that_cause() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = file("");
    let cases = [
        (taken.local_addr().unwrap().to_string(), "is another program there?"),
        ("192.0.2.1:6380".to_owned(), "choose an address that this machine has"),
        (folder.path().join("missing/p.sock").display().to_string(), "make its folder first"),
        (file.path().display().to_string(), "remove the file"),
    ];
    for (address, remedy) in cases {
        let told = complaint(&["serve", "--upstream", "127.0.0.1:1", "--listen", &address]);
        assert!(told.contains(&format!("cannot listen on {address}")) && told.contains(remedy), "{told}");
    }
}

#[test]
fn up_takes_only_ports_that_it_can_show() {
    for flag in ["--listen", "--admin"] {
        assert!(complaint(&["up", flag, "127.0.0.1:0"]).contains("write a number"));
        assert!(complaint(&["up", flag, "nowhere"]).contains("the port is missing"));
    }
}
