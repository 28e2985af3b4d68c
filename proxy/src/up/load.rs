//! A small load, so that there is something to see.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::task::JoinSet;

/// Clients, each with a session of its own.
const CLIENTS: u64 = 16;
/// Pause of a client between two requests.
const PAUSE: Duration = Duration::from_millis(4);

/// What the load has seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Report {
    /// It runs.
    pub(super) on: bool,
    /// Replies that were no errors.
    pub(super) good: u64,
    /// Error replies.
    pub(super) errors: u64,
    /// Sessions that were lost.
    pub(super) lost: u64,
}

#[derive(Debug, Default)]
struct Counts {
    good: AtomicU64,
    errors: AtomicU64,
    lost: AtomicU64,
}

/// Clients of one proxy, which run or not.
pub(super) struct Load {
    proxy: PathBuf,
    clients: JoinSet<()>,
    counts: Arc<Counts>,
}

impl Load {
    /// No load yet on the proxy that listens on this UNIX socket.
    pub(super) fn new(proxy: PathBuf) -> Self {
        Self { proxy, clients: JoinSet::new(), counts: Arc::default() }
    }

    /// Whether it runs.
    pub(super) fn is_on(&self) -> bool {
        !self.clients.is_empty()
    }

    /// Begins, or ends.
    pub(super) fn toggle(&mut self) {
        if self.is_on() {
            self.clients = JoinSet::new();
            return;
        }
        for number in 0..CLIENTS {
            self.clients.spawn(client(number, self.proxy.clone(), Arc::clone(&self.counts)));
        }
    }

    /// What it has seen since the start.
    pub(super) fn report(&self) -> Report {
        let count = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let Counts { good, errors, lost } = &*self.counts;
        Report { on: self.is_on(), good: count(good), errors: count(errors), lost: count(lost) }
    }
}

/// Comes again whenever its session is lost.
async fn client(number: u64, proxy: PathBuf, counts: Arc<Counts>) {
    loop {
        if let Ok(stream) = UnixStream::connect(&proxy).await {
            // It ends with an error only.
            let _ = session(number, stream, &counts).await;
            counts.lost.fetch_add(1, Ordering::Relaxed);
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// Each client has one key, so that those whose key is on another instance show that they do not wait for it.
async fn session(number: u64, stream: UnixStream, counts: &Counts) -> io::Result<()> {
    let mut stream = BufReader::new(stream);
    let requests = [format!("SET load:{number} value\r\n"), format!("GET load:{number}\r\n")];
    for request in requests.iter().cycle() {
        stream.write_all(request.as_bytes()).await?;
        let count = if is_good(&mut stream).await? { &counts.good } else { &counts.errors };
        count.fetch_add(1, Ordering::Relaxed);
        tokio::time::sleep(PAUSE).await;
    }
    Ok(())
}

/// Reads one reply to `SET` or `GET`.
async fn is_good(stream: &mut BufReader<UnixStream>) -> io::Result<bool> {
    let mut line = String::new();
    if stream.read_line(&mut line).await? == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    let size = line.strip_prefix('$').and_then(|size| size.trim_end().parse::<usize>().ok());
    if let Some(size) = size {
        stream.read_exact(&mut vec![0; size + 2]).await?;
    }
    Ok(!line.starts_with('-'))
}
