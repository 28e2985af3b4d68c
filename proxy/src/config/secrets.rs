//! By what links authenticate: entries of an upstream's table, or of the group's for all upstreams. Passwords come from a file or from the environment, so
//! that they stand neither on a command line nor in the configuration.

use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use pdw_router::{Credentials, Secret};

use super::mistakes::{Findings, Place, Problem, Sited};
use super::value::Value;
use crate::plain_file;

/// What the entries are called.
pub(super) const USER: &str = "user";
pub(super) const PASSWORD_FILE: &str = "password_file";
pub(super) const PASSWORD_ENV: &str = "password_env";

/// Bytes of a file above which it is taken for some other file than that of a password.
const PASSWORD_FILE_MAX: u64 = 64 << 10;

/// The entries as far as they were read.
#[derive(Clone, Debug, Default)]
pub(crate) struct CredentialsDraft {
    user: Option<String>,
    /// A password that could not be read is missed by nobody else.
    passwords: Vec<Option<Secret>>,
}

impl CredentialsDraft {
    /// Takes an entry, if it is one of these.
    pub(super) fn take(&mut self, option: &str, entry: &str, given: &Sited<Value>, findings: &mut Findings) -> bool {
        let Sited { value, place } = given;
        let password = match entry {
            USER => {
                self.user = findings.take(*place, option, value.as_text("a name")).map(str::to_owned);
                return true;
            }
            PASSWORD_FILE => of_file(value),
            PASSWORD_ENV => of_environment(value),
            _ => return false,
        };
        self.passwords.push(findings.take(*place, option, password));
        true
    }

    /// An entry in words, without the password.
    pub(super) fn text(&self, entry: &str) -> String {
        if entry == USER { format!("{:?}", self.user) } else { format!("{:?}", self.passwords) }
    }

    /// What they make.
    pub(super) fn finish(mut self, option: &str, place: Place, findings: &mut Findings) -> Option<Credentials> {
        if self.passwords.len() > 1 {
            findings.add(place, option, Problem::TwoPasswords);
        } else if self.user.is_some() && self.passwords.is_empty() {
            findings.add(place, option, Problem::NoPassword);
        }
        let password = self.passwords.pop()??;
        Some(Credentials { user: self.user, password })
    }
}

fn of_file(value: &Value) -> Result<Secret, Problem> {
    let path = value.as_text("a path")?;
    let unreadable =
        |error: std::io::Error| Problem::SecretUnreadable { path: path.to_owned(), reason: error.to_string() };
    let mut file = plain_file::open(Path::new(path), PASSWORD_FILE_MAX).map_err(unreadable)?;
    if file.metadata().map_err(unreadable)?.mode() & 0o007 != 0 {
        return Err(Problem::SecretExposed(path.to_owned()));
    }
    let mut text = String::new();
    file.read_to_string(&mut text).map_err(unreadable)?;
    let password = text.lines().next().unwrap_or_default();
    if password.is_empty() { Err(Problem::SecretEmpty(path.to_owned())) } else { Ok(Secret::new(password.to_owned())) }
}

fn of_environment(value: &Value) -> Result<Secret, Problem> {
    let name = value.as_text("a name")?;
    match std::env::var(name) {
        Ok(password) if !password.is_empty() => Ok(Secret::new(password)),
        _ => Err(Problem::NoSuchVariable(name.to_owned())),
    }
}
