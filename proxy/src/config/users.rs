//! The options `user` and `users`: who may speak. Rules are Redis's; the crate `pdw-auth` reads them.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use pdw_auth::users::{Door, User, Users, parse};
use pdw_router::command::Table;
use pdw_router::{Entrance, Gate};

use super::draft::Draft;
use super::listeners::ListenConfig;
use super::mistakes::{Findings, Place, Problem, Sited};
use super::upstreams::unknown_entry;
use super::value::{Entry, Value};
use super::{Config, Warning};
use crate::plain_file;

/// Bytes of a file above which it is taken for some other file than one of users; a million of them have room.
const USERS_FILE_MAX: u64 = 256 << 20;

const ENTRIES: [&str; 2] = ["name", "rules"];

/// Commands that run scripts.
const SCRIPTS: [&str; 6] = ["eval", "eval_ro", "evalsha", "evalsha_ro", "fcall", "fcall_ro"];

/// One configured user.
#[derive(Clone, Debug)]
pub(crate) struct UserConfig {
    pub(crate) name: String,
    pub(crate) user: User,
}

/// The users of a file.
#[derive(Clone, Debug)]
pub(crate) struct UsersFile {
    pub(crate) path: String,
    pub(crate) users: Vec<UserConfig>,
    /// Everybody on this machine may read it.
    pub(crate) exposed: bool,
}

/// Reads the tables; a user with a mistake has no rules, so that it is known by name.
pub(super) fn read(option: &str, value: &Sited<Value>, findings: &mut Findings) -> Vec<Sited<UserConfig>> {
    let table = Table::new();
    let mut users = Vec::new();
    for item in Value::items(value) {
        let user = match &item.value {
            Value::Table(entries) => read_table(option, (entries, item.place), &table, findings),
            other => {
                findings.add(item.place, option, other.wrong_type("a table", "it below a [[user]] header"));
                None
            }
        };
        users.extend(user.map(|value| Sited { value, place: item.place }));
    }
    users
}

fn read_table(
    option: &str,
    (entries, place): (&[Entry], Place),
    table: &Table,
    findings: &mut Findings,
) -> Option<UserConfig> {
    let (mut name, mut rules) = (None, None);
    for Entry { key, value: Sited { value, place } } in entries {
        let option = format!("{option}.{}", key.value);
        match key.value.as_str() {
            "name" => name = Some(findings.take(*place, &option, user_name(value))),
            "rules" => {
                let text = findings.take(*place, &option, value.as_text("a text"));
                rules = Some(text.map(|text| read_rules(&option, *place, table, text, findings)));
            }
            other => findings.add(key.place, option, unknown_entry(other, &ENTRIES)),
        }
    }
    for (entry, _) in [("name", name.is_none()), ("rules", rules.is_none())].iter().filter(|(_, gone)| *gone) {
        findings.add(place, option, Problem::Missing(entry));
    }
    Some(UserConfig { name: name??, user: rules.flatten().unwrap_or_default() })
}

fn user_name(value: &Value) -> Result<String, Problem> {
    match value.as_text("a name")? {
        "" => Err(Problem::EmptyName),
        name if name.contains([' ', '\t', '\r', '\n', '\0']) => Err(Problem::UserName),
        name => Ok(name.to_owned()),
    }
}

fn read_rules(option: &str, place: Place, table: &Table, text: &str, findings: &mut Findings) -> User {
    User::parse(table, text).unwrap_or_else(|errors| {
        errors.into_iter().for_each(|error| findings.add(place, option, Problem::UserRule(error)));
        User::default()
    })
}

/// Reads the file that option `users` names; what is wrong with it stands at the option's line, with its own.
pub(super) fn read_file(option: &str, value: &Sited<Value>, findings: &mut Findings) -> Option<Sited<UsersFile>> {
    let path = findings.take(value.place, option, value.value.as_text("a path"))?.to_owned();
    let unreadable = |error: std::io::Error| Problem::UsersUnreadable { path: path.clone(), reason: error.to_string() };
    let text = findings.take(value.place, option, read_text(&path).map_err(unreadable));
    let exposed = std::fs::metadata(&path).is_ok_and(|data| data.mode() & 0o004 != 0);
    let users = parse(&Table::new(), &text.unwrap_or_default()).unwrap_or_else(|errors| {
        for (line, error) in errors {
            findings.add(value.place, option, Problem::UsersFile { path: path.clone(), line, error });
        }
        Vec::new()
    });
    let users = users.into_iter().map(|one| UserConfig { name: one.name, user: one.user }).collect();
    Some(Sited { value: UsersFile { path, users, exposed }, place: value.place })
}

