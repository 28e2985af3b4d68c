//! The question every request asks: where does this key live?

use std::collections::HashSet;
use std::sync::Arc;

use super::pattern::{Captured, Pattern, Template};
use super::rule::CompiledRule;
use super::xxh64::xxh64;
use super::{LayoutKind, Placement, Rule, RuleError, Shard};

/// A group's placement with the manifold rules before it.
#[derive(Clone, Debug)]
pub struct Homes {
    placement: Placement,
    manifolds: Box<[Manifold]>,
    rules: Arc<[Rule]>,
}

/// Where a key lives.
#[derive(Clone, Copy, Debug)]
pub enum Located<'h> {
    /// On this shard.
    Home(Shard),
    /// On all of them: it is a set whose members are spread.
    Spread(&'h Spread),
}

#[derive(Clone, Debug)]
struct Manifold {
    name: Box<str>,
    keys: Pattern,
    unless: Option<Pattern>,
    layout: Layout,
}

#[derive(Clone, Debug)]
enum Layout {
    StripeModulo,
    File,
    PartialSet(Spread),
}

/// A family of sets whose members are spread over the shards (layout `partial-set`).
#[derive(Clone, Debug)]
pub struct Spread {
    keys: Pattern,
    member: Template,
    anchor: Option<Box<[u8]>>,
}

/// Why a key lives where it lives, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// The rule that recognised the key; `None` if the placement alone decided.
    pub rule: Option<String>,
    /// That rule's layout. With `partial-set` the members live elsewhere, and `shard` is the set's own home.
    pub layout: Option<LayoutKind>,
    /// The bytes that were hashed.
    pub hashed_part: Vec<u8>,
    /// Under `stripe-modulo`, the number that was added.
    pub number: Option<u64>,
    /// The hash slot, where the placement has slots and decided.
    pub slot: Option<u16>,
    /// The shard.
    pub shard: Shard,
}

impl Homes {
    /// Puts `rules`, the first of which wins, before `placement`.
    ///
    /// # Errors
    /// The first of [`Homes::check`].
    pub fn new(placement: Placement, rules: Vec<Rule>) -> Result<Self, RuleError> {
        let (compiled, mistakes) = compile(&placement, &rules);
        if let Some(mistake) = mistakes.into_iter().next() {
            return Err(mistake);
        }
        let manifolds = compiled.into_iter().filter_map(Manifold::new).collect();
        Ok(Self { placement, manifolds, rules: rules.into() })
    }

    /// Everything on the one shard there is.
    pub fn single() -> Self {
        Self { placement: Placement::single(), manifolds: Box::default(), rules: Arc::default() }
    }

    /// The rules as they were written.
    pub(super) fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// Every mistake in `rules`, in their order.
    pub fn check(placement: &Placement, rules: &[Rule]) -> Vec<RuleError> {
        compile(placement, rules).1
    }

    /// Where `key` lives. With one shard that is the answer, whatever the rules say.
    #[inline]
    pub fn locate(&self, key: &[u8]) -> Located<'_> {
        if self.placement.shards() == 1 {
            return Located::Home(Shard(0));
        }
        match self.recognise(key) {
            None => Located::Home(self.placement.home(key)),
            Some((manifold, captured)) => manifold.locate(&self.placement, captured),
        }
    }

    /// The home that the placement alone gives `key`, whatever the rules say: for a spread set its own home.
    pub fn own_home(&self, key: &[u8]) -> Shard {
        self.placement.home(key)
    }

    /// Number of shards.
    pub fn shards(&self) -> usize {
        self.placement.shards()
    }

    /// The placement behind the rules.
    pub fn placement(&self) -> &Placement {
        &self.placement
    }

    /// Why `key` lives where it lives.
    pub fn explain(&self, key: &[u8]) -> Explanation {
        let Some((manifold, captured)) = self.recognise(key) else {
            return self.explain_placed(key);
        };
        let explained = match manifold.layout {
            Layout::PartialSet(_) => self.explain_placed(key),
            Layout::File => self.explain_placed(captured.star),
            Layout::StripeModulo => Explanation {
                hashed_part: captured.star.to_vec(),
                number: captured.number,
                slot: None,
                shard: stripe_modulo(captured, self.shards()),
                ..self.explain_placed(key)
            },
        };
        Explanation { rule: Some(manifold.name.to_string()), layout: Some(manifold.layout.kind()), ..explained }
    }

    fn explain_placed(&self, key: &[u8]) -> Explanation {
        Explanation {
            rule: None,
            layout: None,
            hashed_part: self.placement.hashed_part(key).to_vec(),
            number: None,
            slot: self.placement.slot(key),
            shard: self.placement.home(key),
        }
    }

    #[inline]
    fn recognise<'k>(&self, key: &'k [u8]) -> Option<(&Manifold, Captured<'k>)> {
        self.manifolds.iter().find_map(|manifold| Some((manifold, manifold.capture(key)?)))
    }
}

