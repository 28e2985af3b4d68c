//! Whoever is no proxy of this version: told so, and what to do.

use std::io::{self, Read, Write};
use std::net::TcpStream;

use pdw_router::frame::{self, StreamId};
use pdw_tests::address::Address;
use pdw_tests::connection::{Connection, encode};
use pdw_tests::instance::{Instance, addresses};
use pdw_tests::latency::keys_at;
use pdw_tests::proxy::Launch;

use super::{LIMIT, TOLD, launch_spine, leaf, spine, wait_log, wait_served};

#[test]
fn an_instance_is_no_peer() -> io::Result<()> {
    let instance = Instance::start()?;
    let launch = Launch::new("redis", &[]).before_peers(&[instance.address().clone()]);
    let mut proxy = launch.argument("--log").argument("info").start()?;
    wait_log(&mut proxy, "does not answer PDW.HELLO as a pdw-proxy does")?;
    wait_log(&mut proxy, "use \"shards\" before instances")
}

#[test]
fn another_version_is_refused_with_what_to_do() -> io::Result<()> {
    let instances = Instance::start_many(1)?;
    let spine = spine("redis", &instances, "spine")?;
    let mut client = Connection::open_with(spine.address(), LIMIT)?;
    let answer = client.call(&["PDW.HELLO", "2", "node=x", "incarnation=y", "stream=1000", "link=1000"])?;
    let text = answer.error().unwrap_or_default();
    assert!(text.contains("version '2' is not spoken here, but version 1"), "{text}");
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
    let mut leaf = Launch::new("redis", &[]).before_peers(&peers).start()?;
    wait_served(&leaf)?;
    let mut turned = addresses(&instances);
    turned.reverse();
    let _other = launch_spine("redis", &instances, "other").upstreams(&turned).listen(&place).start()?;
    wait_log(&mut leaf, "it places keys otherwise than the other peers")?;
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
    let mut spine = spine("redis", &instances, "spine")?;
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
    wait_log(&mut spine, "a link of proxy rogue is closed: ")?;
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

/// A connection on which the hello is answered.
fn hello(address: &str) -> io::Result<TcpStream> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(TOLD))?;
    let words = ["PDW.HELLO", "1", "node=rogue", "incarnation=pdw/rogue", "stream=1000000", "link=1000000"];
    stream.write_all(&encode(&words))?;
    let mut seen = Vec::new();
    while !String::from_utf8_lossy(&seen).contains("placement=") {
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        seen.push(byte[0]);
    }
    Ok(stream)
}
