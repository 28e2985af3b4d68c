//! Towards upstreams: by password, which is shown nowhere, and a wrong one is told with the remedy.

use std::os::unix::fs::PermissionsExt;

use pdw_tests::connection::until;
use pdw_tests::instance::Instance;
use pdw_tests::proxy::{Launch, Proxy};
use rustix::process::{Pid, Signal, kill_process};

use crate::{LIMIT, ready, said, users_file};

const SECRET: &str = "correct-horse";

fn instance() -> Instance {
    let instance = Instance::start().unwrap();
    let mut control = instance.connect().unwrap();
    control.demand(&["ACL", "SETUSER", "pdw", "on", ">other-horse", "~*", "&*", "+@all"]).unwrap();
    control.demand(&["CONFIG", "SET", "requirepass", SECRET]).unwrap();
    instance
}

fn secret(text: &str) -> tempfile::NamedTempFile {
    let file = users_file(text);
    std::fs::set_permissions(file.path(), std::fs::Permissions::from_mode(0o600)).unwrap();
    file
}

fn config(instance: &Instance, entries: &str) -> String {
    format!("profile = \"redis\"\nupstreams = [{{ address = \"{}\"{entries} }}]\n", instance.address())
}

fn start(text: &str) -> Proxy {
    ready(Launch::new("redis", &[]).config(text).with_admin())
}

fn serves(proxy: &Proxy) {
    until("an answer", LIMIT, || proxy.connect()?.demand(&["SET", "k", "v"])).unwrap();
    let large = "x".repeat(3 << 20);
    assert_eq!(said(proxy.connect().unwrap().call(&["SET", "large", &large])), "OK");
}

#[test]
fn links_authenticate_by_a_file_as_default_or_as_a_user_before_anything_else() {
    let (instance, file, other) = (instance(), secret("correct-horse\n"), secret("other-horse\n"));
    let entries = format!(", password_file = \"{}\"", file.path().display());
    serves(&start(&config(&instance, &entries)));
    let entries = format!(", user = \"pdw\", password_file = \"{}\"", other.path().display());
    let mut proxy = start(&config(&instance, &entries));
    serves(&proxy);
    assert!(!proxy.guard().output().contains("horse"));
}

#[test]
fn what_the_group_has_holds_for_every_upstream_without_a_password_of_its_own() {
    let (one, two, own, group) = (instance(), instance(), secret("correct-horse\n"), secret("other-horse\n"));
    let upstreams =
        format!("'{}', {{ address = '{}', password_file = '{}' }}", one.address(), two.address(), own.path().display());
    let group = format!("[group]\nuser = 'pdw'\npassword_file = '{}'\n", group.path().display());
    let proxy = start(&format!("profile = 'redis'\nplacement = 'slots'\nupstreams = [{upstreams}]\n{group}"));
    // Keys of both halves of the slots.
    for key in ["a", "b", "c", "d"] {
        until("an answer", LIMIT, || proxy.connect()?.demand(&["SET", key, "v"])).unwrap();
    }
    let names = |instance: &Instance| {
        let mut control = instance.connect().unwrap();
        control.demand(&["AUTH", SECRET]).unwrap();
        let list = control.demand(&["CLIENT", "LIST"]).unwrap().text();
        list.lines()
            .filter(|line| line.contains(" name=pdw/"))
            .map(|line| line.contains(" user=pdw "))
            .collect::<Vec<_>>()
    };
    assert!(names(&one).iter().all(|pdw| *pdw) && !names(&one).is_empty(), "the group's user");
    assert!(names(&two).iter().all(|pdw| !*pdw) && !names(&two).is_empty(), "its own");
}

#[test]
fn a_wrong_password_is_told_with_the_remedy_and_a_corrected_file_is_read_again() {
    let (instance, file) = (instance(), secret("wrong-horse\n"));
    let mut proxy = start(&config(&instance, &format!(", password_file = \"{}\"", file.path().display())));
    assert!(said(proxy.connect().unwrap().call(&["GET", "k"])).starts_with("ERR upstream is not available"));
    proxy.wait_log("it refuses this proxy's user and password; correct `user`, `password_file`").unwrap();
    std::fs::write(file.path(), "correct-horse\n").unwrap();
    kill_process(Pid::from_raw(proxy.guard().pid() as i32).unwrap(), Signal::HUP).unwrap();
    serves(&proxy);
    let log = proxy.guard().output();
    assert!(!log.contains("horse"), "{log}");
}

#[test]
fn no_password_where_one_is_wanted_and_one_where_none_is_are_told() {
    let instance = instance();
    let proxy = start(&config(&instance, ""));
    proxy.wait_log("it wants a password; give this upstream `password_file`").unwrap();
    let (open, file) = (Instance::start().unwrap(), secret("x"));
    let proxy = start(&config(&open, &format!(", password_file = \"{}\"", file.path().display())));
    proxy.wait_log("it knows of no password; remove `password_file`").unwrap();
}

#[test]
fn check_shows_no_secret_and_refuses_what_everybody_can_read() {
    let instance = instance();
    let check = |entries: &str| {
        let file = users_file(&config(&instance, entries));
        let mut command = std::process::Command::new(pdw_tests::proxy::program().unwrap());
        let output = command.arg("check").arg(file.path()).env("PDW_TEST_SECRET", SECRET).output().unwrap();
        (output.status.success(), String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
    };
    let file = secret(SECRET);
    let path = file.path().display();
    let (good, text) = check(&format!(", password_file = \"{path}\""));
    assert!(good && !text.contains("horse"), "{text}");
    let (good, text) = check(", user = \"pdw\", password_env = \"PDW_TEST_SECRET\"");
    assert!(good && !text.contains("horse"), "{text}");
    std::fs::set_permissions(file.path(), std::fs::Permissions::from_mode(0o644)).unwrap();
    for (entries, told) in [
        (format!(", password_file = \"{path}\""), "chmod 600"),
        (", password_env = \"PDW_NO_SUCH\"".to_owned(), "no variable `PDW_NO_SUCH`"),
        (", user = \"pdw\"".to_owned(), "`user` needs `password_file`"),
    ] {
        let (good, text) = check(&entries);
        assert!(!good && text.contains(told) && !text.contains("horse"), "{text}");
    }
}

#[test]
fn a_password_file_that_is_none_is_told_for_what_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let (pipe, long) = (folder.path().join("pipe"), folder.path().join("long"));
    rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, rustix::fs::Mode::from(0o644), 0).unwrap();
    std::fs::File::create(&long).unwrap().set_len(1 << 30).unwrap();
    for (path, told) in [
        (folder.path(), "it is a folder"),
        (&pipe, "it is a pipe"),
        (&long, "it has 1073741824 bytes, 65536 are expected"),
    ] {
        let text = format!("upstreams = [{{ address = \"127.0.0.1:1\", password_file = \"{}\" }}]\n", path.display());
        let file = users_file(&text);
        let mut check = std::process::Command::new(pdw_tests::proxy::program().unwrap());
        let output = check.arg("check").arg(file.path()).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && said.contains(told) && !said.contains("chmod"), "{said}");
        assert!(said.contains("give the path of a file with the password in its first line"), "{said}");
    }
}
