use std::io::Write;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use pdw_metrics::{Counter, Family, Gauge, Histogram, Lane, LinkState, Names, WorkerSet};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

use super::*;
use crate::bind::Stance;

/// Answers with what it was given.
struct Fixed(Snapshot);

impl Source for Fixed {
    async fn snapshot(&self) -> Snapshot {
        self.0.clone()
    }
}

fn numbers() -> WorkerSet {
    let names = Names {
        commands: vec!["get".into(), "set".into()],
        upstreams: vec!["10.0.0.1:6379".into(), "10.0.0.2:6379".into()],
        refusals: vec!["not_sent".into()],
        errors: vec!["WRONGTYPE".into()],
        closes: vec!["client".into()],
        peers: Vec::new(),
    };
    let mut set = WorkerSet::new(Arc::new(names));
    set.count(Counter::Turns, 7);
    set.count_labelled(Family::Requests, 1, 3);
    set.set_labelled(Family::Links, Lane::Shared.cell(LinkState::Ready), 2);
    set.set_labelled(Family::UpstreamUp, 0, 1);
    set.observe(Histogram::RequestDuration, 120);
    set
}

fn states(ready: &[bool]) -> Vec<UpstreamState> {
    let state = |(index, &ready)| UpstreamState { name: format!("10.0.0.{}:6379", index + 1), ready };
    ready.iter().enumerate().map(state).collect()
}

/// A server on a port of its own, ended with the test.
struct Server {
    address: String,
    task: JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn start(source: impl Source, bounds: Bounds) -> Server {
    start_on("127.0.0.1:0", source, bounds).await
}

async fn start_on(address: &str, source: impl Source, bounds: Bounds) -> Server {
    let listener = Listener::bind(address, Stance::Alone).await.unwrap();
    let address = listener.address();
    let task = tokio::spawn(async move {
        serve(listener, source, ProcessReader::new(tokio::sync::watch::channel(Standing::default()).1), bounds).await;
    });
    Server { address, task }
}

async fn start_with(ready: &[bool], bounds: Bounds) -> Server {
    start(Fixed(Snapshot { metrics: numbers(), upstreams: states(ready) }), bounds).await
}

fn hasty() -> Bounds {
    Bounds { patience: Duration::from_millis(300), ..Bounds::default() }
}

impl Server {
    async fn connect(&self) -> TcpStream {
        TcpStream::connect(&self.address).await.unwrap()
    }

