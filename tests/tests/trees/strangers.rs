//! Whoever is no proxy of this version: told so, and what to do.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use pdw_router::frame::{self, StreamId};
use pdw_tests::address::Address;
use pdw_tests::connection::{Connection, encode, until};
use pdw_tests::instance::{Instance, addresses};
use pdw_tests::latency::keys_at;
use pdw_tests::proxy::Launch;

use super::{LIMIT, TOLD, launch_spine, leaf, spine, wait_served};

#[test]
fn an_instance_is_no_peer() -> io::Result<()> {
    let instance = Instance::start()?;
    let launch = Launch::new("redis", &[]).before_peers(&[instance.address().clone()]);
    let proxy = launch.argument("--log").argument("info").start()?;
    proxy.wait_log("does not answer PDW.HELLO as a pdw-proxy does")?;
    proxy.wait_log("use \"shards\" before instances")
}

#[test]
fn another_version_is_refused_with_what_to_do() -> io::Result<()> {
    let instances = Instance::start_many(1)?;
    let spine = spine("redis", &instances, "spine")?;
    let mut client = Connection::open_with(spine.address(), LIMIT)?;
    let answer = client.call(&["PDW.HELLO", "5", "node=x", "incarnation=y", "stream=1000", "link=1000"])?;
    let text = answer.error().unwrap_or_default();
    assert!(text.contains("version '5' is not spoken here, but version 4"), "{text}");
    assert!(text.contains("run the same version of pdw-proxy at both ends"), "{text}");
    // It is a session as before.
    client.demand(&["PING"]).map(drop)
}

#[test]
fn who_places_keys_otherwise_than_the_first_peer_gets_nothing() -> io::Result<()> {
    let instances = Instance::start_many(2)?;
    let first = spine("redis", &instances, "first")?;
    let place = Address::free_loopback()?;
    let peers = [first.address().clone(), place.clone()];
    let leaf = Launch::new("redis", &[]).before_peers(&peers).start()?;
    wait_served(&leaf)?;
    let mut turned = addresses(&instances);
    turned.reverse();
    let _other = launch_spine("redis", &instances, "other").upstreams(&turned).listen(&place).start()?;
    leaf.wait_log("it places keys otherwise than the other peers")?;
    let mut client = Connection::open_with(leaf.address(), LIMIT)?;
    for (shard, instance) in instances.iter().enumerate() {
        let key = &keys_at(shard, 2)[0];
        client.demand(&["SET", key, "x"])?;
        assert_eq!(instance.connect()?.demand(&["GET", key])?.text(), "x");
    }
    Ok(())
}

#[test]
fn a_peer_that_breaks_the_rules_loses_its_link_and_nobody_else_anything() -> io::Result<()> {
    let instances = Instance::start_many(2)?;
    let spine = spine("redis", &instances, "spine")?;
    let leaf = leaf("redis", &[&spine], "leaf")?;
    wait_served(&leaf)?;
    let frame = |stream: u32, flags: u8, payload: &[u8]| {
        [&stream.to_be_bytes()[..], &(payload.len() as u32).to_be_bytes(), &[flags, 0, 0, 0], payload].concat()
    };
    let broken = [
        b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec(),
        frame(7, 0, b"*1\r\n$4\r\nPING\r\n"),
        frame(1, 0x40, b""),
        frame(1, 2, b""),
        frame(0, 0, b"PING\r\n"),
        frame(1, 4, b"123"),
    ];
    for bytes in &broken {
        let mut stream = hello(&spine.address().to_string())?;
        stream.write_all(bytes)?;
        // The link is closed.
        io::copy(&mut stream, &mut io::sink())?;
    }
    let told = "a link of proxy rogue is closed: ";
    spine.wait_log(told)?;
    assert_eq!(spine.log().matches(told).count(), 1, "once a minute is enough: {}", spine.log());
    let mut client = Connection::open_with(leaf.address(), LIMIT)?;
    client.demand(&["SET", "a", "1"]).map(drop)
}

