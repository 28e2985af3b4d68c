//! Several workers are one proxy.

use std::collections::BTreeSet;
use std::io;

use pdw_tests::connection::Connection;
use pdw_tests::instance::{Instance, addresses};
use pdw_tests::proxy::{Launch, Proxy};

const WORKERS: usize = 4;
/// So many that, shared out by the kernel, no worker gets none (but once in 10^11 times).
const SESSIONS: usize = 100;

fn start() -> io::Result<(Vec<Instance>, Proxy, Vec<Connection>)> {
    let instances = Instance::start_many(3)?;
    let proxy = Launch::new("redis", &addresses(&instances)).workers(WORKERS).start()?;
    let sessions = (0..SESSIONS).map(|_| proxy.connect()).collect::<io::Result<_>>()?;
    Ok((instances, proxy, sessions))
}

#[test]
fn each_session_has_a_number_of_its_own() -> io::Result<()> {
    let (_instances, _proxy, mut sessions) = start()?;
    let number = |session: &mut Connection| session.demand(&["CLIENT", "ID"]).map(|reply| reply.integer());
    let numbers: BTreeSet<_> = sessions.iter_mut().map(number).collect::<io::Result<_>>()?;
    assert_eq!(numbers.len(), SESSIONS);
    Ok(())
}

#[test]
fn all_workers_serve_and_see_each_others_writes() -> io::Result<()> {
    let (instances, _proxy, mut sessions) = start()?;
    for (n, session) in sessions.iter_mut().enumerate() {
        session.demand(&["SET", &format!("key:{n}"), &n.to_string()])?;
    }
    for session in &mut sessions {
        let keys = (0..SESSIONS).map(|n| format!("key:{n}"));
        let values = session.demand(&std::iter::once("MGET".to_owned()).chain(keys).collect::<Vec<_>>())?;
        let found: Vec<_> = values.elements().iter().map(|value| value.text()).collect();
        assert_eq!(found, (0..SESSIONS).map(|n| n.to_string()).collect::<Vec<_>>());
    }
    let links = instances[0].connect()?.demand(&["CLIENT", "LIST"])?.text().matches(" name=pdw/").count();
    assert_eq!(links, WORKERS, "one Shared link of each worker");
    Ok(())
}
