//! Who a session is, and whether it may have a request carried out.
//!
//! ```text
//!               AUTH, HELLO AUTH                      AUTH, HELLO AUTH
//!   Outside ───────────────────────► Bound or Free ────────────────────► another user
//!      ▲                                   │
//!      └── RESET, if it came in as nobody ─┘      users read again: goes on, or is closed
//! ```
//!
//! A session that is free costs a request one comparison. Everything else is looked at here, before anything of the
//! request travels.

use std::sync::Arc;
use std::time::Duration;

use crate::command::{CommandId, Transaction, Treatment, sort_reads_by};
use crate::local;
use crate::mutant::Mutant;
use crate::order::{Notice, Output, SessionKey};
use crate::permit::Denied;
use crate::refusal::Refusal;
use crate::resp::{Request, ScanLimits};
use crate::router::{Setup, Traffic};
use crate::session::Session;
use crate::session::attempts::{Attempt, Origin};
use crate::session::denials::Denial;
use crate::session::gate::{Entrance, Login};
use crate::stats::CloseReason;

/// What a session may do, as far as every request asks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Standing {
    /// It has not said who it is.
    #[default]
    Outside,
    /// What its permit allows.
    Bound,
    /// Everything.
    Free,
}

/// Who a session is.
#[derive(Clone, Debug, Default)]
pub(crate) struct Who {
    standing: Standing,
    login: Option<Arc<Login>>,
    /// It has authenticated; else it is what its entrance makes of it.
    authenticated: bool,
    entrance: Entrance,
}

impl Who {
    /// Whether its requests have to be looked at.
    fn is_bound(&self) -> bool {
        self.standing != Standing::Free
    }

    /// Whether a request is allowed, if that can be told by a short way.
    #[inline]
    pub(crate) fn waves_through(&self, id: CommandId, request: &Request<'_>) -> bool {
        match &self.login {
            _ if self.standing == Standing::Free => true,
            Some(login) => login.permit.waves_through(id, request),
            None => false,
        }
    }

    /// Whether it has to say first who it is.
    pub(crate) fn is_outside(&self) -> bool {
        self.standing == Standing::Outside
    }

    /// Whether it is the same user as another one.
    pub(crate) fn is_same_user(&self, other: &Self) -> bool {
        self.login.is_some() == other.login.is_some() && self.user() == other.user()
    }

    /// The user's name.
    pub(crate) fn user(&self) -> &str {
        self.login.as_ref().map_or("default", |login| &login.user)
    }

    fn become_(&mut self, login: Option<Arc<Login>>, authenticated: bool) {
        self.standing = match &login {
            None => Standing::Outside,
            Some(login) if login.permit.is_boundless() => Standing::Free,
            Some(_) => Standing::Bound,
        };
        self.login = login;
        self.authenticated = authenticated;
    }
}

impl Traffic {
    /// Takes in a new client.
    pub(crate) fn open_session(&mut self, setup: &Setup, entrance: Entrance) -> SessionKey {
        self.stats.sessions_opened += 1;
        let login = setup.gate.enter(&entrance);
        let mut who = Who { entrance, ..Who::default() };
        who.become_(login, false);
        let key = self.insert_session(Session::of(who));
        self.close_if_crowded(setup, key);
        key
    }

    /// Whether a bound session may have a request carried out; if not it has been answered.
    pub(crate) fn admits(&mut self, setup: &Setup, key: SessionKey, id: CommandId, request: &Request<'_>) -> bool {
        let Err(why) = self.admission(setup, key, id, request) else { return true };
        let spec = setup.table.spec(id);
        if spec.treatment == Treatment::Transaction(Transaction::Exec) {
            self.answer_held(setup, key);
            self.drop_transaction(setup, key);
            let text = String::from_utf8_lossy(&why.text()).into_owned();
            let text = format!("EXECABORT Transaction discarded because of: {text}");
            self.refuse(setup, key, &Refusal::Denied(text));
        } else {
            self.doom(setup, key, &why);
        }
        false
    }

    /// Why a request may not be carried out. Of one that is not whole the keys are known.
    pub(crate) fn admission(
        &mut self,
        setup: &Setup,
        key: SessionKey,
        id: CommandId,
        request: &Request<'_>,
    ) -> Result<(), Refusal> {
        let Some(session) = self.sessions.get(key).filter(|session| session.who.is_bound()) else { return Ok(()) };
        let spec = setup.table.spec(id);
        let Some(login) = &session.who.login else {
            return if spec.is_for_strangers() { Ok(()) } else { Err(Refusal::NotAuthenticated) };
        };
        if let Err(denied) = login.permit.check(id, spec, request, &mut self.found) {
            self.note_denied(key, denied, &spec.name, request);
            return Err(Refusal::denied(denied, &spec.name));
        }
        match sort_reads_by(spec, request) {
            Some(option) if !login.permit.reads_everything(id, spec, request, &mut self.found) => {
                Err(Refusal::Denied(format!("ERR {option} option of SORT denied due to insufficient ACL permissions.")))
            }
            _ => Ok(()),
        }
    }

    /// Whether a session may not do everything. Then all keys of a request have to be known before any of it travels.
    pub(crate) fn is_bounded(&self, key: SessionKey) -> bool {
        self.sessions.get(key).is_none_or(|session| session.who.is_bound())
    }

