//! Profile `pdwfs` repeats what its link lost, where the state comes out the same, and nothing else.

use std::io;
use std::time::{Duration, Instant};

use pdw_tests::connection::{Connection, encode, until};
use pdw_tests::durable::{Durable, NO_CLIENT_KILL};
use pdw_tests::fault::{End, Way};
use pdw_tests::instance::Server;

use crate::scene::{LIMIT, Scene, UNKNOWN, assert_error, at_once, heard, launch};

/// pdwfs's own script that cuts a stripe.
const TRIM_SHA: &str = "093296b6885f97a7cb3a40d80021dc5f5cec920d";

/// What an operator reads of how many were repeated.
const SAME: &str = "pdw_repeats_total{reply=\"same\"}";
const MAY_DIFFER: &str = "pdw_repeats_total{reply=\"may_differ\"}";

type Command = &'static [&'static str];

/// A command, and what it answers when it is carried out a second time.
const REPEATED: [(Command, &str, &str); 17] = [
    (&["SET", "k", "v"], "+OK\r\n", SAME),
    (&["GET", "there"], "$5\r\nhello\r\n", SAME),
    (&["GETRANGE", "there", "1", "3"], "$3\r\nell\r\n", SAME),
    (&["STRLEN", "there"], ":5\r\n", SAME),
    (&["EXISTS", "there"], ":1\r\n", SAME),
    (&["SMEMBERS", "set"], "*1\r\n$3\r\none\r\n", SAME),
    (&["SETRANGE", "there", "1", "ELL"], ":5\r\n", SAME),
    (&["EXPIRE", "there", "1000"], ":1\r\n", SAME),
    (&["HGET", "hash", "f"], "$1\r\nv\r\n", SAME),
    (&["EVALSHA", TRIM_SHA, "1", "there", "2"], "-NOSCRIPT No matching script. Please use EVAL.\r\n", MAY_DIFFER),
    (&["SADD", "set", "two"], ":0\r\n", MAY_DIFFER),
    (&["SREM", "set", "one"], ":0\r\n", MAY_DIFFER),
    (&["SETNX", "new", "v"], ":0\r\n", MAY_DIFFER),
    (&["HSET", "hash", "g", "v"], ":0\r\n", MAY_DIFFER),
    (&["DEL", "there"], ":0\r\n", MAY_DIFFER),
    (&["UNLINK", "set"], ":0\r\n", MAY_DIFFER),
    (&["MSET", "a", "1", "b", "2"], "+OK\r\n", SAME),
];

/// Commands whose repeat would make another state, each with how that state is asked for, and what it is after one.
const NOT_REPEATED: [(Command, Command, &str); 8] = [
    (&["INCR", "n"], &["GET", "n"], "$1\r\n1\r\n"),
    (&["APPEND", "there", "!"], &["GET", "there"], "$6\r\nhello!\r\n"),
    (&["LPUSH", "list", "x"], &["LLEN", "list"], ":3\r\n"),
    (&["LPOP", "list"], &["LLEN", "list"], ":1\r\n"),
    (&["SPOP", "set"], &["SCARD", "set"], ":0\r\n"),
    (&["XADD", "stream", "*", "f", "v"], &["XLEN", "stream"], ":1\r\n"),
    (&["EVAL", "return redis.call('INCR', KEYS[1])", "1", "n"], &["GET", "n"], "$1\r\n1\r\n"),
    (&["GETDEL", "there"], &["EXISTS", "there"], ":0\r\n"),
];

fn prepare(direct: &mut Connection) -> io::Result<()> {
    let lines: [Command; 6] = [
        &["FLUSHALL"],
        &["SCRIPT", "FLUSH"],
        &["SET", "there", "hello"],
        &["SADD", "set", "one"],
        &["HSET", "hash", "f", "v"],
        &["RPUSH", "list", "a", "b"],
    ];
    lines.iter().try_for_each(|line| direct.demand(line).map(drop))
}

