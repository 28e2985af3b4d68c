//! Commands that the proxy answers itself: they concern the session, which is the proxy's.

mod acl;
mod client;
mod hello;
mod server;

pub(crate) use client::{Identity, describe};

use std::borrow::Cow;

use crate::command::Local;
use crate::order::SessionKey;
use crate::refusal::Refusal;
use crate::resp::{Request, parse_integer, write};
use crate::router::{Setup, Traffic};
use crate::stats::CloseReason;

/// Bytes of an argument that Redis repeats in its error.
const QUOTED_MAX: usize = 128;

/// What a local command answers.
pub(super) type Answer = Result<Vec<u8>, Refusal>;

impl Traffic {
    /// Answers a command without asking an upstream.
    pub(crate) fn answer_locally(&mut self, setup: &Setup, session: SessionKey, local: Local, request: &Request<'_>) {
        match self.local_answer(setup, session, local, request) {
            Ok(reply) => self.answer_new(setup, session, |out| out.extend_from_slice(&reply)),
            Err(why) => self.refuse(setup, session, &why),
        }
        if local == Local::Quit {
            self.finish_session(setup, session, CloseReason::Quit);
        }
    }

    fn local_answer(&mut self, setup: &Setup, key: SessionKey, local: Local, request: &Request<'_>) -> Answer {
        if let Some(asked) = acl::Asked::of(local) {
            return self.acl_answer(setup, key, asked, request);
        }
        match local {
            Local::Hello => return self.hello(setup, key, request),
            Local::Auth => return self.auth(setup, key, request),
            Local::Reset => self.log_out(setup, key),
            _ => {}
        }
        let Some(session) = self.sessions.get_mut(key) else { return Ok(Vec::new()) };
        match local {
            Local::Ping => ping(request),
            Local::Echo => Ok(bulk(request.arg(1))),
            Local::Select => select(request),
            Local::Quit => ok(),
            Local::Reset => {
                session.identity = None;
                Ok(b"+RESET\r\n".to_vec())
            }
            Local::ClientId => Ok(integer(session.id as i64)),
            Local::ClientGetName => Ok(client::name(session)),
            Local::ClientSetName => client::set_name(session, &setup.name, request.arg(2)),
            Local::ClientSetInfo => client::set_info(session, request),
            Local::ClientInfo | Local::ClientList => Ok(client::info(session)),
            Local::ClientGetRedir => Ok(integer(-1)),
            Local::ClientNoEvict | Local::ClientNoTouch => client::on_or_off(request.arg(2)),
            Local::ConfigGet => Ok(server::config_get(&setup.limits, request)),
            Local::Info => Ok(server::info(self, request)),
            _ => Ok(Vec::new()),
        }
    }
}

fn ok() -> Answer {
    Ok(b"+OK\r\n".to_vec())
}

fn as_redis(text: &'static str) -> Refusal {
    Refusal::AsRedis(text.into())
}

/// What an error repeats of a client's words: an error is no way to have much written for little.
fn quoted(text: &[u8]) -> Cow<'_, str> {
    String::from_utf8_lossy(&text[..text.len().min(QUOTED_MAX)])
}

fn bulk(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    write::bulk(&mut out, text);
    out
}

fn integer(value: i64) -> Vec<u8> {
    let mut out = Vec::new();
    write::integer(&mut out, value);
    out
}

fn ping(request: &Request<'_>) -> Answer {
    match request.len() {
        1 => Ok(b"+PONG\r\n".to_vec()),
        2 => Ok(bulk(request.arg(1))),
        _ => Err(as_redis("ERR wrong number of arguments for 'ping' command")),
    }
}

/// Clients fall back to database 0 on this error, which is the only one there is.
fn select(request: &Request<'_>) -> Answer {
    match parse_integer(request.arg(1)).and_then(|index| i32::try_from(index).ok()) {
        Some(0) => ok(),
        Some(_) => Err(as_redis("ERR DB index is out of range")),
        None => Err(as_redis("ERR value is not an integer or out of range")),
    }
}
