//! Troubles of an instance that it tells its clients about: each can be brought on, and ended.

use std::io;
use std::time::Duration;

use crate::connection::{Connection, until};
use crate::durable::Durable;

/// A key of no importance.
const PROBE: &str = "trouble:probe:x";

const LIMIT: Duration = Duration::from_secs(20);

/// Commands that an instance needs for so much of [`Trouble::Loading`]: it looks at its sockets every 1,024 of them.
const LOADED_KEYS: usize = 4096;

/// Microseconds that it waits after each.
const KEY_LOAD_DELAY: &str = "700";

/// What an instance may say instead of doing what it was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// Its memory is full.
    OutOfMemory,
    /// It is a replica; it reads only.
    ReadOnly,
    /// It is a replica without a master, and says so to reads; writes are told [`Trouble::ReadOnly`].
    MasterDown,
    /// Too few replicas are there for a write.
    NoReplicas,
    /// It could not save.
    MisConfigured,
    /// A script does not end.
    Busy,
    /// It was killed, and reads what it had kept: about three seconds, whatever the test does.
    Loading,
}

impl Trouble {
    /// All of them.
    pub const ALL: [Trouble; 7] = [
        Trouble::OutOfMemory,
        Trouble::ReadOnly,
        Trouble::MasterDown,
        Trouble::NoReplicas,
        Trouble::MisConfigured,
        Trouble::Busy,
        Trouble::Loading,
    ];

    /// The first word of its error replies.
    pub fn word(self) -> &'static str {
        match self {
            Trouble::OutOfMemory => "OOM",
            Trouble::ReadOnly => "READONLY",
            Trouble::MasterDown => "MASTERDOWN",
            Trouble::NoReplicas => "NOREPLICAS",
            Trouble::MisConfigured => "MISCONF",
            Trouble::Busy => "BUSY",
            Trouble::Loading => "LOADING",
        }
    }

    /// A request that is answered by [`Trouble::word`].
    pub fn request(self) -> &'static [&'static str] {
        if self == Trouble::MasterDown { &["GET", PROBE] } else { &["SET", PROBE, "x"] }
    }

    /// Brings it on; when this returns, [`Trouble::request`] is answered by [`Trouble::word`].
    ///
    /// # Errors
    /// When the instance does not get into it.
    pub fn begin(self, instance: &mut Durable) -> io::Result<()> {
        match self {
            Trouble::OutOfMemory => configure(instance, "maxmemory", "1")?,
            Trouble::NoReplicas => configure(instance, "min-replicas-to-write", "1")?,
            Trouble::ReadOnly => become_replica(instance)?,
            Trouble::MasterDown => {
                configure(instance, "replica-serve-stale-data", "no")?;
                become_replica(instance)?;
            }
            Trouble::MisConfigured => fail_to_save(instance)?,
            Trouble::Busy => run_for_ever(instance)?,
            Trouble::Loading => load_slowly(instance)?,
        }
        self.until_told(instance)
    }

    /// Ends it; when this returns, all requests are taken again.
    ///
    /// # Errors
    /// When the instance does not get out of it.
    pub fn end(self, instance: &mut Durable) -> io::Result<()> {
        match self {
            Trouble::OutOfMemory => configure(instance, "maxmemory", "0")?,
            Trouble::NoReplicas => configure(instance, "min-replicas-to-write", "0")?,
            Trouble::ReadOnly | Trouble::MasterDown => demand(instance, &["REPLICAOF", "NO", "ONE"])?,
            Trouble::MisConfigured => save_at_last(instance)?,
            Trouble::Busy => demand(instance, &["SCRIPT", "KILL"])?,
            Trouble::Loading => {}
        }
        until_well(instance)
    }

    /// Waits until it shows.
    ///
    /// # Errors
    /// With what the instance says instead.
    pub fn until_told(self, instance: &Durable) -> io::Result<()> {
        until(self.word(), LIMIT, || match told(instance, self.request())? {
            Some(told) if told.starts_with(self.word()) => Ok(()),
            other => Err(io::Error::other(format!("it says {other:?}"))),
        })
    }
}

/// Waits until an instance takes writes.
///
/// # Errors
/// With what it says, when it goes on saying it.
pub fn until_well(instance: &Durable) -> io::Result<()> {
    until("end of the trouble", LIMIT, || {
        told(instance, Trouble::ReadOnly.request())?.map_or(Ok(()), |told| Err(io::Error::other(told)))
    })
}

/// The error with which it answers.
fn told(instance: &Durable, request: &[&str]) -> io::Result<Option<String>> {
    Ok(Connection::open(instance.address())?.call(request)?.error())
}

fn demand(instance: &Durable, command: &[&str]) -> io::Result<()> {
    instance.connect()?.demand(command).map(drop)
}

fn configure(instance: &Durable, name: &str, value: &str) -> io::Result<()> {
    demand(instance, &["CONFIG", "SET", name, value])
}

/// Of a master that is nowhere: nothing it has is lost.
fn become_replica(instance: &Durable) -> io::Result<()> {
    demand(instance, &["REPLICAOF", "127.0.0.1", "1"])
}

/// Has a save fail: where its file should go there is a folder.
fn fail_to_save(instance: &Durable) -> io::Result<()> {
    std::fs::create_dir(instance.data().join("dump.rdb"))?;
    std::fs::write(instance.data().join("dump.rdb").join("in-the-way"), "")?;
    configure(instance, "save", "86400 1000000")?;
    save(instance)
}

fn save_at_last(instance: &Durable) -> io::Result<()> {
    std::fs::remove_dir_all(instance.data().join("dump.rdb"))?;
    save(instance)
}

fn save(instance: &Durable) -> io::Result<()> {
    until("a save", LIMIT, || demand(instance, &["BGSAVE"]))
}

fn run_for_ever(instance: &Durable) -> io::Result<()> {
    configure(instance, "lua-time-limit", "50")?;
    // Nobody waits for the answer.
    let script = ["EVAL", "while true do end", "0"];
    instance.connect()?.send(&crate::connection::encode(&script))
}

fn load_slowly(instance: &mut Durable) -> io::Result<()> {
    instance.fill(LOADED_KEYS)?;
    instance.spawn(&["--key-load-delay", KEY_LOAD_DELAY])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::instance::Server;

    #[test]
    fn every_trouble_is_told_by_its_word_and_ends() {
        for server in Server::found() {
            for trouble in Trouble::ALL {
                let mut instance = Durable::start_with(&server, &[]).unwrap();
                demand(&instance, &["SET", "kept", "v"]).unwrap();
                trouble.begin(&mut instance).unwrap_or_else(|error| panic!("{} {trouble:?}: {error}", server.name));
                trouble.end(&mut instance).unwrap_or_else(|error| panic!("{} {trouble:?}: {error}", server.name));
                assert_eq!(instance.connect().unwrap().demand(&["GET", "kept"]).unwrap().bytes(), b"v", "{trouble:?}");
            }
        }
    }

    #[test]
    fn a_full_disk_is_a_misconfiguration_until_there_is_room() {
        let mut instance = match Durable::start_on_small_disk() {
            Ok(instance) => instance,
            Err(error) => return crate::skipped(&format!("no small disk: {error}")),
        };
        until_well(&instance).unwrap();
        instance.fill_disk().unwrap();
        Trouble::MisConfigured.until_told(&instance).unwrap();
        instance.free_disk().unwrap();
        until_well(&instance).unwrap();
    }
}
