//! A proxy under a ceiling of memory, before two instances, and what must hold whoever misbehaves: a third client is
//! unharmed, the ceiling is kept, and in the end everything is as before.

use std::io;
use std::time::Duration;

use pdw_tests::address::Address;
use pdw_tests::connection::until;
use pdw_tests::instance::Instance;
use pdw_tests::latency::keys_at;
use pdw_tests::proxy::{Launch, Proxy, STRIPE_SETS};

use crate::kernel::status_bytes;
use crate::memory::tcp_instances;
use crate::witness::Witness;

/// `times.stall_max` in these tests.
pub(crate) const STALL_MAX: Duration = Duration::from_secs(1);

/// `limits.memory_max`, MiB: the one and the other form of each test.
const CEILINGS: [u64; 2] = [64, 256];

/// Resident memory that is not about buffers: code that runs for the first time, stacks.
const CONSTANT: u64 = 4 << 20;

/// How long memory may take to be given back. Clients that have left in the middle of large values have their turn at a
/// lane all the same, one after the other: in full that is gigabytes.
fn restored_within() -> Duration {
    Duration::from_secs(pdw_tests::full_or(90, 20))
}

/// Instances, a proxy before them, and a witness.
pub(crate) struct Stage {
    pub(crate) proxy: Proxy,
    /// Where the instances are.
    pub(crate) addresses: Vec<Address>,
    pub(crate) profile: &'static str,
    name: String,
    ceiling: u64,
    before: u64,
    witness: Witness,
    direct: Witness,
    _instances: Vec<Instance>,
}

impl Stage {
    /// With a ceiling of so many MiB, before the first of `instances` and `second` in place of the other.
    fn set(
        profile: &'static str,
        mib: u64,
        (instances, addresses): (Vec<Instance>, Vec<Address>),
        second: Address,
    ) -> io::Result<Stage> {
        let config = format!("[limits]\nmemory_max = \"{mib}MiB\"\n[times]\nstall_max = \"1s\"\n{STRIPE_SETS}");
        let launch = Launch::new(profile, &[addresses[0].clone(), second]).placement("pdwfs").config(&config);
        let mut proxy = launch.with_admin().start()?;
        // What becomes of the second instance is none of its affair.
        let keys = keys_at(0, 2);
        let witness = Witness::of(proxy.address(), keys.clone())?.minding(proxy.guard().pid())?;
        let direct = Witness::of(&addresses[0], keys)?;
        let before = status_bytes(proxy.guard().pid(), "VmRSS:")?;
        let (name, ceiling) = (format!("profile {profile}, {mib} MiB"), mib << 20);
        Ok(Stage { proxy, addresses, profile, name, ceiling, before, witness, direct, _instances: instances })
    }

    /// Does `work` while the witness asks: it is unharmed, and the proxy under its ceiling.
    pub(crate) fn unharmed_while<T>(&mut self, what: &str, work: impl Fn(&Address) -> io::Result<T>) -> io::Result<T> {
        let (what, address) = (format!("{}: {what}", self.name), self.proxy.address().clone());
        let named = |error: io::Error| io::Error::new(error.kind(), format!("{what}: {error}"));
        let done = self.witness.unharmed_while(&mut self.direct, &what, || work(&address)).map_err(named)?;
        let peak = status_bytes(self.proxy.guard().pid(), "VmHWM:")?;
        println!("{what}: {} KiB before, at most {} KiB", self.before >> 10, peak >> 10);
        assert!(peak < self.ceiling, "{what}: {} KiB resident", peak >> 10);
        Ok(done)
    }

    /// That nothing is left of it all: sessions, and memory but for a fifth.
    fn restored(&mut self) -> io::Result<()> {
        let allowed = self.before + self.before / 5 + CONSTANT;
        let pid = self.proxy.guard().pid();
        until(&format!("{}: as before", self.name), restored_within(), || {
            let (now, sessions) = (status_bytes(pid, "VmRSS:")?, self.proxy.scrape()?.value("pdw_sessions"));
            // The witness's.
            let restored = now <= allowed && sessions <= 1.0;
            let found = || io::Error::other(format!("{} of {} KiB, {sessions} sessions", now >> 10, allowed >> 10));
            restored.then_some(()).ok_or_else(found)
        })
    }
}

/// Plays `act` under each profile and each ceiling; in the end all is as before.
pub(crate) fn on_each_stage(act: impl Fn(&mut Stage) -> io::Result<()>) -> io::Result<()> {
    on_each_stage_with(|second| Ok((second.clone(), ())), |stage, ()| act(stage))
}

/// The same, with something in place of the second instance.
pub(crate) fn on_each_stage_with<T>(
    instead: impl Fn(&Address) -> io::Result<(Address, T)>,
    act: impl Fn(&mut Stage, &T) -> io::Result<()>,
) -> io::Result<()> {
    for profile in ["pdwfs", "redis"] {
        for mib in CEILINGS {
            let instances = tcp_instances(2)?;
            let (second, what) = instead(&instances.1[1])?;
            let mut stage = Stage::set(profile, mib, instances, second)?;
            act(&mut stage, &what).map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", stage.name)))?;
            stage.restored()?;
        }
    }
    Ok(())
}
