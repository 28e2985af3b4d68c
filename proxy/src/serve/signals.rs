//! What the operator tells the process by signals.

use tokio::signal::unix::{Signal, SignalKind, signal};

use super::ServeError;

/// What a signal asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wish {
    /// SIGINT or SIGTERM: end.
    End,
    /// SIGHUP: read the configuration again.
    Reload,
    /// SIGUSR2: read it again and take all of it.
    Renew,
}

/// The signals that mean something.
pub(super) struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hangup: Signal,
    user: Signal,
}

impl Signals {
    /// From now on none of them ends the process by itself.
    pub(super) fn listen() -> Result<Self, ServeError> {
        let listen = |kind| signal(kind).map_err(|source| ServeError::Kernel { what: "listen for signals", source });
        Ok(Self {
            interrupt: listen(SignalKind::interrupt())?,
            terminate: listen(SignalKind::terminate())?,
            hangup: listen(SignalKind::hangup())?,
            user: listen(SignalKind::user_defined2())?,
        })
    }

    /// The next wish. Cancel safe.
    pub(super) async fn next(&mut self) -> Wish {
        tokio::select! {
            _ = self.interrupt.recv() => Wish::End,
            _ = self.terminate.recv() => Wish::End,
            _ = self.hangup.recv() => Wish::Reload,
            _ = self.user.recv() => Wish::Renew,
        }
    }

    /// Returns when the process is to end. Cancel safe.
    pub(super) async fn end(&mut self) {
        while self.next().await != Wish::End {}
    }
}
