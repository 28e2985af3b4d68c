//! A process's connections to one address: dialled lazily, at most fifty, five kept when idle.

use std::io;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use super::{CONNECTIONS_MAX, framing};
use crate::address::Address;
use crate::connection::{Connection, TIMEOUT};
use crate::reply::Value;

const IDLE_MAX: usize = 5;

/// Connections of one process to one address.
#[derive(Debug)]
pub(super) struct Pool {
    address: Address,
    state: Mutex<State>,
    freed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    idle: Vec<Connection>,
    busy: usize,
    peak: usize,
    /// Connections that have to be open at once before any of them is used; 0 once they are.
    expected: usize,
}

impl Pool {
    pub(super) fn new(address: &Address) -> Pool {
        Pool { address: address.clone(), state: Mutex::default(), freed: Condvar::new() }
    }

    /// The most connections that were in use at once.
    pub(super) fn peak(&self) -> usize {
        self.state().peak
    }

    /// Has the next `users` wait for each other, as far as the pool lets them in at once. What pdwfs's
    /// goroutines do by their number would otherwise depend on how fast this machine is.
    pub(super) fn expect(&self, users: usize) {
        self.state().expected = users.min(CONNECTIONS_MAX);
    }

    /// One command and its reply; an error reply is an error, as it makes pdwfs panic.
    pub(super) fn call(&self, arguments: &[&[u8]]) -> io::Result<Value> {
        let value = self.call_raw(arguments)?;
        match value.error() {
            Some(text) => Err(refused(arguments, &text)),
            None => Ok(value),
        }
    }

    /// One command and its reply, whatever it is.
    pub(super) fn call_raw(&self, arguments: &[&[u8]]) -> io::Result<Value> {
        let mut replies = self.exchange(&framing::command(arguments), 1)?;
        Ok(replies.remove(0))
    }

    /// MULTI, `commands`, EXEC; reads nothing until EXEC is out.
    pub(super) fn transaction(&self, commands: &[Vec<&[u8]>]) -> io::Result<()> {
        let replies = self.exchange(&framing::transaction(commands), commands.len() + 2)?;
        let executed = replies.last().map(Value::elements).unwrap_or_default();
        if let Some(text) = replies.iter().chain(executed).find_map(Value::error) {
            return Err(refused(&commands[0], &text));
        }
        if executed.len() != commands.len() {
            return Err(refused(&commands[0], &format!("EXEC answered {:?}", replies.last())));
        }
        Ok(())
    }

    fn exchange(&self, writes: &[Vec<u8>], replies: usize) -> io::Result<Vec<Value>> {
        let mut connection = self.borrow()?;
        let outcome = converse(&mut connection, writes, replies);
        self.give_back(outcome.is_ok().then_some(connection));
        outcome
    }

    fn borrow(&self) -> io::Result<Connection> {
        let mut state = self.state();
        while state.busy >= CONNECTIONS_MAX {
            state = self.freed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.busy += 1;
        state.peak = state.peak.max(state.busy);
        let idle = state.idle.pop();
        drop(state);
        match idle.map_or_else(|| Connection::open(&self.address), Ok) {
            Ok(connection) => {
                self.meet();
                Ok(connection)
            }
            Err(error) => {
                self.give_back(None);
                Err(error)
            }
        }
    }

    /// Waits until as many connections are open as were expected.
    fn meet(&self) {
        let mut state = self.state();
        while state.busy < state.expected {
            let waited = self.freed.wait_timeout(state, TIMEOUT);
            state = waited.map_or_else(|poisoned| poisoned.into_inner().0, |(state, _)| state);
        }
        state.expected = 0;
        drop(state);
        self.freed.notify_all();
    }

    fn give_back(&self, connection: Option<Connection>) {
        let mut state = self.state();
        state.busy -= 1;
        if state.idle.len() < IDLE_MAX {
            state.idle.extend(connection);
        }
        drop(state);
        self.freed.notify_all();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn converse(connection: &mut Connection, writes: &[Vec<u8>], replies: usize) -> io::Result<Vec<Value>> {
    for write in writes {
        connection.send(write)?;
    }
    Ok(connection.receive_many(replies)?.into_iter().map(|reply| reply.value).collect())
}

fn refused(arguments: &[&[u8]], text: &str) -> io::Error {
    let command: Vec<_> = arguments.iter().take(3).map(|argument| crate::reply::printable(argument)).collect();
    io::Error::other(format!("{}: {text}", command.join(" ")))
}
