//! Manifold rules as an operator writes them, and what makes one wrong.

use std::fmt;
use std::str::FromStr;

use super::pattern::{Pattern, PatternError, Template, TemplateError};

/// One manifold rule, as written in the configuration: a family of keys and the layout it gets.
///
/// The first rule whose pattern a key has, and whose exception it has not, decides; a key without a rule is placed
/// by the group's placement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// What the operator calls it; an operator's rule replaces one of the profile that has the same name.
    pub name: String,
    /// Which keys: a pattern with one `*` (any bytes) and at most one `#` (a decimal number), as `*:#`.
    pub keys: String,
    /// Which of them are excepted: a pattern.
    pub unless: Option<String>,
    /// Where those keys, or the members of those sets, live.
    pub layout: LayoutKind,
    /// `partial-set` only: the key at whose home a member lives, as `$1:$member`. If other rules lay out that key,
    /// the member follows it.
    pub member: Option<String>,
    /// `partial-set` only: a member that stays at the home of the set's own key.
    pub anchor: Option<String>,
}

impl Rule {
    /// A rule without exception, member or anchor.
    pub fn new(name: &str, keys: &str, layout: LayoutKind) -> Self {
        Self { name: name.to_owned(), keys: keys.to_owned(), unless: None, layout, member: None, anchor: None }
    }
}

/// The layouts; the text form is the configuration's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LayoutKind {
    /// For keys with a number: shard = (XXH64 of what `*` stands for + number) modulo the number of shards,
    /// so that the stripes of a file go round all shards.
    StripeModulo,
    /// All keys of one family that agree in what `*` stands for share its home.
    File,
    /// A set whose members are spread over the shards.
    PartialSet,
}

const LAYOUTS: [(LayoutKind, &str); 3] =
    [(LayoutKind::StripeModulo, "stripe-modulo"), (LayoutKind::File, "file"), (LayoutKind::PartialSet, "partial-set")];

impl fmt::Display for LayoutKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(LAYOUTS.iter().find(|(kind, _)| kind == self).map_or("", |(_, name)| name))
    }
}

/// A layout name that does not exist, or not yet.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown layout {0:?}: use stripe-modulo, file or partial-set")]
pub struct UnknownLayout(pub String);

impl FromStr for LayoutKind {
    type Err = UnknownLayout;

    fn from_str(text: &str) -> Result<Self, UnknownLayout> {
        let row = LAYOUTS.iter().find(|(_, name)| *name == text);
        row.map(|(kind, _)| *kind).ok_or_else(|| UnknownLayout(text.to_owned()))
    }
}

/// What is wrong with a rule, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RuleError {
    /// A rule without a name.
    #[error("rule number {0} has no name: give it one, log lines and route --verbose use it")]
    NoName(usize),
    /// Two rules with one name.
    #[error("rule {0:?} is defined twice: rename or remove one")]
    DuplicateName(String),
    /// A layout, but no pattern.
    #[error("rule {rule:?}: layout {layout} has no keys to apply to: add keys = a pattern, as \"*:stripes\"")]
    LayoutWithoutKeys {
        /// The rule.
        rule: String,
        /// Its layout.
        layout: LayoutKind,
    },
    /// A pattern that cannot be read.
    #[error("rule {rule:?}: {option} = {text:?} is no pattern: {source}")]
    Pattern {
        /// The rule.
        rule: String,
        /// `keys` or `unless`.
        option: &'static str,
        /// The pattern.
        text: String,
        /// What is wrong with it.
        source: PatternError,
    },
    /// A template that cannot be read.
    #[error("rule {rule:?}: member = {text:?} is no template: {source}")]
    Template {
        /// The rule.
        rule: String,
        /// The template.
        text: String,
        /// What is wrong with it.
        source: TemplateError,
    },
    /// A partial set that does not say where its members live.
    #[error(
        "rule {0:?}: layout partial-set needs to know where a member lives: add member = for example \"$1:$member\""
    )]
    NoMember(String),
    /// An option that this layout would ignore.
    #[error("rule {rule:?}: layout {layout} has no use for {option}: remove it, or use layout partial-set")]
    UnusedOption {
        /// The rule.
        rule: String,
        /// Its layout.
        layout: LayoutKind,
        /// `member` or `anchor`.
        option: &'static str,
    },
    /// Stripes without numbers.
    #[error(
        "rule {0:?}: layout stripe-modulo needs the stripe's number: put a # into keys where it stands, as \"*:#\""
    )]
    NoNumber(String),
    /// Shares that differ, under a layout that gives every shard the same.
    #[error(
        "rule {0:?}: layout stripe-modulo gives every shard the same share, but the upstreams' weights differ: remove the weights, or the rule"
    )]
    Weighted(String),
    /// An earlier rule takes all its keys.
    #[error("rule {rule:?} never applies: rule {earlier:?} before it takes all its keys; put it first, or remove it")]
    Covered {
        /// The rule.
        rule: String,
        /// The rule before it.
        earlier: String,
    },
}

