//! A network namespace of one's own, with congestion control reno: on loopback bbr, which many machines have as their
//! default, costs two to three times as much as what is to be measured.

use crate::{Error, Result};
use std::ffi::OsStr;
use std::process::Command;
use std::{env, fs};

const CONGESTION_CONTROL: &str = "/proc/sys/net/ipv4/tcp_congestion_control";

/// Runs this program again with `arguments` inside a new namespace, which ends with it.
pub(crate) fn run_inside(arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Result<()> {
    let own = env::current_exe().map_err(Error::system("find the path of this program"))?;
    let mut command = Command::new("unshare");
    command.args(["--net", "--"]).arg(own).args(arguments);
    let status = command.status().map_err(Error::system("start unshare (package util-linux)"))?;
    if status.success() { Ok(()) } else { Err(Error::Namespace(status.to_string())) }
}

/// Brings up the loopback interface of the new namespace and chooses reno in it.
pub(crate) fn prepare() -> Result<()> {
    let up = Command::new("ip").args(["link", "set", "lo", "up"]).status();
    let up = up.map_err(Error::system("start ip (package iproute2)"))?;
    if !up.success() {
        return Err(Error::Namespace(format!("`ip link set lo up` ended with {up}")));
    }
    fs::write(CONGESTION_CONTROL, "reno").map_err(Error::system("choose congestion control reno"))
}

/// The congestion control of the namespace that this process is in.
pub(crate) fn congestion_control() -> String {
    fs::read_to_string(CONGESTION_CONTROL).unwrap_or_default().trim().to_owned()
}