/// What a proxy says to a request for a fence that comes on a stream.
fn ask_for_fence(address: &str, name: &str) -> io::Result<String> {
    let (mut stream, mut wire) = (hello(address)?, Vec::new());
    frame::write_data(&mut wire, StreamId(1), None, &encode(&["PDW.FENCE", name]));
    stream.write_all(&wire)?;
    let mut seen = String::new();
    while !["OK", "ERR", "NOPERM"].iter().any(|word| seen.contains(word)) {
        let mut bytes = [0; 4096];
        let count = stream.read(&mut bytes)?;
        if count == 0 {
            return Err(io::Error::other(format!("it closed the link: {seen:?}")));
        }
        seen.push_str(&String::from_utf8_lossy(&bytes[..count]));
    }
    Ok(seen)
}

#[test]
fn a_fence_closes_the_connections_of_no_others_and_is_not_for_everybody() -> io::Result<()> {
    let instances = Instance::start_many(1)?;
    // It has given itself no name, as most have not.
    let mut bystander = Connection::open_with(instances[0].address(), LIMIT)?;
    bystander.demand(&["PING"])?;
    let open = spine("pdwfs", &instances, "open")?;
    let said = ask_for_fence(&open.address().to_string(), "")?;
    assert!(said.contains("ERR PDW.FENCE needs the name of a proxy's links"), "{said:?}");
    bystander.demand(&["PING"])?;
    let bounded = "[[user]]\nname = \"default\"\nrules = \"on nopass ~* +get +ping\"\n";
    let bounded = launch_spine("pdwfs", &instances, "bounded").config(bounded).start()?;
    let said = ask_for_fence(&bounded.address().to_string(), "pdw/1")?;
    assert!(said.contains("NOPERM"), "{said:?}");
    Ok(())
}

/// Links of a proxy that is fenced off: so many that not all of them are with one worker (but once in 10^4 times).
const LINKS: usize = 16;

/// How many of a proxy's links to a spine of two workers are left when it is fenced off.
fn left_of_a_fenced_proxy(mutant: Option<&str>) -> io::Result<usize> {
    let instances = Instance::start_many(1)?;
    let launch = launch_spine("pdwfs", &instances, "spine").workers(2);
    let spine = mutant.iter().fold(launch, |launch, mutant| launch.mutant(mutant)).start()?;
    let address = spine.address().to_string();
    let links = (0..LINKS).map(|_| hello_as(&address, "pdw/fenced")).collect::<io::Result<Vec<_>>>()?;
    let said = ask_for_fence(&address, "pdw/fenced")?;
    assert!(said.contains("+OK"), "{said:?}");
    let is_left = |mut link: TcpStream| {
        link.set_read_timeout(Some(Duration::from_millis(200)))?;
        // Behind the rest of the answer to its hello.
        match io::copy(&mut link, &mut io::sink()) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => Ok(false),
            closed => closed.map(|_| false),
        }
    };
    Ok(links.into_iter().map(is_left).collect::<io::Result<Vec<bool>>>()?.into_iter().filter(|left| *left).count())
}

#[test]
fn a_fence_closes_a_proxys_links_to_every_worker() -> io::Result<()> {
    assert_eq!(left_of_a_fenced_proxy(None)?, 0);
    Ok(())
}

#[test]
fn a_fence_of_one_worker_leaves_some() -> io::Result<()> {
    assert_ne!(left_of_a_fenced_proxy(Some("fence-of-one-worker"))?, 0);
    Ok(())
}

/// A connection on which the hello is answered.
fn hello(address: &str) -> io::Result<TcpStream> {
    hello_as(address, "pdw/rogue")
}

/// The same of a proxy whose links have this name.
fn hello_as(address: &str, name: &str) -> io::Result<TcpStream> {
    Ok(hello_until(address, name, &[], "placement=")?.0)
}

/// A connection on which a hello, which says so much more, is answered as far as these words, and the answer.
fn hello_until(address: &str, name: &str, more: &[&str], end: &str) -> io::Result<(TcpStream, String)> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(TOLD))?;
    let incarnation = format!("incarnation={name}");
    let words = ["PDW.HELLO", "4", "node=rogue", &incarnation, "stream=1000000", "link=1000000"];
    stream.write_all(&encode(&[&words, more].concat()))?;
    let mut seen = String::new();
    while !seen.contains(end) {
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        seen.push(byte[0].into());
    }
    Ok((stream, seen))
}

/// A frame of a stream with requests in it.
fn data(stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut wire = Vec::new();
    frame::write_data(&mut wire, StreamId(stream), None, payload);
    wire
}

