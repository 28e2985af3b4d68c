//! Upstreams that are not what they should be.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use pdw_tests::address::Address;
use pdw_tests::connection::Connection;
use pdw_tests::instance::{Instance, Server, addresses};
use pdw_tests::proxy::{Launch, Proxy};

/// Profile `redis` fails fast; this is how fast at least.
const FAST: Duration = Duration::from_secs(40);

/// The error of a GET of some key that lives on the bad upstream of two.
fn an_error(proxy: &Proxy) -> io::Result<String> {
    let mut session = Connection::open_with(proxy.address(), FAST)?;
    for number in 0..50 {
        if let Some(error) = session.call(&["GET", &format!("key:{number}")])?.error() {
            return Ok(error);
        }
    }
    Err(io::Error::other("no key met the bad upstream"))
}

/// Whether keys of the good upstream are served.
fn some_work(proxy: &Proxy) -> io::Result<bool> {
    let mut session = Connection::open_with(proxy.address(), FAST)?;
    let answers = (0..50).map(|number| session.call(&["SET", &format!("key:{number}"), "v"]));
    Ok(answers.collect::<io::Result<Vec<_>>>()?.iter().any(|answer| answer.error().is_none()))
}

/// A listener that treats each connection in its own way until the test ends.
fn listener(treat: fn(TcpStream) -> io::Result<()>) -> io::Result<Address> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = Address::Tcp(listener.local_addr()?);
    std::thread::spawn(move || {
        for client in listener.incoming().flatten() {
            std::thread::spawn(move || treat(client));
        }
    });
    Ok(address)
}

fn http(mut client: TcpStream) -> io::Result<()> {
    let _ = client.read(&mut [0; 1024])?;
    client.write_all(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
}

fn silent(mut client: TcpStream) -> io::Result<()> {
    io::copy(&mut client, &mut io::sink()).map(drop)
}

fn flooding(mut client: TcpStream) -> io::Result<()> {
    let flood = [b'x'; 64 * 1024];
    loop {
        client.write_all(&flood)?;
    }
}

fn wrong_replies(mut client: TcpStream) -> io::Result<()> {
    let mut chunk = [0; 4096];
    while client.read(&mut chunk)? > 0 {
        client.write_all(b"*2\r\n$3\r\nfoo\r\n:1\r\n:2\r\n:3\r\n:4\r\n")?;
    }
    Ok(())
}

#[test]
fn what_is_not_redis_fails_its_own_requests_only() -> io::Result<()> {
    for treat in [http, silent, flooding, wrong_replies] {
        let good = Instance::start()?;
        let bad = listener(treat)?;
        let mut proxy = Launch::new("redis", &[good.address().clone(), bad]).start()?;
        let before = proxy.guard().resident_kib()?;
        assert!(some_work(&proxy)?);
        let started = Instant::now();
        let error = an_error(&proxy)?;
        assert!(started.elapsed() < FAST, "{error} after {:?}", started.elapsed());
        assert!(some_work(&proxy)?);
        let grown = proxy.guard().resident_kib()?.saturating_sub(before);
        assert!(grown < 32 * 1024, "grew by {grown} KiB");
    }
    Ok(())
}

#[test]
fn a_proxy_pointed_at_itself_does_not_start_and_says_why() -> io::Result<()> {
    for (listen, reach) in [([127, 0, 0, 1], [127, 0, 0, 1]), ([0, 0, 0, 0], [127, 0, 0, 2])] {
        let port = Address::free_loopback()?.port();
        let address = |host: [u8; 4]| Address::Tcp(SocketAddr::from((host, port)));
        let mut proxy = Launch::new("redis", &[address(reach)]).listen(&address(listen)).spawn()?;
        assert!(!proxy.guard().wait_end(FAST)?.success());
        let said = proxy.guard().output();
        assert!(said.contains("its own listener") && said.contains(&address(listen).to_string()), "{said}");
    }
    Ok(())
}

#[test]
fn duplicate_upstreams_are_refused_at_the_start() -> io::Result<()> {
    let instance = Instance::start()?;
    let twice = [instance.address().clone(), instance.address().clone()];
    let mut proxy = Launch::new("redis", &twice).spawn()?;
    let status = proxy.guard().wait_end(FAST)?;
    assert!(!status.success());
    let said = proxy.guard().output();
    assert!(said.contains(&instance.address().to_string()) && said.contains("twice"), "{said}");
    Ok(())
}

/// Arguments of an instance whose default user may run everything but `denied`.
fn denying(denied: &str) -> io::Result<Instance> {
    Instance::start_with(&Server::redis(), &["--user", "default", "on", "nopass", "~*", "&*", "+@all", denied])
}

#[test]
fn without_multi_a_transaction_is_refused_at_its_start() -> io::Result<()> {
    let instances = [denying("-multi")?];
    let proxy = Launch::new("redis", &addresses(&instances)).start()?;
    let mut session = Connection::open_with(proxy.address(), FAST)?;
    session.demand(&["SET", "plain", "works"])?;
    assert!(session.call(&["MULTI"])?.error().is_some());
    let waiting = [session.call(&["DISCARD"])?, session.call(&["EXEC"])?];
    assert!(waiting.iter().all(|reply| reply.error().is_some()), "{waiting:?}");
    session.send(b"MULTI\r\nSET queued 1\r\nEXEC\r\n")?;
    let replies = session.receive_many(3)?;
    assert!(replies[0].value.error().is_some() && replies[2].value.error().is_some(), "{replies:?}");
    assert_eq!(session.demand(&["GET", "plain"])?.text(), "works");
    Ok(())
}

#[test]
fn without_info_everything_else_works() -> io::Result<()> {
    let instances = [denying("-info")?, denying("-info")?];
    let proxy = Launch::new("redis", &addresses(&instances)).start()?;
    let mut session = Connection::open_with(proxy.address(), FAST)?;
    assert!(some_work(&proxy)?);
    session.demand(&["MULTI"])?;
    session.demand(&["INCR", "n"])?;
    assert_eq!(session.demand(&["EXEC"])?.elements()[0].integer(), Some(1));
    Ok(())
}