fn read_text(path: &str) -> std::io::Result<String> {
    let mut text = String::new();
    plain_file::open(Path::new(path), USERS_FILE_MAX)?.read_to_string(&mut text)?;
    Ok(text)
}

/// Users in a text that differs if they do, and shows nothing of them.
pub(super) fn fingerprint<'u>(users: impl Iterator<Item = &'u UserConfig>) -> String {
    let mut hasher = DefaultHasher::new();
    users.for_each(|one| (&one.name, one.user.describe()).hash(&mut hasher));
    format!("{:x}", hasher.finish())
}

/// Adds what is wrong with the users, and with the listeners' users.
pub(super) fn check(draft: &Draft, findings: &mut Findings) {
    for (index, later) in draft.users.iter().enumerate() {
        let first = draft.users[..index].iter().find(|first| first.value.name == later.value.name);
        if let Some(first) = first {
            let (text, first) = (later.value.name.clone(), first.place);
            findings.add(later.place, "user", Problem::Twice { what: "user", text, first });
        }
    }
    if let Some(file) = draft.users_file.as_ref().filter(|_| !draft.users.is_empty()) {
        findings.add(file.place, "users", Problem::UsersInTwoPlaces);
    }
    // Users that could not be read are not missed.
    if findings.concern("user") || findings.concern("users") {
        return;
    }
    let users = Users::new(named(draft));
    for listener in &draft.listen {
        let Some(name) = &listener.value.user else { continue };
        match users.get(name) {
            None => findings.add(listener.place, "listen.user", Problem::NoSuchUser(name.clone())),
            Some(user) if !user.enabled => {
                findings.add(listener.place, "listen.user", Problem::UserIsOff(name.clone()));
            }
            Some(_) => {}
        }
    }
}

/// The users by name.
pub(super) fn named(draft: &Draft) -> Vec<(String, User)> {
    let file = draft.users_file.iter().flat_map(|file| &file.value.users);
    let all = draft.users.iter().map(|user| &user.value).chain(file);
    all.map(|one| (one.name.clone(), one.user.clone())).collect()
}

fn doors(listen: &[ListenConfig]) -> Vec<Door> {
    listen.iter().map(|listener| Door { user: listener.user.clone(), from: listener.from.clone() }).collect()
}

impl Config {
    /// Who may speak, to be compared.
    pub(crate) fn admission(&self) -> (Vec<(String, User)>, Vec<Door>) {
        (self.users.clone(), doors(&self.listen))
    }

    /// The users, and who those are that have not authenticated.
    pub(crate) fn gate(&self) -> Users {
        Users::new(self.users.clone()).with_doors(doors(&self.listen))
    }
}

/// What is allowed but probably not meant.
pub(super) fn warnings(draft: &Draft) -> Vec<Warning> {
    let listen: Vec<ListenConfig> = draft.listen.iter().map(|listener| listener.value.clone()).collect();
    let users = Users::new(named(draft)).with_doors(doors(&listen));
    let open = (0..).zip(&listen).filter(|(index, listener)| {
        let everybody = users.enter(&Entrance { listener: *index, ..Entrance::default() });
        let strangers = !listener.address.is_loopback() && !listener.seal.keeps_strangers_out();
        strangers && everybody.is_some_and(|login| login.permit.is_boundless())
    });
    let mut warnings: Vec<Warning> =
        open.map(|(_, listener)| Warning::OpenListener(listener.address.clone())).collect();
    if let Some(file) = draft.users_file.as_ref().filter(|file| file.value.exposed) {
        warnings.push(Warning::UsersExposed(file.value.path.clone()));
    }
    let table = Table::new();
    let scripting = users.iter().filter(|(_, user)| {
        let permit = user.permit(&table);
        user.enabled && !permit.is_boundless() && SCRIPTS.iter().any(|name| permit.allows_command(&table, name))
    });
    let names: Vec<&str> = scripting.map(|(name, _)| name).collect();
    if !names.is_empty() {
        warnings.push(Warning::Scripts(names.join("`, `")));
    }
    warnings
}
