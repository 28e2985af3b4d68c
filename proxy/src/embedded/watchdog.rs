//! The watchdog's role: parent of the instances, and of proxies beside them, for as long as who started it lives.

use std::ffi::OsString;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::pin::pin;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::unix::pipe;
use tokio::process::Child;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::Setup;
use super::backoff::Backoff;
use super::event::Event;
use super::folder::Folder;
use super::instance::Member;
use super::order::Order;

/// Under another name than the proxy's, so that `killall -9 pdw-proxy` leaves somebody to clean up.
pub(super) const NAME: &str = "pdw-watchdog";

/// Begins the arguments of a proxy.
pub(super) const PROXY: &str = "--";

/// The role `embedded-watchdog FOLDER SERVER COUNT [-- ARGUMENTS OF A PROXY]...`.
pub(super) fn main(args: impl Iterator<Item = OsString>) -> ExitCode {
    let outcome = match setup(args) {
        Some(setup) => run(&setup),
        None => Err(io::Error::other("its arguments are FOLDER SERVER COUNT [-- ARG...]...")),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "{NAME}: {error}");
            ExitCode::FAILURE
        }
    }
}

fn setup(mut args: impl Iterator<Item = OsString>) -> Option<Setup> {
    let folder = PathBuf::from(args.next()?);
    let server = PathBuf::from(args.next()?);
    let count = args.next()?.to_str()?.parse().ok()?;
    let rest: Vec<OsString> = args.collect();
    let proxies = rest.split(|arg| arg == PROXY).skip(1).map(<[OsString]>::to_vec).collect();
    Some(Setup { server, folder, count, proxies })
}

/// One thread only: the parent death signal of the instances is tied to the thread that starts them.
fn run(setup: &Setup) -> io::Result<()> {
    rustix::thread::set_name(c"pdw-watchdog")?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(watch(setup))
}

async fn watch(setup: &Setup) -> io::Result<()> {
    // Before there is anything that a signal could orphan.
    ignore_signals()?;
    let proxy = pipe::Receiver::from_owned_fd(io::stdin().as_fd().try_clone_to_owned()?)?;
    let _folder = Folder::create(&setup.folder)?;
    let (stop, _) = watch::channel(false);
    let mut members = JoinSet::new();
    let mut orders = Vec::new();
    for member in Member::all(setup) {
        let (give, given) = mpsc::unbounded_channel();
        orders.push(give);
        members.spawn(keep_alive(member, stop.subscribe(), given));
    }
    pass_on(proxy, &orders).await;
    stop.send_replace(true);
    while members.join_next().await.is_some() {}
    Ok(())
}

/// Only the proxy's exit ends the watchdog. Service managers and terminals signal the proxy and its
/// helpers alike, and the proxy still needs its instances while it drains.
fn ignore_signals() -> io::Result<()> {
    for kind in [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup(), SignalKind::quit()] {
        // The handler stays in place when the listener is dropped, and exec resets it for the children.
        drop(signal(kind)?);
    }
    Ok(())
}

/// Passes orders on until the end of the pipe: who holds its other end closes it, or dies.
async fn pass_on(pipe: pipe::Receiver, orders: &[UnboundedSender<Order>]) {
    let mut lines = BufReader::new(pipe).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        if let Some((order, index)) = Order::parse(&line)
            && let Some(member) = orders.get(index)
        {
            // A member's task ends only after this one.
            let _ = member.send(order);
        }
    }
}

/// How a member's life ended.
enum End {
    /// By itself.
    Itself(String),
    /// By an order.
    Ordered(String),
    /// With everything.
    All,
}

/// Starts the member, again and again with growing pauses, until told to stop.
async fn keep_alive(member: Member, mut stop: watch::Receiver<bool>, mut orders: UnboundedReceiver<Order>) {
    let mut backoff = Backoff::new();
    loop {
        let started = Instant::now();
        let (how, mut pause) = match live_once(&member, &mut stop, &mut orders).await {
            End::All => return,
            End::Itself(how) => (how, Some(backoff.pause_after(started.elapsed()))),
            End::Ordered(how) => (how, None),
        };
        report(&Event::Exited { index: member.index, how });
        loop {
            tokio::select! {
                () = sleep_if(pause), if pause.is_some() => break,
                () = told(&mut stop) => return,
                order = orders.recv() => match order {
                    Some(Order::Start) => break,
                    Some(Order::Kill) => pause = None,
                    _ => {}
                },
            }
        }
    }
}

async fn sleep_if(pause: Option<Duration>) {
    tokio::time::sleep(pause.unwrap_or_default()).await;
}

/// One life of the member.
async fn live_once(member: &Member, stop: &mut watch::Receiver<bool>, orders: &mut UnboundedReceiver<Order>) -> End {
    let mut child = match member.spawn() {
        Ok(child) => child,
        Err(error) => return End::Itself(format!("cannot start it: {error}")),
    };
    // Nobody else waits for the child, so the number is its own until that is done here.
    let pid = child.id().and_then(|pid| Pid::from_raw(pid as i32));
    report(&Event::Started { index: member.index, pid: child.id().unwrap_or_default() });
    let mut killed = false;
    let mut ends = pin!(child_ends(member, &mut child));
    loop {
        tokio::select! {
            status = &mut ends => return if killed { End::Ordered(status) } else { End::Itself(status) },
            () = told(stop) => {
                // Nothing is worth saving, so there is no gentler signal first.
                send(pid, Signal::KILL);
                ends.await;
                return End::All;
            }
            Some(order) = orders.recv() => {
                killed |= order == Order::Kill;
                match order {
                    Order::Kill => send(pid, Signal::KILL),
                    Order::Stop => send(pid, Signal::STOP),
                    Order::Continue => send(pid, Signal::CONT),
                    // Killed a moment ago and wanted back.
                    Order::Start => killed = false,
                }
            }
        }
    }
}

/// It fails if the process has just died.
fn send(pid: Option<Pid>, signal: Signal) {
    if let Some(pid) = pid {
        let _ = kill_process(pid, signal);
    }
}

/// Reports the first answer on the way.
async fn child_ends(member: &Member, child: &mut Child) -> String {
    // What a healthy server logged at its start explains nothing.
    let mut told = 0;
    let status = tokio::select! {
        status = child.wait() => status,
        () = member.ready() => {
            report(&Event::Ready { index: member.index });
            told = member.log_length();
            child.wait().await
        }
    };
    match status {
        Ok(status) => with_last_words(&status.to_string(), &member.last_words(told)),
        Err(error) => format!("cannot wait for it: {error}"),
    }
}

fn with_last_words(status: &str, words: &str) -> String {
    if words.is_empty() { status.to_owned() } else { format!("{status}, its last words: {words}") }
}

async fn told(stop: &mut watch::Receiver<bool>) {
    // An error means that the sender is gone, which is no less an end.
    let _ = stop.wait_for(|stop| *stop).await;
}

/// A proxy that is gone cannot be told; the end of stdin says so in time.
fn report(event: &Event) {
    let _ = writeln!(io::stdout().lock(), "{event}");
}
