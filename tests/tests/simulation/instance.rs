//! A simulated instance: connections, transactions, and its bad days.

use std::collections::BTreeMap;

use fastrand::Rng;
use pdw_router::Time;

use crate::history::{History, Violation, ensure};
use crate::net::{ConnId, Net};
use crate::resp::{self, Args, array, shown};
use crate::store::Store;
use crate::wire::Read;

/// Unsent reply bytes of a connection past which it is not read.
const OUT_MAX: usize = 4096;

/// One Redis.
#[derive(Debug)]
pub(crate) struct Instance {
    index: usize,
    store: Store,
    clients: Vec<Client>,
    /// Until then it carries out nothing.
    pub(crate) stalled: Time,
    /// Until then it accepts nobody.
    pub(crate) down: Time,
    /// Until then it answers every data command with this error.
    pub(crate) trouble: (Time, &'static [u8]),
    /// It lets nobody run CLIENT KILL, or not even CLIENT INFO.
    forbids: Forbids,
    /// What it calls its clients; from 1 on again after a restart.
    ids: BTreeMap<ConnId, u64>,
    /// What they call themselves.
    names: BTreeMap<ConnId, String>,
    last_id: u64,
    /// Clients that were killed in this turn.
    killed: Vec<ConnId>,
}

/// What an instance's users may not do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Forbids {
    Nothing,
    Kill,
    Info,
}

/// Errors that pass, as servers write them.
const TROUBLES: [&[u8]; 4] = [
    b"-LOADING Redis is loading the dataset in memory\r\n",
    b"-OOM command not allowed when used memory > 'maxmemory'.\r\n",
    b"-READONLY You can't write against a read only replica.\r\n",
    b"-BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.\r\n",
];

/// A connection to it, which it takes for a client.
#[derive(Debug)]
struct Client {
    conn: ConnId,
    input: Vec<u8>,
    out: Vec<u8>,
    queued: Option<Vec<Args>>,
    /// A command of its transaction was refused.
    dirty: bool,
    ended: bool,
}

impl Instance {
    pub(crate) fn new(index: usize, rng: &mut Rng) -> Self {
        Self {
            index,
            store: Store::default(),
            clients: Vec::new(),
            stalled: Time::default(),
            down: Time::default(),
            trouble: (Time::default(), b""),
            forbids: [Forbids::Nothing, Forbids::Nothing, Forbids::Nothing, Forbids::Kill, Forbids::Info]
                [rng.usize(..5)],
            ids: BTreeMap::new(),
            names: BTreeMap::new(),
            last_id: 0,
            killed: Vec::new(),
        }
    }

    pub(crate) fn accept(&mut self, conn: ConnId) {
        self.last_id += 1;
        self.ids.insert(conn, self.last_id);
        self.clients.push(Client {
            conn,
            input: Vec::new(),
            out: Vec::new(),
            queued: None,
            dirty: false,
            ended: false,
        });
    }

    /// Whether it could do something now.
    pub(crate) fn is_ready(&self, net: &Net) -> bool {
        let reads = |client: &Client| !client.ended && client.out.len() < OUT_MAX && net.has_news(client.conn, true);
        let writes = |client: &Client| !client.out.is_empty() && net.has_room(client.conn, false);
        net.now >= self.stalled && self.clients.iter().any(|client| reads(client) || writes(client))
    }

    /// Serves its connections, in any order.
    pub(crate) fn serve(&mut self, net: &mut Net, history: &mut History) -> Result<(), Violation> {
        let mut clients = std::mem::take(&mut self.clients);
        net.rng.shuffle(&mut clients);
        for client in &mut clients {
            if net.rng.u8(..) < 200 && !self.killed.contains(&client.conn) {
                self.serve_one(client, net, history)?;
            }
        }
        self.killed.drain(..).for_each(|conn| net.conn(conn).broken = true);
        clients.retain(|client| !client.is_over(net));
        self.clients = clients;
        Ok(())
    }

