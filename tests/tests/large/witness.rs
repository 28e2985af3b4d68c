//! A third client with small requests: how long it waits while others misbehave.

use std::io;
use std::time::{Duration, Instant};

use pdw_tests::address::Address;
use pdw_tests::connection::Connection;

/// A p99 below this is never held against the proxy: the tests' machine has other work too.
const NOISE: Duration = Duration::from_millis(60);

/// A client of its own connection.
#[derive(Debug)]
pub(crate) struct Witness {
    connection: Connection,
    undisturbed: Duration,
}

impl Witness {
    /// Connects, and notes its p99 while nobody disturbs it.
    pub(crate) fn start(address: &Address) -> io::Result<Witness> {
        let connection = Connection::open(address)?;
        let mut witness = Witness { connection, undisturbed: Duration::ZERO };
        witness.undisturbed = witness.median_p99()?;
        Ok(witness)
    }

    /// Asserts that it waits at most three times as long as undisturbed now.
    pub(crate) fn assert_unharmed(&mut self, while_what: &str) -> io::Result<()> {
        let p99 = self.median_p99().map_err(|error| io::Error::new(error.kind(), format!("{while_what}: {error}")))?;
        let allowed = NOISE.max(self.undisturbed * 3);
        assert!(p99 <= allowed, "{while_what}: p99 {p99:?}, undisturbed {:?}", self.undisturbed);
        Ok(())
    }

    /// Median of the p99 of three runs.
    fn median_p99(&mut self) -> io::Result<Duration> {
        let mut runs = [self.p99()?, self.p99()?, self.p99()?];
        runs.sort();
        Ok(runs[1])
    }

    fn p99(&mut self) -> io::Result<Duration> {
        let mut waits = Vec::with_capacity(200);
        for number in 0..100 {
            let key = format!("witness:{number}:of");
            waits.push(self.timed(&["SET", &key, &key])?);
            waits.push(self.timed(&["GET", &key])?);
        }
        waits.sort();
        Ok(waits[waits.len() * 99 / 100 - 1])
    }

    fn timed(&mut self, command: &[&str]) -> io::Result<Duration> {
        let start = Instant::now();
        let answered = self.connection.demand(command);
        answered.map_err(|error| io::Error::new(error.kind(), format!("the witness's {command:?}: {error}")))?;
        Ok(start.elapsed())
    }
}
