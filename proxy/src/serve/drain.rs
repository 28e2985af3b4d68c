//! The end of workers: their clients leave, or time is up.

use std::time::{Duration, Instant};

use pdw_metrics::Gauge;
use tokio::task::JoinSet;

use super::crew::Running;
use super::signals::Signals;
use crate::admin::{Source, Workers};

/// A drain that takes longer than this says what it waits for.
const UNREMARKABLE: Duration = Duration::from_secs(1);

/// Signals that come so soon after the first are the same one: `timeout`, or a manager that ends both a process and its group,
/// sends it twice.
const SAME_SIGNAL: Duration = Duration::from_millis(300);

/// Returns when workers that drain have ended, those of earlier configurations too, or they are to end at once:
/// `limit` is over, or another signal comes.
pub(super) async fn drain(
    workers: &mut Running,
    elders: &mut JoinSet<()>,
    limit: Duration,
    signals: &mut Signals,
    numbers: &Workers,
) {
    let all_ended = async {
        workers.all_ended().await;
        while elders.join_next().await.is_some() {}
    };
    tokio::select! {
        () = all_ended => tracing::info!("drained"),
        () = second_signal(signals) => tracing::warn!("a second signal: sessions that are left are closed"),
        () = tokio::time::sleep(limit) => tracing::warn!("times.drain is over: sessions that are left are closed"),
        () = tell_if_long(limit, numbers) => {}
    }
}

async fn second_signal(signals: &mut Signals) {
    let begun = Instant::now();
    loop {
        signals.end().await;
        if begun.elapsed() >= SAME_SIGNAL {
            return;
        }
    }
}

/// Ends workers whose place others have taken.
pub(super) async fn retire(mut workers: Running, limit: Duration, close_silent: bool) {
    workers.drain(close_silent);
    if tokio::time::timeout(limit, workers.all_ended()).await.is_err() {
        tracing::warn!("times.drain is over: sessions with the former workers are closed");
    }
    workers.stop_all().await;
}

/// Tells what is waited for, if that takes long. Never returns.
async fn tell_if_long(limit: Duration, numbers: &Workers) {
    tokio::time::sleep(UNREMARKABLE).await;
    let sessions = numbers.snapshot().await.metrics.gauge(Gauge::Sessions);
    tracing::warn!(sessions, ?limit, "draining: sessions are served until they leave; a second signal ends it at once");
    std::future::pending().await
}
