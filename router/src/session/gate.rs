//! Who may speak: the users, as the core asks for them. The crate `pdw-auth` has them.

use core::net::IpAddr;
use std::fmt;
use std::sync::Arc;

use crate::permit::Permit;

/// By which door a session came in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Entrance {
    /// Which of the configured listeners, in their order.
    pub listener: u16,
    /// The peer's address; a UNIX socket's peer has none.
    pub peer: Option<IpAddr>,
    /// The names that its certificate gives it, where one of them makes a user of it, the best one first.
    pub names: Option<Arc<Vec<String>>>,
}

/// Somebody whom a session may act for.
#[derive(Clone)]
pub struct Login {
    /// The user's name.
    pub user: Box<str>,
    /// What the user may do.
    pub permit: Permit,
    /// By which password; none was needed if there is none.
    pub password: Option<PasswordHash>,
    /// The rules in the words of `ACL LIST`, passwords left out: equal for equal permits.
    pub rules: Arc<str>,
}

/// SHA-256 of a password.
pub type PasswordHash = [u8; 32];

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Login").field("user", &self.user).finish_non_exhaustive()
    }
}

/// What a client asks about users.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Question<'a> {
    /// `ACL LIST`
    List,
    /// `ACL USERS`
    Names,
    /// `ACL GETUSER name`
    User(&'a [u8]),
}

/// The users.
pub trait Gate: fmt::Debug + Send + Sync {
    /// Whom a session acts for that has just come in; nobody, if it has to authenticate first. Whom a certificate names
    /// needs no password.
    fn enter(&self, entrance: &Entrance) -> Option<Arc<Login>>;

    /// Whom a session acts for that gives this name and password; nobody, if they are not right.
    fn log_in(&self, user: &[u8], password: &[u8]) -> Option<Arc<Login>>;

    /// Whom a session acts for from now on that authenticated as `login` when other users were in force; nobody, if
    /// that user or that password is no longer good.
    fn renew(&self, login: &Login) -> Option<Arc<Login>>;

    /// Whether there is a user of that name, and what it may do.
    fn permit(&self, user: &[u8]) -> Option<&Permit>;

    /// Whether the user `default` needs no password: `AUTH` with a password alone is a mistake then.
    fn is_open(&self) -> bool;

    /// Appends the reply to a question.
    fn answer(&self, question: Question<'_>, out: &mut Vec<u8>);
}

/// A gate without users: everybody is `default` and may do everything.
#[derive(Debug)]
pub struct Open(Arc<Login>);

impl Default for Open {
    fn default() -> Self {
        let rules = "~* &* +@all".into();
        Self(Arc::new(Login { user: "default".into(), permit: Permit::boundless(), password: None, rules }))
    }
}

impl Gate for Open {
    fn enter(&self, _: &Entrance) -> Option<Arc<Login>> {
        Some(Arc::clone(&self.0))
    }

    fn log_in(&self, user: &[u8], _: &[u8]) -> Option<Arc<Login>> {
        (user == self.0.user.as_bytes()).then(|| Arc::clone(&self.0))
    }

    fn renew(&self, login: &Login) -> Option<Arc<Login>> {
        self.log_in(login.user.as_bytes(), b"")
    }

    fn permit(&self, user: &[u8]) -> Option<&Permit> {
        (user == self.0.user.as_bytes()).then_some(&self.0.permit)
    }

    fn is_open(&self) -> bool {
        true
    }

    fn answer(&self, question: Question<'_>, out: &mut Vec<u8>) {
        let text: &[u8] = match question {
            Question::List => b"*1\r\n$35\r\nuser default on nopass ~* &* +@all\r\n",
            Question::Names => b"*1\r\n$7\r\ndefault\r\n",
            Question::User(_) => b"$-1\r\n",
        };
        out.extend_from_slice(text);
    }
}
