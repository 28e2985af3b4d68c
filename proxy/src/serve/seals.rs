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
    /// Every file that is missing, readable by others, or has something else in it.
    pub(super) fn load(config: &Config) -> Result<Self, ServeError> {
        let mut bad = Vec::new();
        let listeners = config.listen.iter().map(|listener| {
            let seal = Seal::accepting(&listener.seal);
            seal.unwrap_or_else(|why| note(&mut bad, format!("listener {}: {why}", listener.address)))
        });
        let listeners = listeners.collect();
        let upstreams = config.upstreams.iter().map(|upstream| {
            let seal = Seal::opening(&upstream.seal, &upstream.address);
            seal.unwrap_or_else(|why| note(&mut bad, format!("upstream {}: {why}", upstream.name)))
        });
        let all = Self { listeners, upstreams: upstreams.collect() };
        if all.count() > 0 {
            keep_out_of_dumps();
        }
        if bad.is_empty() { Ok(all) } else { Err(ServeError::Seals(bad)) }
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

/// Notes what is wrong with a seal, which is none then.
fn note(bad: &mut Vec<String>, what: String) -> Option<Seal> {
    bad.push(what);
    None
}

/// A process that has keys leaves no image of its memory behind, wherever the kernel would put it.
fn keep_out_of_dumps() {
    if let Err(error) = set_dumpable_behavior(DumpableBehavior::NotDumpable) {
        tracing::warn!(%error, "if this process dies its keys may be found in a core dump; set `ulimit -c 0`");
    }
}
