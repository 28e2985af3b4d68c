//! Accepts connections and serves HTTP/1.1 on them, within bounds.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};

use super::answer::answer;
use super::listener::Socket;
use super::{Listener, ProcessReader, Source};

/// How much of a connection's request head is buffered; hyper answers 431 to a longer one. Its smallest is 8 KiB.
const HEAD_MAX: usize = 8192;

/// Most headers of a request; hyper answers 431 to more.
const HEADERS_MAX: usize = 64;

/// How long accepting pauses after the kernel could not, which without file descriptors would fail at once again.
const PAUSE: Duration = Duration::from_millis(100);

/// What askers may take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    /// Connections served at once; further ones wait in the kernel's queue.
    pub(crate) connections: usize,
    /// A connection is cut if this long after its start, or after its last whole request, there is no other: be it
    /// that none comes, that it comes too slowly, or that the reply is not read.
    pub(crate) patience: Duration,
}

impl Default for Bounds {
    fn default() -> Bounds {
        Bounds { connections: 64, patience: Duration::from_secs(10) }
    }
}

struct Shared<S> {
    source: S,
    process: ProcessReader,
    patience: Duration,
}

/// Serves until it is dropped, which ends all its connections.
pub(crate) async fn serve<S: Source>(
    listener: Listener,
    source: S,
    process: ProcessReader,
    bounds: Bounds,
) -> Infallible {
    let shared = Arc::new(Shared { source, process, patience: bounds.patience });
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept(), if connections.len() < bounds.connections => match accepted {
                Ok(socket) => {
                    connections.spawn(serve_connection(socket, shared.clone()));
                }
                Err(error) => {
                    tracing::warn!(%error, "cannot accept an admin connection");
                    sleep(PAUSE).await;
                }
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn serve_connection<S: Source>(socket: Socket, shared: Arc<Shared<S>>) {
    let (requested, last_request) = watch::channel(Instant::now());
    let service = service_fn(|request| {
        requested.send_replace(Instant::now());
        let shared = shared.clone();
        async move { Ok::<_, Infallible>(answer(&request, &shared.source, &shared.process).await) }
    });
    let mut http = http1::Builder::new();
    // One time limit for everything, see Bounds; hyper's own one for heads would need a second timer.
    http.max_buf_size(HEAD_MAX).max_headers(HEADERS_MAX).header_read_timeout(None);
    tokio::select! {
        served = http.serve_connection(TokioIo::new(socket), service) => {
            if let Err(error) = served {
                tracing::debug!(%error, "admin connection failed");
            }
        }
        () = silence(last_request, shared.patience) => tracing::debug!("admin connection cut: no request in time"),
    }
}

/// Returns once `patience` has passed since the last request.
async fn silence(last_request: watch::Receiver<Instant>, patience: Duration) {
    loop {
        let deadline = *last_request.borrow() + patience;
        if deadline <= Instant::now() {
            return;
        }
        sleep_until(deadline).await;
    }
}
