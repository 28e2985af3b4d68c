//! The seals of listeners and upstreams: read at the start, and read anew without disconnecting anybody.

use rustix::process::{DumpableBehavior, set_dumpable_behavior};

use super::ServeError;
use crate::config::Config;
use crate::seal::Seal;

/// All seals of a configuration, in the order of its lists; plain ones are none.
#[derive(Clone, Debug)]
pub(super) struct Seals {
    pub(super) listeners: Vec<Option<Seal>>,
    pub(super) upstreams: Vec<Option<Seal>>,
}

impl Seals {
    /// Reads all keys and certificates.
    ///
    /// # Errors
    /// A file is missing, readable by others, or has something else in it.
    pub(super) fn load(config: &Config) -> Result<Self, ServeError> {
        let listeners = config.listen.iter().map(|listener| {
            Seal::accepting(&listener.seal).map_err(|error| ServeError::listener_seal(listener, &error))
        });
        let upstreams = config.upstreams.iter().map(|upstream| {
            Seal::opening(&upstream.seal, &upstream.address)
                .map_err(|error| ServeError::upstream_seal(upstream, &error))
        });
        let all =
            Self { listeners: listeners.collect::<Result<_, _>>()?, upstreams: upstreams.collect::<Result<_, _>>()? };
        if all.count() > 0 {
            keep_out_of_dumps();
        }
        Ok(all)
    }

    /// Takes over the keys and certificates that were read anew, for connections that begin from now on. Whether a
    /// listener is sealed, and how, stays as it is; for upstreams see [`Service::redirect`](super::service::Service).
    pub(super) fn renew(&self, new: &Self) {
        let listeners = self.listeners.iter().zip(&new.listeners);
        for (old, new) in listeners.chain(self.upstreams.iter().zip(&new.upstreams)) {
            if let (Some(old), Some(new)) = (old, new)
                && old.kind() == new.kind()
            {
                old.renew(new);
            }
        }
    }

    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.listeners.iter().chain(&self.upstreams).flatten().count()
    }
}

/// A process that has keys leaves no image of its memory behind, wherever the kernel would put it.
fn keep_out_of_dumps() {
    if let Err(error) = set_dumpable_behavior(DumpableBehavior::NotDumpable) {
        tracing::warn!(%error, "if this process dies its keys may be found in a core dump; set `ulimit -c 0`");
    }
}
