//! `ACL`: what may be asked about users. The users themselves answer behind the [`Gate`](crate::Gate).

use super::{Answer, as_redis, bulk, ok, quoted};
use crate::command::{Categories, CommandSpec, Flags, Local, Table, Unknown};
use crate::order::SessionKey;
use crate::permit::{Denied, Found};
use crate::refusal::Refusal;
use crate::resp::{Request, parse_integer, write};
use crate::router::{Setup, Traffic};
use crate::session::gate::Question;

/// Entries of `ACL LOG` unless a number is given.
const LOG_DEFAULT: usize = 10;

/// A subcommand of `ACL`.
#[derive(Clone, Copy, Debug)]
pub(super) enum Asked {
    WhoAmI,
    List,
    Users,
    GetUser,
    Cat,
    DryRun,
    Log,
}

impl Asked {
    /// The subcommand that a local command is, if it is one.
    pub(super) fn of(local: Local) -> Option<Self> {
        Some(match local {
            Local::AclWhoAmI => Self::WhoAmI,
            Local::AclList => Self::List,
            Local::AclUsers => Self::Users,
            Local::AclGetUser => Self::GetUser,
            Local::AclCat => Self::Cat,
            Local::AclDryRun => Self::DryRun,
            Local::AclLog => Self::Log,
            _ => return None,
        })
    }
}

impl Traffic {
    pub(super) fn acl_answer(&mut self, setup: &Setup, key: SessionKey, asked: Asked, request: &Request<'_>) -> Answer {
        let tell = |question| {
            let mut out = Vec::new();
            setup.gate.answer(question, &mut out);
            Ok(out)
        };
        match asked {
            Asked::WhoAmI => Ok(bulk(self.sessions.get(key).map_or("", |session| session.who.user()).as_bytes())),
            Asked::List => tell(Question::List),
            Asked::Users => tell(Question::Names),
            Asked::GetUser => tell(Question::User(request.arg(2))),
            Asked::Cat => categories(&setup.table, request),
            Asked::DryRun => dry_run(setup, request, &mut self.found),
            Asked::Log => self.denied_of_late(request),
        }
    }

    /// `ACL LOG [count | RESET]`: of this worker.
    fn denied_of_late(&mut self, request: &Request<'_>) -> Answer {
        let count = match request.len() {
            2 => LOG_DEFAULT,
            3 if request.arg(2).eq_ignore_ascii_case(b"reset") => {
                self.denials.clear();
                return ok();
            }
            3 => {
                let count = parse_integer(request.arg(2));
                let count = count.ok_or_else(|| as_redis("ERR value is not an integer or out of range"))?;
                usize::try_from(count).unwrap_or(0)
            }
            _ => return Err(misused(request)),
        };
        let mut out = Vec::new();
        self.denials.write(count, self.now, &mut out);
        Ok(out)
    }
}

/// `ACL CAT [category]`
fn categories(table: &Table, request: &Request<'_>) -> Answer {
    let category = match request.len() {
        2 => return Ok(list(Categories::all().iter_names().map(|(name, _)| name.to_ascii_lowercase()))),
        3 => request.arg(2),
        _ => return Err(misused(request)),
    };
    let known = std::str::from_utf8(category).ok().and_then(|name| Categories::from_name(&name.to_ascii_uppercase()));
    let wanted =
        known.ok_or_else(|| Refusal::AsRedis(format!("ERR Unknown category '{}'", quoted(category)).into()))?;
    let inside = |spec: &&CommandSpec| spec.categories.intersects(wanted) && !spec.flags.contains(Flags::MODULE);
    Ok(list(table.iter().filter(inside).map(|spec| spec.name.to_string())))
}

fn list(names: impl Iterator<Item = String>) -> Vec<u8> {
    let names: Vec<String> = names.collect();
    let mut out = Vec::new();
    write::array(&mut out, names.len());
    names.iter().for_each(|name| write::bulk(&mut out, name.as_bytes()));
    out
}

/// `ACL DRYRUN user command [argument ...]`
fn dry_run(setup: &Setup, request: &Request<'_>, found: &mut Found) -> Answer {
    let as_redis = |text: String| Refusal::AsRedis(text.into());
    let user = request.arg(2);
    let permit = setup.gate.permit(user);
    let permit = permit.ok_or_else(|| as_redis(format!("ERR User '{}' not found", quoted(user))))?;
    let tried = Request { spans: request.spans.get(3..).unwrap_or_default(), ..*request };
    let id = setup.table.resolve(&tried).map_err(|why| match why {
        Unknown::Arity(id) => {
            as_redis(format!("ERR wrong number of arguments for '{}' command", setup.table.spec(id).name))
        }
        _ => as_redis(format!("ERR Command '{}' not found", quoted(tried.arg(0)))),
    })?;
    let spec = setup.table.spec(id);
    let (what, name): (_, &[u8]) = match permit.check(id, spec, &tried, found) {
        Ok(()) => return ok(),
        Err(Denied::Command) => return Ok(bulk(denied_command(&spec.name).as_bytes())),
        Err(Denied::Key(at)) => ("key", tried.arg(at as usize)),
        Err(Denied::Channel(at)) => ("channel", tried.arg(at as usize)),
    };
    let text = [b"This user has no permissions to access the '", name, b"' ", what.as_bytes()].concat();
    Ok(bulk(&text))
}

fn denied_command(name: &str) -> String {
    format!("This user has no permissions to run the '{name}' command")
}

/// What Redis 7.0 says to more arguments than a subcommand takes.
fn misused(request: &Request<'_>) -> Refusal {
    let own = String::from_utf8_lossy(request.arg(1));
    let text = format!("ERR unknown subcommand or wrong number of arguments for '{own}'. Try ACL HELP.");
    Refusal::AsRedis(text.into())
}
