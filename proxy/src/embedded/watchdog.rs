//! The watchdog's role: parent of the instances, for as long as the proxy lives.

use std::ffi::OsString;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe;
use tokio::process::Child;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::Setup;
use super::backoff::Backoff;
use super::event::Event;
use super::folder::Folder;
use super::instance::Instance;

/// Under another name than the proxy's, so that `killall -9 pdw-proxy` leaves somebody to clean up.
pub(super) const NAME: &str = "pdw-watchdog";

/// The role `embedded-watchdog FOLDER SERVER COUNT`.
pub(super) fn main(args: impl Iterator<Item = OsString>) -> ExitCode {
    let outcome = match setup(args) {
        Some(setup) => run(&setup),
        None => Err(io::Error::other("its arguments are FOLDER SERVER COUNT")),
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
    Some(Setup { server, folder, count })
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
    let mut instances = JoinSet::new();
    for index in 0..setup.count {
        instances.spawn(keep_alive(Instance::new(setup, index), stop.subscribe()));
    }
    end_of_file(proxy).await;
    stop.send_replace(true);
    while instances.join_next().await.is_some() {}
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

/// The proxy holds the other end of the pipe and never writes: it closes it, or dies.
async fn end_of_file(mut proxy: pipe::Receiver) {
    let mut byte = [0];
    while matches!(proxy.read(&mut byte).await, Ok(1..)) {}
}

/// Starts the instance, again and again with growing pauses, until told to stop.
async fn keep_alive(instance: Instance, mut stop: watch::Receiver<bool>) {
    let mut backoff = Backoff::new();
    loop {
        let started = Instant::now();
        let Some(how) = live_once(&instance, &mut stop).await else { return };
        report(&Event::Exited { index: instance.index, how });
        tokio::select! {
            () = tokio::time::sleep(backoff.pause_after(started.elapsed())) => {}
            () = told(&mut stop) => return,
        }
    }
}

/// One life of the instance: how it ended, or `None` if it was told to.
async fn live_once(instance: &Instance, stop: &mut watch::Receiver<bool>) -> Option<String> {
    let mut child = match instance.spawn() {
        Ok(child) => child,
        Err(error) => return Some(format!("cannot start it: {error}")),
    };
    tokio::select! {
        status = child_ends(instance, &mut child) => Some(status),
        () = told(stop) => {
            // Nothing is worth saving, so there is no gentler signal first. It fails if the child has just died.
            let _ = child.kill().await;
            None
        }
    }
}

/// Reports the first answer on the way.
async fn child_ends(instance: &Instance, child: &mut Child) -> String {
    // What a healthy server logged at its start explains nothing.
    let mut told = 0;
    let status = tokio::select! {
        status = child.wait() => status,
        () = instance.ready() => {
            report(&Event::Ready { index: instance.index });
            told = instance.log_length();
            child.wait().await
        }
    };
    match status {
        Ok(status) => with_last_words(&status.to_string(), &instance.last_words(told)),
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
