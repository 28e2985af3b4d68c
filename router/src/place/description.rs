//! Where keys live, in words that another proxy builds the same from: `name=value`, one after another.
//!
//! ```text
//!   placement=ring  hash=fnv1a_64  hash_tag={}  shard=1 instance-0  shard=1 instance-1 ...
//!   rule=stripe-set  keys=*:stripes  layout=partial-set  unless={*  member=$1:$member  rule=...
//! ```

use super::{
    Homes, KeyHash, LayoutKind, Placement, PlacementError, PlacementKind, PlacementOptions, Rule, RuleError, Target,
};

/// Why a description means nothing here.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DescriptionError {
    /// A word that this version does not know.
    #[error("`{0}` is not known here: run the same version of pdw-proxy at both ends")]
    Unknown(String),
    /// The placement cannot be built.
    #[error(transparent)]
    Placement(#[from] PlacementError),
    /// A rule cannot be.
    #[error(transparent)]
    Rule(#[from] RuleError),
}

impl Homes {
    /// The description.
    pub fn describe(&self) -> Vec<String> {
        let (options, targets) = self.placement().source();
        let tag = options.hash_tag.map(|tag| String::from_utf8_lossy(&tag).into_owned()).unwrap_or_default();
        let mut words =
            vec![format!("placement={}", options.kind), format!("hash={}", options.hash), format!("hash_tag={tag}")];
        words.extend(targets.iter().map(|target| format!("shard={} {}", target.weight, target.name)));
        self.rules().iter().for_each(|rule| describe_rule(rule, &mut words));
        words
    }

    /// The homes of a description. Words in front of the first that is known are somebody else's, and passed over.
    ///
    /// # Errors
    /// What it says means nothing here.
    pub fn from_description<'w>(words: impl Iterator<Item = &'w str>) -> Result<Self, DescriptionError> {
        let mut options = PlacementOptions::new(PlacementKind::Slots);
        let (mut targets, mut rules) = (Vec::new(), Vec::new());
        for word in words {
            let unknown = || DescriptionError::Unknown(word.to_owned());
            let (name, value) = word.split_once('=').ok_or_else(unknown)?;
            match name {
                "placement" => options = PlacementOptions::new(value.parse().map_err(|_| unknown())?),
                "hash" => options.hash = value.parse::<KeyHash>().map_err(|_| unknown())?,
                "hash_tag" => options.hash_tag = value.as_bytes().first_chunk::<2>().copied(),
                "shard" => {
                    let (weight, name) = value.split_once(' ').ok_or_else(unknown)?;
                    targets.push(Target::named(name.to_owned(), weight.parse().map_err(|_| unknown())?));
                }
                "rule" => rules.push(Rule::new(value, "", LayoutKind::File)),
                _ => {
                    let rule = rules.last_mut().ok_or_else(unknown)?;
                    read_rule(rule, name, value).ok_or_else(unknown)?;
                }
            }
        }
        Ok(Self::new(Placement::new(&options, &targets)?, rules)?)
    }
}

fn describe_rule(rule: &Rule, words: &mut Vec<String>) {
    words.push(format!("rule={}", rule.name));
    words.push(format!("keys={}", rule.keys));
    words.push(format!("layout={}", rule.layout));
    let optional = [("unless", &rule.unless), ("member", &rule.member), ("anchor", &rule.anchor)];
    words.extend(optional.iter().filter_map(|(name, value)| Some(format!("{name}={}", value.as_ref()?))));
}

fn read_rule(rule: &mut Rule, name: &str, value: &str) -> Option<()> {
    match name {
        "keys" => rule.keys = value.to_owned(),
        "layout" => rule.layout = value.parse().ok()?,
        "unless" => rule.unless = Some(value.to_owned()),
        "member" => rule.member = Some(value.to_owned()),
        "anchor" => rule.anchor = Some(value.to_owned()),
        _ => return None,
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::place::{Located, pdwfs_rules};

    fn homes(kind: PlacementKind, weight: u32) -> Homes {
        let options = PlacementOptions { hash: KeyHash::Murmur, ..PlacementOptions::new(kind) };
        let targets = ["a b", "c=d", "e"].map(|name| Target::named(name.to_owned(), weight));
        Homes::new(Placement::new(&options, &targets).unwrap(), pdwfs_rules(true)).unwrap()
    }

    fn shard(homes: &Homes, key: &str) -> u16 {
        match homes.locate(key.as_bytes()) {
            Located::Home(shard) => shard.0,
            Located::Spread(spread) => spread.member_home(homes, key.as_bytes(), b"7").0,
        }
    }

    #[test]
    fn who_reads_a_description_finds_every_key_where_its_writer_does() {
        for kind in [PlacementKind::Pdwfs, PlacementKind::Ring, PlacementKind::Ketama, PlacementKind::Slots] {
            let weights = if matches!(kind, PlacementKind::Ring | PlacementKind::Ketama) { 3 } else { 1 };
            let written = homes(kind, weights);
            let words = written.describe();
            let read = Homes::from_description(words.iter().map(String::as_str)).unwrap();
            assert_eq!(read.describe(), words);
            let keys =
                (0..200).flat_map(|i| [format!("/m/f{i}:stripes"), format!("{{/d{i}}}:children"), format!("k{i}")]);
            assert!(keys.into_iter().all(|key| shard(&read, &key) == shard(&written, &key)));
        }
    }

    #[test]
    fn what_is_not_known_is_named() {
        let refused = |words: &[&str]| Homes::from_description(words.iter().copied()).unwrap_err().to_string();
        assert!(refused(&["placement=sideways"]).starts_with("`placement=sideways` is not known here"));
        assert!(refused(&["placement=slots", "moon=1"]).contains("moon=1"));
        assert!(refused(&["placement=slots"]).contains("no shards"));
        assert!(refused(&["shard=1 a", "rule=x"]).contains("\"x\""));
    }

    #[test]
    fn one_shard_is_every_keys_home() {
        assert!((0..50).all(|i| shard(&Homes::single(), &format!("/m/f{i}:stripes")) == 0));
    }
}
