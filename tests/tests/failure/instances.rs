//! Instances that are not there, or not well, as they were before requests were held and repeated.

use std::io;
use std::thread;
use std::time::{Duration, Instant};

use pdw_tests::connection::until;
use pdw_tests::durable::{Durable, addresses};
use pdw_tests::instance::Server;
use pdw_tests::trouble::Trouble;

use crate::scene::{
    LIMIT, NOT_SENT, Scene, UNKNOWN, assert_error, assert_fine, assert_given_up, at_once, launch, on_small_disk,
};

#[test]
fn an_instance_that_is_down_at_the_start_is_waited_for_under_pdwfs() -> io::Result<()> {
    let mut instance = Durable::prepare(&Server::redis(), &[])?;
    let proxy = launch("pdwfs", &["reconnect_max = '500ms'"]).upstreams(&[instance.address().clone()]).start()?;
    let waiting = thread::spawn(move || {
        let mut session = pdw_tests::connection::Connection::open_with(proxy.address(), LIMIT)?;
        session.demand(&["SET", "k", "v"]).map(|_| proxy)
    });
    thread::sleep(Duration::from_millis(500));
    assert!(!waiting.is_finished());
    instance.restart()?;
    waiting.join().map_err(|_| io::Error::other("the client failed"))??;
    assert_eq!(instance.connect()?.demand(&["GET", "k"])?.bytes(), b"v");
    Ok(())
}

#[test]
fn an_instance_that_is_down_at_the_start_is_told_under_redis() -> io::Result<()> {
    let mut instance = Durable::prepare(&Server::redis(), &[])?;
    let proxy = launch("redis", &["reconnect_max = '200ms'"]).upstreams(&[instance.address().clone()]).start()?;
    let mut session = proxy.connect()?;
    let started = Instant::now();
    assert_error(&session.call(&["SET", "k", "v"])?, NOT_SENT);
    assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());
    instance.restart()?;
    until("service", LIMIT, || session.demand(&["SET", "k", "v"]).map(drop))
}

#[test]
fn an_instance_that_restarts_empty_is_empty_and_no_session_is_lost() -> io::Result<()> {
    for profile in ["pdwfs", "redis"] {
        let mut instance = Durable::start()?;
        let proxy = launch(profile, &["reconnect_max = '200ms'"]).upstreams(&[instance.address().clone()]).start()?;
        let mut session = proxy.connect()?;
        session.demand(&["SET", "k", "v"])?;
        let sha = session.demand(&["SCRIPT", "LOAD", "return 1"])?.text();
        instance.restart_empty()?;
        until("service", LIMIT, || session.demand(&["GET", "k"]).map(drop))?;
        assert_eq!(session.demand(&["GET", "k"])?.bytes(), b"");
        let unknown = session.call(&["EVALSHA", &sha, "1", "k"])?;
        assert!(unknown.error().is_some_and(|text| text.starts_with("NOSCRIPT ")), "{unknown:?}");
        session.demand(&["SET", "k", "w"])?;
    }
    Ok(())
}

#[test]
fn under_redis_every_trouble_is_passed_on_and_ends_with_its_cause() -> io::Result<()> {
    at_once(&Trouble::ALL, |trouble| {
        let mut instances = [Durable::start()?];
        let proxy = launch("redis", &[]).upstreams(&addresses(&instances)).start()?;
        let mut session = proxy.connect()?;
        trouble.begin(&mut instances[0])?;
        let limit = Duration::from_secs(5);
        // A link to an instance that is loading may not be good yet.
        let told = |text: &str| text.starts_with(trouble.word()) || trouble == Trouble::Loading && text == NOT_SENT;
        until("the trouble's own word", limit, || match session.call(trouble.request())?.error() {
            Some(text) if told(&text) => Ok(()),
            other => Err(io::Error::other(format!("{trouble:?}: {other:?}"))),
        })?;
        trouble.end(&mut instances[0])?;
        until("service", limit, || session.demand(trouble.request()).map(drop))?;
        Ok(())
    })
}

#[test]
fn a_frozen_instance_is_answered_for_in_time_and_its_late_reply_is_nobodys() -> io::Result<()> {
    let mut scene = Scene::start("redis", 2, &["patience = '1s'", "connect_timeout = '1s'"])?;
    let mut session = scene.session()?;
    let [frozen, other] = [0, 1].map(|at| scene.keys(at)[0].clone());
    session.demand(&["SET", &frozen, "before"])?;
    scene.instances[0].guard()?.freeze()?;
    let started = Instant::now();
    assert_error(&session.call(&["GET", &frozen])?, UNKNOWN);
    assert_given_up(started.elapsed());
    assert_fine(&session.call(&["SET", &other, "x"])?);
    scene.instances[0].guard()?.thaw()?;
    until("service", LIMIT, || session.demand(&["GET", &frozen]).map(drop))?;
    assert_eq!(session.demand(&["ECHO", "mine"])?.bytes(), b"mine");
    assert_eq!(session.demand(&["GET", &frozen])?.bytes(), b"before");
    Ok(())
}

#[test]
fn a_full_disk_is_passed_on_under_redis() -> io::Result<()> {
    let Some(mut instance) = on_small_disk() else { return Ok(()) };
    let proxy = launch("redis", &[]).upstreams(&[instance.address().clone()]).start()?;
    let mut session = proxy.connect()?;
    session.demand(&["SET", "k", "v"])?;
    instance.fill_disk()?;
    let told = || {
        session
            .call(&["SET", "k", "w"])?
            .error()
            .filter(|text| text.starts_with("MISCONF"))
            .ok_or(io::ErrorKind::Other.into())
    };
    until("MISCONF", LIMIT, told)?;
    instance.free_disk()?;
    until("service", LIMIT, || session.demand(&["SET", "k", "x"]).map(drop))
}
