//! Two proxies one before the other, their link as the way says, and what they have cost so far.

use super::Options;
use super::ways::Way;
use crate::net;
use crate::peers::{Peer, Running, Site};
use crate::{Error, Result};
use std::fs::{self, Permissions};
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// The instance, and where proxies before it are started.
pub(super) struct Grove {
    site: Site,
    instance: Running,
    /// What the ends of sealed links have in common.
    key: String,
}

/// A way from the load to the instance.
pub(super) struct Tree {
    proxies: Vec<Running>,
    daemons: Vec<Running>,
    /// Where the load connects.
    pub(super) entrance: SocketAddr,
}

/// CPU time so far, nanoseconds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cpu {
    /// Of all proxies.
    pub(super) proxies: u64,
    /// Of the daemons.
    pub(super) daemons: u64,
}

impl Grove {
    /// Starts the instance. Keys, configurations and logs go to `dir`.
    pub(super) fn plant(options: &Options, dir: &Path) -> Result<Self> {
        let site = Site {
            dir: dir.to_owned(),
            proxy_bin: options.proxy_bin.clone(),
            proxy_core: Some(options.proxy_core),
            instance_core: Some(options.load_core),
            sizes: (1, 1),
            profile: "redis",
        };
        let key = dir.join("key");
        fs::write(&key, [7; 64]).map_err(Error::system("write a key"))?;
        fs::set_permissions(&key, Permissions::from_mode(0o600)).map_err(Error::system("keep a key secret"))?;
        let instance = site.start_instance()?;
        Ok(Self { site, instance, key: key.to_string_lossy().into_owned() })
    }

    /// Where the instance is.
    pub(super) fn instance(&self) -> SocketAddr {
        self.instance.address
    }

    /// Starts the proxies of a way and what is between them, and waits until a request gets through.
    pub(super) fn grow(&self, way: Way) -> Result<Tree> {
        let seal = way.seal(&self.key);
        let (spine, accepts) = self.start("shards", self.instance(), "", &seal)?;
        let mut tree = Tree { proxies: vec![spine], daemons: Vec::new(), entrance: accepts };
        if way.has_daemons() {
            for flag in ["-d", "-e"] {
                tree.daemons.push(self.site.start_spiped(flag, tree.entrance, &self.key)?);
                tree.entrance = tree.daemons.last().map_or(accepts, |daemon| daemon.address);
            }
        }
        if way.has_leaf() {
            let (leaf, _) = self.start("peers", tree.entrance, &seal, "")?;
            tree.entrance = leaf.address;
            tree.proxies.push(leaf);
        }
        tree.wait_served()?;
        Ok(tree)
    }

    /// Starts a proxy; where it listens for links that are sealed as `accepts` says.
    fn start(&self, kind: &str, upstream: SocketAddr, opens: &str, accepts: &str) -> Result<(Running, SocketAddr)> {
        let (plain, sealed) = (net::free_address()?, net::free_address()?);
        let config = format!(
            "profile = \"redis\"\n\
             listen = [\"{plain}\", {{ address = \"{sealed}\"{accepts} }}]\n\
             upstreams = [{{ address = \"{upstream}\"{opens} }}]\n\
             group.kind = \"{kind}\"\n"
        );
        Ok((self.site.start_configured(&config, plain)?, sealed))
    }
}

impl Tree {
    fn wait_served(&self) -> Result<()> {
        let served = || net::command(self.entrance, &["SET", "ready", "1"]).is_ok_and(|reply| reply.starts_with("+OK"));
        if net::wait_until(served)? {
            return Ok(());
        }
        let log = self.proxies.iter().map(|proxy| proxy.child.log_tail()).collect::<Vec<_>>().join(" || ");
        Err(Error::Peer { name: Peer::Proxy.name(), what: "carried out no request".into(), log })
    }

    /// What all of it has cost.
    pub(super) fn cpu(&self) -> Cpu {
        let sum = |all: &[Running]| all.iter().map(|running| running.child.cpu_ns()).sum();
        Cpu { proxies: sum(&self.proxies), daemons: sum(&self.daemons) }
    }
}
