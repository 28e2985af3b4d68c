//! Large values are measured in a network namespace of their own, with congestion control reno: on loopback bbr, which
//! many machines have as their default, costs two to three times as much as what is to be measured.

use super::Options;
use super::rows::Row;
use crate::{Error, Result};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

const CONGESTION_CONTROL: &str = "/proc/sys/net/ipv4/tcp_congestion_control";

/// Measures `rows` in another process of this program, inside a new namespace that ends with it.
pub(super) fn measure(rows: &[&Row], options: &Options) -> Result<()> {
    let own = env::current_exe().map_err(Error::system("find the path of this program"))?;
    let mut command = Command::new("unshare");
    command.args(["--net", "--"]).arg(own).args(arguments(rows, options));
    let status = command.status().map_err(Error::system("start unshare (package util-linux)"))?;
    if status.success() { Ok(()) } else { Err(Error::Namespace(status.to_string())) }
}

fn arguments(rows: &[&Row], options: &Options) -> Vec<String> {
    let only: Vec<&str> = rows.iter().map(|row| row.name).collect();
    let against: Vec<String> = options.against.iter().map(|peer| peer.argument()).collect();
    let values = [
        ("--rounds", options.rounds.to_string()),
        ("--seconds", options.seconds.to_string()),
        ("--only", only.join(",")),
        ("--against", against.join(",")),
        ("--proxy-bin", options.proxy_bin.to_string_lossy().into_owned()),
        ("--json", beside(&options.json).to_string_lossy().into_owned()),
        ("--proxy-core", options.proxy_core.to_string()),
        ("--load-core", options.load_core.to_string()),
        ("--nice", options.nice.to_string()),
    ];
    let pairs = values.into_iter().map(|(name, value)| format!("{name}={value}"));
    ["bench".to_owned(), "--namespaced".to_owned()].into_iter().chain(pairs).collect()
}

/// The report of the rows of large values: `bench.json` becomes `bench-large.json`.
fn beside(json: &Path) -> PathBuf {
    let stem = json.file_stem().unwrap_or_default().to_string_lossy();
    json.with_file_name(format!("{stem}-large.json"))
}

/// Brings up the loopback interface of the new namespace and chooses reno in it.
pub(super) fn prepare() -> Result<()> {
    let up = Command::new("ip").args(["link", "set", "lo", "up"]).status();
    let up = up.map_err(Error::system("start ip (package iproute2)"))?;
    if !up.success() {
        return Err(Error::Namespace(format!("`ip link set lo up` ended with {up}")));
    }
    fs::write(CONGESTION_CONTROL, "reno").map_err(Error::system("choose congestion control reno"))
}

/// The congestion control of the namespace that this process is in.
pub(super) fn congestion_control() -> String {
    fs::read_to_string(CONGESTION_CONTROL).unwrap_or_default().trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_report_of_large_values_lies_beside_the_other() {
        assert_eq!(beside(Path::new("target/bench.json")), Path::new("target/bench-large.json"));
    }
}