    async fn get(&self, path: &str) -> (u16, String) {
        exchange(&mut self.connect().await, &format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n")).await
    }
}

/// Sends a request and reads one response with a content length: its status, and its head and body.
async fn exchange(stream: &mut (impl AsyncRead + AsyncWrite + Unpin), request: &str) -> (u16, String) {
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut text = String::new();
    while !is_whole(&text) {
        let mut chunk = [0; 4096];
        let read = timeout(Duration::from_secs(10), stream.read(&mut chunk)).await.unwrap().unwrap();
        assert!(read > 0, "closed after {text:?}");
        text.push_str(std::str::from_utf8(&chunk[..read]).unwrap());
    }
    (text[9..12].parse().unwrap(), text)
}

fn is_whole(text: &str) -> bool {
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    length.is_none_or(|length| body.len() >= length.parse().unwrap())
}

/// How long the server takes to close the connection.
async fn time_to_close(stream: &mut TcpStream) -> Duration {
    let begun = Instant::now();
    let mut chunk = [0; 4096];
    loop {
        match timeout(Duration::from_secs(10), stream.read(&mut chunk)).await.expect("the server does not close") {
            Ok(0) | Err(_) => return begun.elapsed(),
            Ok(_) => {}
        }
    }
}

#[tokio::test]
async fn metrics_of_the_source_and_of_the_process_are_served_on_one_connection_again_and_again() {
    let server = start_with(&[true], Bounds::default()).await;
    let mut stream = server.connect().await;
    for _ in 0..3 {
        let (status, text) = exchange(&mut stream, "GET /metrics?x=1 HTTP/1.1\r\nHost: x\r\n\r\n").await;
        assert_eq!(status, 200);
        assert!(text.contains("content-type: text/plain; version=0.0.4\r\n"), "{text}");
        assert!(text.contains("\npdw_requests_total{command=\"set\"} 3\n"), "{text}");
        assert!(text.contains("\nprocess_resident_memory_bytes "), "{text}");
    }
}

#[tokio::test]
async fn alive_is_not_ready() {
    let server = start_with(&[true, false], Bounds::default()).await;
    assert_eq!(server.get("/healthz").await.0, 200);
    let (status, text) = server.get("/readyz").await;
    assert_eq!(status, 503);
    assert!(text.contains("1 of 2 upstreams") && text.contains("\n10.0.0.2:6379\n"), "{text}");
    assert!(!text.contains("10.0.0.1:6379"), "{text}");
}

#[tokio::test]
async fn ready_is_when_all_upstreams_are_and_there_are_any() {
    assert_eq!(start_with(&[true, true], Bounds::default()).await.get("/readyz").await.0, 200);
    assert_eq!(start_with(&[], Bounds::default()).await.get("/readyz").await.0, 503);
}

#[tokio::test]
async fn other_paths_list_the_paths_and_other_methods_name_the_methods() {
    let server = start_with(&[true], Bounds::default()).await;
    let (status, text) = server.get("/").await;
    assert_eq!(status, 404);
    assert!(text.contains("/metrics") && text.contains("/healthz") && text.contains("/readyz"));
    let (status, text) =
        exchange(&mut server.connect().await, "POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n").await;
    assert_eq!(status, 405);
    assert!(text.contains("allow: GET, HEAD\r\n"), "{text}");
}

#[tokio::test]
async fn what_is_not_http_or_too_long_is_refused_and_closed() {
    let server = start_with(&[true], Bounds::default()).await;
    let long = format!("GET / HTTP/1.1\r\nX: {}\r\n\r\n", "x".repeat(9000));
    let many = format!("GET / HTTP/1.1\r\n{}\r\n", "X: y\r\n".repeat(65));
    for (request, expected) in [("*1\r\n$4\r\nPING\r\n", 400), (long.as_str(), 431), (many.as_str(), 431)] {
        let mut stream = server.connect().await;
        let (status, text) = exchange(&mut stream, request).await;
        assert_eq!(status, expected, "{text}");
        assert!(time_to_close(&mut stream).await < Duration::from_secs(5));
    }
    assert_eq!(server.get("/healthz").await.0, 200);
}

#[tokio::test]
async fn a_head_that_drips_in_is_cut() {
    let server = start_with(&[true], hasty()).await;
    let mut stream = server.connect().await;
    let begun = Instant::now();
    for byte in b"GET /metrics HTTP/1.1\r\nHost: x\r\nX-Slow: xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx".iter() {
        if stream.write_all(&[*byte]).await.is_err() {
            break;
        }
        sleep(Duration::from_millis(20)).await;
    }
    time_to_close(&mut stream).await;
    let taken = begun.elapsed();
    assert!(taken > Duration::from_millis(290) && taken < Duration::from_secs(5), "{taken:?}");
}

#[tokio::test]
async fn an_idle_connection_is_cut_after_its_last_request_only() {
    let server = start_with(&[true], Bounds { patience: Duration::from_secs(1), ..Bounds::default() }).await;
    let mut stream = server.connect().await;
    for _ in 0..3 {
        sleep(Duration::from_millis(400)).await;
        assert_eq!(exchange(&mut stream, "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").await.0, 200);
    }
    let taken = time_to_close(&mut stream).await;
    assert!(taken > Duration::from_millis(900) && taken < Duration::from_secs(5), "{taken:?}");
}

#[tokio::test]
async fn who_asks_and_does_not_read_is_cut() {
    let server = start_with(&[true], hasty()).await;
    let mut stream = server.connect().await;
    let request = b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n".repeat(100);
    // Once the sockets' buffers are full of responses the server reads no further request.
    let flood = async { while stream.write_all(&request).await.is_ok() {} };
    timeout(Duration::from_secs(60), flood).await.expect("the server serves who does not read");
}

#[tokio::test]
async fn connections_past_the_bound_wait_for_their_turn() {
    let server = start_with(&[true], Bounds { connections: 2, ..Bounds::default() }).await;
    let mut first = server.connect().await;
    let mut second = server.connect().await;
    for stream in [&mut first, &mut second] {
        assert_eq!(exchange(stream, "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").await.0, 200);
    }
    let mut third = server.connect().await;
    third.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    let mut byte = [0];
    assert!(timeout(Duration::from_millis(200), third.read(&mut byte)).await.is_err(), "a third one was served");
    drop(first);
    assert_eq!(timeout(Duration::from_secs(5), third.read(&mut byte)).await.unwrap().unwrap(), 1);
}

#[tokio::test]
async fn a_unix_socket_serves_replaces_a_stale_one_and_is_removed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("admin.sock");
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    assert!(path.exists());
    let source = Fixed(Snapshot { metrics: numbers(), upstreams: states(&[true]) });
    let mut server = start_on(path.to_str().unwrap(), source, Bounds::default()).await;
    let mut stream = UnixStream::connect(&path).await.unwrap();
    assert_eq!(exchange(&mut stream, "GET /readyz HTTP/1.1\r\nHost: x\r\n\r\n").await.0, 200);
    let second = Listener::bind(path.to_str().unwrap(), Stance::Alone).await;
    assert!(matches!(second, Err(AdminError::Listen { .. })), "{second:?}");
    server.task.abort();
    assert!((&mut server.task).await.unwrap_err().is_cancelled());
    assert!(!path.exists());
}

#[tokio::test]
async fn a_file_that_is_no_socket_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("precious");
    std::fs::write(&path, "data").unwrap();
    let refused = Listener::bind(path.to_str().unwrap(), Stance::Alone).await;
    assert!(matches!(refused, Err(AdminError::NotASocket(_))), "{refused:?}");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "data");
}

