//! `pdw-proxy keygen`, as the shell sees it.

#![allow(clippy::unwrap_used, reason = "helpers of tests may unwrap as the tests do")]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};

use pdw_auth::{Identity, Secret};

fn keygen(kind: &str, file: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_pdw-proxy")).args(["keygen", kind]).arg(file).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[test]
fn a_new_key_is_accepted_by_the_seals_and_differs_from_any_other() {
    let folder = tempfile::tempdir().unwrap();
    let mut contents = Vec::new();
    for (kind, name) in [("spiped", "a"), ("spiped", "b"), ("noise", "c"), ("identity", "d")] {
        let file = folder.path().join(name);
        let output = keygen(kind, &file);
        assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
        assert!(text(&output.stdout).contains(file.to_str().unwrap()), "{output:?}");
        let mode = fs::metadata(&file).unwrap().permissions().mode();
        assert_eq!(mode & 0o7777, 0o600);
        let content = fs::read(&file).unwrap();
        match kind {
            "identity" => {
                let public = Identity::from_file(&content, mode).unwrap().public().to_string();
                assert!(text(&output.stdout).ends_with(&format!("\n{public}\n")), "{output:?}");
            }
            _ => assert!(Secret::from_file(&content, mode).is_ok()),
        }
        contents.push(content);
    }
    assert!(contents.iter().enumerate().all(|(at, content)| !contents[..at].contains(content)));
}

#[test]
fn nothing_secret_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("identity");
    let output = keygen("identity", &file);
    let secret = fs::read_to_string(&file).unwrap().lines().last().unwrap().to_owned();
    assert_eq!(secret.len(), 64);
    assert!(!text(&output.stdout).contains(&secret));
}

#[test]
fn what_is_there_is_never_overwritten() {
    let folder = tempfile::tempdir().unwrap();
    let [file, link, gone] = ["key", "link", "gone"].map(|name| folder.path().join(name));
    fs::write(&file, "precious").unwrap();
    std::os::unix::fs::symlink(&gone, &link).unwrap();
    for path in [&file, &link] {
        let output = keygen("noise", path);
        assert!(!output.status.success() && output.stdout.is_empty());
        assert!(text(&output.stderr).contains("is there already and stays as it is"), "{output:?}");
    }
    assert_eq!(fs::read_to_string(&file).unwrap(), "precious");
    assert!(!gone.exists(), "it followed a link to nowhere");
}

#[test]
fn a_file_that_cannot_be_made_is_named() {
    let output = keygen("spiped", Path::new("/nowhere/key"));
    let told = text(&output.stderr);
    assert!(
        told.starts_with("/nowhere/key cannot be written (") && told.contains("in a folder that is there"),
        "{told}"
    );
    let output = Command::new(env!("CARGO_BIN_EXE_pdw-proxy")).args(["keygen", "ssh", "key"]).output().unwrap();
    assert!(text(&output.stderr).contains("[possible values: spiped, noise, identity]"), "{output:?}");
}
