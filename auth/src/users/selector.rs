//! Rules about commands, keys and channels, as text and compiled.
//!
//! Source: `ACLSetSelector` of Redis 7.0, and `ACLUpdateCommandRules` of Redis 7.2 for what is told about them.

use pdw_router::command::{Categories, Table};
use pdw_router::permit::{Access, CommandRule, Commands, Glob, KeyPattern, Selector};

use super::rules::RuleError;

/// One set of rules.
#[derive(Clone, Debug, Default)]
pub(super) struct SelectorRules {
    selector: Selector,
    /// Whether commands of the future are allowed: the last of `+@all` and `-@all`.
    all: bool,
    /// The rules about commands since then, without those that later ones made void.
    commands: Vec<String>,
}

impl PartialEq for SelectorRules {
    fn eq(&self, other: &Self) -> bool {
        self.describe() == other.describe()
    }
}

impl Eq for SelectorRules {}

impl SelectorRules {
    /// What stands between parentheses; `number`: of the rule that they are.
    pub(super) fn parse(table: &Table, rules: &str, number: usize) -> Result<Self, Vec<RuleError>> {
        let mut selector = Self::default();
        let applied = rules.split_ascii_whitespace().map(|rule| selector.apply(table, rule, number));
        let errors: Vec<RuleError> = applied.filter_map(Result::err).collect();
        if errors.is_empty() { Ok(selector) } else { Err(errors) }
    }

    /// The selector as requests are held against it.
    pub(super) fn compiled(&self) -> Selector {
        self.selector.clone()
    }

    /// Applies rule `number`.
    pub(super) fn apply(&mut self, table: &Table, rule: &str, number: usize) -> Result<(), RuleError> {
        match rule.to_ascii_lowercase().as_str() {
            "allkeys" | "~*" => self.set_keys(true),
            "resetkeys" => self.set_keys(false),
            "allchannels" | "&*" => self.set_channels(true),
            "resetchannels" => self.set_channels(false),
            "allcommands" | "+@all" => self.set_commands(true),
            "nocommands" | "-@all" => self.set_commands(false),
            _ => return self.apply_one(table, rule, number),
        }
        Ok(())
    }

    fn apply_one(&mut self, table: &Table, rule: &str, number: usize) -> Result<(), RuleError> {
        let rest = rule.get(1..).unwrap_or_default();
        match rule.as_bytes().first() {
            Some(b'~') => self.add_keys(rule, Access::all(), rest),
            Some(b'%') => {
                let (letters, pattern) = rest.split_once('~').ok_or(RuleError::Syntax(number))?;
                self.add_keys(rule, access(letters).ok_or(RuleError::Syntax(number))?, pattern)
            }
            Some(b'&') => self.add_channels(rule, rest),
            Some(b'+' | b'-') => self.add_command(table, rule, number),
            _ => Err(RuleError::Syntax(number)),
        }
    }

    fn set_keys(&mut self, all: bool) {
        self.selector.all_keys = all;
        self.selector.keys.clear();
    }

    fn set_channels(&mut self, all: bool) {
        self.selector.all_channels = all;
        self.selector.channels.clear();
    }

    fn set_commands(&mut self, all: bool) {
        self.selector.commands = if all { Commands::everything() } else { Commands::default() };
        self.all = all;
        self.commands.clear();
    }

    fn add_keys(&mut self, rule: &str, access: Access, pattern: &str) -> Result<(), RuleError> {
        if self.selector.all_keys {
            return Err(RuleError::BehindAllKeys(rule.to_owned()));
        }
        let glob = Glob::new(pattern.as_bytes());
        match self.selector.keys.iter_mut().find(|known| known.glob == glob) {
            Some(known) => known.access |= access,
            None => self.selector.keys.push(KeyPattern { access, glob }),
        }
        Ok(())
    }