#[test]
fn a_proxy_that_comes_and_goes_all_the_time_is_told_once_a_minute() -> io::Result<()> {
    let instances = Instance::start_many(1)?;
    let spine = launch_spine("redis", &instances, "spine").argument("--log").argument("info").start()?;
    wait_served(&spine)?;
    let address = spine.address().to_string();
    for _ in 0..20 {
        hello(&address)?.write_all(b"what is no frame")?;
    }
    hello_as(&address, "pdw/other")?;
    until("all have left", LIMIT, || {
        let links = spine.scrape()?.sum("pdw_peer_links");
        if links == 0.0 { Ok(()) } else { Err(io::Error::other(links.to_string())) }
    })?;
    let log = spine.log();
    for words in
        ["proxy rogue has made a link", "a link of proxy rogue is closed: ", "a link of proxy rogue is closed ("]
    {
        assert_eq!(log.matches(words).count(), 1, "{words}: {log}");
    }
    Ok(())
}

#[test]
fn what_comes_first_on_a_connection_that_has_changed_its_worker_is_not_taken_for_a_handshake() -> io::Result<()> {
    let instances = Instance::start_many(1)?;
    let spine = launch_spine("redis", &instances, "spine").workers(2).start()?;
    wait_served(&spine)?;
    let address = spine.address().to_string();
    let (_, said) = hello_until(&address, "pdw/rogue", &[], "placement=")?;
    let said = said.split("incarnation=").nth(1).and_then(|rest| rest.split("\r\n").next()).unwrap_or_default();
    // Half of them are with the other worker (all but once in 10^4 times one is), which does not know what they claim,
    // and has them as sessions.
    for nth in 0..16 {
        let claim = format!("resume={said} {}.999 0 0", nth % 2);
        let (mut stream, _) = hello_until(&address, "pdw/rogue", &[&claim], "has forgotten the link")?;
        // No text, and as long as what spiped begins with.
        let value = [0xff; 17];
        let bytes = [b"SET b ", &value[..], b"\r\nPING 1\r"].concat();
        assert_eq!(bytes.len(), 32);
        stream.write_all(&bytes)?;
        let mut reply = Vec::new();
        while !reply.ends_with(b"+OK\r\n") {
            let mut byte = [0];
            stream
                .read_exact(&mut byte)
                .map_err(|error| io::Error::other(format!("{nth}: {error}, {}", spine.log())))?;
            reply.push(byte[0]);
        }
    }
    Ok(())
}

