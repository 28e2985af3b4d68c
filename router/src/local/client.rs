//! `CLIENT`: what a session says of itself.

use super::{Answer, as_redis, bulk, ok};
use crate::refusal::Refusal;
use crate::resp::{Request, write};
use crate::session::Session;

/// Longest name, of a client or its library: they are kept as long as the session, and there may be 100,000.
const NAME_MAX: usize = 1024;

/// What a client said of itself.
#[derive(Debug, Default)]
pub(crate) struct Identity {
    pub(crate) name: Vec<u8>,
    library: Vec<u8>,
    version: Vec<u8>,
}

/// `CLIENT GETNAME`
pub(super) fn name(session: &Session) -> Vec<u8> {
    match &session.identity {
        Some(identity) if !identity.name.is_empty() => bulk(&identity.name),
        _ => b"$-1\r\n".to_vec(),
    }
}

/// `CLIENT SETNAME`. A client with the name of this proxy's own links is this proxy.
pub(super) fn set_name(session: &mut Session, own_name: &str, name: &[u8]) -> Answer {
    if !name.is_empty() && name == own_name.as_bytes() {
        return Err(Refusal::Loop);
    }
    if name.len() > NAME_MAX {
        return Err(too_long());
    }
    if !is_printable(name) {
        return Err(as_redis("ERR Client names cannot contain spaces, newlines or special characters."));
    }
    session.identity.get_or_insert_default().name = name.to_vec();
    ok()
}

/// `CLIENT SETINFO LIB-NAME|LIB-VER value`
pub(super) fn set_info(session: &mut Session, request: &Request<'_>) -> Answer {
    let (option, value) = (request.arg(2), request.arg(3));
    let identity = session.identity.get_or_insert_default();
    let (field, shown) = if option.eq_ignore_ascii_case(b"lib-name") {
        (&mut identity.library, "lib-name")
    } else if option.eq_ignore_ascii_case(b"lib-ver") {
        (&mut identity.version, "lib-ver")
    } else {
        let option = String::from_utf8_lossy(option);
        return Err(Refusal::AsRedis(format!("ERR Unrecognized option '{option}'").into()));
    };
    if value.len() > NAME_MAX {
        return Err(too_long());
    }
    if !is_printable(value) {
        let text = format!("ERR {shown} cannot contain spaces, newlines or special characters.");
        return Err(Refusal::AsRedis(text.into()));
    }
    *field = value.to_vec();
    ok()
}

fn too_long() -> Refusal {
    Refusal::Unsupported(format!("ERR a name of more than {NAME_MAX} bytes is not kept; choose a shorter one"))
}

fn is_printable(text: &[u8]) -> bool {
    text.iter().all(|byte| (b'!'..=b'~').contains(byte))
}

/// `CLIENT INFO`, and `CLIENT LIST` as far as a session may see: itself.
pub(super) fn info(session: &Session) -> Vec<u8> {
    let mut out = Vec::new();
    write::bulk(&mut out, (describe(session) + "\n").as_bytes());
    out
}

/// A session in one line.
pub(crate) fn describe(session: &Session) -> String {
    let none = Identity::default();
    let identity = session.identity.as_deref().unwrap_or(&none);
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    format!(
        "id={} name={} flags=N db=0 resp=2 user={} lib-name={} lib-ver={}",
        session.id,
        text(&identity.name),
        session.who.user(),
        text(&identity.library),
        text(&identity.version)
    )
}

/// `CLIENT NO-EVICT ON|OFF`, `CLIENT NO-TOUCH ON|OFF`: accepted, for it is the instances that evict.
pub(super) fn on_or_off(value: &[u8]) -> Answer {
    if value.eq_ignore_ascii_case(b"on") || value.eq_ignore_ascii_case(b"off") {
        return ok();
    }
    Err(as_redis("ERR syntax error"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_is_too_long_to_be_kept_is_refused_and_the_old_one_stays() {
        let mut session = Session::default();
        set_name(&mut session, "", b"short").unwrap();
        assert!(set_name(&mut session, "", &[b'x'; NAME_MAX + 1]).is_err());
        assert_eq!(name(&session), bulk(b"short"));
        set_name(&mut session, "", &[b'x'; NAME_MAX]).unwrap();
        // As `HELLO 2 SETNAME ""` has it: no name again.
        set_name(&mut session, "", b"").unwrap();
        assert_eq!(name(&session), b"$-1\r\n");
    }
}