#[test]
fn what_makes_the_same_state_is_repeated_and_counted() -> io::Result<()> {
    let scene = Scene::start("pdwfs", 1, &[])?;
    let (mut session, mut direct) = (scene.session()?, scene.instances[0].connect()?);
    for (command, reply, counted) in REPEATED {
        prepare(&mut direct)?;
        let before = scene.proxy.nearest().scrape()?;
        let started = Instant::now();
        scene.lose_replies(&mut session, &encode(command))?;
        assert_eq!(String::from_utf8_lossy(&session.receive()?.raw), reply, "{command:?}");
        assert!(started.elapsed() < Duration::from_secs(3), "{command:?} after {:?}", started.elapsed());
        let after = scene.proxy.nearest().scrape()?;
        let counts = [SAME, MAY_DIFFER].map(|series| (after.value(series) - before.value(series), series == counted));
        assert!(counts.iter().all(|(count, counted)| (*count > 0.0) == *counted), "{command:?}: {counts:?}");
    }
    Ok(())
}

#[test]
fn what_would_make_another_state_is_not_repeated() -> io::Result<()> {
    let scene = Scene::start("pdwfs", 1, &[])?;
    let (mut session, mut direct) = (scene.session()?, scene.instances[0].connect()?);
    for (command, question, state) in NOT_REPEATED {
        prepare(&mut direct)?;
        scene.lose_replies(&mut session, &encode(command))?;
        let reply = session.receive()?.value;
        assert_eq!(reply.error().as_deref(), Some(UNKNOWN), "{command:?}");
        direct.send(&encode(question))?;
        assert_eq!(String::from_utf8_lossy(&direct.receive()?.raw), state, "{command:?}");
        session.demand(question)?;
    }
    Ok(())
}

/// What a counter is after one `INCR` whose reply was lost.
fn counted(mutant: Option<&str>) -> io::Result<String> {
    let scene = Scene::mutated(&[], mutant)?;
    let mut session = scene.session()?;
    scene.lose_replies(&mut session, &encode(&["INCR", "n"]))?;
    session.receive()?;
    Ok(session.demand(&["GET", "n"])?.text())
}

#[test]
fn a_proxy_that_repeats_anything_is_caught() -> io::Result<()> {
    assert_eq!((counted(None)?, counted(Some("repeated-anything"))?), ("1".to_owned(), "2".to_owned()));
    Ok(())
}

/// The commands of a transaction, one after the other, without waiting.
fn transaction(commands: &[Command]) -> Vec<u8> {
    let middle = commands.iter().flat_map(|command| encode(command));
    [encode(&["MULTI"]), middle.collect(), encode(&["EXEC"])].concat()
}

#[test]
fn a_stripe_is_written_again_and_a_transaction_that_counts_is_not() -> io::Result<()> {
    let scene = Scene::start("pdwfs", 1, &[])?;
    let (mut session, mut direct) = (scene.session()?, scene.instances[0].connect()?);
    let stripe = transaction(&[&["SADD", "/m/f:stripes", "0"], &["SETRANGE", "/m/f:0", "0", "data"]]);
    scene.lose_replies(&mut session, &stripe)?;
    let replies: Vec<Vec<u8>> = session.receive_many(4)?.into_iter().map(|reply| reply.raw).collect();
    assert_eq!(String::from_utf8_lossy(&replies.concat()), "+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n:0\r\n:4\r\n");
    assert!(scene.proxy.nearest().scrape()?.value(MAY_DIFFER) > 0.0);
    let counting = transaction(&[&["SET", "{t}a", "1"], &["INCR", "{t}n"]]);
    scene.lose_replies(&mut session, &counting)?;
    assert_error(&session.receive_many(4)?[3].value, UNKNOWN);
    assert_eq!(direct.demand(&["GET", "{t}n"])?.bytes(), b"1");
    Ok(())
}

#[test]
fn a_reply_or_a_request_cut_at_any_byte_is_made_good() -> io::Result<()> {
    let scene = Scene::start("pdwfs", 1, &[])?;
    let (mut session, key) = (scene.session()?, &scene.keys(0)[0]);
    let request = encode(&["SETRANGE", key, "0", "hello"]);
    for bytes in 0..request.len() as u64 {
        let (way, end) = if bytes % 2 == 0 { (Way::Forth, End::Reset) } else { (Way::Back, End::Fin) };
        scene.faults[0].cut_after(way, bytes / if way == Way::Back { 8 } else { 1 }, end)?;
        session.send(&request)?;
        assert_eq!(heard(&mut session)?, ":5\r\n", "{way:?} cut after {bytes}");
        assert_eq!(session.demand(&["GET", key])?.bytes(), b"hello");
    }
    Ok(())
}

