//! The rule language: each rule changes a user, later ones override earlier ones.
//!
//! Source: `ACLSetUser` of Redis 7.0.

use std::fmt;

use pdw_router::PasswordHash;
use pdw_router::command::Table;
use pdw_router::permit::Permit;

use super::password;
use super::selector::SelectorRules;

/// A user as its rules describe it.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct User {
    /// It may authenticate, and sessions may be it.
    pub enabled: bool,
    /// Any password will do.
    pub nopass: bool,
    /// Hashes of its passwords.
    pub(super) passwords: Vec<PasswordHash>,
    /// `sanitize-payload` or `skip-sanitize-payload`, which mean nothing here, if one was given.
    pub(super) payload: Option<&'static str>,
    pub(super) root: SelectorRules,
    /// What stands in parentheses.
    pub(super) selectors: Vec<SelectorRules>,
}

impl fmt::Debug for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("User").field("enabled", &self.enabled).finish_non_exhaustive()
    }
}

/// What is wrong with a rule. None of the texts shows what may be a password.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RuleError {
    /// No command or category of that name.
    #[error(
        "`{0}` names no command and no category; `ACL CAT` lists them, and a module's command has a dot in its name"
    )]
    Unknown(String),
    /// No rule at all; which one, counted from 1.
    #[error(
        "rule {0} is not one of Redis's (it is not shown, since it may be a password); write on, off, nopass, >password, #hash, ~keys, %R~keys, %W~keys, &channels, +command, \
         -command, +@category, -@category, allkeys, allchannels, allcommands, reset or (a selector)"
    )]
    Syntax(usize),
    /// A key pattern behind one that allows all keys.
    #[error("`{0}` has no effect behind `~*` or `allkeys`; remove one of them, or write `resetkeys` between them")]
    BehindAllKeys(String),
    /// A channel pattern behind one that allows all channels.
    #[error("`{0}` has no effect behind `&*` or `allchannels`; remove one, or write `resetchannels` between them")]
    BehindAllChannels(String),
    /// A password that is taken away but was never given.
    #[error("rule {0} takes a password away that the user does not have; remove it")]
    NoSuchPassword(usize),
    /// A hash that is none.
    #[error("rule {0} is no password hash; write # and the 64 hexadecimal digits, in lower case, of its SHA-256")]
    BadHash(usize),
    /// A first argument of a subcommand.
    #[error("`{0}` allows a first argument of a subcommand, which is not possible; allow the subcommand")]
    ArgumentOfSubcommand(String),
    /// A parenthesis that is never closed.
    #[error("rule {0} opens a parenthesis that is never closed; end the selector with `)`")]
    Unclosed(usize),
}

impl User {
    /// The user of a proxy without users: everything is allowed, without a password.
    pub fn everything() -> Self {
        let mut user = Self::default();
        let table = Table::new();
        for rule in ["on", "nopass", "~*", "&*", "+@all"] {
            // These are good.
            let _ = user.apply(&table, rule, 0);
        }
        user
    }

    /// A user as `rules` describe it, parted by spaces.
    ///
    /// # Errors
    /// Everything that is wrong with them.
    pub fn parse(table: &Table, rules: &str) -> Result<Self, Vec<RuleError>> {
        let (mut user, mut errors) = (Self::default(), Vec::new());
        for (number, rule) in merged(rules, &mut errors) {
            errors.extend(user.apply(table, &rule, number).err().into_iter().flatten());
        }
        if errors.is_empty() { Ok(user) } else { Err(errors) }
    }

    /// Whether a session may be this user without saying a password, be it that any will do.
    pub fn is_open(&self) -> bool {
        self.enabled && self.nopass
    }

    /// What it may do.
    pub fn permit(&self, table: &Table) -> Permit {
        let selectors = std::iter::once(&self.root).chain(&self.selectors).map(SelectorRules::compiled);
        Permit::new(table, selectors.collect())
    }

    /// Applies rule `number`.
    fn apply(&mut self, table: &Table, rule: &str, number: usize) -> Result<(), Vec<RuleError>> {
        if let Some(inner) = rule.strip_prefix('(').and_then(|rest| rest.strip_suffix(')')) {
            self.selectors.push(SelectorRules::parse(table, inner, number)?);
            return Ok(());
        }
        if self.apply_word(rule) {
            return Ok(());
        }
        let applied = match rule.split_at_checked(1) {
            Some((">" | "#" | "<" | "!", _)) => self.apply_password(rule, number),
            _ => self.root.apply(table, rule, number),
        };
        applied.map_err(|error| vec![error])
    }

    /// Applies a rule that is one word about the user as a whole, if it is one.
    fn apply_word(&mut self, rule: &str) -> bool {
        match rule.to_ascii_lowercase().as_str() {
            "on" => self.enabled = true,
            "off" => self.enabled = false,
            "nopass" => (self.nopass, self.passwords) = (true, Vec::new()),
            "resetpass" => (self.nopass, self.passwords) = (false, Vec::new()),
            "sanitize-payload" => self.payload = Some("sanitize-payload"),
            "skip-sanitize-payload" => self.payload = Some("skip-sanitize-payload"),
            "clearselectors" => self.selectors.clear(),
            "reset" => *self = Self { payload: Some("sanitize-payload"), ..Self::default() },
            _ => return false,
        }
        true
    }

    fn apply_password(&mut self, rule: &str, number: usize) -> Result<(), RuleError> {
        let (sign, text) = rule.split_at(1);
        let hash = match sign {
            ">" | "<" => password::hash(text.as_bytes()),
            _ => password::from_hex(text).ok_or(RuleError::BadHash(number))?,
        };
        let place = self.passwords.iter().position(|known| *known == hash);
        match (sign, place) {
            (">" | "#", _) => {
                self.nopass = false;
                if place.is_none() {
                    self.passwords.push(hash);
                }
            }
            (_, Some(place)) => drop(self.passwords.remove(place)),
            (_, None) => return Err(RuleError::NoSuchPassword(number)),
        }
        Ok(())
    }
}

/// The rules with their numbers; those of a selector, which may be parted by spaces, as one.
fn merged(rules: &str, errors: &mut Vec<RuleError>) -> Vec<(usize, String)> {
    let mut merged = Vec::new();
    let mut open: Option<(usize, String)> = None;
    for (number, rule) in (1..).zip(rules.split_ascii_whitespace()) {
        let (first, text) = match open.take() {
            Some((first, text)) => (first, text + " " + rule),
            None => (number, rule.to_owned()),
        };
        if text.starts_with('(') && !text.ends_with(')') {
            open = Some((first, text));
        } else {
            merged.push((first, text));
        }
    }
    errors.extend(open.map(|(first, _)| RuleError::Unclosed(first)));
    merged
}
