//! Profile `pdwfs` keeps an instance's troubles to itself: requests are tried again until they are taken.

use std::io;
use std::thread;
use std::time::{Duration, Instant};

use pdw_tests::connection::encode;
use pdw_tests::durable::{Durable, addresses};
use pdw_tests::proxy::Proxy;
use pdw_tests::trouble::Trouble;

use crate::scene::{Scene, UNKNOWN, assert_waits, at_once, heard, launch, on_small_disk};

/// Troubles, but for the one that ends by itself.
fn told() -> Vec<Trouble> {
    Trouble::ALL.into_iter().filter(|trouble| *trouble != Trouble::Loading).collect()
}

fn start(times: &[&str]) -> io::Result<([Durable; 1], Proxy)> {
    let instances = [Durable::start()?];
    let proxy = launch("pdwfs", times).upstreams(&addresses(&instances)).start()?;
    Ok((instances, proxy))
}

#[test]
fn a_request_waits_until_the_trouble_is_over() -> io::Result<()> {
    at_once(&told(), |trouble| {
        let (mut instances, proxy) = start(&[])?;
        let mut session = proxy.connect()?;
        session.demand(&["SET", "k", "before"])?;
        trouble.begin(&mut instances[0])?;
        session.send(&encode(trouble.request()))?;
        assert_waits(&mut session, trouble.word())?;
        trouble.end(&mut instances[0])?;
        let ended = Instant::now();
        assert_eq!(session.receive()?.value.error(), None, "{trouble:?}");
        assert!(ended.elapsed() < Duration::from_secs(5), "{trouble:?}: {:?}", ended.elapsed());
        Ok(())
    })
}

#[test]
fn a_transaction_waits_as_a_whole() -> io::Result<()> {
    // A replica without a master answers reads in its own way only.
    let writable: Vec<_> = told().into_iter().filter(|trouble| *trouble != Trouble::MasterDown).collect();
    at_once(&writable, |trouble| {
        let (mut instances, proxy) = start(&[])?;
        let mut session = proxy.connect()?;
        session.demand(&["SET", "k", "before"])?;
        trouble.begin(&mut instances[0])?;
        let lines: [&[&str]; 4] = [&["MULTI"], &["SADD", "/m/f:stripes", "0"], &["SET", "/m/f:0", "data"], &["EXEC"]];
        session.send(&lines.iter().flat_map(|line| encode(line)).collect::<Vec<u8>>())?;
        assert_waits(&mut session, trouble.word())?;
        trouble.end(&mut instances[0])?;
        let replies: Vec<Vec<u8>> = session.receive_many(4)?.into_iter().map(|reply| reply.raw).collect();
        let text = String::from_utf8_lossy(&replies.concat()).into_owned();
        assert_eq!(text, "+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n:1\r\n+OK\r\n", "{trouble:?}");
        Ok(())
    })
}

#[test]
fn a_client_that_waits_at_every_command_of_a_transaction_hears_of_no_trouble() -> io::Result<()> {
    let (mut instances, proxy) = start(&[])?;
    let mut session = proxy.connect()?;
    Trouble::OutOfMemory.begin(&mut instances[0])?;
    for line in [&["MULTI"] as &[&str], &["SADD", "{t}s", "0"], &["SET", "{t}k", "data"]] {
        session.demand(line)?;
    }
    session.send(&encode(&["EXEC"]))?;
    assert_waits(&mut session, "OOM")?;
    Trouble::OutOfMemory.end(&mut instances[0])?;
    assert_eq!(heard(&mut session)?, "*2\r\n:1\r\n+OK\r\n");
    Ok(())
}

#[test]
fn a_load_on_an_instance_that_restarts_and_loads_sees_no_error() -> io::Result<()> {
    let (mut instances, proxy) = start(&["reconnect_max = '500ms'"])?;
    let mut session = proxy.connect()?;
    session.demand(&["SET", "k", "kept"])?;
    Trouble::Loading.begin(&mut instances[0])?;
    assert_eq!(session.demand(&["GET", "k"])?.bytes(), b"kept");
    session.demand(&["SET", "k", "new"])?;
    Trouble::Loading.end(&mut instances[0])
}

#[test]
fn after_the_patience_the_instances_own_words_are_given() -> io::Result<()> {
    at_once(&told(), |trouble| {
        let (mut instances, proxy) = start(&["patience = '1s'", "connect_timeout = '1s'"])?;
        let mut session = proxy.connect()?;
        session.demand(&["SET", "k", "before"])?;
        trouble.begin(&mut instances[0])?;
        let started = Instant::now();
        let error = session.call(trouble.request())?.error().unwrap_or_default();
        // On a slow machine a last try may be under way, and then nobody knows.
        assert!(error.starts_with(trouble.word()) || error == UNKNOWN, "{trouble:?}: {error}");
        let waited = started.elapsed();
        assert!(waited > Duration::from_millis(800) && waited < Duration::from_secs(3), "{trouble:?}: {waited:?}");
        trouble.end(&mut instances[0])?;
        Ok(())
    })
}

