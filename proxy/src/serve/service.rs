//! What serves: the workers, the names of their upstreams, and what the operator wants of them.

use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::watch;

use super::ServeError;
use super::crew::{Crew, Running};
use super::drain;
use super::names::Names;
use super::signals::Signals;
use super::upstreams;
use crate::admin::{Standing, Workers};
use crate::bind::Stance;
use crate::config::{Address, Config, Profile};

/// Everything that runs for one configuration.
pub(super) struct Service {
    config: Config,
    workers: Running,
    /// Where clients connect, with the ports that were found for port 0.
    listen: Vec<Address>,
    names: Names,
    numbers: Arc<Workers>,
    standing: watch::Sender<Standing>,
}

impl Service {
    /// Starts the workers. `own`: the proxy's own instances, if it has any.
    pub(super) async fn start(config: Config, stance: Stance, own: Option<&[PathBuf]>) -> Result<Self, ServeError> {
        let dials = upstreams::dials(&config, own).await?;
        let crew = Crew::muster(&config, dials.clone(), stance)?;
        let (numbers, listen) = (Arc::new(crew.numbers()), crew.listen());
        let workers = crew.start();
        let mut names = Names::new();
        for (index, (upstream, dial)) in config.upstreams.iter().zip(&dials).enumerate() {
            names.follow(index, upstream, dial, workers.redirection(index));
        }
        let memory_limit = Some(config.limits.memory_max as u64);
        let standing = watch::Sender::new(Standing { memory_limit, ..Standing::default() });
        Ok(Self { config, workers, listen, names, numbers, standing })
    }

    /// Where clients connect.
    pub(super) fn listen(&self) -> &[Address] {
        &self.listen
    }

    /// Where the admin server gets its answers from.
    pub(super) fn shown(&self) -> (Arc<Workers>, watch::Receiver<Standing>) {
        (Arc::clone(&self.numbers), self.standing.subscribe())
    }

    /// Serves until a signal says end, and drains then.
    pub(super) async fn serve(mut self, signals: &mut Signals) -> Result<(), ServeError> {
        tokio::select! {
            () = signals.end() => {}
            why = self.workers.first() => return Err(ServeError::Worker(why)),
        }
        self.standing.send_modify(|standing| standing.draining = true);
        let close_silent = self.config.profile == Profile::Redis;
        drain::drain(self.workers, self.config.times.drain, close_silent, signals, &self.numbers).await;
        // Requests that were left may have needed an upstream to the end.
        drop(self.names);
        Ok(())
    }
}