    fn add_channels(&mut self, rule: &str, pattern: &str) -> Result<(), RuleError> {
        if self.selector.all_channels {
            return Err(RuleError::BehindAllChannels(rule.to_owned()));
        }
        let glob = Glob::new(pattern.as_bytes());
        if !self.selector.channels.contains(&glob) {
            self.selector.channels.push(glob);
        }
        Ok(())
    }

    fn add_command(&mut self, table: &Table, rule: &str, number: usize) -> Result<(), RuleError> {
        let (sign, name) = rule.split_at(1);
        let name = name.to_ascii_lowercase();
        let compiled = command_rule(table, rule, &name, sign == "+", number)?;
        self.selector.commands.apply(table, compiled);
        self.commands.retain(|earlier| !is_void(&earlier[1..], &name));
        self.commands.push(format!("{sign}{name}"));
        Ok(())
    }

    /// The rules that make it, in Redis's order.
    pub(super) fn describe(&self) -> String {
        let mut words = self.key_words();
        if self.selector.all_channels {
            words.push("&*".to_owned());
        } else {
            words.push("resetchannels".to_owned());
            words.extend(self.channel_words());
        }
        words.push(self.command_text());
        words.join(" ")
    }

    /// `~a* %R~b*`
    pub(super) fn key_words(&self) -> Vec<String> {
        if self.selector.all_keys {
            return vec!["~*".to_owned()];
        }
        let sign = |access: Access| match access {
            Access::READ => "%R~",
            Access::WRITE => "%W~",
            _ => "~",
        };
        let word = |pattern: &KeyPattern| format!("{}{}", sign(pattern.access), shown(&pattern.glob));
        self.selector.keys.iter().map(word).collect()
    }

    /// `&a*`
    pub(super) fn channel_words(&self) -> Vec<String> {
        if self.selector.all_channels {
            return vec!["&*".to_owned()];
        }
        self.selector.channels.iter().map(|glob| format!("&{}", shown(glob))).collect()
    }

    /// `-@all +get`
    pub(super) fn command_text(&self) -> String {
        let all = if self.all { "+@all" } else { "-@all" };
        std::iter::once(all).chain(self.commands.iter().map(String::as_str)).collect::<Vec<_>>().join(" ")
    }
}

fn shown(glob: &Glob) -> String {
    String::from_utf8_lossy(glob.text()).into_owned()
}

/// `R`, `W` or both.
fn access(letters: &str) -> Option<Access> {
    match letters.to_ascii_uppercase().as_str() {
        "R" => Some(Access::READ),
        "W" => Some(Access::WRITE),
        "RW" | "WR" => Some(Access::all()),
        _ => None,
    }
}

/// Whether a later rule about `name` makes an earlier one void: the same, or one of its subcommands.
fn is_void(earlier: &str, name: &str) -> bool {
    earlier.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with('|'))
}

/// What a rule says about commands. `name`: what follows its sign, in lower case.
fn command_rule(table: &Table, rule: &str, name: &str, allow: bool, number: usize) -> Result<CommandRule, RuleError> {
    let unknown = || RuleError::Unknown(rule.to_owned());
    if let Some(category) = name.strip_prefix('@') {
        let category = Categories::from_name(&category.to_ascii_uppercase()).ok_or_else(unknown)?;
        return Ok(CommandRule::Category(category, allow));
    }
    // What a module brings is not in the table.
    if table.find(name.as_bytes()).is_some() || (name.contains('.') && !name.contains('|')) {
        return Ok(CommandRule::Command(name.into(), allow));
    }
    let (command, argument) = name.rsplit_once('|').filter(|_| allow).ok_or_else(unknown)?;
    let spec = table.find(command.as_bytes()).map(|id| table.spec(id)).ok_or_else(unknown)?;
    match argument {
        _ if spec.container().is_some() => Err(RuleError::ArgumentOfSubcommand(rule.to_owned())),
        "" => Err(RuleError::Syntax(number)),
        _ if spec.has_subcommands => Err(unknown()),
        _ => Ok(CommandRule::FirstArgument(command.into(), argument.into())),
    }
}