    fn serve_one(&mut self, client: &mut Client, net: &mut Net, history: &mut History) -> Result<(), Violation> {
        if client.out.len() < OUT_MAX && !client.ended && !net.is_broken(client.conn) && net.has_news(client.conn, true)
        {
            match net.read(client.conn, true, usize::MAX) {
                Read::Bytes(bytes) => client.input.extend(bytes),
                Read::Ended => client.ended = true,
                Read::Blocked => {}
            }
        }
        self.work(client, net, history)?;
        let written = net.write(client.conn, false, &client.out);
        client.out.drain(..written);
        Ok(())
    }

    fn work(&mut self, client: &mut Client, net: &mut Net, history: &mut History) -> Result<(), Violation> {
        history.given_up = net.is_given_up(client.conn);
        while let Some((args, len)) = resp::request(&client.input)? {
            client.input.drain(..len);
            let reply = self.command(client, args.clone(), net.now, history)?;
            net.trace.note(
                net.now,
                format_args!(
                    "instance {} {:?}: {} -> {}",
                    self.index,
                    client.conn,
                    shown(&args.join(&b' ')),
                    shown(&reply)
                ),
            );
            client.out.extend(reply);
        }
        Ok(())
    }

    fn command(
        &mut self,
        client: &mut Client,
        args: Args,
        now: Time,
        history: &mut History,
    ) -> Result<Vec<u8>, Violation> {
        let name = args[0].to_ascii_uppercase();
        match (name.as_slice(), &mut client.queued) {
            (b"CLIENT", None) => Ok(self.about_clients(client.conn, &args)),
            (b"MULTI", queued) => {
                client.dirty = false;
                ensure(queued.is_none(), || "MULTI inside MULTI on a link".into())?;
                *queued = Some(Vec::new());
                Ok(b"+OK\r\n".to_vec())
            }
            (b"EXEC", queued) => {
                let commands = queued.take().ok_or("EXEC without MULTI on a link")?;
                if client.dirty {
                    return Ok(b"-EXECABORT Transaction discarded because of previous errors.\r\n".to_vec());
                }
                self.transaction(client.conn, &commands, history)
            }
            (b"DISCARD", queued) => {
                queued.take().ok_or("DISCARD without MULTI on a link")?;
                Ok(b"+OK\r\n".to_vec())
            }
            (_, Some(_)) if now < self.trouble.0 => {
                client.dirty = true;
                Ok(self.trouble.1.to_vec())
            }
            (_, Some(queued)) => {
                queued.push(args);
                Ok(b"+QUEUED\r\n".to_vec())
            }
            (b"PING" | b"COMMAND", None) => self.execute(client.conn, &args, false, history),
            (_, None) if now < self.trouble.0 => Ok(self.trouble.1.to_vec()),
            (_, None) => self.execute(client.conn, &args, false, history),
        }
    }

    /// CLIENT SETNAME, INFO, KILL ID id ADDR address.
    fn about_clients(&mut self, conn: ConnId, args: &Args) -> Vec<u8> {
        let word = |at: usize| args.get(at).map(Vec::as_slice).unwrap_or_default();
        match (word(1), self.forbids) {
            (b"INFO", Forbids::Info) | (b"KILL", Forbids::Info | Forbids::Kill) => {
                b"-NOPERM this user has no permissions\r\n".to_vec()
            }
            (b"INFO", _) => {
                let id = self.ids.get(&conn).copied().unwrap_or_default();
                resp::bulk(format!("id={id} addr={} name=x\n", conn.0).as_bytes())
            }
            (b"KILL", _) => {
                let number = |at: usize| std::str::from_utf8(word(at)).ok().and_then(|text| text.parse().ok());
                let other = ConnId(number(5).unwrap_or_default() as usize);
                let found = number(3).is_some() && self.ids.get(&other).copied() == number(3);
                if found {
                    self.ids.remove(&other);
                    self.killed.push(other);
                }
                format!(":{}\r\n", u8::from(found)).into_bytes()
            }
            (b"LIST", Forbids::Info) => b"-NOPERM this user has no permissions\r\n".to_vec(),
            (b"LIST", _) => {
                let name = |conn: &ConnId| self.names.get(conn).map_or("", String::as_str);
                let line = |(conn, id): (&ConnId, &u64)| format!("id={id} addr={} name={}\n", conn.0, name(conn));
                resp::bulk(self.ids.iter().map(line).collect::<String>().as_bytes())
            }
            (b"SETNAME", _) => {
                self.names.insert(conn, String::from_utf8_lossy(word(2)).into_owned());
                b"+OK\r\n".to_vec()
            }
            _ => b"+OK\r\n".to_vec(),
        }
    }

