//! What serves: the workers, the names of their upstreams, and what the operator wants of them.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use tokio::sync::watch;
use tokio::task::JoinSet;

use super::crew::{Crew, Running, Shared};
use super::drain;
use super::names::Names;
use super::seals::Seals;
use super::signals::{Signals, Wish};
use super::state::{self, Pending};
use super::trim;
use super::upstreams;
use super::{ServeError, try_spool};
use crate::admin::{Standing, Workers};
use crate::bind::Stance;
use crate::cli::ServeArgs;
use crate::config::{Address, Config, Profile, UpstreamConfig};
use crate::worker::Dial;

/// Everything that runs for one configuration.
pub(super) struct Service {
    /// What is in force.
    config: Config,
    workers: Running,
    shared: Shared,
    seals: Seals,
    /// Where clients connect, with the ports that were found for port 0.
    listen: Vec<Address>,
    /// Sockets of the proxy's own instances, if it has any.
    own: Option<Vec<PathBuf>>,
    names: Names,
    numbers: Arc<Workers>,
    standing: watch::Sender<Standing>,
    /// Workers of earlier configurations, which drain.
    elders: JoinSet<()>,
}

impl Service {
    /// Starts the workers. `own`: the proxy's own instances, if it has any; `pending`: what is remembered once it is sure that no
    /// other proxy has the listeners.
    pub(super) async fn start(
        config: Config,
        stance: Stance,
        own: Option<&[PathBuf]>,
        pending: Pending,
    ) -> Result<Self, ServeError> {
        let seals = Seals::load(&config)?;
        let dials = upstreams::dials(&config, &seals, own).await?;
        let shared = Shared::default();
        let crew = Crew::muster(&config, dials.clone(), &seals, stance, &shared)?;
        pending.keep()?;
        let (numbers, listen) = (Arc::new(Workers::new(crew.questions())), crew.listen());
        let workers = crew.start();
        let names = follow(&config, &dials, &workers);
        let standing = watch::Sender::new(Standing { config_read: Some(SystemTime::now()), ..Standing::of(&config) });
        let own = own.map(<[PathBuf]>::to_vec);
        Ok(Self { config, workers, shared, seals, listen, own, names, numbers, standing, elders: JoinSet::new() })
    }

    /// Where clients connect.
    pub(super) fn listen(&self) -> &[Address] {
        &self.listen
    }

    /// The configuration in force.
    pub(super) fn config(&self) -> &Config {
        &self.config
    }

    /// Where the admin server gets its answers from.
    pub(super) fn shown(&self) -> (Arc<Workers>, watch::Receiver<Standing>) {
        (Arc::clone(&self.numbers), self.standing.subscribe())
    }

    /// Serves until a signal says end, and drains then.
    pub(super) async fn serve(mut self, args: &ServeArgs, signals: &mut Signals) -> Result<(), ServeError> {
        let mut trimming = std::pin::pin!(trim::give_back_memory());
        loop {
            let wish = tokio::select! {
                wish = signals.next() => wish,
                never = &mut trimming => match never {},
                why = self.workers.first() => return Err(ServeError::Worker(why)),
                Some(_) = self.elders.join_next() => continue,
            };
            match wish {
                Wish::End => break,
                // Nothing can be read again: the terminal is gone.
                Wish::Reload if args.config.is_none() => break,
                Wish::Reload => self.reload(args, false).await,
                Wish::Renew => self.reload(args, true).await,
            }
        }
        self.standing.send_modify(|standing| standing.draining = true);
        self.workers.drain(close_silent(&self.config));
        drain::drain(&mut self.workers, &mut self.elders, self.config.times.drain, signals, &self.numbers).await;
        self.workers.stop_all().await;
        Ok(())
    }

    /// An upstream is at another address.
    pub(super) fn redirect(&mut self, index: usize, upstream: &UpstreamConfig, dial: &Dial) {
        self.seals.upstreams[index].clone_from(&dial.seal);
        self.workers.redirect(index, dial);
        self.names.follow(index, upstream, dial, self.workers.redirection(index));
    }

    /// Keys and certificates that were read anew hold from now on.
    pub(super) fn renew_seals(&self, new: &Seals) {
        self.seals.renew(new);
    }

    /// Takes what running workers can take of a configuration.
    pub(super) fn adopt(&mut self, new: &Config) {
        let before = self.config.admission();
        self.config.adopt(new);
        self.workers.adopt(&self.config);
        if self.config.admission() != before {
            self.workers.let_in(&self.config);
        }
        let shown = Standing::of(&self.config);
        self.standing.send_modify(|standing| standing.memory_limit = shown.memory_limit);
    }

    /// Has new workers take over; the old ones serve their sessions until these leave, or `times.drain` is over.
    pub(super) async fn renew(&mut self, mut new: Config) -> Result<(), ServeError> {
        if new.listen == self.config.listen {
            // A free port has been found for port 0; it stays.
            for (listener, found) in new.listen.iter_mut().zip(&self.listen) {
                listener.address.clone_from(found);
            }
        }
        new.keep_fixed(&self.config);
        try_spool(&new)?;
        let seals = Seals::load(&new)?;
        let dials = upstreams::dials(&new, &seals, self.own.as_deref()).await?;
        let crew = Crew::muster(&new, dials.clone(), &seals, Stance::Beside, &self.shared)?;
        self.seals = seals;
        self.numbers.replace(crew.questions());
        self.listen = crew.listen();
        let elder = std::mem::replace(&mut self.workers, crew.start());
        self.names = follow(&new, &dials, &self.workers);
        let retired = drain::retire(elder, self.config.times.drain, close_silent(&self.config));
        self.elders.spawn(retired);
        crate::log::filter(&new.log);
        self.config = new;
        let shown = Standing::of(&self.config);
        if let Err(error) = state::prepare(&self.config, true).and_then(Pending::keep) {
            tracing::error!("{error}");
        }
        self.standing.send_modify(|standing| standing.memory_limit = shown.memory_limit);
        Ok(())
    }

    /// Takes note of how a reload ended.
    pub(super) fn note_reload(&self, taken: bool) {
        self.standing.send_modify(|standing| {
            standing.reload_refused = !taken;
            if taken {
                standing.config_read = Some(SystemTime::now());
            }
        });
    }
}

/// Whether sessions may be closed for being silent when workers drain.
fn close_silent(config: &Config) -> bool {
    config.profile == Profile::Redis
}

fn follow(config: &Config, dials: &[Dial], workers: &Running) -> Names {
    let mut names = Names::new();
    for (index, (upstream, dial)) in config.upstreams.iter().zip(dials).enumerate() {
        names.follow(index, upstream, dial, workers.redirection(index));
    }
    names
}
