//! Ctrl-C and SIGTERM end a run in order, so that its children and its temporary folder go with it.

use crate::{Error, Result};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use tokio::signal::unix::{SignalKind, signal};

static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// Starts listening for the two signals, on a thread of its own. A second signal ends the process at once.
pub fn listen() -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(Error::system("start the signal listener"))?;
    thread::spawn(move || {
        runtime.block_on(async {
            wait().await;
            INTERRUPTED.store(true, Ordering::Relaxed);
            wait().await;
            std::process::exit(130);
        })
    });
    Ok(())
}

async fn wait() {
    let (Ok(mut int), Ok(mut term)) = (signal(SignalKind::interrupt()), signal(SignalKind::terminate())) else {
        return std::future::pending().await;
    };
    tokio::select! { _ = int.recv() => {}, _ = term.recv() => {} }
}

/// Fails with [`Error::Interrupted`] once a signal has arrived.
pub fn check() -> Result<()> {
    if INTERRUPTED.load(Ordering::Relaxed) { Err(Error::Interrupted) } else { Ok(()) }
}
