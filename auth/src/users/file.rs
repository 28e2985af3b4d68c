//! Redis's aclfile: `user NAME rules...`, a line for each user.

use pdw_router::command::Table;

use super::rules::{RuleError, User};

/// What is wrong with a line.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LineError {
    /// Something else than a user.
    #[error("not `user NAME rules...`; begin the line with `user` and a name, or with # to make it a comment")]
    NoUser,
    /// A user that was there before.
    #[error("user `{0}` is given twice (first on line {1}); remove one")]
    Twice(String, usize),
    /// A rule.
    #[error("user `{0}`: {1}")]
    Rule(String, RuleError),
}

/// A user of the file.
#[derive(Clone, Debug)]
pub struct Definition {
    /// The line, counted from 1.
    pub line: usize,
    /// The user's name.
    pub name: String,
    /// What the rules make of it.
    pub user: User,
}

/// Reads a file.
///
/// # Errors
/// Everything that is wrong with it, with the lines.
pub fn parse(table: &Table, text: &str) -> Result<Vec<Definition>, Vec<(usize, LineError)>> {
    let (mut users, mut errors) = (Vec::<Definition>::new(), Vec::new());
    for (line, content) in (1..).zip(text.lines()) {
        let content = content.trim_matches([' ', '\t', '\r']);
        if content.is_empty() || content.starts_with('#') {
            continue;
        }
        let Some((name, rules)) = named(content) else {
            errors.push((line, LineError::NoUser));
            continue;
        };
        if let Some(first) = users.iter().find(|first| first.name == name) {
            errors.push((line, LineError::Twice(name.to_owned(), first.line)));
        }
        let user = User::parse(table, rules).unwrap_or_else(|wrong| {
            errors.extend(wrong.into_iter().map(|error| (line, LineError::Rule(name.to_owned(), error))));
            User::default()
        });
        users.push(Definition { line, name: name.to_owned(), user });
    }
    if errors.is_empty() { Ok(users) } else { Err(errors) }
}

/// The name and the rules.
fn named(line: &str) -> Option<(&str, &str)> {
    let rest = line.strip_prefix("user")?.strip_prefix([' ', '\t'])?.trim_start();
    let (name, rules) = rest.split_once([' ', '\t']).unwrap_or((rest, ""));
    (!name.is_empty()).then_some((name, rules))
}
