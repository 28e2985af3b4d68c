//! The types of options: how each reads a value, what it defaults to, and how that is written for people.

use std::time::Duration;

use super::address::Address;
use super::draft::{Draft, Profile};
use super::mistakes::{Findings, Problem, Sited};
use super::secrets::PASSWORD_FILE;
use super::value::{Value, format_bytes, format_ms, to_usize};
use super::{listeners, rules, upstreams, users};

/// Names the field of the draft that an option fills.
pub(crate) type Field<T> = fn(&mut Draft) -> &mut T;

/// When a changed value takes effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reload {
    /// When the configuration is read again.
    Live,
    /// When the proxy is started again.
    Restart,
}

/// Type of an option, with its default, range and field.
pub(crate) enum Kind {
    /// One of some words.
    Choice { choices: &'static [&'static str], default: &'static str, field: Field<&'static str> },
    /// One of some words, with a default that follows from the profile.
    ByProfile {
        choices: &'static [&'static str],
        default: fn(Profile) -> &'static str,
        field: Field<Option<&'static str>>,
    },
    /// One address, or none.
    Address { field: Field<Option<Sited<Address>>> },
    /// One or more addresses, with seals.
    Listeners,
    /// Addresses with names, weights and seals.
    Upstreams,
    /// A whole number.
    Count { default: u64, range: (u64, u64), field: Field<usize> },
    /// A size in bytes.
    Bytes { default: u64, range: (u64, u64), field: Field<usize> },
    /// A duration; default and range in milliseconds.
    Time { default: u64, range: (u64, u64), field: Field<Duration> },
    /// Yes or no.
    Flag { default: bool, field: Field<bool> },
    /// A text with a check of its own.
    Text { default: &'static str, check: fn(&str) -> Result<(), Problem>, field: Field<String> },
    /// By what links to all upstreams authenticate: the entry of this name.
    Credential(&'static str),
    /// Manifold rules.
    Rules,
    /// Users in tables.
    Users,
    /// A file with users.
    UsersFile,
}

impl std::fmt::Debug for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.type_name())
    }
}

