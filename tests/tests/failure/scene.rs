//! Instances, a fault proxy before each, and the proxy under test before them all.

use std::io;
use std::thread;
use std::time::Duration;

use pdw_tests::address::Address;
use pdw_tests::connection::{Connection, until};
use pdw_tests::durable::{Durable, addresses};
use pdw_tests::fault::{End, FaultProxy, Way};
use pdw_tests::hop;
use pdw_tests::latency::keys_at;
use pdw_tests::proxy::{Launch, Proxy, STRIPE_SETS, chosen_levels};
use pdw_tests::reply::Value;
use pdw_tests::skipped;
use pdw_tests::versions::Route;

/// How long a client waits: longer than any patience of these tests.
pub(crate) const LIMIT: Duration = Duration::from_secs(100);

/// How long a trouble lasts.
pub(crate) const SPELL: Duration = Duration::from_millis(700);

/// What a client hears of a request that no byte of was sent.
pub(crate) const NOT_SENT: &str = "ERR upstream is not available; the request was not sent";

/// What it hears of one that was.
pub(crate) const UNKNOWN: &str =
    "ERR upstream was lost before it answered; the request may or may not have been carried out";

/// Everything between a client and the data.
pub(crate) struct Scene {
    pub(crate) proxy: Proxy,
    pub(crate) faults: Vec<FaultProxy>,
    pub(crate) instances: Vec<Durable>,
    /// Those of sealed hops that are behind the fault proxies.
    _ends: Vec<hop::End>,
}

impl Scene {
    /// As many instances as asked for; `times` are options of the table of that name, a line each.
    pub(crate) fn start(profile: &'static str, count: usize, times: &[&str]) -> io::Result<Scene> {
        Scene::before(Durable::start_many(count)?, &launch(profile, times))
    }

    /// One instance under profile `pdwfs`, and a proxy with this fault, if any.
    pub(crate) fn mutated(times: &[&str], mutant: Option<&str>) -> io::Result<Scene> {
        let plain = launch("pdwfs", times);
        Scene::before(Durable::start_many(1)?, &mutant.map_or(plain.clone(), |mutant| plain.mutant(mutant)))
    }

    /// Before instances that are there already, as `launch` says but for the upstreams.
    pub(crate) fn before(instances: Vec<Durable>, launch: &Launch) -> io::Result<Scene> {
        let upstreams = addresses(&instances);
        Scene::by(instances, &launch.clone().upstreams(&upstreams), Vec::new())
    }

    /// The same, with the faults in the sealed hops and not behind them: how soon a dial is answered is the proxy's
    /// affair there, and not that of the hops' ends.
    pub(crate) fn with_faults_in_hops(instances: Vec<Durable>, launch: &Launch) -> io::Result<Scene> {
        let upstreams = addresses(&instances);
        let (launch, ends) = launch.clone().upstreams(&upstreams).with_ends()?;
        Scene::by(instances, &launch, ends)
    }

    fn by(instances: Vec<Durable>, launch: &Launch, ends: Vec<hop::End>) -> io::Result<Scene> {
        let faults = launch.chosen_upstreams().iter().map(FaultProxy::start).collect::<io::Result<Vec<_>>>()?;
        let upstreams: Vec<Address> = faults.iter().map(|fault| fault.address().clone()).collect();
        let proxy = launch.clone().upstreams(&upstreams).start()?;
        let scene = Scene { proxy, faults, instances, _ends: ends };
        // The proxy is ready before its links are.
        let reach = |at| until("links", LIMIT, || scene.session()?.demand(&["GET", &scene.keys(at)[0]]).map(drop));
        (0..scene.instances.len()).try_for_each(reach)?;
        Ok(scene)
    }

    /// A session whose owner has all the patience that is needed.
    pub(crate) fn session(&self) -> io::Result<Connection> {
        Connection::open_with(self.proxy.address(), LIMIT)
    }

    /// The way to the instances past the proxy.
    pub(crate) fn direct(&self) -> Route {
        Route::Direct(addresses(&self.instances))
    }

    /// The way by the proxy.
    pub(crate) fn through(&self) -> Route {
        Route::Through(self.proxy.address().clone())
    }

    /// Sends `request` and lets the first instance carry it out, but loses its replies with the link.
    pub(crate) fn lose_replies(&self, session: &mut Connection, request: &[u8]) -> io::Result<()> {
        let fault = &self.faults[0];
        fault.stall(Way::Back)?;
        let before = fault.counts()?.forth;
        session.send(request)?;
        let passed = || (fault.counts()?.forth > before).then_some(()).ok_or(io::ErrorKind::NotFound.into());
        until("the request", LIMIT, passed)?;
        // The instance has it: a request of ours, behind it, has been answered.
        self.instances[0].connect()?.call(&["PING"])?;
        thread::sleep(Duration::from_millis(20));
        fault.end(End::Reset)?;
        fault.heal()
    }

    /// Keys that live on an instance.
    pub(crate) fn keys(&self, instance: usize) -> Vec<String> {
        keys_at(instance, self.instances.len())
    }
}

/// A proxy that places as pdwfs does, whatever the profile, with numbers.
pub(crate) fn launch(profile: &'static str, times: &[&str]) -> Launch {
    let config = format!("[times]\n{}\n{STRIPE_SETS}", times.join("\n"));
    Launch::new(profile, &[]).placement("pdwfs").config(&config).with_admin()
}

/// Does `work` for each of `cases` at once: most of it is waiting.
pub(crate) fn at_once<T: Copy + Send>(cases: &[T], work: impl Fn(T) -> io::Result<()> + Sync) -> io::Result<()> {
    thread::scope(|scope| {
        let work = &work;
        let threads: Vec<_> = cases.iter().copied().map(|case| scope.spawn(move || work(case))).collect();
        let joined = threads.into_iter().map(|thread| thread.join().map_err(|_| io::Error::other("a case failed"))?);
        // All are joined before any is looked at.
        joined.collect::<Vec<_>>().into_iter().collect()
    })
}

/// An instance whose disk a test can fill; none, and a line that says so, where it may not mount.
pub(crate) fn on_small_disk() -> Option<Durable> {
    Durable::start_on_small_disk().map_err(|error| skipped(&format!("no small disk: {error}"))).ok()
}

/// That nothing comes for a while.
pub(crate) fn assert_waits(session: &mut Connection, what: &str) -> io::Result<()> {
    session.set_timeout(SPELL)?;
    let early = session.receive();
    assert!(early.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::TimedOut), "{what}: {early:?}");
    session.set_timeout(LIMIT)
}

/// The next reply, as text for people.
pub(crate) fn heard(session: &mut Connection) -> io::Result<String> {
    session.receive().map(|reply| String::from_utf8_lossy(&reply.raw).into_owned())
}

/// That a reply is this error.
pub(crate) fn assert_error(reply: &Value, wanted: &str) {
    assert_eq!(reply.error().as_deref(), Some(wanted), "{reply:?}");
}

/// That a reply is no error.
pub(crate) fn assert_fine(reply: &Value) {
    assert_eq!(reply.error(), None);
}

/// That a request was given up after a patience of a second, and long before the kernel's own time-outs. In a tree each
/// level but the first is told a twelfth less than what is left, so that it is the last one that gives up.
pub(crate) fn assert_given_up(waited: Duration) {
    let told = (1..chosen_levels()).fold(Duration::from_secs(1), |left, _| left - left / 12);
    assert!((told * 9 / 10..Duration::from_secs(4)).contains(&waited), "{waited:?}");
}
