//! `HELLO` and `AUTH`; RESP3 is refused so that clients fall back.

use super::{Answer, as_redis, client, ok, quoted};
use crate::order::SessionKey;
use crate::refusal::Refusal;
use crate::resp::{Request, parse_integer, write};
use crate::router::{Setup, Traffic};
use crate::session::Session;

/// The version of Redis whose commands the table holds, as far as clients decide by it. Valkey says the same.
pub(super) const VERSION: &str = "7.2.4";

/// What Redis 7.0 says to a `HELLO` before authentication.
const STRANGER: &str = "NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO AUTH <user> <pass> option can be used to authenticate the client and select the RESP protocol version at the same time";
/// What it says to a password alone where none is needed.
const NO_PASSWORD: &str = "ERR AUTH <password> called without any password configured for the default user. Are you sure your configuration is correct?";

impl Traffic {
    /// `HELLO [version [AUTH user password] [SETNAME name]]`
    pub(super) fn hello(&mut self, setup: &Setup, key: SessionKey, request: &Request<'_>) -> Answer {
        if request.len() > 1 {
            let version = parse_integer(request.arg(1))
                .ok_or_else(|| as_redis("ERR Protocol version is not an integer or out of range"))?;
            if version != 2 {
                return Err(as_redis("NOPROTO unsupported protocol version"));
            }
        }
        self.options(setup, key, request)?;
        match self.sessions.get(key) {
            Some(session) if !session.who.is_outside() => Ok(greeting(session)),
            _ => Err(as_redis(STRANGER)),
        }
    }

    fn options(&mut self, setup: &Setup, key: SessionKey, request: &Request<'_>) -> Result<(), Refusal> {
        let mut at = 2;
        while at < request.len() {
            let (option, left) = (request.arg(at), request.len() - at - 1);
            if option.eq_ignore_ascii_case(b"auth") && left >= 2 {
                self.log_in(setup, key, request, (request.arg(at + 1), request.arg(at + 2)))?;
                at += 3;
            } else if option.eq_ignore_ascii_case(b"setname") && left >= 1 {
                self.sessions
                    .get_mut(key)
                    .map(|session| client::set_name(session, "", request.arg(at + 1)))
                    .transpose()?;
                at += 2;
            } else {
                let option = quoted(option);
                return Err(Refusal::AsRedis(format!("ERR Syntax error in HELLO option '{option}'").into()));
            }
        }
        Ok(())
    }

    /// `AUTH [user] password`
    pub(super) fn auth(&mut self, setup: &Setup, key: SessionKey, request: &Request<'_>) -> Answer {
        let (user, password) = match request.len() {
            2 if setup.gate.is_open() => return Err(as_redis(NO_PASSWORD)),
            2 => (&b"default"[..], request.arg(1)),
            3 => (request.arg(1), request.arg(2)),
            _ => return Err(as_redis("ERR syntax error")),
        };
        self.log_in(setup, key, request, (user, password)).and_then(|()| ok())
    }
}

fn greeting(session: &Session) -> Vec<u8> {
    let mut out = Vec::new();
    write::array(&mut out, 14);
    let mut text = |name: &str, value: &str| {
        write::bulk(&mut out, name.as_bytes());
        write::bulk(&mut out, value.as_bytes());
    };
    text("server", "redis");
    text("version", VERSION);
    text("mode", "standalone");
    text("role", "master");
    for (name, value) in [("proto", 2), ("id", session.id as i64)] {
        write::bulk(&mut out, name.as_bytes());
        write::integer(&mut out, value);
    }
    write::bulk(&mut out, b"modules");
    write::array(&mut out, 0);
    out
}