    /// Whether nothing is done for a session before it has said who it is.
    pub(crate) fn is_outside(&self, key: SessionKey) -> bool {
        self.sessions.get(key).is_none_or(|session| session.who.is_outside())
    }

    fn note_denied(&mut self, key: SessionKey, denied: Denied, command: &str, request: &Request<'_>) {
        let (reason, object) = match denied {
            Denied::Command => ("command", command.as_bytes()),
            Denied::Key(at) => ("key", request.arg(at as usize)),
            Denied::Channel(at) => ("channel", request.arg(at as usize)),
        };
        self.note_denial(key, reason, object, None);
    }

    fn note_denial(&mut self, key: SessionKey, reason: &'static str, object: &[u8], user: Option<&[u8]>) {
        let Some(session) = self.sessions.get(key) else { return };
        let context = if session.held.is_some() { "multi" } else { "toplevel" };
        self.denials.add(Denial {
            reason,
            context,
            object: object.to_vec(),
            user: user.unwrap_or(session.who.user().as_bytes()).to_vec(),
            client: described(session),
            when: self.now,
            count: 1,
        });
    }

    /// Has a session be this user from now on, if the password is right.
    pub(crate) fn log_in(
        &mut self,
        setup: &Setup,
        key: SessionKey,
        request: &Request<'_>,
        (user, password): (&[u8], &[u8]),
    ) -> Result<(), Refusal> {
        let Some(session) = self.sessions.get(key) else { return Err(Refusal::NotAuthenticated) };
        let origin = Origin::of(&session.who.entrance);
        let is_limited = !setup.mutation.is(Mutant::GuessesFree);
        if let Some(wait) = setup.attempts.wait(origin, self.now).filter(|_| is_limited) {
            return Err(self.postpone_login(wait));
        }
        let login = setup.gate.log_in(user, password);
        let tell = match setup.attempts.settle(origin, login.is_some(), self.now) {
            Attempt::Postponed(wait) if is_limited => return Err(self.postpone_login(wait)),
            Attempt::Wrong(tell) => tell,
            Attempt::Right | Attempt::Postponed(_) => false,
        };
        if let (Some(_), Some(session)) = (&login, self.sessions.get_mut(key)) {
            session.who.become_(login, true);
            return Ok(());
        }
        self.stats.logins_failed += 1;
        self.note_denial(key, "auth", request.arg(0), Some(user));
        if tell {
            // A name that nobody has may be a password in the wrong place.
            let known = setup.gate.permit(user).is_some();
            let user = known.then(|| String::from_utf8_lossy(user).into_owned());
            self.outputs.push_back(Output::Notice(Notice::WrongPassword { origin: origin.to_string(), user }));
        }
        Err(Refusal::WrongPassword)
    }

    fn postpone_login(&mut self, wait: Duration) -> Refusal {
        self.stats.logins_postponed += 1;
        Refusal::TooManyAttempts(wait.as_secs() + 1)
    }

    /// `RESET`: what the session was when it came in.
    pub(crate) fn log_out(&mut self, setup: &Setup, key: SessionKey) {
        let Some(session) = self.sessions.get_mut(key) else { return };
        let login = setup.gate.enter(&session.who.entrance);
        session.who.become_(login, false);
    }

    /// Other users are in force. Who still may goes on, under the new rules; the others are closed once they are
    /// answered.
    pub(crate) fn users_changed(&mut self, setup: &Setup) {
        if setup.mutation.is(Mutant::UsersKept) {
            return;
        }
        let keys: Vec<SessionKey> = self.sessions.keys().collect();
        keys.into_iter().for_each(|key| self.renew(setup, key));
    }

    fn renew(&mut self, setup: &Setup, key: SessionKey) {
        let Some(session) = self.sessions.get_mut(key) else { return };
        let old = session.who.login.take();
        let authenticated = session.who.authenticated;
        let new = match &old {
            Some(old) if authenticated => setup.gate.renew(old),
            _ => setup.gate.enter(&session.who.entrance),
        };
        // Whoever its certificate made a user does not become another one because that is gone.
        let named = !authenticated && session.who.entrance.names.is_some();
        let other = named && name(old.as_deref()) != name(new.as_deref());
        let (revoked, same) = (old.is_some() && (new.is_none() || other), same_permit(old.as_deref(), new.as_deref()));
        session.who.become_(new, authenticated);
        if revoked {
            self.finish_session(setup, key, CloseReason::User);
        } else if !same {
            // What is queued was allowed by other rules.
            self.doom_transaction(setup, key);
        }
    }
}

/// A session for `ACL LOG`: as `CLIENT INFO` shows it, and where it comes from.
fn described(session: &Session) -> String {
    let peer = session.who.entrance.peer.map_or_else(|| "unix".to_owned(), |peer| peer.to_string());
    format!("{} addr={peer}", local::describe(session))
}

fn name(login: Option<&Login>) -> Option<&str> {
    login.map(|login| &*login.user)
}

fn same_permit(old: Option<&Login>, new: Option<&Login>) -> bool {
    old.map(|login| &login.rules) == new.map(|login| &login.rules)
}

/// What somebody may send who has not said who he is; Redis's own bounds.
pub(crate) fn stranger_limits() -> ScanLimits {
    ScanLimits { args: 10, argument: 16 << 10, stranger: true }
}
