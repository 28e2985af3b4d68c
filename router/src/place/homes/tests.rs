use std::collections::HashMap;

use super::*;
use crate::place::{PlacementKind, PlacementOptions, Target, override_rules, pdwfs_rules};

fn placement(kind: PlacementKind, shards: u16) -> Placement {
    let targets: Vec<_> = (0..shards).map(|i| Target::named(format!("i{i}"), 1)).collect();
    Placement::new(&PlacementOptions::new(kind), &targets).unwrap()
}

fn homes(shards: u16, rules: Vec<Rule>) -> Homes {
    Homes::new(placement(PlacementKind::Pdwfs, shards), rules).unwrap()
}

fn home(homes: &Homes, key: &str) -> Option<Shard> {
    match homes.locate(key.as_bytes()) {
        Located::Home(shard) => Some(shard),
        Located::Spread(_) => None,
    }
}

fn member_home(homes: &Homes, key: &str, member: &str) -> Shard {
    match homes.locate(key.as_bytes()) {
        Located::Home(shard) => panic!("{key} lives on {shard:?}"),
        Located::Spread(spread) => spread.member_home(homes, key.as_bytes(), member.as_bytes()),
    }
}

fn stripes(layout: LayoutKind) -> Rule {
    Rule { unless: Some("{*".to_owned()), ..Rule::new("stripes", "*:#", layout) }
}

/// Profile pdwfs with the data stripes laid out otherwise.
fn laid_out(shards: u16, layout: LayoutKind) -> Homes {
    homes(shards, override_rules(vec![stripes(layout)], pdwfs_rules(false)))
}

fn mistake(rule: Rule) -> String {
    let homes = Homes::new(placement(PlacementKind::Pdwfs, 3), vec![rule]);
    homes.unwrap_err().to_string()
}

#[test]
fn a_stripe_sets_member_lives_with_its_data_stripe() {
    for shards in [2, 3, 11, 32] {
        let homes = homes(shards, pdwfs_rules(false));
        for file in ["/m/f", "/m/{a}/f", "/m/{}/f", "/m/x}y", "", ":stripes", "/m/f:3"] {
            for member in ["0", "1", "171", "-1", "", "x", "a{b}c"] {
                let data = homes.own_home(format!("{file}:{member}").as_bytes());
                assert_eq!(member_home(&homes, &format!("{file}:stripes"), member), data, "{shards} {file} {member}");
            }
        }
    }
}

#[test]
fn a_member_whose_data_key_is_itself_a_set_lives_at_that_keys_own_home() {
    let homes = homes(11, pdwfs_rules(false));
    let own = homes.own_home(b"/m/f:stripes");
    assert_eq!(member_home(&homes, "/m/f:stripes", "stripes"), own);
}

#[test]
fn inode_keys_and_near_misses_are_placed_as_they_are() {
    let homes = homes(8, pdwfs_rules(false));
    for key in
        ["{/m/d}:stripes", "{:stripes", "/m/f:stripe", "/m/f:stripes ", "stripes", "{/m/d}:children", "/m/f:0", ""]
    {
        assert_eq!(home(&homes, key), Some(homes.own_home(key.as_bytes())), "{key}");
    }
    assert_eq!(home(&homes, ":stripes"), None);
}

#[test]
fn with_one_shard_nothing_is_spread() {
    let homes = homes(1, pdwfs_rules(true));
    assert_eq!(home(&homes, "/m/f:stripes"), Some(Shard(0)));
    assert_eq!(home(&homes, "{/m}:children"), Some(Shard(0)));
}

#[test]
fn pdwfs_transactions_have_one_home_under_every_layout() {
    let layouts = [None, Some(LayoutKind::StripeModulo), Some(LayoutKind::File)];
    for (layout, shards) in layouts.into_iter().flat_map(|layout| [2, 3, 11].map(|shards| (layout, shards))) {
        let homes = layout.map_or_else(|| homes(shards, pdwfs_rules(false)), |layout| laid_out(shards, layout));
        for (file, stripe) in
            ["/m/f", "/m/{a}/f"].into_iter().flat_map(|file| (-1..40).map(move |stripe| (file, stripe)))
        {
            let data = home(&homes, &format!("{file}:{stripe}")).unwrap();
            let member = member_home(&homes, &format!("{file}:stripes"), &stripe.to_string());
            assert_eq!(member, data, "{layout:?} {shards} {file}:{stripe}");
        }
    }
}

#[test]
fn stripe_modulo_goes_round_the_shards_from_the_files_offset() {
    let homes = laid_out(7, LayoutKind::StripeModulo);
    for file in ["/m/f", "/m/g", "", "/m/{a}/f"] {
        let offset = xxh64(file.as_bytes()) % 7;
        for stripe in [0, 1, 6, 7, 8, 1_000_003, u64::MAX] {
            let expected = (u128::from(offset) + u128::from(stripe)) % 7;
            assert_eq!(home(&homes, &format!("{file}:{stripe}")), Some(Shard(expected as u16)), "{file}:{stripe}");
        }
    }
}

