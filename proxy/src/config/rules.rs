//! The option `rule`: families of keys with a layout of their own.

use pdw_router::place::{Homes, LayoutKind, Placement, Rule, RuleError, override_rules, pdwfs_rules};

use super::draft::{Draft, Profile};
use super::mistakes::{Findings, Place, Problem, Sited};
use super::placement;
use super::upstreams::unknown_entry;
use super::value::{Entry, Value};

const ENTRIES: [&str; 6] = ["name", "keys", "unless", "layout", "member", "anchor"];

/// Names of the layouts.
const LAYOUTS: &[&str] = &["stripe-modulo", "file", "partial-set"];

/// Reads the tables; a rule without a layout is left out.
pub(super) fn read(option: &str, value: &Sited<Value>, findings: &mut Findings) -> Vec<Sited<Rule>> {
    let mut rules = Vec::new();
    for item in Value::items(value) {
        let rule = match &item.value {
            Value::Table(entries) => read_table(option, entries, item.place, findings),
            other => {
                findings.add(item.place, option, other.wrong_type("a table", "it below a [[rule]] header"));
                None
            }
        };
        rules.extend(rule.map(|value| Sited { value, place: item.place }));
    }
    rules
}

fn read_table(option: &str, entries: &[Entry], place: Place, findings: &mut Findings) -> Option<Rule> {
    let mut layout = None;
    let mut rule = Rule::new("", "", LayoutKind::File);
    for Entry { key, value: Sited { value, place } } in entries {
        let option = format!("{option}.{}", key.value);
        if !ENTRIES.contains(&key.value.as_str()) {
            findings.add(key.place, option, unknown_entry(&key.value, &ENTRIES));
        } else if key.value == "layout" {
            layout = Some(findings.take(*place, &option, read_layout(value)));
        } else if let Some(text) = findings.take(*place, &option, value.as_text("a text")) {
            set_text(&mut rule, &key.value, text);
        }
    }
    let built = layout.is_some_and(|layout| layout.is_some()) && !rule.name.is_empty();
    // A rule that is built is told by the router that it has no keys.
    let keyless = !built && rule.keys.is_empty() && !entries.iter().any(|entry| entry.key.value == "keys");
    let gone = [("layout", layout.is_none()), ("name", rule.name.is_empty()), ("keys", keyless)];
    for (entry, _) in gone.iter().filter(|(_, gone)| *gone) {
        findings.add(place, option, Problem::Missing(entry));
    }
    let named = (!rule.name.is_empty()).then_some(rule)?;
    Some(Rule { layout: layout??, ..named })
}

fn read_layout(value: &Value) -> Result<LayoutKind, Problem> {
    let name = value.as_choice(LAYOUTS)?;
    name.parse().map_err(|_| Problem::Missing("layout"))
}

fn set_text(rule: &mut Rule, entry: &str, text: &str) {
    let text = text.to_owned();
    match entry {
        "name" => rule.name = text,
        "keys" => rule.keys = text,
        "unless" => rule.unless = Some(text),
        "member" => rule.member = Some(text),
        _ => rule.anchor = Some(text),
    }
}

/// The rules in force: the file's, then the profile's that it does not replace.
pub(super) fn build(draft: &Draft) -> Vec<Rule> {
    let profiles = match draft.profile() {
        Profile::Pdwfs => pdwfs_rules(draft.spread_children),
        Profile::Redis => Vec::new(),
    };
    override_rules(draft.rules.iter().map(|rule| rule.value.clone()).collect(), profiles)
}

/// Adds what is wrong with the rules, each at its own line.
pub(super) fn check(draft: &Draft, findings: &mut Findings) {
    if draft.spread_children && draft.profile() == Profile::Redis {
        findings.add(draft.place("spread_children"), "spread_children", Problem::NoRule);
    }
    // A placement that cannot be built is a mistake of its own.
    let Ok(placement) = Placement::new(&placement::options(draft), &placement::draft_targets(draft)) else { return };
    let rules = build(draft);
    let mut known: Vec<RuleError> = Vec::new();
    for count in 1..=rules.len() {
        let all = Homes::check(&placement, &rules[..count]);
        for error in all.iter().filter(|error| !known.contains(error)) {
            findings.add(place_of(draft, count - 1, error), "rule", Problem::Rule(error.clone()));
        }
        known = all;
    }
}

/// Where the rule at `index` stands; for one of the profile's rules, where the rule stands that shadows it.
fn place_of(draft: &Draft, index: usize, error: &RuleError) -> Place {
    let by_name = |name: &str| draft.rules.iter().find(|rule| rule.value.name == name);
    let shadowing = match error {
        RuleError::Covered { earlier, .. } => by_name(earlier),
        _ => None,
    };
    draft.rules.get(index).or(shadowing).map_or_else(|| draft.place("upstreams"), |rule| rule.place)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_are_the_routers() {
        for name in LAYOUTS {
            assert_eq!(name.parse::<LayoutKind>().map(|layout| layout.to_string()), Ok((*name).to_owned()));
        }
    }
}
