//! Requests that are too long, or never come to their end: memory stays within the limits.

use std::io;
use std::time::Duration;

use pdw_tests::connection::{Connection, encode};
use pdw_tests::instance::{Instance, addresses};
use pdw_tests::proxy::{Launch, Proxy};

/// What many half-sent requests may add to the proxy's resident memory, in KiB.
const GROWTH_MAX: u64 = 48 * 1024;

/// Sessions that send a head and then nothing.
const SESSIONS: usize = 100;

/// `limits.key_max` unless configured.
const KEY_MAX: usize = 64 * 1024;

fn start(profile: &'static str) -> io::Result<(Vec<Instance>, Proxy)> {
    let instances = Instance::start_many(2)?;
    let proxy = Launch::new(profile, &addresses(&instances)).start()?;
    Ok((instances, proxy))
}

/// Whether somebody else is served, now.
fn serves(proxy: &Proxy) -> io::Result<()> {
    let mut other = Connection::open_with(proxy.address(), Duration::from_secs(5))?;
    other.demand(&["SET", "other", "served"])?;
    assert_eq!(other.demand(&["GET", "other"])?.text(), "served");
    Ok(())
}

/// The most that the proxy's memory grows while `SESSIONS` sessions have each sent `bytes`, in KiB.
fn growth(proxy: &mut Proxy, bytes: &[u8]) -> io::Result<u64> {
    serves(proxy)?;
    let before = proxy.guard().resident_kib()?;
    let sessions = (0..SESSIONS).map(|_| {
        let mut session = Connection::open_with(proxy.address(), Duration::from_secs(5))?;
        let _ = session.send(bytes);
        Ok(session)
    });
    let sessions = sessions.collect::<io::Result<Vec<_>>>()?;
    std::thread::sleep(Duration::from_millis(300));
    let after = proxy.guard().resident_kib()?;
    serves(proxy)?;
    drop(sessions);
    Ok(after.saturating_sub(before))
}

#[test]
fn announced_sizes_cost_no_memory_before_their_bytes_arrive() -> io::Result<()> {
    let (_instances, mut proxy) = start("redis")?;
    let heads: [&[u8]; 4] = [
        b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$536870912\r\nabc",
        b"*1048576\r\n$4\r\nMGET\r\n",
        b"*2147483647\r\n$4\r\nMGET\r\n",
        b"*2\r\n$3\r\nGET\r\n$536870912\r\nabc",
    ];
    for head in heads {
        let grown = growth(&mut proxy, head)?;
        assert!(grown < GROWTH_MAX, "{} grew by {grown} KiB", head.escape_ascii());
    }
    Ok(())
}

#[test]
fn an_inline_line_of_ten_megabytes_is_cut_off() -> io::Result<()> {
    let (_instances, mut proxy) = start("redis")?;
    let line = [vec![b'a'; 10 << 20], b"\r\n".to_vec()].concat();
    let grown = growth(&mut proxy, &line)?;
    assert!(grown < GROWTH_MAX, "grew by {grown} KiB");
    let mut session = proxy.connect()?;
    let _ = session.send(&line);
    // The error may be lost when the connection is reset under the sender; that it closes may not.
    let (reply, closed) = session.drain(Duration::from_secs(5))?;
    assert!(closed);
    assert!(
        reply.is_empty() || reply == b"-ERR Protocol error: too big inline request\r\n",
        "{}",
        reply.escape_ascii()
    );
    Ok(())
}

#[test]
fn a_half_sent_value_disturbs_nobody_and_ends_with_its_session() -> io::Result<()> {
    for profile in ["redis", "pdwfs"] {
        let (instances, proxy) = start(profile)?;
        let mut session = proxy.connect()?;
        session.send(b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$1000000\r\n")?;
        session.send(&[b'x'; 300_000])?;
        serves(&proxy)?;
        drop(session);
        serves(&proxy)?;
        for instance in &instances {
            assert_eq!(instance.connect()?.demand(&["EXISTS", "k"])?.integer(), Some(0));
        }
    }
    Ok(())
}

#[test]
fn keys_of_no_bytes_work_and_too_long_ones_are_refused() -> io::Result<()> {
    let (_instances, proxy) = start("redis")?;
    let mut session = proxy.connect()?;
    session.demand(&["SET", "", "empty"])?;
    assert_eq!(session.demand(&["GET", ""])?.text(), "empty");
    assert_eq!(session.demand(&["DEL", "", "none"])?.integer(), Some(1));
    let (longest, too_long) = ("k".repeat(KEY_MAX), "k".repeat(KEY_MAX + 1));
    session.demand(&["SET", &longest, "v"])?;
    assert_eq!(session.demand(&["GET", &longest])?.text(), "v");
    for command in [vec!["GET", &too_long], vec!["SET", &too_long, "v"], vec!["MGET", "a", &too_long]] {
        let error = session.call(&command)?.error().unwrap_or_default();
        assert!(error.contains("key_max"), "{}: {error}", command[0]);
    }
    assert_eq!(session.demand(&["GET", &longest])?.text(), "v");
    Ok(())
}

#[test]
fn a_too_long_key_in_a_transaction_aborts_it() -> io::Result<()> {
    let (_instances, proxy) = start("redis")?;
    let mut session = proxy.connect()?;
    let too_long = "k".repeat(KEY_MAX + 1);
    session.demand(&["MULTI"])?;
    session.demand(&["SET", "a", "1"])?;
    assert!(session.call(&["SET", &too_long, "1"])?.error().is_some());
    assert!(session.call(&["EXEC"])?.error().unwrap_or_default().starts_with("EXECABORT"));
    assert_eq!(session.demand(&["EXISTS", "a"])?.integer(), Some(0));
    Ok(())
}

#[test]
fn large_values_pass_unchanged() -> io::Result<()> {
    let (_instances, proxy) = start("redis")?;
    let mut session = proxy.connect()?;
    for size in [65_535, 65_536, 1 << 20, 5 << 20] {
        let value: Vec<u8> = (0..size).map(|n: usize| (n * 7 + n / 251) as u8).collect();
        session.demand(&[&b"SET"[..], b"large", &value])?;
        assert!(session.demand(&["GET", "large"])?.bytes() == value, "{size} bytes");
    }
    Ok(())
}

#[test]
fn many_requests_without_reading_do_not_fill_memory() -> io::Result<()> {
    let (_instances, mut proxy) = start("redis")?;
    let mut session = Connection::open_with(proxy.address(), Duration::from_secs(3))?;
    session.demand(&["SET", "large", &"v".repeat(16 * 1024)])?;
    let before = proxy.guard().resident_kib()?;
    let requests = encode(&["GET", "large"]).repeat(1000);
    // Sooner or later the proxy stops reading, and the send times out.
    let stopped = (0..40).any(|_| session.send(&requests).is_err());
    let grown = proxy.guard().resident_kib()?.saturating_sub(before);
    assert!(grown < GROWTH_MAX, "grew by {grown} KiB, stopped reading: {stopped}");
    serves(&proxy)
}
