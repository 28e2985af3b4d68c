//! Upstreams that say nothing: requests for them wait, others do not, and work goes on within a second.

use std::io::{self, Write};
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use pdw_tests::address::Address;
use pdw_tests::connection::{Connection, encode, until};
use pdw_tests::durable::Durable;
use pdw_tests::fault::{Cue, Door, Flow, Way};
use pdw_tests::hop::Seal;
use socket2::SockRef;
use tempfile::TempDir;

use crate::scene::{Scene, assert_fine, at_once, heard, launch};
use pdw_tests::full_or;

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn after_a_black_hole_work_goes_on_within_a_second() -> io::Result<()> {
    at_once(&[Door::Ignoring, Door::Unanswered, Door::Refusing], |door| {
        for lasts in full_or(vec![3, 20, 45], vec![3]) {
            let scene = Scene::with_faults_in_hops(Durable::start_many(2)?, &launch("pdwfs", &[]))?;
            let (mut lost, mut fine) = (scene.session()?, scene.session()?);
            let (gone, there) = (&scene.keys(0)[0], &scene.keys(1)[0]);
            scene.faults[0].black_hole(door)?;
            lost.send(&encode(&["SET", gone, "v"]))?;
            let started = Instant::now();
            while started.elapsed() < Duration::from_secs(lasts) {
                assert_fine(&fine.call(&["SET", there, "v"])?);
                thread::sleep(Duration::from_millis(20));
            }
            scene.faults[0].heal()?;
            let healed = Instant::now();
            assert_eq!(heard(&mut lost)?, "+OK\r\n", "{door:?}");
            assert!(healed.elapsed() < SECOND, "{door:?}: {:?} after the end of {lasts} s", healed.elapsed());
            let again = Instant::now();
            assert_fine(&fine.call(&["SET", gone, "v"])?);
            assert!(again.elapsed() < SECOND, "{door:?}: {:?} for the next", again.elapsed());
        }
        Ok(())
    })
}

#[test]
fn a_silent_link_is_replaced_when_a_fresh_one_answers() -> io::Result<()> {
    let scene = Scene::start("pdwfs", 1, &[])?;
    let mut sessions = (0..20).map(|_| scene.session()).collect::<io::Result<Vec<_>>>()?;
    let closed = scene.proxy.scrape()?.sum("pdw_sessions_closed_total");
    scene.faults[0].hold()?;
    let started = Instant::now();
    for (at, session) in sessions.iter_mut().enumerate() {
        session.send(&encode(&["SET", &format!("k:{at}:x"), "v"]))?;
    }
    for session in &mut sessions {
        assert_eq!(heard(session)?, "+OK\r\n");
    }
    assert!(started.elapsed() < SECOND * 3, "{:?}", started.elapsed());
    assert_eq!(scene.proxy.scrape()?.sum("pdw_sessions_closed_total"), closed);
    Ok(())
}

#[test]
fn no_session_is_closed_for_being_idle() -> io::Result<()> {
    let times = ["patience = '500ms'", "connect_timeout = '500ms'", "ping_interval = '200ms'", "link_dead = '1s'"];
    let scene = Scene::start("pdwfs", 1, &times)?;
    let (mut idle, mut queueing) = (scene.session()?, scene.session()?);
    queueing.demand(&["MULTI"])?;
    queueing.demand(&["SET", "k", "v"])?;
    thread::sleep(SECOND * 3);
    assert_fine(&idle.call(&["SET", "k", "w"])?);
    assert_eq!(queueing.demand(&["EXEC"])?.elements().len(), 1);
    Ok(())
}

#[test]
fn a_black_hole_is_told_of_once_and_so_is_its_end() -> io::Result<()> {
    let launch = launch("pdwfs", &[]).argument("--log").argument("info");
    let scene = Scene::with_faults_in_hops(Durable::start_many(1)?, &launch)?;
    let mut session = scene.session()?;
    let ready = told(&scene, "is ready");
    scene.faults[0].black_hole(Door::Unanswered)?;
    session.send(&encode(&["SET", "k", "v"]))?;
    let down = || Some(told(&scene, "upstream 0 is down")).filter(|times| *times > 0);
    until("the log", SECOND * 10, || down().ok_or(io::ErrorKind::NotFound.into()))?;
    thread::sleep(SECOND * 2);
    assert_eq!((told(&scene, "upstream 0 is down"), told(&scene, "is ready")), (1, ready));
    scene.faults[0].heal()?;
    assert_eq!(heard(&mut session)?, "+OK\r\n");
    until("the end", SECOND * 5, || {
        if told(&scene, "is ready") > ready { Ok(()) } else { Err(io::Error::other(scene.proxy.nearest().log())) }
    })
}

/// How often the log says so.
fn told(scene: &Scene, words: &str) -> usize {
    scene.proxy.nearest().log().matches(words).count()
}

