//! Asks the workers for their numbers and sums them.

use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use pdw_metrics::{Counter, Family, Gauge, Names, WorkerSet};
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout_at};

use super::{Snapshot, Source, UpstreamState};

/// How long a scrape waits for a worker.
const PATIENCE: Duration = Duration::from_secs(1);

/// A snapshot younger than this serves again, so that nobody can keep the workers busy with scrapes.
const FRESH: Duration = Duration::from_millis(100);

/// Where a worker sends a copy of its numbers. Any thread may use it; it never waits.
pub(crate) type Answer = oneshot::Sender<WorkerSet>;

/// Passes the question on to one worker: puts the [`Answer`] into the worker's channel and wakes it. Dropping the
/// answer says that the worker is gone.
pub(crate) type Ask = Box<dyn Fn(Answer) + Send + Sync>;

/// The workers, as a [`Source`].
pub(crate) struct Workers {
    asks: Mutex<Arc<[Ask]>>,
    patience: Duration,
    state: tokio::sync::Mutex<State>,
}

#[derive(Default)]
struct State {
    incomplete: u64,
    latest: Option<(Instant, Snapshot)>,
    /// Who was asked last, and what each of them said last.
    asked: Option<Weak<[Ask]>>,
    said: Vec<Option<WorkerSet>>,
}

impl State {
    /// The numbers of all workers: of who has not answered those of before, since a counter that falls would look as
    /// if it had begun anew.
    fn complete(&mut self, asks: &Arc<[Ask]>, answers: Vec<Option<WorkerSet>>) -> WorkerSet {
        let asked = Arc::downgrade(asks);
        if !self.asked.as_ref().is_some_and(|before| before.ptr_eq(&asked)) {
            (self.asked, self.said) = (Some(asked), vec![None; asks.len()]);
        }
        for (said, answer) in self.said.iter_mut().zip(answers) {
            *said = answer.or(said.take());
        }
        sum(self.said.iter().flatten())
    }
}

impl Workers {
    /// The workers that `asks` reach, one each.
    pub(crate) fn new(asks: Vec<Ask>) -> Workers {
        Workers { asks: Mutex::new(asks.into()), patience: PATIENCE, state: Default::default() }
    }

    /// Asks others from now on.
    pub(crate) fn replace(&self, asks: Vec<Ask>) {
        *self.asks.lock().unwrap_or_else(PoisonError::into_inner) = asks.into();
    }

    fn asks(&self) -> Arc<[Ask]> {
        Arc::clone(&self.asks.lock().unwrap_or_else(PoisonError::into_inner))
    }

    #[cfg(test)]
    pub(super) fn with_patience(self, patience: Duration) -> Workers {
        Workers { patience, ..self }
    }

    /// The numbers of each worker, if it answers in time.
    async fn gather(&self, asks: &[Ask]) -> Vec<Option<WorkerSet>> {
        let deadline = Instant::now() + self.patience;
        // All are asked before the first is waited for.
        let answers: Vec<_> = asks.iter().map(put_question).collect();
        let mut sets = Vec::with_capacity(answers.len());
        for answer in answers {
            sets.push(timeout_at(deadline, answer).await.ok().and_then(Result::ok));
        }
        sets
    }
}

fn sum<'a>(mut sets: impl Iterator<Item = &'a WorkerSet>) -> WorkerSet {
    let first = sets.next().cloned().unwrap_or_else(|| WorkerSet::new(Arc::new(Names::default())));
    sets.fold(first, |mut sum, set| {
        sum.merge(set);
        sum
    })
}

impl Source for Workers {
    async fn snapshot(&self) -> Snapshot {
        // Held while the workers are asked: whoever comes meanwhile gets the same answer.
        let mut state = self.state.lock().await;
        if let Some((taken, snapshot)) = &state.latest
            && taken.elapsed() < FRESH
        {
            return snapshot.clone();
        }
        let asks = self.asks();
        let answers = self.gather(&asks).await;
        let answered = answers.iter().flatten().count();
        // Ready is who says so now.
        let upstreams = readiness(&sum(answers.iter().flatten()));
        let mut metrics = state.complete(&asks, answers);
        state.incomplete += u64::from(answered < asks.len());
        metrics.set(Gauge::Workers, answered as u64);
        metrics.set_counter(Counter::ScrapesIncomplete, state.incomplete);
        let snapshot = Snapshot { upstreams, metrics };
        state.latest = Some((Instant::now(), snapshot.clone()));
        snapshot
    }
}

fn put_question(ask: &Ask) -> oneshot::Receiver<WorkerSet> {
    let (answer, receiver) = oneshot::channel();
    ask(answer);
    receiver
}

/// An upstream is ready if a worker has a link that takes requests for it.
fn readiness(metrics: &WorkerSet) -> Vec<UpstreamState> {
    let names = metrics.names().upstreams.iter();
    let states = names.zip(metrics.family(Family::UpstreamUp));
    states.map(|(name, &up)| UpstreamState { name: name.clone(), ready: up > 0 }).collect()
}