#[test]
fn stripe_modulo_is_perfectly_balanced_and_its_offsets_spread_small_files() {
    let homes = laid_out(8, LayoutKind::StripeModulo);
    let count = |keys: &mut dyn Iterator<Item = String>| {
        let mut shares = [0u32; 8];
        keys.for_each(|key| shares[home(&homes, &key).unwrap().index()] += 1);
        shares
    };
    assert_eq!(count(&mut (0..800).map(|stripe| format!("/m/big:{stripe}"))), [100; 8]);
    let small = count(&mut (0..8_000).map(|file| format!("/m/small.{file:04}:0")));
    assert!(small.iter().all(|share| (850..1_150).contains(share)), "{small:?}");
}

#[test]
fn what_is_no_stripe_number_falls_back_to_the_placement() {
    for layout in [LayoutKind::StripeModulo, LayoutKind::File] {
        let homes = laid_out(11, layout);
        for key in ["/m/f:-1", "/m/f:x", "/m/f:", "/m/f:1 ", "17", "{/m/f}:5", "/m/f:99999999999999999999"] {
            assert_eq!(home(&homes, key), Some(homes.own_home(key.as_bytes())), "{layout} {key}");
        }
    }
}

#[test]
fn layout_file_keeps_a_file_and_its_stripe_set_on_one_shard() {
    let set = Rule { unless: Some("{*".to_owned()), ..Rule::new("stripe-set", "*:stripes", LayoutKind::File) };
    let homes = homes(11, override_rules(vec![stripes(LayoutKind::File), set], pdwfs_rules(false)));
    for file in ["/m/f", "/m/g", "/m/{a}/f"] {
        let own = Some(homes.own_home(file.as_bytes()));
        assert!((0..50).all(|stripe| home(&homes, &format!("{file}:{stripe}")) == own), "{file}");
        assert_eq!(home(&homes, &format!("{file}:stripes")), own);
    }
}

#[test]
fn a_spread_child_lives_with_its_inode_and_the_anchor_with_the_directory() {
    let homes = homes(11, pdwfs_rules(true));
    for directory in ["/m", "/m/x}y", "/m/{a}"] {
        let key = format!("{{{directory}}}:children");
        let mode = home(&homes, &format!("{{{directory}}}:mode")).unwrap();
        assert_eq!(member_home(&homes, &key, ""), mode);
        for child in ["/m/d/f", "/m/d/g}h", "f"] {
            assert_eq!(Some(member_home(&homes, &key, child)), home(&homes, &format!("{{{child}}}:mode")), "{child}");
        }
        let Located::Spread(spread) = homes.locate(key.as_bytes()) else { panic!("{key} is not spread") };
        assert_eq!(spread.anchor(), Some(&b""[..]));
        assert_eq!(spread.own_home(&homes, key.as_bytes()), mode);
    }
}

#[test]
fn the_children_of_one_hot_directory_use_every_shard() {
    let homes = homes(11, pdwfs_rules(true));
    let mut shares: HashMap<Shard, u32> = HashMap::new();
    for i in 0..11_000 {
        *shares.entry(member_home(&homes, "{/m/hot}:children", &format!("/m/hot/out.{i:06}"))).or_default() += 1;
    }
    assert_eq!(shares.len(), 11);
    assert!(shares.values().all(|share| (500..1_800).contains(share)), "{shares:?}");
}

#[test]
fn the_first_rule_that_applies_wins() {
    let special = Rule::new("scratch", "/m/scratch/*:#", LayoutKind::File);
    let homes = homes(11, vec![special, stripes(LayoutKind::StripeModulo)]);
    assert_eq!(homes.explain(b"/m/scratch/f:4").rule.as_deref(), Some("scratch"));
    assert_eq!(homes.explain(b"/m/f:4").rule.as_deref(), Some("stripes"));
    assert_eq!(homes.explain(b"{/m/f}:4").rule, None);
}

#[test]
fn an_operators_rule_replaces_the_profiles_of_the_same_name() {
    let own = Rule::new("stripe-set", "*:stripes", LayoutKind::File);
    let other = Rule::new("other", "x*", LayoutKind::File);
    let names = |rules: Vec<Rule>| rules.into_iter().map(|rule| (rule.name, rule.layout)).collect::<Vec<_>>();
    let merged = names(override_rules(vec![other, own], pdwfs_rules(true)));
    let expected =
        [("other", LayoutKind::File), ("stripe-set", LayoutKind::File), ("children", LayoutKind::PartialSet)];
    assert_eq!(merged, expected.map(|(name, layout)| (name.to_owned(), layout)));
}

