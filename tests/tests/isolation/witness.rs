//! The other session: it knows what it must get, and watches its link from the instance's side.

use std::io;
use std::time::Duration;

use pdw_tests::address::Address;
use pdw_tests::connection::{Connection, encode};
use pdw_tests::instance::Instance;

/// A session that pipelines SET and GET of known values.
pub(super) struct Witness {
    session: Connection,
    control: Connection,
    /// Its link, as the instance lists it.
    link: String,
    sent: usize,
    checked: usize,
}

/// What of a link in `CLIENT LIST` must not change.
const STABLE: &[&str] = &["id", "name", "fd", "flags", "db", "sub", "psub", "multi", "user", "redir", "resp"];

impl Witness {
    pub(super) fn start(address: &Address, instance: &Instance) -> io::Result<Witness> {
        let session = Connection::open_with(address, Duration::from_secs(5))?;
        let mut witness = Witness { session, control: instance.connect()?, link: String::new(), sent: 0, checked: 0 };
        witness.send(1)?;
        witness.replies()?;
        witness.link = witness.find_link()?;
        Ok(witness)
    }

    /// Sends `count` pairs of SET and GET without reading.
    pub(super) fn send(&mut self, count: usize) -> io::Result<()> {
        let pair = |n: usize| [encode(&["SET", &key(n), &value(n)]), encode(&["GET", &key(n)])].concat();
        let bytes: Vec<u8> = (self.sent..self.sent + count).flat_map(pair).collect();
        self.sent += count;
        self.session.send(&bytes)
    }

    /// Reads everything outstanding, then works once more and looks at the link.
    pub(super) fn check(&mut self) -> io::Result<()> {
        self.replies()?;
        self.send(1)?;
        self.replies()?;
        let last = self.sent - 1;
        if self.control.demand(&["GETRANGE", &key(last), "0", "-1"])?.text() != value(last) {
            return Err(io::Error::other("a value is not in database 0 of the instance"));
        }
        match self.find_link()? {
            link if link == self.link => Ok(()),
            link => Err(io::Error::other(format!("the link was {} and is {link}", self.link))),
        }
    }

    fn replies(&mut self) -> io::Result<()> {
        for n in self.checked..self.sent {
            let (set, got) = (self.session.receive()?, self.session.receive()?);
            if set.raw != b"+OK\r\n" || got.value.text() != value(n) {
                return Err(io::Error::other(format!("another session got {set:?} and {got:?}")));
            }
        }
        self.checked = self.sent;
        Ok(())
    }

    /// The connection whose last command was a GET: this session's, since nobody else sends one.
    fn find_link(&mut self) -> io::Result<String> {
        let list = self.control.demand(&["CLIENT", "LIST"])?.text();
        let links: Vec<_> = list.lines().filter(|line| line.contains(" cmd=get ")).map(stable_part).collect();
        match links.as_slice() {
            [link] => Ok(link.clone()),
            other => Err(io::Error::other(format!("{} links of the witness: {list}", other.len()))),
        }
    }
}

fn stable_part(line: &str) -> String {
    let named = |word: &&str| word.split_once('=').is_some_and(|(name, _)| STABLE.contains(&name));
    line.split(' ').filter(named).collect::<Vec<_>>().join(" ")
}

fn key(n: usize) -> String {
    format!("witness:{}", n % 100)
}

fn value(n: usize) -> String {
    format!("value {n}")
}
