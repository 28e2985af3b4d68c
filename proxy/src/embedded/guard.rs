//! The proxy's end of the watchdog.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::io;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::sync::oneshot;

use super::backoff::Backoff;
use super::event::Event;
use super::order::Order;
use super::watchdog::{self, PROXY};
use super::{EmbeddedError, Setup, WATCHDOG_ROLE, folder};

/// How long the watchdog may take to end everything before it is killed itself.
const END_MAX: Duration = Duration::from_secs(5);

/// A running watchdog. Dropping it tells it to end.
#[derive(Debug)]
pub(super) struct Guard {
    child: Child,
    /// Held open for as long as the watchdog shall live; orders are written to it.
    alive: ChildStdin,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Guard {
    /// Starts a watchdog. The folder of `setup` must not exist.
    pub(super) fn spawn(setup: &Setup) -> io::Result<Self> {
        // Not by the binary's path, where an upgrade may have put another version by now.
        let mut child = Command::new("/proc/self/exe")
            .arg0(watchdog::NAME)
            .arg(WATCHDOG_ROLE)
            .arg(&setup.folder)
            .arg(&setup.server)
            .arg(setup.count.to_string())
            .args(setup.proxies.iter().flat_map(|args| std::iter::once(OsString::from(PROXY)).chain(args.clone())))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .process_group(0)
            .spawn()?;
        let (Some(alive), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(io::Error::other("it has no pipes"));
        };
        Ok(Self { child, alive, lines: BufReader::new(stdout).lines() })
    }

    /// Returns when each of `count` instances has answered, or the first one has failed.
    pub(super) async fn all_ready(&mut self, count: usize) -> Result<(), EmbeddedError> {
        let mut ready = BTreeSet::new();
        while ready.len() < count {
            match self.next().await {
                Some(Event::Started { .. }) => continue,
                Some(Event::Ready { index }) => ready.insert(index),
                Some(Event::Exited { index, how }) => return Err(EmbeddedError::Exited { index, how }),
                None => return Err(EmbeddedError::WatchdogEnded),
            };
        }
        Ok(())
    }

    /// The next event; `None` when the watchdog is gone. Cancel safe.
    pub(super) async fn next(&mut self) -> Option<Event> {
        loop {
            let line = self.lines.next_line().await.ok()??;
            if let Some(event) = Event::parse(&line) {
                return Some(event);
            }
        }
    }

    /// Gives an order about the member of a position.
    pub(super) async fn order(&mut self, order: Order, index: usize) -> io::Result<()> {
        self.alive.write_all(format!("{order} {index}\n").as_bytes()).await
    }

    /// Returns when the watchdog is gone and `folder` with it.
    pub(super) async fn end(mut self, folder: &Path) {
        drop(self.alive);
        if tokio::time::timeout(END_MAX, self.child.wait()).await.is_err() {
            // The instances die with it.
            let _ = self.child.kill().await;
        }
        folder::remove(folder);
    }
}

/// Logs what happens to the instances and replaces a watchdog that dies, until `stop` is dropped.
pub(super) async fn supervise(setup: Setup, mut guard: Guard, mut stop: oneshot::Receiver<()>) {
    let mut backoff = Backoff::new();
    loop {
        let started = Instant::now();
        tokio::select! {
            () = log_events(&mut guard) => guard.end(&setup.folder).await,
            _ = &mut stop => return guard.end(&setup.folder).await,
        }
        tracing::error!("the watchdog died and the embedded instances with it; starting them again, empty");
        let pause = backoff.pause_after(started.elapsed());
        guard = tokio::select! {
            guard = respawn(&setup, pause) => guard,
            _ = &mut stop => return,
        };
    }
}

/// Returns when the watchdog is gone.
async fn log_events(guard: &mut Guard) {
    while let Some(event) = guard.next().await {
        match event {
            Event::Started { .. } => {}
            Event::Ready { index } => tracing::warn!("embedded instance {index} answers again, empty"),
            Event::Exited { index, how } => tracing::error!("embedded instance {index} died, {how}; starting it again"),
        }
    }
}

async fn respawn(setup: &Setup, mut pause: Duration) -> Guard {
    let mut backoff = Backoff::new();
    loop {
        tokio::time::sleep(pause).await;
        match Guard::spawn(setup) {
            Ok(guard) => return guard,
            Err(error) => tracing::error!("{}", EmbeddedError::Spawn(error)),
        }
        pause = backoff.pause_after(Duration::ZERO);
    }
}