#[test]
fn explanations_tell_what_was_hashed() {
    let homes = laid_out(7, LayoutKind::StripeModulo);
    let stripe = homes.explain(b"/m/f:12");
    assert_eq!(
        (stripe.hashed_part, stripe.number, stripe.layout),
        (b"/m/f".to_vec(), Some(12), Some(LayoutKind::StripeModulo))
    );
    let set = homes.explain(b"/m/f:stripes");
    assert_eq!((set.rule.as_deref(), set.shard), (Some("stripe-set"), homes.own_home(b"/m/f:stripes")));
    let inode = homes.explain(b"{/m/f}:mode");
    assert_eq!((inode.rule, inode.hashed_part, inode.slot), (None, b"/m/f".to_vec(), None));
    let slots = Homes::new(placement(PlacementKind::Slots, 3), Vec::new()).unwrap();
    assert_eq!((slots.explain(b"{foo}x").slot, slots.explain(b"{foo}x").shard), (Some(12_182), Shard(2)));
}

#[test]
fn an_explanations_shard_is_where_the_key_is_located() {
    for layout in [LayoutKind::StripeModulo, LayoutKind::File] {
        let homes = laid_out(11, layout);
        for key in ["/m/f:12", "/m/f:-1", "{/m/f}:mode", "/m/{a}/f:3", ""] {
            assert_eq!(Some(homes.explain(key.as_bytes()).shard), home(&homes, key), "{layout} {key}");
        }
    }
}

#[test]
fn rules_that_make_no_sense_are_refused_by_name_and_with_a_remedy() {
    let partial = |member: Option<&str>| Rule {
        member: member.map(str::to_owned),
        ..Rule::new("r", "*:s", LayoutKind::PartialSet)
    };
    let file = Rule::new("r", "*:s", LayoutKind::File);
    for (rule, remedy) in [
        (Rule::new("r", "", LayoutKind::File), "rule \"r\": layout file has no keys to apply to: add keys"),
        (Rule::new("r", "stripes", LayoutKind::File), "rule \"r\": keys = \"stripes\" is no pattern: it has no *"),
        (Rule { unless: Some("{".to_owned()), ..file.clone() }, "rule \"r\": unless = \"{\" is no pattern"),
        (Rule::new("r", "*:s", LayoutKind::StripeModulo), "put a # into keys"),
        (partial(None), "add member ="),
        (partial(Some("$1")), "it has no $member"),
        (Rule { member: Some("$member".to_owned()), ..file.clone() }, "layout file has no use for member"),
        (Rule { anchor: Some(String::new()), ..file }, "layout file has no use for anchor"),
        (Rule::new("", "*:s", LayoutKind::File), "rule number 1 has no name"),
    ] {
        let text = mistake(rule.clone());
        assert!(text.contains(remedy), "{rule:?}: {text}");
    }
    let error = "producer".parse::<LayoutKind>().unwrap_err().to_string();
    assert!(error.contains("\"producer\"") && error.contains("stripe-modulo"), "{error}");
}

#[test]
fn rules_that_never_apply_and_names_used_twice_are_found_all_at_once() {
    let rules = vec![
        Rule::new("all", "/m/*", LayoutKind::File),
        Rule::new("never", "/m/x*:#", LayoutKind::File),
        Rule::new("all", "y*", LayoutKind::File),
        Rule::new("broken", "y", LayoutKind::File),
    ];
    let found = Homes::check(&placement(PlacementKind::Pdwfs, 3), &rules);
    let texts: Vec<_> = found.iter().map(ToString::to_string).collect();
    assert_eq!(texts.len(), 3, "{texts:?}");
    assert!(texts[0].contains("\"all\" is defined twice"), "{texts:?}");
    assert!(texts[1].contains("\"never\" never applies: rule \"all\" before it"), "{texts:?}");
    assert!(texts[2].contains("\"broken\""), "{texts:?}");
}

#[test]
fn an_exception_leaves_keys_for_a_later_rule() {
    let first = Rule { unless: Some("{*".to_owned()), ..Rule::new("first", "*:s", LayoutKind::File) };
    let later = Rule::new("later", "*:s", LayoutKind::File);
    let homes = homes(3, vec![first, later]);
    assert_eq!(homes.explain(b"a:s").rule.as_deref(), Some("first"));
    assert_eq!(homes.explain(b"{a:s").rule.as_deref(), Some("later"));
}

#[test]
fn stripe_modulo_over_uneven_weights_is_refused() {
    let targets = [Target::named("a".into(), 1), Target::named("b".into(), 2)];
    let placement = Placement::new(&PlacementOptions::new(PlacementKind::Ring), &targets).unwrap();
    let error = Homes::new(placement, vec![stripes(LayoutKind::StripeModulo)]).unwrap_err().to_string();
    assert!(error.contains("weights differ"), "{error}");
}

#[test]
fn the_profile_pdwfs_has_no_mistakes() {
    for spread_children in [false, true] {
        assert_eq!(Homes::check(&placement(PlacementKind::Pdwfs, 3), &pdwfs_rules(spread_children)), []);
    }
}