#[test]
fn a_peer_that_sends_more_than_it_has_credit_for_loses_its_link() -> io::Result<()> {
    let mut instances = Instance::start_many(1)?;
    let spine = spine("redis", &instances, "spine")?;
    wait_served(&spine)?;
    // Nobody takes what it sends.
    instances[0].guard().freeze()?;
    let mut stream = hello(&spine.address().to_string())?;
    stream.write_all(&data(1, b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$100000000\r\n"))?;
    let piece = data(1, &[b'v'; frame::PAYLOAD_MAX]);
    // Far more than the stream's window, and than what sockets hold.
    let sent = (0..1000).try_for_each(|_| stream.write_all(&piece));
    let ended = io::copy(&mut stream, &mut io::sink());
    assert!(sent.is_err() || ended.is_ok());
    spine.wait_log("sends more than it was given credit for")?;
    instances[0].guard().thaw()?;
    wait_served(&spine)
}

#[test]
fn streams_that_never_end_hold_up_nobody_and_are_forgotten_with_their_link() -> io::Result<()> {
    let instances = Instance::start_many(1)?;
    let mut spine = spine("redis", &instances, "spine")?;
    wait_served(&spine)?;
    let before = spine.guard().resident_kib()?;
    let mut stream = hello(&spine.address().to_string())?;
    let many = 20_000;
    for id in 1..=many {
        stream.write_all(&data(id, b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$1000\r\nno more than this"))?;
    }
    until("all of them", LIMIT, || {
        let open = spine.scrape()?.value("pdw_streams{side=\"client\"}");
        if open as u32 == many { Ok(()) } else { Err(io::Error::other(open.to_string())) }
    })?;
    let mut client = Connection::open_with(spine.address(), LIMIT)?;
    client.demand(&["SET", "a", "1"])?;
    let grown = spine.guard().resident_kib()?.saturating_sub(before);
    assert!(grown < 48 << 10, "{grown} KiB for {many} streams");
    drop(stream);
    until("none of them", LIMIT, || {
        let open = spine.scrape()?.sum("pdw_streams");
        if open == 0.0 { Ok(()) } else { Err(io::Error::other(open.to_string())) }
    })
}

#[test]
fn more_streams_than_there_may_be_sessions_are_refused() -> io::Result<()> {
    let instances = Instance::start_many(1)?;
    let spine = launch_spine("redis", &instances, "spine").config("limits.sessions_max = 100\n").start()?;
    wait_served(&spine)?;
    let mut stream = hello(&spine.address().to_string())?;
    for id in 1..=500 {
        stream.write_all(&data(id, b"*3\r\n$3\r\nSET\r\n"))?;
    }
    until("some are refused", LIMIT, || {
        let scrape = spine.scrape()?;
        let (open, refused) = (scrape.sum("pdw_streams"), scrape.value("pdw_sessions_turned_away_total"));
        if open <= 100.0 && refused >= 400.0 { Ok(()) } else { Err(io::Error::other(format!("{open} {refused}"))) }
    })
}

#[test]
fn a_framed_link_that_has_all_the_streams_it_may_leaves_sessions_to_everybody_else() -> io::Result<()> {
    let instances = Instance::start_many(1)?;
    let limits = "[limits]\nsessions_max = 100\nstreams_max = 50\n";
    let spine = launch_spine("redis", &instances, "spine").config(limits).start()?;
    wait_served(&spine)?;
    let mut stream = hello(&spine.address().to_string())?;
    for id in 1..=500 {
        stream.write_all(&data(id, b"*3\r\n$3\r\nSET\r\n"))?;
    }
    until("the rest is refused", LIMIT, || {
        let scrape = spine.scrape()?;
        let numbers = [
            scrape.sum("pdw_streams"),
            scrape.value("pdw_limit{limit=\"streams_max\"}"),
            scrape.value("pdw_limit_used{limit=\"streams_max\"}"),
            scrape.value("pdw_refusals_total{kind=\"too_many_streams\"}"),
        ];
        if numbers == [50.0, 50.0, 50.0, 450.0] { Ok(()) } else { Err(io::Error::other(format!("{numbers:?}"))) }
    })?;
    let mut client = Connection::open_with(spine.address(), LIMIT)?;
    client.demand(&["SET", "a", "1"])?;
    let leaf = leaf("redis", &[&spine], "leaf")?;
    wait_served(&leaf)?;
    // What it has keeps on.
    stream.write_all(&data(1, b"$1\r\nb\r\n$1\r\n2\r\n"))?;
    until("its first stream is served", LIMIT, || {
        let value = client.demand(&["GET", "b"])?;
        if value.text() == "2" { Ok(()) } else { Err(io::Error::other(format!("{value:?}"))) }
    })
}

/// Answers the first words of every link with these.
fn answering(answer: &'static [u8]) -> io::Result<Address> {
    let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    let address = Address::Tcp(listener.local_addr()?);
    // It ends with the test's process.
    std::thread::spawn(move || {
        for mut socket in listener.incoming().flatten() {
            std::thread::spawn(move || {
                let _ = socket.read(&mut [0; 4096]);
                let _ = socket.write_all(answer);
                io::copy(&mut socket, &mut io::sink())
            });
        }
    });
    Ok(address)
}

#[test]
fn a_peer_of_a_later_version_is_told_from_one_that_is_away() -> io::Result<()> {
    let later = [
        &b"-ERR PDW.HELLO version '4' is not spoken here, but version 5: run the same version of pdw-proxy at both ends\r\n"[..],
        b"*6\r\n$9\r\nPDW.HELLO\r\n$1\r\n5\r\n$6\r\nnode=x\r\n$13\r\nincarnation=y\r\n$10\r\nstream=300\r\n$8\r\nlink=900\r\n",
    ];
    for answer in later {
        let launch = Launch::new("redis", &[]).before_peers(&[answering(answer)?]);
        let proxy = launch.spawn()?;
        proxy.wait_log("it speaks another version of the protocol between proxies: run the same version")?;
    }
    Ok(())
}
