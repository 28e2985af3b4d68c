//! More clients than the process may have descriptors: those who came first are served, the others wait, and links and
//! numbers have descriptors all the same.

use std::io;
use std::time::Duration;

use pdw_tests::connection::{Connection, encode, until};
use pdw_tests::instance::{Instance, addresses};
use pdw_tests::proxy::{Launch, Proxy};
use pdw_tests::skipped_in_a_tree;

/// Descriptors that the process may have open.
const DESCRIPTORS: &str = "--nofile=200:200";
/// How many of them no client gets.
const RESERVED: usize = 100;
const CLIENTS: usize = 150;

/// Whose `PING` is answered, and who waits.
fn ping(clients: Vec<Connection>) -> io::Result<(Vec<Connection>, Vec<Connection>)> {
    let (mut served, mut waiting) = (Vec::new(), Vec::new());
    for mut client in clients {
        client.set_timeout(Duration::from_millis(100))?;
        match client.receive() {
            Ok(_) => served.push(client),
            Err(_) => waiting.push(client),
        }
    }
    Ok((served, waiting))
}

fn crowd(proxy: &Proxy) -> io::Result<Vec<Connection>> {
    let ask = |_| {
        let mut client = proxy.connect()?;
        client.send(b"PING\r\n")?;
        Ok(client)
    };
    (0..CLIENTS).map(ask).collect()
}

#[test]
fn who_comes_when_there_are_no_descriptors_left_waits_and_links_and_numbers_have_theirs() -> io::Result<()> {
    let instances = Instance::start_many(2)?;
    let launch = Launch::new("redis", &addresses(&instances)).levels(1).with_admin();
    let proxy = launch.under(&["prlimit", DESCRIPTORS]).start()?;
    let (mut served, waiting) = ping(crowd(&proxy)?)?;
    assert!((80..=RESERVED).contains(&served.len()), "{} are served", served.len());

    let numbers = proxy.scrape()?;
    assert_eq!(numbers.value("process_max_fds"), 200.0);
    assert_eq!(numbers.value("pdw_sessions"), served.len() as f64);
    // A large value takes a link of its own, and pipes.
    let value = "v".repeat(1 << 20);
    for (key, client) in ["a", "b", "c", "d"].iter().zip(&mut served) {
        client.set_timeout(Duration::from_secs(5))?;
        client.demand(&["SET", key, &value])?;
        assert_eq!(client.demand(&["GET", key])?.text().len(), value.len());
    }
    assert_eq!(proxy.log().matches("cannot be accepted").count(), 1, "{}", proxy.log());

    served.truncate(20);
    for mut client in waiting {
        until("a client that waited is served", Duration::from_secs(5), || client.receive())?;
    }
    Ok(())
}

#[test]
fn a_large_value_is_not_lost_for_want_of_descriptors() -> io::Result<()> {
    if skipped_in_a_tree("there is no spool in a tree") {
        return Ok(());
    }
    let (instance, folder) = ([Instance::start()?], tempfile::tempdir()?);
    let launch = Launch::new("pdwfs", &addresses(&instance)).levels(1);
    let launch = launch.config(&format!("spool = {:?}\n", folder.path()));
    // Enough for a file for each client, but not for a pipe as well.
    let proxy = launch.under(&["prlimit", "--nofile=225:225"]).start()?;
    let set = |at: usize| encode(&[b"SET".as_slice(), format!("/m/f:{at}").as_bytes(), &vec![b'x'; 1200 << 10]]);
    let (mut begun, half) = (Vec::new(), 700 << 10);
    for at in 0..60 {
        let mut client = Connection::open_with(proxy.address(), Duration::from_secs(20))?;
        client.send(&set(at)[..half])?;
        begun.push(client);
    }
    for (at, client) in begun.iter_mut().enumerate() {
        client.send(&set(at)[half..])?;
        assert_eq!(client.receive()?.value.text(), "OK", "client {at}");
    }
    assert_eq!(proxy.log().matches("no pipe for a large value").count(), 1, "{}", proxy.log());
    Ok(())
}