#[test]
fn a_doomed_transaction_gives_the_words_of_the_command_that_doomed_it_or_execabort() -> io::Result<()> {
    let (mut instances, proxy) = start(&["patience = '1s'", "connect_timeout = '1s'"])?;
    let mut session = proxy.connect()?;
    session.demand(&["SET", "k", "before"])?;
    Trouble::OutOfMemory.begin(&mut instances[0])?;
    session.send(&[encode(&["MULTI"]), encode(&["SET", "k", "data"]), encode(&["EXEC"])].concat())?;
    let replies = session.receive_many(3)?;
    let error = replies[2].value.error().unwrap_or_default();
    assert!(error.starts_with("EXECABORT"), "{replies:?}");
    Trouble::OutOfMemory.end(&mut instances[0])?;
    assert_eq!(session.demand(&["GET", "k"])?.bytes(), b"before");
    Ok(())
}

#[test]
fn every_other_error_is_handed_on_at_once() -> io::Result<()> {
    let (_instances, proxy) = start(&[])?;
    let mut session = proxy.connect()?;
    session.demand(&["SADD", "set", "x"])?;
    let started = Instant::now();
    let wrong: [(&[&str], &str); 4] = [
        (&["GET", "set"], "WRONGTYPE"),
        (&["EVALSHA", "ffffffffffffffffffffffffffffffffffffffff", "1", "k"], "NOSCRIPT"),
        (&["SETRANGE", "k", "-1", "x"], "ERR"),
        (&["EVAL", "return redis.error_reply('MINE own words')", "1", "k"], "MINE"),
    ];
    for (command, word) in wrong {
        let error = session.call(command)?.error().unwrap_or_default();
        assert!(error.starts_with(word), "{command:?}: {error}");
    }
    let abort = [encode(&["MULTI"]), encode(&["SET", "k"]), encode(&["EXEC"])].concat();
    session.send(&abort)?;
    assert!(session.receive_many(3)?[2].value.error().is_some_and(|text| text.starts_with("EXECABORT")));
    assert!(started.elapsed() < Duration::from_secs(1), "{:?}", started.elapsed());
    Ok(())
}

#[test]
fn a_script_that_has_done_something_and_then_says_busy_is_not_run_again() -> io::Result<()> {
    let (_instances, proxy) = start(&["patience = '1s'", "connect_timeout = '1s'"])?;
    let mut session = proxy.connect()?;
    let script = "redis.call('INCR', KEYS[1]) return redis.error_reply('BUSY is what the script says')";
    let error = session.call(&["EVAL", script, "1", "n"])?.error().unwrap_or_default();
    assert!(error.starts_with("BUSY is what the script says"), "{error}");
    assert_eq!(session.demand(&["GET", "n"])?.text(), "1");
    Ok(())
}

#[test]
fn pauses_grow_and_others_are_served_meanwhile() -> io::Result<()> {
    let mut scene = Scene::start("pdwfs", 2, &[])?;
    let (mut session, mut other) = (scene.session()?, scene.session()?);
    let (full, there) = (scene.keys(0)[0].clone(), scene.keys(1)[0].clone());
    Trouble::OutOfMemory.begin(&mut scene.instances[0])?;
    let before = rejected(&scene.instances[0])?;
    session.send(&encode(&["SET", &full, "x"]))?;
    let started = Instant::now();
    let mut served = 0;
    while started.elapsed() < Duration::from_secs(2) {
        other.demand(&["SET", &there, "x"])?;
        // A read of the instance that is full is taken by it, and passes by what waits.
        other.demand(&["GET", &full])?;
        served += 1;
        thread::sleep(Duration::from_millis(5));
    }
    let tried = rejected(&scene.instances[0])? - before;
    assert!(served > 50 && (3..60).contains(&tried), "{served} served, tried {tried} times");
    Trouble::OutOfMemory.end(&mut scene.instances[0])?;
    assert_eq!(heard(&mut session)?, "+OK\r\n");
    Ok(())
}

/// How often an instance has refused a `SET`.
fn rejected(instance: &Durable) -> io::Result<u64> {
    let text = instance.connect()?.demand(&["INFO", "commandstats"])?.text();
    let line = text.lines().find(|line| line.starts_with("cmdstat_set:")).unwrap_or_default();
    let field = line.split(',').find_map(|field| field.strip_prefix("rejected_calls="));
    field.and_then(|number| number.trim().parse().ok()).ok_or_else(|| io::Error::other(text))
}

#[test]
fn on_a_full_disk_requests_wait_for_room() -> io::Result<()> {
    let Some(mut instance) = on_small_disk() else { return Ok(()) };
    let proxy = launch("pdwfs", &[]).upstreams(&[instance.address().clone()]).start()?;
    let mut session = proxy.connect()?;
    session.demand(&["SET", "k", "v"])?;
    instance.fill_disk()?;
    Trouble::MisConfigured.until_told(&instance)?;
    session.send(&encode(&["SET", "k", "w"]))?;
    assert_waits(&mut session, "MISCONF")?;
    instance.free_disk()?;
    assert_eq!(heard(&mut session)?, "+OK\r\n");
    Ok(())
}