#[test]
fn a_client_that_is_gone_is_forgotten_though_its_session_waits() -> io::Result<()> {
    let scene = Scene::start("pdwfs", 1, &[])?;
    let before = scene.proxy.scrape()?.value("pdw_sessions");
    scene.faults[0].stall(Way::Back)?;
    let Address::Tcp(address) = scene.proxy.address() else { return Err(io::ErrorKind::Unsupported.into()) };
    let mut client = TcpStream::connect(address)?;
    // The second waits for the first, and is not read until that is answered.
    client.write_all(&[encode(&["SET", "k", "1"]), encode(&["SET", "k", "2"])].concat())?;
    until("the session", SECOND, || sessions(&scene, before + 1.0))?;
    // Killed, with something unread: a reset.
    SockRef::from(&client).set_linger(Some(Duration::ZERO))?;
    drop(client);
    if Seal::chosen() == Seal::Spiped {
        // Its daemon makes of a reset what it makes of a client that closes its own direction alone, which gets its replies
        // first: when the session is read again that is seen.
        scene.faults[0].heal()?;
    }
    until("its end", SECOND * 3, || sessions(&scene, before))?;
    scene.faults[0].heal()
}

/// Does `work` with a client of `address`, of whose two writes the second is not read before the first is answered;
/// then the session's end is waited for.
fn with_one_that_waits(
    address: &Address,
    limit: Duration,
    work: impl Fn(&Scene, Connection) -> io::Result<()>,
) -> io::Result<()> {
    let launch = launch("pdwfs", &["tcp_keepalive = '1s'", "tcp_user_timeout = '1s'", "patience = '10min'"]);
    let scene = Scene::before(vec![Durable::start()?], &launch.listen(address))?;
    let before = scene.proxy.scrape()?.value("pdw_sessions");
    scene.faults[0].stall(Way::Back)?;
    let mut client = scene.session()?;
    client.send(&[encode(&["SET", "k", "1"]), encode(&["SET", "k", "2"])].concat())?;
    until("the session", SECOND, || sessions(&scene, before + 1.0))?;
    work(&scene, client)?;
    until("its end", limit, || sessions(&scene, before))?;
    scene.faults[0].heal()
}

/// A TCP and a UNIX address.
fn addresses(folder: &TempDir) -> io::Result<[Address; 2]> {
    Ok([Address::free_loopback()?, Address::Unix(folder.path().join("listener"))])
}

#[test]
fn a_client_that_has_closed_is_forgotten_though_its_session_waits() -> io::Result<()> {
    let folder = tempfile::tempdir()?;
    let [tcp, unix] = addresses(&folder)?;
    let close = |_: &Scene, client| {
        drop(client);
        Ok(())
    };
    with_one_that_waits(&unix, SECOND * 3, close)?;
    // At TCP the client might have closed its own direction alone. Its kernel answers for it for a minute.
    full_or(Some(tcp), None).iter().try_for_each(|tcp| with_one_that_waits(tcp, SECOND * 90, close))
}

#[test]
fn a_client_that_has_closed_its_direction_gets_what_it_waits_for() -> io::Result<()> {
    let folder = tempfile::tempdir()?;
    let ask = |scene: &Scene, mut client: Connection| {
        client.end()?;
        thread::sleep(SECOND * 3);
        scene.faults[0].heal()?;
        assert_eq!(client.drain(SECOND * 5)?, (b"+OK\r\n+OK\r\n".to_vec(), true));
        Ok(())
    };
    addresses(&folder)?.iter().try_for_each(|address| with_one_that_waits(address, SECOND * 3, ask))
}

fn sessions(scene: &Scene, wanted: f64) -> io::Result<()> {
    let found = scene.proxy.scrape()?.value("pdw_sessions");
    if found == wanted { Ok(()) } else { Err(io::Error::other(format!("{found} sessions"))) }
}

#[test]
fn swallowed_bytes_are_made_good() -> io::Result<()> {
    at_once(&[Way::Forth, Way::Back], |way| {
        let scene = Scene::start("pdwfs", 1, &[])?;
        let mut session = scene.session()?;
        scene.faults[0].give(Cue::Flow(way, Flow::Swallowed))?;
        session.send(&encode(&["SETRANGE", "k", "0", "hello"]))?;
        thread::sleep(Duration::from_millis(300));
        scene.faults[0].heal()?;
        let healed = Instant::now();
        assert_eq!(heard(&mut session)?, ":5\r\n", "{way:?}");
        assert!(healed.elapsed() < SECOND * 3, "{way:?}: {:?}", healed.elapsed());
        Ok(())
    })
}

#[test]
fn a_slow_instance_is_not_taken_for_a_lost_one() -> io::Result<()> {
    let scene = Scene::start("pdwfs", 1, &[])?;
    let mut session = scene.session()?;
    let before = scene.proxy.nearest().scrape()?.sum("pdw_repeats_total");
    // Fresh links are as slow as old ones, so nothing says that the old one is lost.
    scene.faults[0].give(Cue::Flow(Way::Back, Flow::Delayed(Duration::from_millis(2500))))?;
    let started = Instant::now();
    assert_eq!(session.call(&["INCR", "n"])?.integer(), Some(1));
    assert!(started.elapsed() > SECOND * 2);
    scene.faults[0].heal()?;
    assert_eq!(session.call(&["INCR", "n"])?.integer(), Some(2));
    assert_eq!(scene.proxy.nearest().scrape()?.sum("pdw_repeats_total"), before);
    Ok(())
}