    /// Begins to answer with one of the errors that pass.
    pub(crate) fn fall_into_trouble(&mut self, which: usize, until: Time, net: &mut Net) {
        self.trouble = (until, TROUBLES[which % TROUBLES.len()]);
        net.trace.note(
            net.now,
            format_args!("instance {} says {} until {}", self.index, shown(self.trouble.1), until.micros()),
        );
    }

    fn execute(
        &mut self,
        conn: ConnId,
        args: &Args,
        queued: bool,
        history: &mut History,
    ) -> Result<Vec<u8>, Violation> {
        let reply = self.store.execute(args);
        ensure(!reply.starts_with(b"-ERR unexpected"), || {
            format!("an instance was sent {}", shown(&args.join(&b' ')))
        })?;
        history.executed((self.index, conn), &self.store, args, &reply, queued)?;
        Ok(reply)
    }

    fn transaction(&mut self, conn: ConnId, commands: &[Args], history: &mut History) -> Result<Vec<u8>, Violation> {
        let replies: Result<Vec<Vec<u8>>, Violation> =
            commands.iter().map(|args| self.execute(conn, args, true, history)).collect();
        let reply = array(&replies?);
        history.executed_transaction(commands, &reply)?;
        Ok(reply)
    }

    /// Breaks a connection. `after`: everything on its way here is carried out first.
    pub(crate) fn cut(
        &mut self,
        at: usize,
        after: bool,
        net: &mut Net,
        history: &mut History,
    ) -> Result<(), Violation> {
        if self.clients.is_empty() {
            return Ok(());
        }
        let mut client = self.clients.remove(at % self.clients.len());
        while after && !client.ended && net.has_news(client.conn, true) {
            match net.read(client.conn, true, usize::MAX) {
                Read::Bytes(bytes) => client.input.extend(bytes),
                Read::Ended | Read::Blocked => break,
            }
        }
        if after {
            self.work(&mut client, net, history)?;
        }
        net.trace.note(net.now, format_args!("instance {} breaks {:?}", self.index, client.conn));
        net.conn(client.conn).broken = true;
        Ok(())
    }

    /// Nothing passes on a connection any more, and nobody is told.
    pub(crate) fn silence(&mut self, at: usize, net: &mut Net) {
        if self.clients.is_empty() {
            return;
        }
        let conn = self.clients[at % self.clients.len()].conn;
        net.trace.note(net.now, format_args!("instance {} falls silent on {conn:?}", self.index));
        net.conn(conn).silent = true;
    }

    /// Says something that is no RESP after the last whole reply, and closes.
    pub(crate) fn babble(&mut self, at: usize, net: &mut Net) {
        if self.clients.is_empty() {
            return;
        }
        let len = self.clients.len();
        let client = &mut self.clients[at % len];
        net.trace.note(net.now, format_args!("instance {} babbles on {:?}", self.index, client.conn));
        client.out.extend_from_slice(b"HTTP/1.1 400 Bad Request\r\n\r\n");
        client.ended = true;
        client.input.clear();
    }

    /// Breaks every connection. Without its data on disk it comes back empty, but for its counters.
    pub(crate) fn crash(&mut self, until: Time, forgets: bool, net: &mut Net, history: &mut History) {
        net.trace.note(net.now, format_args!("instance {} is down until {}", self.index, until.micros()));
        self.down = until;
        self.ids.clear();
        self.last_id = 0;
        if forgets {
            history.forgotten(self.store.forget());
        }
        for client in self.clients.drain(..) {
            net.conn(client.conn).broken = true;
        }
    }
}

impl Client {
    /// Whether the connection is over; closes it if all replies are written.
    fn is_over(&self, net: &mut Net) -> bool {
        let done = self.ended && self.out.is_empty();
        if done {
            net.close_above(self.conn);
        }
        done || net.is_broken(self.conn)
    }
}
