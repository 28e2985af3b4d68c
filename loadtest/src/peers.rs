//! The programs that are measured side by side: how each is found, configured, started and known to be ready.

use crate::process::Child;
use crate::{Error, Result, net};
use clap::ValueEnum;
use serde::Serialize;
use std::env;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// One way from the load to the instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Peer {
    /// No proxy: the load connects to the instance itself.
    Direct,
    /// twemproxy.
    Nutcracker,
    /// haproxy, which moves bytes between one client and one instance connection each.
    Haproxy,
    /// The same with `option splice-auto`: the kernel moves the bytes.
    #[value(name = "haproxy-splice")]
    #[serde(rename = "haproxy-splice")]
    HaproxySplice,
    /// Envoy's `redis_proxy` filter.
    Envoy,
    /// The null proxy of this crate: the floor.
    Null,
    /// Half of a pair of Tarsnap's daemons; see [`crate::seals`].
    #[value(skip)]
    Spiped,
    /// This project's `pdw-proxy`, one worker.
    Proxy,
}

impl Peer {
    /// Its name in tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::Nutcracker => "nutcracker",
            Self::Haproxy => "haproxy",
            Self::HaproxySplice => "haproxy splice",
            Self::Envoy => "envoy",
            Self::Null => "null proxy",
            Self::Spiped => "spiped",
            Self::Proxy => "pdw-proxy",
        }
    }

    /// How it is named on the command line.
    pub fn argument(self) -> String {
        self.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
    }

    /// Whether it can carry transactions, that is the pdwfs mix.
    pub fn carries_transactions(self) -> bool {
        matches!(self, Self::Direct | Self::Proxy)
    }

    fn remedy(self) -> &'static str {
        match self {
            Self::Direct => "apt-get install redis-server",
            Self::Nutcracker => "apt-get install nutcracker",
            Self::Haproxy | Self::HaproxySplice => "apt-get install haproxy",
            Self::Envoy => "`make bench-envoy` fetches it; or set PDW_ENVOY to the binary",
            Self::Null => "it is part of this program",
            Self::Spiped => "apt-get install spiped",
            Self::Proxy => "`cargo build --release -p pdw-proxy`, or name the binary with --proxy-bin",
        }
    }
}

/// Where programs are found, on which cores they run, and what the null proxy has to be told.
#[derive(Clone, Debug)]
pub struct Site {
    /// Configurations and logs go here; removed by its owner.
    pub dir: PathBuf,
    /// `pdw-proxy`.
    pub proxy_bin: PathBuf,
    /// Core of the proxies; any, if none is named.
    pub proxy_core: Option<usize>,
    /// Core of the instances.
    pub instance_core: Option<usize>,
    /// Sizes of request and reply, for the null proxy.
    pub sizes: (usize, usize),
    /// `--profile` of `pdw-proxy`.
    pub profile: &'static str,
}

/// A started peer.
#[derive(Debug)]
pub struct Running {
    /// Which.
    pub peer: Peer,
    /// Where its clients connect.
    pub address: SocketAddr,
    /// Its process.
    pub child: Child,
}

impl Site {
    /// Starts a Redis instance without persistence.
    pub fn start_instance(&self) -> Result<Running> {
        let address = net::free_address()?;
        let arguments = ["--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--tcp-backlog", "4096"];
        let mut arguments: Vec<String> = arguments.iter().map(ToString::to_string).collect();
        arguments.extend(["--maxclients", "18000", "--dir", &self.dir.to_string_lossy()].map(str::to_owned));
        arguments.extend(["--port".to_owned(), address.port().to_string()]);
        self.start(Peer::Direct, "redis-server".into(), &arguments, self.instance_core, address)
    }

    /// Starts a proxy in front of `upstream` and waits until it answers.
    pub fn start_proxy(&self, peer: Peer, upstream: SocketAddr) -> Result<Running> {
        let address = net::free_address()?;
        let (program, arguments) = match peer {
            Peer::Direct => return self.start_instance(),
            Peer::Nutcracker => ("nutcracker".into(), self.nutcracker(address, upstream)?),
            Peer::Haproxy => ("haproxy".into(), self.haproxy(address, upstream, "")?),
            Peer::HaproxySplice => ("haproxy".into(), self.haproxy(address, upstream, "  option splice-auto\n")?),
            Peer::Envoy => (envoy_binary(), self.envoy(address, upstream)?),
            Peer::Null => (own_binary()?, self.null_proxy(address, upstream)),
            Peer::Proxy | Peer::Spiped => (self.proxy_bin.clone(), self.proxy(address, &[upstream])),
        };
        self.start(peer, program, &arguments, self.proxy_core, address)
    }

    /// Starts this proxy in front of several upstreams.
    pub fn start_sharding(&self, upstreams: &[SocketAddr]) -> Result<Running> {
        let address = net::free_address()?;
        self.start(Peer::Proxy, self.proxy_bin.clone(), &self.proxy(address, upstreams), self.proxy_core, address)
    }

    /// Starts this proxy with a configuration of which `address` is a plain listener.
    pub fn start_configured(&self, config: &str, address: SocketAddr) -> Result<Running> {
        let path = self.write(&format!("pdw-proxy-{}.toml", address.port()), config)?;
        let arguments = ["serve", "--config", &path, "--workers", "1"].map(str::to_owned);
        self.start(Peer::Proxy, self.proxy_bin.clone(), &arguments, self.proxy_core, address)
    }

