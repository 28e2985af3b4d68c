//! Users and what they may do, in Redis's own words.
//!
//! | file | holds |
//! |---|---|
//! | `rules` | the language: one rule after another changes a user |
//! | `selector` | the part of it that is about commands, keys and channels |
//! | `file` | `user NAME rules...` line by line |
//! | `network` | ranges of addresses |
//! | `password` | passwords as hashes |
//! | `answers` | what is told about users: `ACL LIST`, `ACL GETUSER` |
//!
//! Source: `acl.c` of Redis 7.0. What is told about command rules follows Redis 7.2 and Valkey, which keep the order in
//! which they were given, and not 7.0, which guesses categories.

mod answers;
mod file;
mod network;
mod password;
mod rules;
mod selector;

use std::collections::BTreeMap;
use std::sync::Arc;

use pdw_router::command::Table;
use pdw_router::permit::Permit;
use pdw_router::{Entrance, Gate, Login, PasswordHash, Question};

pub use file::{Definition, LineError, parse};
pub use network::{Network, NetworkError};
pub use rules::{RuleError, User};

/// The user of sessions that have not authenticated.
const DEFAULT: &str = "default";

/// One user with what sessions need of it.
#[derive(Debug)]
struct Known {
    user: User,
    /// Whoever needs no password.
    open: Arc<Login>,
    /// One for each password.
    logins: Vec<Arc<Login>>,
}

impl Known {
    fn new(table: &Table, name: &str, user: User) -> Self {
        let (permit, rules): (_, Arc<str>) = (user.permit(table), user.describe_rules().into());
        let login = |password| {
            Arc::new(Login { user: name.into(), permit: permit.clone(), password, rules: Arc::clone(&rules) })
        };
        let logins = user.passwords.iter().map(|hash| login(Some(*hash))).collect();
        Self { open: login(None), logins, user }
    }

    /// Whom a session may be that needs no password.
    fn without_password(&self) -> Option<Arc<Login>> {
        (self.user.enabled && self.user.nopass).then(|| Arc::clone(&self.open))
    }

    fn by_hash(&self, hash: &[u8; 32]) -> Option<Arc<Login>> {
        let same = |login: &&Arc<Login>| login.password.is_some_and(|known| password::are_equal(&known, hash));
        self.logins.iter().find(same).filter(|_| self.user.enabled).map(Arc::clone)
    }
}

/// Who those are that come in by one of the listeners, before they have authenticated.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Door {
    /// The user; else the user `default`, if it needs no password.
    pub user: Option<String>,
    /// Only who comes from here is this user; empty: everybody.
    pub from: Vec<Network>,
}

/// All users, and who is who without a password.
#[derive(Debug)]
pub struct Users {
    known: BTreeMap<String, Known>,
    /// In the place of who is not known: off, with a password that nobody has.
    nobody: Known,
    doors: Vec<Door>,
}

impl Default for Users {
    fn default() -> Self {
        Self::new(Vec::new())
    }
}

impl Users {
    /// These users, by name, and `default`, who may do everything unless it is among them.
    pub fn new(users: Vec<(String, User)>) -> Self {
        let table = Table::new();
        let everybody = std::iter::once((DEFAULT.to_owned(), User::everything()));
        let known = everybody.chain(users).map(|(name, user)| {
            let known = Known::new(&table, &name, user);
            (name, known)
        });
        let nobody = User { passwords: vec![PasswordHash::default()], ..User::default() };
        Self { known: known.collect(), nobody: Known::new(&table, "", nobody), doors: Vec::new() }
    }

    /// With these doors, one for each listener.
    #[must_use]
    pub fn with_doors(mut self, doors: Vec<Door>) -> Self {
        self.doors = doors;
        self
    }

    /// A user by name.
    pub fn get(&self, name: &str) -> Option<&User> {
        self.known.get(name).map(|known| &known.user)
    }

    /// The users in order of their names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &User)> {
        self.known.iter().map(|(name, known)| (name.as_str(), &known.user))
    }

    /// The user whom a certificate names.
    fn named(&self, entrance: &Entrance) -> Option<&Known> {
        let names = entrance.names.as_deref()?;
        names.iter().filter(|name| *name != DEFAULT).find_map(|name| self.known.get(name.as_str()))
    }

    fn find(&self, name: &[u8]) -> Option<&Known> {
        self.known.get(std::str::from_utf8(name).ok()?)
    }

    /// Whom a name and a password make. Who is not known is as much work as who is, so that time does not tell who is.
    fn identify(&self, user: &[u8], hash: impl FnOnce() -> PasswordHash) -> Option<Arc<Login>> {
        let known = self.find(user).unwrap_or(&self.nobody);
        known.without_password().or_else(|| known.by_hash(&hash()))
    }
}

impl Gate for Users {
    fn enter(&self, entrance: &Entrance) -> Option<Arc<Login>> {
        if let Some(known) = self.named(entrance) {
            return known.user.enabled.then(|| Arc::clone(&known.open));
        }
        let door = self.doors.get(usize::from(entrance.listener));
        let from = |door: &&Door| {
            door.from.is_empty() || entrance.peer.is_some_and(|peer| door.from.iter().any(|range| range.contains(peer)))
        };
        let named = door.filter(from).and_then(|door| door.user.as_deref());
        match named {
            Some(name) => self.known.get(name).filter(|known| known.user.enabled).map(|known| Arc::clone(&known.open)),
            None => self.known.get(DEFAULT).and_then(Known::without_password),
        }
    }

    fn log_in(&self, user: &[u8], password: &[u8]) -> Option<Arc<Login>> {
        self.identify(user, || password::hash(password))
    }

    fn renew(&self, login: &Login) -> Option<Arc<Login>> {
        let known = self.known.get(&*login.user)?;
        known.without_password().or_else(|| known.by_hash(&login.password?))
    }

    fn permit(&self, user: &[u8]) -> Option<&Permit> {
        self.find(user).map(|known| &known.open.permit)
    }

    fn is_open(&self) -> bool {
        self.get(DEFAULT).is_some_and(|user| user.nopass)
    }

    fn answer(&self, question: Question<'_>, out: &mut Vec<u8>) {
        match question {
            Question::List => answers::list(self, out),
            Question::Names => answers::names(self, out),
            Question::User(name) => answers::user(self.find(name).map(|known| &known.user), out),
        }
    }
}

#[cfg(test)]
mod tests;