/// Asks that are answered at once, with a count of how often that was.
fn prompt(asked: &Arc<AtomicUsize>) -> Box<dyn Fn(Answer) + Send + Sync> {
    let asked = asked.clone();
    Box::new(move |answer: Answer| {
        asked.fetch_add(1, Ordering::Relaxed);
        answer.send(numbers()).unwrap();
    })
}

#[tokio::test]
async fn a_snapshot_sums_the_workers() {
    let asked = Arc::default();
    let snapshot = Workers::new(vec![prompt(&asked), prompt(&asked)]).snapshot().await;
    assert_eq!(snapshot.metrics.counter(Counter::Turns), 14);
    assert_eq!(snapshot.metrics.gauge(Gauge::Workers), 2);
    assert_eq!(snapshot.metrics.counter(Counter::ScrapesIncomplete), 0);
    assert_eq!(snapshot.upstreams, states(&[true, false]));
}

#[tokio::test]
async fn stuck_and_dead_workers_are_left_out_and_counted() {
    let held = std::sync::Mutex::new(Vec::new());
    let stuck = Box::new(move |answer| held.lock().unwrap().push(answer));
    let dead = Box::new(drop::<Answer>);
    let workers = Workers::new(vec![stuck, dead, prompt(&Arc::default())]).with_patience(Duration::from_millis(200));
    for round in 1..3 {
        let begun = Instant::now();
        let snapshot = workers.snapshot().await;
        assert!((150..2000).contains(&begun.elapsed().as_millis()), "{:?}", begun.elapsed());
        assert_eq!(snapshot.metrics.counter(Counter::Turns), 7);
        assert_eq!(snapshot.metrics.gauge(Gauge::Workers), 1);
        assert_eq!(snapshot.metrics.counter(Counter::ScrapesIncomplete), round);
        sleep(Duration::from_millis(150)).await;
    }
}

#[tokio::test]
async fn the_counters_of_a_worker_that_is_late_stay_as_they_were_but_it_counts_as_nobody() {
    let held = std::sync::Mutex::new(Vec::new());
    let (first, asked) = (AtomicUsize::new(0), Arc::default());
    let late = Box::new(move |answer: Answer| match first.fetch_add(1, Ordering::Relaxed) {
        0 => answer.send(numbers()).unwrap(),
        _ => held.lock().unwrap().push(answer),
    });
    let workers = Workers::new(vec![late, prompt(&asked)]).with_patience(Duration::from_millis(200));
    for answered in [2, 1, 1] {
        let metrics = workers.snapshot().await.metrics;
        assert_eq!((metrics.counter(Counter::Turns), metrics.gauge(Gauge::Workers)), (14, answered));
        sleep(Duration::from_millis(150)).await;
    }
    workers.replace(vec![prompt(&asked)]);
    assert_eq!(workers.snapshot().await.metrics.counter(Counter::Turns), 7, "others are nobody's successors");
}

#[tokio::test]
async fn a_flood_of_scrapes_asks_the_workers_rarely() {
    let asked = Arc::default();
    let workers = Workers::new(vec![prompt(&asked)]);
    let begun = Instant::now();
    for _ in 0..1000 {
        workers.snapshot().await;
    }
    let allowed = 1 + begun.elapsed().as_millis() as usize / 100;
    assert!(asked.load(Ordering::Relaxed) <= allowed, "{asked:?} times in {:?}", begun.elapsed());
    sleep(Duration::from_millis(110)).await;
    let before = asked.load(Ordering::Relaxed);
    workers.snapshot().await;
    assert_eq!(asked.load(Ordering::Relaxed), before + 1);
}

/// `promtool check metrics` parses the text and applies the naming rules of the Prometheus documentation.
#[tokio::test]
async fn promtool_accepts_a_scrape() {
    let server = start_with(&[true], Bounds::default()).await;
    let (_, response) = server.get("/metrics").await;
    let (_, text) = response.split_once("\r\n\r\n").unwrap();
    let promtool =
        Command::new("promtool").args(["check", "metrics"]).stdin(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let Ok(mut promtool) = promtool else {
        eprintln!("SKIPPED: promtool is not installed (Debian package prometheus)");
        return;
    };
    promtool.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = promtool.wait_with_output().unwrap();
    assert!(output.status.success(), "{}\n{text}", String::from_utf8_lossy(&output.stderr));
}