    /// Starts a real `spiped`, for any number of connections, before `target`, `flag` being `-e` or `-d`.
    pub fn start_spiped(&self, flag: &str, target: SocketAddr, key: &str) -> Result<Running> {
        let address = net::free_address()?;
        let ends = [address, target].map(|end| format!("[{}]:{}", end.ip(), end.port()));
        // `-f` spares it a second of exponentiations before 1,000 connections; what travels then costs the same.
        let arguments =
            [flag, "-F", "-f", "-o", "60", "-n", "0", "-s", &ends[0], "-t", &ends[1], "-k", key].map(str::to_owned);
        self.start(Peer::Spiped, "spiped".into(), &arguments, self.proxy_core, address)
    }

    fn start(
        &self,
        peer: Peer,
        program: PathBuf,
        arguments: &[String],
        core: Option<usize>,
        address: SocketAddr,
    ) -> Result<Running> {
        let program = find(&program).ok_or(Error::NotInstalled { name: peer.name(), remedy: peer.remedy() })?;
        let log = self.dir.join(format!("{}-{}.log", peer.name().replace(' ', "-"), address.port()));
        let mut child = Child::start(&program, arguments, core, log)?;
        let ready = net::wait_until(|| !child.alive() || answers(peer, address))?;
        if ready && child.alive() {
            return Ok(Running { peer, address, child });
        }
        let what = if ready { "ended at once" } else { "did not answer PING" };
        Err(Error::Peer { name: peer.name(), what: what.into(), log: child.log_tail() })
    }

    fn nutcracker(&self, listen: SocketAddr, upstream: SocketAddr) -> Result<Vec<String>> {
        let config = format!(
            "pool:\n  listen: {listen}\n  hash: fnv1a_64\n  distribution: ketama\n  redis: true\n  backlog: 4096\n  servers:\n   - {upstream}:1\n"
        );
        let path = self.write("nutcracker.yml", &config)?;
        let stats = net::free_address()?.port().to_string();
        Ok(["-c", &path, "-a", "127.0.0.1", "-s", &stats].map(str::to_owned).into())
    }

    fn haproxy(&self, listen: SocketAddr, upstream: SocketAddr, option: &str) -> Result<Vec<String>> {
        let config = format!(
            "global\n  maxconn 4000\n  nbthread 1\ndefaults\n  mode tcp\n  timeout connect 5s\n  timeout client 1h\n  timeout server 1h\n{option}\
             listen redis\n  bind {listen} backlog 4096\n  server instance {upstream}\n"
        );
        Ok(["-db", "-f", &self.write("haproxy.cfg", &config)?].map(str::to_owned).into())
    }

    fn envoy(&self, listen: SocketAddr, upstream: SocketAddr) -> Result<Vec<String>> {
        let config = include_str!("envoy.yaml")
            .replace("LISTEN_PORT", &listen.port().to_string())
            .replace("UPSTREAM_PORT", &upstream.port().to_string());
        let path = self.write("envoy.yaml", &config)?;
        Ok(["-c", &path, "--concurrency", "1", "--disable-hot-restart", "-l", "error"].map(str::to_owned).into())
    }

    fn null_proxy(&self, listen: SocketAddr, upstream: SocketAddr) -> Vec<String> {
        let (request, reply) = self.sizes;
        let sizes = ["--request-size".to_owned(), request.to_string(), "--reply-size".to_owned(), reply.to_string()];
        let ends =
            ["null-proxy".to_owned(), "--listen".into(), listen.to_string(), "--upstream".into(), upstream.to_string()];
        ends.into_iter().chain(sizes).collect()
    }

    fn proxy(&self, listen: SocketAddr, upstreams: &[SocketAddr]) -> Vec<String> {
        let listen = listen.to_string();
        let fixed = ["serve", "--listen", &listen, "--profile", self.profile, "--workers", "1"];
        let upstreams = upstreams.iter().flat_map(|upstream| ["--upstream".to_owned(), upstream.to_string()]);
        fixed.map(str::to_owned).into_iter().chain(upstreams).collect()
    }

    fn write(&self, name: &str, text: &str) -> Result<String> {
        let path = self.dir.join(name);
        fs::write(&path, text).map_err(|source| Error::Report { path: path.clone(), source })?;
        Ok(path.to_string_lossy().into_owned())
    }
}

/// Those two understand nothing, so that they listen has to do.
fn answers(peer: Peer, address: SocketAddr) -> bool {
    match peer {
        Peer::Null | Peer::Spiped => net::connect(address, None).is_ok(),
        _ => net::command(address, &["PING"]).is_ok_and(|reply| reply.starts_with("+PONG")),
    }
}

/// What `PDW_ENVOY` names, or `envoy` on PATH.
fn envoy_binary() -> PathBuf {
    env::var_os("PDW_ENVOY").filter(|path| !path.is_empty()).map_or("envoy".into(), PathBuf::from)
}

fn own_binary() -> Result<PathBuf> {
    env::current_exe().map_err(Error::system("find the path of this program"))
}

/// A path with a slash as it is; a bare name on PATH, and where Debian puts servers.
fn find(program: &Path) -> Option<PathBuf> {
    if program.components().count() > 1 {
        return program.is_file().then(|| program.to_owned());
    }
    let path = env::var_os("PATH").unwrap_or_default();
    let dirs = env::split_paths(&path).chain(["/usr/sbin".into(), "/usr/local/sbin".into()]);
    dirs.map(|dir| dir.join(program)).find(|candidate| candidate.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_found_by_name_and_by_path() {
        let shell = find(Path::new("sh")).unwrap();
        assert_eq!(find(&shell), Some(shell));
        assert_eq!(find(Path::new("no-such-program-here")), None);
        assert_eq!(find(Path::new("/no/such/program")), None);
    }
}
