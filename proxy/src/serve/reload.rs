//! The configuration is read again while the proxy serves.

use super::ServeError;
use super::seals::Seals;
use super::service::Service;
use super::upstreams;
use crate::cli::ServeArgs;
use crate::config::{Changes, Config, FIXED, Mistakes, Upstreams};
use crate::log;
use crate::mutant::Mutant;

/// Why a configuration that was read again is not taken; the old one stays in force.
#[derive(Debug, thiserror::Error)]
pub(super) enum ReloadError {
    /// It has mistakes.
    #[error("{0}")]
    Mistakes(#[from] Mistakes),
    /// Keys would be looked for where they are not.
    #[error(
        "`upstreams` changed in order, number, names or weights, and keys are placed by these: restore the list; or, if \
         the instances hold nothing that matters, send SIGUSR2 to take the new one with new workers"
    )]
    Upstreams,
    /// Links to other peers are other workers'.
    #[error("`upstreams` changed in order, number or names: send SIGUSR2 to take the new list with new workers")]
    Peers,
    /// Instances of the proxy's own begin and end with it.
    #[error("between upstreams and instances of the proxy's own there is no way but a restart")]
    Embedded,
    /// What it describes cannot be had.
    #[error(transparent)]
    Serve(#[from] ServeError),
}

impl Service {
    /// Reads the configuration again and takes what can be taken without disconnecting anybody. `forced`: if it
    /// changes more than that, new workers take over from the old ones, which drain.
    pub(super) async fn reload(&mut self, args: &ServeArgs, forced: bool) {
        let outcome = self.try_reload(args, forced).await;
        self.note_reload(outcome.is_ok());
        match outcome {
            Ok(told) => tracing::warn!("configuration read again: {told}"),
            Err(error) => {
                for line in error.to_string().lines() {
                    tracing::error!("configuration not taken, the old one stays in force: {line}");
                }
            }
        }
    }

    /// What was taken, in words.
    async fn try_reload(&mut self, args: &ServeArgs, forced: bool) -> Result<String, ReloadError> {
        let new = Config::from_args(args)?;
        let changes = Changes::between(self.config(), &new);
        if new.embedded != self.config().embedded {
            return Err(ReloadError::Embedded);
        }
        match &changes.upstreams {
            Upstreams::Replaced if !forced && !Mutant::AnyUpstreamsTaken.is_on() => match new.peer_links {
                Some(_) if self.config().peer_links.is_some() => Err(ReloadError::Peers),
                _ => Err(ReloadError::Upstreams),
            },
            Upstreams::Moved(moved) if !forced || changes.restart.is_empty() => {
                let seals = self.take_live(&new, moved).await?;
                Ok(in_words(&changes, moved.len(), seals))
            }
            _ => {
                self.renew(new).await?;
                Ok("new workers serve by it, the old ones serve their sessions until these leave".to_owned())
            }
        }
    }

    /// Takes everything that needs no new workers; how many seals were read anew.
    async fn take_live(&mut self, new: &Config, moved: &[usize]) -> Result<usize, ServeError> {
        let seals = Seals::load(new)?;
        let mut dials = Vec::new();
        for index in moved {
            dials.push((*index, upstreams::dial(&new.upstreams[*index], seals.upstreams[*index].clone()).await?));
        }
        self.renew_seals(&seals);
        for (index, dial) in dials {
            self.redirect(index, &new.upstreams[index], &dial);
        }
        log::filter(&new.log);
        self.adopt(new);
        Ok(seals.count())
    }
}

fn in_words(changes: &Changes, moved: usize, seals: usize) -> String {
    let mut told = match (changes.live.as_slice(), moved) {
        ([], 0) => "nothing changed that a running proxy takes".to_owned(),
        ([], moved) => format!("{moved} upstreams have another address"),
        (live, 0) => format!("in force now: {}", live.join(", ")),
        (live, moved) => format!("in force now: {}; {moved} upstreams have another address", live.join(", ")),
    };
    if seals > 0 {
        told += &format!("; keys and certificates of {seals} seals are those of their files now");
    }
    let (fixed, renewed): (Vec<&str>, Vec<&str>) = changes.restart.iter().partition(|name| FIXED.contains(name));
    for (when, names) in [("at the next start, or now with SIGUSR2", renewed), ("at the next start", fixed)] {
        if !names.is_empty() {
            told += &format!("; {when}: {}", names.join(", "));
        }
    }
    told
}
