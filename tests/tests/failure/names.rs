//! Upstreams by name: the name fails, or means another address than before.
//!
//! The proxy gets a mount namespace of its own, in which the test writes the hosts file.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use pdw_tests::address::Address;
use pdw_tests::connection::until;
use pdw_tests::durable::Durable;
use pdw_tests::fault::{Cue, Door, End, FaultProxy};
use pdw_tests::proxy::Proxy;

use crate::scene::launch;

const NAME: &str = "upstream.pdw.test";

const WITH_OWN_HOSTS: &str = r#"mount --bind "$0" /etc/hosts && exec "$@""#;

/// Two instances that only their addresses tell apart, and a proxy that knows a name.
struct Named {
    instances: [Durable; 2],
    doors: [FaultProxy; 2],
    hosts: tempfile::NamedTempFile,
    proxy: Proxy,
}

fn name(hosts: &Path, address: &str) -> io::Result<()> {
    std::fs::write(hosts, format!("127.0.0.1 localhost\n{address} {NAME}\n"))
}

fn start() -> io::Result<Named> {
    let instances = [Durable::start()?, Durable::start()?];
    let port = Address::free_loopback()?.port();
    let at = |host: [u8; 4]| Address::Tcp(SocketAddr::from((host, port)));
    let doors = [
        FaultProxy::listen(&at([127, 0, 0, 1]), instances[0].address())?,
        FaultProxy::listen(&at([127, 0, 0, 2]), instances[1].address())?,
    ];
    let hosts = tempfile::NamedTempFile::new()?;
    name(hosts.path(), "127.0.0.1")?;
    let file = hosts.path().to_string_lossy().into_owned();
    let launch =
        launch("pdwfs", &["patience = '5s'"]).under(&["unshare", "--mount", "sh", "-c", WITH_OWN_HOSTS, &file]);
    let proxy = launch.argument("--upstream").argument(&format!("{NAME}:{port}")).start()?;
    proxy.connect()?.demand(&["SET", "k", "first"])?;
    Ok(Named { instances, doors, hosts, proxy })
}

#[test]
fn a_name_that_fails_later_does_no_harm() -> io::Result<()> {
    let named = start()?;
    std::fs::write(named.hosts.path(), "127.0.0.1 localhost\n")?;
    named.doors[0].end(End::Reset)?;
    let mut session = named.proxy.connect()?;
    until("service", Duration::from_secs(10), || session.demand(&["SET", "k", "second"]).map(drop))?;
    assert_eq!(named.instances[0].connect()?.demand(&["GET", "k"])?.bytes(), b"second");
    Ok(())
}

#[test]
fn a_name_that_means_another_address_is_followed_when_the_link_is_lost() -> io::Result<()> {
    let named = start()?;
    name(named.hosts.path(), "127.0.0.2")?;
    named.doors[0].give(Cue::Door(Door::Refusing))?;
    named.doors[0].end(End::Reset)?;
    named.proxy.connect()?.demand(&["SET", "k", "moved"])?;
    assert_eq!(named.instances[1].connect()?.demand(&["GET", "k"])?.bytes(), b"moved");
    Ok(())
}