/// What has reached the instance of a session's ten writes, of which it answers none.
fn unanswered(mutant: Option<&str>) -> io::Result<String> {
    let scene = Scene::mutated(&[], mutant)?;
    let mut session = scene.session()?;
    scene.faults[0].stall(Way::Back)?;
    session.send(&(0..10).flat_map(|number| encode(&["SET", "k", &number.to_string()])).collect::<Vec<u8>>())?;
    std::thread::sleep(Duration::from_millis(300));
    Ok(scene.instances[0].connect()?.demand(&["GET", "k"])?.text())
}

#[test]
fn a_proxy_that_sends_the_second_before_the_first_is_answered_is_caught() -> io::Result<()> {
    assert_eq!((unanswered(None)?, unanswered(Some("hold-overtakes"))?), ("0".to_owned(), "9".to_owned()));
    Ok(())
}

#[test]
fn a_session_keeps_its_order_when_its_links_are_lost() -> io::Result<()> {
    let scene = Scene::start("pdwfs", 1, &[])?;
    let mut session = scene.session()?;
    let writes: Vec<u8> = (0..200).flat_map(|number| encode(&["SET", "k", &number.to_string()])).collect();
    session.send(&writes)?;
    for _ in 0..5 {
        std::thread::sleep(Duration::from_millis(3));
        scene.faults[0].end(End::Reset)?;
    }
    let replies = session.receive_many(200)?;
    assert!(replies.iter().all(|reply| reply.raw == b"+OK\r\n"), "{replies:?}");
    assert_eq!(session.demand(&["GET", "k"])?.bytes(), b"199");
    Ok(())
}

#[test]
fn two_sessions_with_requests_on_one_lost_link_both_get_their_own() -> io::Result<()> {
    let scene = Scene::start("pdwfs", 1, &[])?;
    let mut sessions = (0..20).map(|_| scene.session()).collect::<io::Result<Vec<_>>>()?;
    let name = |at: usize| format!("own:{at}:x");
    for (at, session) in sessions.iter_mut().enumerate() {
        session.demand(&["SET", &name(at), &name(at)])?;
    }
    scene.faults[0].stall(Way::Back)?;
    for (at, session) in sessions.iter_mut().enumerate() {
        session.send(&encode(&["GET", &name(at)]))?;
    }
    std::thread::sleep(Duration::from_millis(100));
    scene.faults[0].end(End::Reset)?;
    scene.faults[0].heal()?;
    for (at, session) in sessions.iter_mut().enumerate() {
        assert_eq!(session.receive()?.value.text(), name(at));
    }
    Ok(())
}

#[test]
fn without_the_right_to_fence_only_reads_are_repeated_and_the_log_says_so() -> io::Result<()> {
    at_once(&[NO_CLIENT_KILL[7], "-client|info"], |forbidden| {
        let arguments = [&NO_CLIENT_KILL[..7], &[forbidden]].concat();
        let instances = vec![Durable::start_with(&Server::redis(), &arguments)?];
        let scene = Scene::before(instances, &launch("pdwfs", &[]))?;
        let mut session = scene.session()?;
        session.demand(&["SET", "k", "v"])?;
        scene.lose_replies(&mut session, &encode(&["GET", "k"]))?;
        assert_eq!(session.receive()?.value.bytes(), b"v", "{forbidden}");
        scene.lose_replies(&mut session, &encode(&["SET", "k", "w"]))?;
        assert_error(&session.receive()?.value, UNKNOWN);
        let told = || {
            let log = scene.proxy.nearest().log();
            log.contains("CLIENT").then_some(()).ok_or_else(|| io::Error::other(format!("{forbidden}: {log}")))
        };
        until("a line in the log", Duration::from_secs(5), told)?;
        Ok(())
    })
}

#[test]
fn a_reply_of_which_a_half_came_before_silence_is_asked_for_again() -> io::Result<()> {
    let scene = Scene::start("pdwfs", 1, &[])?;
    let mut session = Connection::open_with(scene.proxy.address(), LIMIT)?;
    let value = "x".repeat(10_000);
    session.demand(&["SET", "k", &value])?;
    scene.faults[0].cut_after(Way::Back, 5000, End::TargetGone)?;
    let started = Instant::now();
    assert!(session.demand(&["GET", "k"])?.text() == value);
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
    Ok(())
}
