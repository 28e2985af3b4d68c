//! From configured upstreams to addresses that a worker can dial.

use std::path::PathBuf;

use super::ServeError;
use crate::config::{Address, Config, UpstreamConfig};
use crate::worker::{Dial, DialAddress};

/// Where each shard is reached: the configured upstreams, or the proxy's own instances.
pub(super) async fn dials(config: &Config, own: Option<&[PathBuf]>) -> Result<Vec<Dial>, ServeError> {
    if let Some(paths) = own {
        let named = paths.iter().enumerate();
        return Ok(named
            .map(|(index, path)| Dial { name: format!("instance-{index}"), address: DialAddress::Unix(path.clone()) })
            .collect());
    }
    let mut dials = Vec::new();
    for upstream in &config.upstreams {
        dials.push(dial(upstream).await?);
    }
    Ok(dials)
}

async fn dial(upstream: &UpstreamConfig) -> Result<Dial, ServeError> {
    let address = match &upstream.address {
        Address::Unix(path) => DialAddress::Unix(path.clone()),
        Address::Tcp { host, port } => DialAddress::Tcp(resolve(upstream, host, *port).await?),
    };
    Ok(Dial { name: upstream.name.clone(), address })
}

async fn resolve(upstream: &UpstreamConfig, host: &str, port: u16) -> Result<std::net::SocketAddr, ServeError> {
    let failed = |source| ServeError::Resolve { name: upstream.name.clone(), source };
    let mut found = tokio::net::lookup_host((host, port)).await.map_err(failed)?;
    found.next().ok_or_else(|| failed(std::io::Error::other("the name has no address")))
}
