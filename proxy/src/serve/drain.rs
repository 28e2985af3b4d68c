//! The end of workers: their clients leave, or time is up.

use std::time::Duration;

use pdw_metrics::Gauge;

use super::crew::Running;
use super::signals::Signals;
use crate::admin::{Source, Workers};

/// A drain that takes longer than this says what it waits for.
const UNREMARKABLE: Duration = Duration::from_secs(1);

/// Ends the workers: at once when `limit` is over or another signal comes, else when their sessions are gone.
pub(super) async fn drain(
    mut workers: Running,
    limit: Duration,
    close_silent: bool,
    signals: &mut Signals,
    numbers: &Workers,
) {
    workers.drain(close_silent);
    tokio::select! {
        () = workers.all_ended() => tracing::info!("drained"),
        () = signals.end() => tracing::warn!("a second signal: sessions that are left are closed"),
        () = tokio::time::sleep(limit) => tracing::warn!("times.drain is over: sessions that are left are closed"),
        () = tell_if_long(limit, numbers) => {}
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
