//! However many clients there are, few links carry them.

use std::io;
use std::thread;

use pdw_tests::connection::Connection;
use pdw_tests::instance::Instance;
use pdw_tests::proxy::Proxy;

use super::{LIMIT, leaf, spine};

const LEAVES: usize = 8;
const CLIENTS: usize = 2_000;
/// What an instance may see of them.
const CONNECTIONS_MAX: usize = 20;

/// Connects its share of the clients; all of them ask, and ask again once all are there.
fn crowd(leaf: &Proxy, number: usize) -> io::Result<Vec<Connection>> {
    let connect = |_| Connection::open_with(leaf.address(), LIMIT);
    let mut clients: Vec<Connection> = (0..CLIENTS / LEAVES).map(connect).collect::<io::Result<_>>()?;
    for round in 0..2 {
        for (at, client) in clients.iter_mut().enumerate() {
            client.send(&pdw_tests::connection::encode(&["SET", &key(number, at), &format!("{round}")]))?;
        }
        for (at, client) in clients.iter_mut().enumerate() {
            client.receive()?;
            assert_eq!(client.demand(&["GET", &key(number, at)])?.text(), round.to_string());
        }
    }
    Ok(clients)
}

fn key(leaf: usize, client: usize) -> String {
    format!("leaf:{leaf}:client:{client}")
}

#[test]
fn two_thousand_clients_of_eight_leaves_are_a_few_connections_at_an_instance() -> io::Result<()> {
    let instances = Instance::start_many(4)?;
    let spine = spine("pdwfs", &instances, "spine")?;
    let leaves: Vec<Proxy> =
        (0..LEAVES).map(|number| leaf("pdwfs", &[&spine], &format!("leaf-{number}"))).collect::<io::Result<_>>()?;
    let clients: Vec<Vec<Connection>> = thread::scope(|scope| {
        let crowds: Vec<_> =
            leaves.iter().enumerate().map(|(number, leaf)| scope.spawn(move || crowd(leaf, number))).collect();
        let joined = crowds.into_iter().map(|crowd| crowd.join().map_err(|_| io::Error::other("a crowd failed"))?);
        joined.collect::<io::Result<_>>()
    })?;
    assert_eq!(clients.iter().map(Vec::len).sum::<usize>(), CLIENTS);
    for instance in &instances {
        let list = instance.connect()?.demand(&["CLIENT", "LIST"])?.text();
        // One of them is this test's own.
        let connections = list.lines().count() - 1;
        assert!(connections < CONNECTIONS_MAX, "{connections} connections at an instance:\n{list}");
    }
    let numbers = spine.scrape()?;
    assert_eq!(numbers.sum("pdw_peer_links"), LEAVES as f64, "one framed link for each leaf");
    assert_eq!(numbers.value("pdw_peer_links{peer=\"leaf-3\"}"), 1.0);
    assert_eq!(numbers.value("pdw_sessions"), 0.0, "sessions of leaves are streams");
    let numbers = leaves[0].scrape()?;
    assert_eq!(numbers.value("pdw_links{lane=\"framed\",state=\"ready\"}"), 1.0);
    assert_eq!(numbers.value("pdw_upstream_peer_links{peer=\"spine\"}"), 1.0, "each end names the other");
    assert_eq!(
        numbers.value("pdw_limit_used{limit=\"group.links\"}"),
        numbers.value("pdw_limit{limit=\"group.links\"}")
    );
    assert_eq!(numbers.value("pdw_sessions"), (CLIENTS / LEAVES) as f64);
    Ok(())
}