/// A rule whose texts have been read.
#[derive(Clone, Debug)]
pub(super) struct CompiledRule {
    pub(super) name: String,
    pub(super) keys: Pattern,
    pub(super) unless: Option<Pattern>,
    pub(super) layout: LayoutKind,
    pub(super) member: Option<Template>,
    pub(super) anchor: Option<String>,
}

impl CompiledRule {
    pub(super) fn new(rule: &Rule) -> Result<Self, RuleError> {
        check_options(rule)?;
        let keys = pattern(rule, "keys", &rule.keys)?;
        if rule.layout == LayoutKind::StripeModulo && !keys.has_number() {
            return Err(RuleError::NoNumber(rule.name.clone()));
        }
        Ok(Self {
            name: rule.name.clone(),
            keys,
            unless: rule.unless.as_ref().map(|text| pattern(rule, "unless", text)).transpose()?,
            layout: rule.layout,
            member: rule.member.as_ref().map(|text| template(rule, text)).transpose()?,
            anchor: rule.anchor.clone(),
        })
    }

    /// Whether no key is left for `later`.
    pub(super) fn covers(&self, later: &CompiledRule) -> bool {
        let no_exception_helps = self.unless.is_none() || self.unless == later.unless;
        no_exception_helps && self.keys.covers(&later.keys)
    }
}

fn check_options(rule: &Rule) -> Result<(), RuleError> {
    let name = || rule.name.clone();
    if rule.keys.is_empty() {
        return Err(RuleError::LayoutWithoutKeys { rule: name(), layout: rule.layout });
    }
    let unused = |option| Err(RuleError::UnusedOption { rule: name(), layout: rule.layout, option });
    match (rule.layout, &rule.member, &rule.anchor) {
        (LayoutKind::PartialSet, None, _) => Err(RuleError::NoMember(name())),
        (LayoutKind::PartialSet, ..) | (_, None, None) => Ok(()),
        (_, Some(_), _) => unused("member"),
        (_, None, Some(_)) => unused("anchor"),
    }
}

fn pattern(rule: &Rule, option: &'static str, text: &str) -> Result<Pattern, RuleError> {
    let named = |source| RuleError::Pattern { rule: rule.name.clone(), option, text: text.to_owned(), source };
    Pattern::parse(text).map_err(named)
}

fn template(rule: &Rule, text: &str) -> Result<Template, RuleError> {
    let named = |source| RuleError::Template { rule: rule.name.clone(), text: text.to_owned(), source };
    Template::parse(text).map_err(named)
}

/// The operator's rules and the profile's in the order in which they apply: the operator's first, without those of
/// the profile whose name the operator has used for a rule of his own.
pub fn override_rules(operators: Vec<Rule>, profiles: Vec<Rule>) -> Vec<Rule> {
    let replaced = |rule: &Rule| operators.iter().any(|own| own.name == rule.name);
    let kept: Vec<_> = profiles.into_iter().filter(|rule| !replaced(rule)).collect();
    operators.into_iter().chain(kept).collect()
}

/// The rules of profile `pdwfs`.
///
/// `stripe-set` is R1 and R2 of PDWFS.md section 2: member `m` of `X:stripes` lives with the data stripe `X:m`, so
/// that the transaction that writes a stripe stays on one instance. With `spread_children` a directory's children are
/// spread as well: a child lives with its own inode key `{child}:mode`, so that creating a file needs no third shard,
/// and the paths of the children spread as evenly as the inodes themselves; the member "" stays with `{dir}:mode`,
/// whose transaction writes it. Direct clients cannot share such directories.
pub fn pdwfs_rules(spread_children: bool) -> Vec<Rule> {
    let stripes = Rule {
        unless: Some("{*".to_owned()),
        member: Some("$1:$member".to_owned()),
        ..Rule::new("stripe-set", "*:stripes", LayoutKind::PartialSet)
    };
    let children = Rule {
        member: Some("{$member}:mode".to_owned()),
        anchor: Some(String::new()),
        ..Rule::new("children", "{*}:children", LayoutKind::PartialSet)
    };
    if spread_children { vec![stripes, children] } else { vec![stripes] }
}
