//! `HELLO` and `AUTH`, as a Redis without passwords answers them; RESP3 is refused so that clients fall back.

use super::{Answer, as_redis, client, ok};
use crate::refusal::Refusal;
use crate::resp::{Request, parse_integer, write};
use crate::session::Session;

/// The version of Redis whose commands the table holds, as far as clients decide by it. Valkey says the same.
pub(super) const VERSION: &str = "7.2.4";

/// `HELLO [version [AUTH user password] [SETNAME name]]`
pub(super) fn hello(session: &mut Session, request: &Request<'_>) -> Answer {
    if request.len() > 1 {
        let version = parse_integer(request.arg(1))
            .ok_or_else(|| as_redis("ERR Protocol version is not an integer or out of range"))?;
        if version != 2 {
            return Err(as_redis("NOPROTO unsupported protocol version"));
        }
    }
    options(session, request)?;
    Ok(greeting(session))
}

fn options(session: &mut Session, request: &Request<'_>) -> Result<(), Refusal> {
    let mut at = 2;
    while at < request.len() {
        let (option, left) = (request.arg(at), request.len() - at - 1);
        if option.eq_ignore_ascii_case(b"auth") && left >= 2 {
            log_in(request.arg(at + 1))?;
            at += 3;
        } else if option.eq_ignore_ascii_case(b"setname") && left >= 1 {
            client::set_name(session, "", request.arg(at + 1))?;
            at += 2;
        } else {
            let option = String::from_utf8_lossy(option);
            return Err(Refusal::AsRedis(format!("ERR Syntax error in HELLO option '{option}'").into()));
        }
    }
    Ok(())
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

/// `AUTH [user] password`
pub(super) fn auth(request: &Request<'_>) -> Answer {
    match request.len() {
        2 => Err(as_redis(
            "ERR AUTH <password> called without any password configured for the default user. Are you sure your configuration is correct?",
        )),
        3 => log_in(request.arg(1)).and_then(|()| ok()),
        _ => Err(as_redis("ERR syntax error")),
    }
}

/// There is one user, and it needs no password.
fn log_in(user: &[u8]) -> Result<(), Refusal> {
    if user == b"default" {
        return Ok(());
    }
    Err(as_redis("WRONGPASS invalid username-password pair or user is disabled."))
}