impl Manifold {
    fn new(rule: CompiledRule) -> Option<Self> {
        let layout = match rule.layout {
            LayoutKind::StripeModulo => Layout::StripeModulo,
            LayoutKind::File => Layout::File,
            LayoutKind::PartialSet => Layout::PartialSet(Spread {
                keys: rule.keys.clone(),
                member: rule.member?,
                anchor: rule.anchor.map(|anchor| anchor.into_bytes().into()),
            }),
        };
        Some(Self { name: rule.name.into(), keys: rule.keys, unless: rule.unless, layout })
    }

    #[inline]
    fn capture<'k>(&self, key: &'k [u8]) -> Option<Captured<'k>> {
        let captured = self.keys.capture(key)?;
        let excepted = self.unless.as_ref().is_some_and(|pattern| pattern.capture(key).is_some());
        (!excepted).then_some(captured)
    }

    fn locate(&self, placement: &Placement, captured: Captured<'_>) -> Located<'_> {
        match &self.layout {
            Layout::StripeModulo => Located::Home(stripe_modulo(captured, placement.shards())),
            Layout::File => Located::Home(placement.home(captured.star)),
            Layout::PartialSet(spread) => Located::Spread(spread),
        }
    }
}

impl Layout {
    fn kind(&self) -> LayoutKind {
        match self {
            Self::StripeModulo => LayoutKind::StripeModulo,
            Self::File => LayoutKind::File,
            Self::PartialSet(_) => LayoutKind::PartialSet,
        }
    }
}

impl Spread {
    /// The shard on which `member` of the set `key` lives: the home of the key that the rule's template makes of them,
    /// under whatever layout that key has. `homes` is the one that located `key`.
    pub fn member_home(&self, homes: &Homes, key: &[u8], member: &[u8]) -> Shard {
        if self.anchor() == Some(member) {
            return homes.own_home(key);
        }
        let star = self.keys.capture(key).map_or(key, |captured| captured.star);
        self.member.expand(star, member, |data_key| match homes.locate(data_key) {
            Located::Home(shard) => shard,
            Located::Spread(_) => homes.own_home(data_key),
        })
    }

    /// The member that stays at the home of the set's own key.
    pub fn anchor(&self) -> Option<&[u8]> {
        self.anchor.as_deref()
    }

    /// The home of the set's own key, where its anchor lives.
    pub fn own_home(&self, homes: &Homes, key: &[u8]) -> Shard {
        homes.own_home(key)
    }
}

/// Consecutive numbers go round the shards; the offset keeps the many files of one stripe from meeting on the first.
fn stripe_modulo(captured: Captured<'_>, shards: usize) -> Shard {
    let shards = shards as u64;
    let offset = xxh64(captured.star) % shards;
    Shard(((offset + captured.number.unwrap_or(0) % shards) % shards) as u16)
}

fn compile(placement: &Placement, rules: &[Rule]) -> (Vec<CompiledRule>, Vec<RuleError>) {
    let mut mistakes = name_mistakes(rules);
    let mut compiled: Vec<CompiledRule> = Vec::new();
    for rule in rules {
        match CompiledRule::new(rule) {
            Err(mistake) => mistakes.push(mistake),
            Ok(rule) => {
                mistakes.extend(placing_mistakes(placement, &compiled, &rule));
                compiled.push(rule);
            }
        }
    }
    (compiled, mistakes)
}

fn name_mistakes(rules: &[Rule]) -> Vec<RuleError> {
    let mut seen = HashSet::new();
    let mistake = |(index, rule): (usize, &Rule)| match rule.name.as_str() {
        "" => Some(RuleError::NoName(index + 1)),
        name if !seen.insert(name.to_owned()) => Some(RuleError::DuplicateName(name.to_owned())),
        _ => None,
    };
    rules.iter().enumerate().filter_map(mistake).collect()
}

/// Mistakes that show only beside the placement and the rules before this one.
fn placing_mistakes(placement: &Placement, earlier: &[CompiledRule], rule: &CompiledRule) -> Vec<RuleError> {
    let name = || rule.name.clone();
    let covering = earlier.iter().find(|earlier| earlier.covers(rule));
    let covered = covering.map(|earlier| RuleError::Covered { rule: name(), earlier: earlier.name.clone() });
    let uneven = rule.layout == LayoutKind::StripeModulo && placement.weighted();
    covered.into_iter().chain(uneven.then(|| RuleError::Weighted(name()))).collect()
}

#[cfg(test)]
mod tests;