impl Kind {
    /// The type's name in the reference page.
    pub(crate) fn type_name(&self) -> &'static str {
        match self {
            Self::Choice { .. } | Self::ByProfile { .. } => "choice",
            Self::Address { .. } => "address",
            Self::Listeners | Self::Upstreams => "addresses or tables",
            Self::Count { .. } => "number",
            Self::Bytes { .. } => "size",
            Self::Time { .. } => "duration",
            Self::Flag { .. } => "boolean",
            Self::Text { .. } => "text",
            Self::Rules | Self::Users => "tables",
            Self::UsersFile | Self::Credential(PASSWORD_FILE) => "path",
            Self::Credential(_) => "text",
        }
    }

    /// The default as it is written in the file; for lists and absent values, what that means.
    pub(crate) fn default_text(&self) -> String {
        match self {
            Self::Choice { default, .. } => (*default).to_owned(),
            Self::Listeners => listeners::DEFAULT.to_owned(),
            Self::Text { default: "", .. } | Self::Address { .. } | Self::Upstreams => "none".to_owned(),
            Self::Rules | Self::Users | Self::UsersFile | Self::Credential(_) => "none".to_owned(),
            Self::Text { default, .. } => (*default).to_owned(),
            Self::ByProfile { default, .. } => {
                let all = Profile::ALL.map(|profile| format!("{} (profile {})", default(profile), profile.name()));
                all.join(", ")
            }
            Self::Count { default, .. } => default.to_string(),
            Self::Bytes { default, .. } => format_bytes(*default),
            Self::Time { default, .. } => format_ms(*default),
            Self::Flag { default, .. } => default.to_string(),
        }
    }

    /// The values that are taken, where there is more to say than the type.
    pub(crate) fn range_text(&self) -> String {
        match self {
            Self::Choice { choices, .. } | Self::ByProfile { choices, .. } => choices.join(", "),
            Self::Count { range: (low, high), .. } => format!("{low} to {high}"),
            Self::Bytes { range: (low, high), .. } => format!("{} to {}", format_bytes(*low), format_bytes(*high)),
            Self::Time { range: (low, high), .. } => format!("{} to {}", format_ms(*low), format_ms(*high)),
            _ => String::new(),
        }
    }

    /// The value in words: equal for equal values, wherever they were given.
    pub(crate) fn value_text(&self, draft: &mut Draft) -> String {
        match self {
            Self::Choice { field, .. } => format!("{:?}", field(draft)),
            Self::ByProfile { default, field, .. } => {
                let profile = draft.profile();
                format!("{:?}", field(draft).unwrap_or(default(profile)))
            }
            Self::Address { field } => format!("{:?}", field(draft).as_ref().map(|address| &address.value)),
            Self::Listeners => values_text(&draft.listen),
            Self::Upstreams => values_text(&draft.upstreams),
            Self::Count { field, .. } | Self::Bytes { field, .. } => field(draft).to_string(),
            Self::Time { field, .. } => format!("{:?}", field(draft)),
            Self::Flag { field, .. } => field(draft).to_string(),
            Self::Text { field, .. } => format!("{:?}", field(draft)),
            Self::Credential(entry) => draft.group_credentials.text(entry),
            Self::Rules => values_text(&draft.rules),
            Self::Users => users::fingerprint(draft.users.iter().map(|user| &user.value)),
            Self::UsersFile => {
                let file = draft.users_file.as_ref().map(|file| &file.value);
                format!("{:?}", file.map(|file| (&file.path, users::fingerprint(file.users.iter()))))
            }
        }
    }

    /// The words of a choice.
    pub(crate) fn choices(&self) -> &'static [&'static str] {
        match self {
            Self::Choice { choices, .. } | Self::ByProfile { choices, .. } => choices,
            _ => &[],
        }
    }

    /// Fills the field with the default. Fields that are empty by default are so from the start.
    pub(crate) fn set_default(&self, draft: &mut Draft) {
        match self {
            Self::Choice { default, field, .. } => *field(draft) = default,
            Self::Listeners => draft.listen = listeners::default(),
            Self::Count { default, field, .. } | Self::Bytes { default, field, .. } => {
                *field(draft) = to_usize(*default)
            }
            Self::Time { default, field, .. } => *field(draft) = Duration::from_millis(*default),
            Self::Flag { default, field } => *field(draft) = *default,
            Self::Text { default, field, .. } => *field(draft) = (*default).to_owned(),
            Self::ByProfile { .. } | Self::Address { .. } | Self::Upstreams => {}
            Self::Rules | Self::Users | Self::UsersFile | Self::Credential(_) => {}
        }
    }

    /// Fills the field with a value, or adds what is wrong with it.
    pub(crate) fn set(&self, name: &str, value: &Sited<Value>, draft: &mut Draft, findings: &mut Findings) {
        match self {
            Self::Listeners => draft.listen = listeners::read(name, value, findings),
            Self::Upstreams => draft.upstreams = upstreams::read(name, value, findings),
            Self::Credential(entry) => drop(draft.group_credentials.take(name, entry, value, findings)),
            Self::Rules => draft.rules = rules::read(name, value, findings),
            Self::Users => draft.users = users::read(name, value, findings),
            Self::UsersFile => draft.users_file = users::read_file(name, value, findings),
            _ => {
                let result = self.set_one(value, draft);
                findings.take(value.place, name, result);
            }
        }
    }

    /// Fills the field of an option that has one value.
    fn set_one(&self, Sited { value, place }: &Sited<Value>, draft: &mut Draft) -> Result<(), Problem> {
        match self {
            Self::Choice { choices, field, .. } => *field(draft) = value.as_choice(choices)?,
            Self::ByProfile { choices, field, .. } => *field(draft) = Some(value.as_choice(choices)?),
            Self::Address { field } => *field(draft) = Some(Sited { value: value.as_address()?, place: *place }),
            Self::Count { range, field, .. } => *field(draft) = value.as_count(*range)?,
            Self::Bytes { range, field, .. } => *field(draft) = value.as_bytes(*range)?,
            Self::Time { range, field, .. } => *field(draft) = value.as_duration(*range)?,
            Self::Flag { field, .. } => *field(draft) = value.as_flag()?,
            Self::Text { check, field, .. } => {
                let text = value.as_text("a text")?;
                check(text)?;
                *field(draft) = text.to_owned();
            }
            Self::Listeners | Self::Upstreams | Self::Rules | Self::Users | Self::UsersFile => {}
            Self::Credential(_) => {}
        }
        Ok(())
    }
}

fn values_text<T: std::fmt::Debug>(values: &[Sited<T>]) -> String {
    format!("{:?}", values.iter().map(|sited| &sited.value).collect::<Vec<_>>())
}
