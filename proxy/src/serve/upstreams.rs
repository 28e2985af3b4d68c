//! From configured upstreams to addresses that a worker can dial.

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::Notify;

use super::seals::Seals;
use super::{ServeError, names};
use crate::config::{Address, Config, UpstreamConfig};
use crate::seal::Seal;
use crate::worker::{Dial, DialAddress};

/// Where each shard is reached: the configured upstreams, or the proxy's own instances.
pub(super) async fn dials(config: &Config, seals: &Seals, own: Option<&[PathBuf]>) -> Result<Vec<Dial>, ServeError> {
    if let Some(paths) = own {
        let named = paths.iter().enumerate();
        return Ok(named
            .map(|(index, path)| Dial::new(format!("instance-{index}"), DialAddress::Unix(path.clone())))
            .collect());
    }
    let mut dials = Vec::new();
    for (upstream, seal) in config.upstreams.iter().zip(&seals.upstreams) {
        dials.push(dial(upstream, seal.clone()).await?);
    }
    Ok(dials)
}

/// Where one upstream is reached; if it has a name, whoever opens a link to it has it looked up again.
pub(super) async fn dial(upstream: &UpstreamConfig, seal: Option<Seal>) -> Result<Dial, ServeError> {
    let (host, port) = match &upstream.address {
        Address::Unix(path) => {
            return Ok(Dial { seal, ..Dial::new(upstream.name.clone(), DialAddress::Unix(path.clone())) });
        }
        Address::Tcp { host, port } => (host, *port),
    };
    let found = names::first(host, port).await;
    let found = found.map_err(|source| ServeError::Resolve { name: upstream.name.clone(), source })?;
    let opened = host.parse::<IpAddr>().is_err().then(|| Arc::new(Notify::new()));
    Ok(Dial { opened, seal, ..Dial::new(upstream.name.clone(), DialAddress::Tcp(found)) })
}
