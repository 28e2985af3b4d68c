use super::*;
use crate::command::testing::Arguments;
use crate::command::{Categories, Table};

/// A selector of some rules, in a few words: `+get`, `-@write`, `+select|0`, `~a*`, `%R~a*`, `&c`.
fn selector(rules: &str) -> Selector {
    let table = Table::new();
    let mut selector = Selector::default();
    for rule in rules.split_whitespace() {
        let allow = rule.starts_with('+');
        match rule.split_at(1) {
            ("~", "*") => selector.all_keys = true,
            ("~", glob) => selector.keys.push(KeyPattern { access: Access::all(), glob: Glob::new(glob.as_bytes()) }),
            ("%", rest) => {
                let (access, glob) = rest.split_once('~').unwrap();
                let access = if access == "R" { Access::READ } else { Access::WRITE };
                selector.keys.push(KeyPattern { access, glob: Glob::new(glob.as_bytes()) });
            }
            ("&", "*") => selector.all_channels = true,
            ("&", glob) => selector.channels.push(Glob::new(glob.as_bytes())),
            (_, "@all") => selector.commands.apply(&table, CommandRule::All(allow)),
            (_, rest) if rest.starts_with('@') => {
                let category = Categories::from_name(&rest[1..].to_uppercase()).unwrap();
                selector.commands.apply(&table, CommandRule::Category(category, allow));
            }
            (_, "select|0") => {
                selector.commands.apply(&table, CommandRule::FirstArgument("select".into(), "0".into()));
            }
            (_, name) => selector.commands.apply(&table, CommandRule::Command(name.into(), allow)),
        }
    }
    selector
}

fn check(selectors: &[&str], request: &str) -> Result<(), Denied> {
    let (table, arguments) = (Table::new(), Arguments::new(request));
    let permit = Permit::new(&table, selectors.iter().map(|rules| selector(rules)).collect());
    let request = arguments.request();
    let id = table.resolve(&request).unwrap();
    let verdict = permit.check(id, table.spec(id), &request, &mut Found::default());
    assert!(verdict.is_ok() || !permit.waves_through(id, &request), "{selectors:?}");
    verdict
}

#[test]
fn later_rules_override_earlier_ones_and_containers_take_subcommands_along() {
    assert_eq!(check(&["+@all -@write ~*"], "SET a b"), Err(Denied::Command));
    assert_eq!(check(&["-@all +@read -get +get ~*"], "GET a"), Ok(()));
    assert_eq!(check(&["+config"], "CONFIG GET a"), Ok(()));
    assert_eq!(check(&["+@all -config +config|get"], "CONFIG SET a b"), Err(Denied::Command));
    assert_eq!(check(&["+@all -config +config|get"], "CONFIG GET a"), Ok(()));
    assert_eq!(check(&[""], "AUTH x"), Ok(()));
}

#[test]
fn a_first_argument_may_be_allowed_alone() {
    assert_eq!(check(&["+select|0"], "SELECT 0"), Ok(()));
    assert_eq!(check(&["+select|0"], "SELECT 1"), Err(Denied::Command));
    assert_eq!(check(&["+select|0 -select"], "SELECT 0"), Err(Denied::Command));
}

#[test]
fn keys_are_held_against_patterns_and_what_is_done_to_them() {
    assert_eq!(check(&["+@all ~a*"], "MGET a1 b1"), Err(Denied::Key(2)));
    assert_eq!(check(&["+@all %R~a* %W~b*"], "COPY a b"), Ok(()));
    assert_eq!(check(&["+@all %R~a* %W~b*"], "COPY b a"), Err(Denied::Key(1)));
    assert_eq!(check(&["+@all %W~a"], "SET a x"), Ok(()));
    assert_eq!(check(&["+@all %W~a"], "SET a x GET"), Err(Denied::Key(1)));
    assert_eq!(check(&["+@all %W~a"], "EXISTS a"), Ok(()));
    assert_eq!(check(&["+@all ~a"], "EVAL s 2 a b"), Err(Denied::Key(4)));
}

#[test]
fn what_redis_overlooks_is_held_against_the_rules_too() {
    assert_eq!(check(&["+@all ~a*"], "GEORADIUS a 0 0 1 km STORE a STORE b"), Err(Denied::Key(9)));
    assert_eq!(check(&["+@all ~a* ~get"], "SORT a STORE get STORE b"), Err(Denied::Key(5)));
    assert_eq!(check(&["+@all ~s*"], "XREADGROUP COUNT 1 GROUP g streams streams b >"), Err(Denied::Key(7)));
    assert_eq!(check(&["+@all ~s*"], "XREADGROUP GROUP g c STREAMS s >"), Ok(()));
}

#[test]
fn a_head_whose_options_are_missing_counts_as_reading() {
    let (table, arguments) = (Table::new(), Arguments::new("SET a"));
    let id = table.find(b"set").unwrap();
    let head = |missing| Request { missing, ..arguments.request() };
    let access = |missing| first_access(table.spec(id), &head(missing)).unwrap().flags;
    assert!(!access(1).contains(KeyFlags::ACCESS), "the value alone is missing");
    assert!(access(2).contains(KeyFlags::ACCESS), "GET may follow");
}

#[test]
fn channels_are_patterns_for_names_and_texts_for_patterns() {
    assert_eq!(check(&["+@all ~* &c*"], "PUBLISH c1 x"), Ok(()));
    assert_eq!(check(&["+@all ~* &c*"], "SUBSCRIBE c1 d"), Err(Denied::Channel(2)));
    assert_eq!(check(&["+@all ~* &c*"], "PSUBSCRIBE c*"), Ok(()));
    assert_eq!(check(&["+@all ~* &c*"], "PSUBSCRIBE c1*"), Err(Denied::Channel(1)));
    assert_eq!(check(&["+@all ~* &c"], "UNSUBSCRIBE d"), Ok(()));
}

#[test]
fn one_selector_has_to_allow_all_of_it_and_the_farthest_refusal_is_told() {
    assert_eq!(check(&["+get ~a", "+get ~b"], "GET b"), Ok(()));
    assert_eq!(check(&["+mget ~a", "+mget ~b"], "MGET a b"), Err(Denied::Key(2)));
    assert_eq!(check(&["+get ~a", "+set ~a"], "SET b x"), Err(Denied::Key(1)));
    assert_eq!(check(&["+get ~a", "+get ~a"], "SET b x"), Err(Denied::Command));
}

#[test]
fn what_is_learned_later_is_judged_by_the_rules_in_order() {
    let mut spec = Table::new().iter().find(|spec| spec.name == "get").cloned().unwrap();
    spec.name = "warp".into();
    let id = CommandId(u16::try_from(crate::command::PUBLISHED).unwrap() + 3);
    let arguments = Arguments::new("WARP k");
    let allowed = |rules: &str, spec: &CommandSpec| selector(rules).commands.allow(id, spec, &arguments.request());
    assert!(allowed("+@all", &spec) && !allowed("+@all -@read", &spec) && allowed("-@all +@read", &spec));
    assert!(allowed("+warp", &spec) && !allowed("+@all -warp", &spec) && !allowed("+@write", &spec));
    spec.flags |= Flags::MODULE;
    assert!(allowed("+@all -@read", &spec) && !allowed("+@read", &spec) && allowed("+warp", &spec));
}

/// Whether requests of each command, with arguments of many kinds, are allowed by the short way only if they are by the long
/// one; how many are.
fn through(selectors: &[&str]) -> usize {
    let table = Table::new();
    let permit = Permit::new(&table, selectors.iter().map(|rules| selector(rules)).collect());
    let tails =
        ["", " a", " a b", " b a", " a b GET", " 0", " a GET u8 0", " a BY x* b", " c m", " a 1 b 1 c", " a 1 ab 2"];
    let mut through = 0;
    for (index, spec) in table.iter().enumerate() {
        for (tail, missing) in tails.iter().flat_map(|tail| [(tail, 0), (tail, 1), (tail, 2)]) {
            let arguments = Arguments::new(&format!("{}{tail}", spec.name.replace('|', " ")));
            let (id, request) = (CommandId(index as u16), Request { missing, ..arguments.request() });
            let verdict = permit.check(id, spec, &request, &mut Found::default());
            let short = permit.waves_through(id, &request);
            assert!(!short || verdict.is_ok(), "{selectors:?}: {}{tail}, {missing}: {verdict:?}", spec.name);
            through += usize::from(short);
        }
    }
    through
}

#[test]
fn the_short_way_allows_what_the_long_way_allows() {
    let rules = [
        "+@all ~*",
        "+@read ~a*",
        "+@all %R~a* %W~b*",
        "+@all %W~a &c",
        "-@all +select|0 +sort ~a",
        "+@all -@write ~*",
        "+@all ~?[a-z] ~*b ~x",
        "+@read ~*c* ~*b*",
    ];
    let alone: usize = rules.iter().map(|own| through(&[own])).sum();
    assert!(alone > 20_000, "{alone}");
    for (own, other) in rules.iter().flat_map(|own| rules.map(|other| (own, other))) {
        through(&[own, other]);
    }
}

#[test]
fn more_patterns_than_have_a_bit_are_no_less_true() {
    let many: String = (0..40).map(|number| format!(" ~key{number}x*")).collect();
    let rules = format!("+@all{many} ~a");
    assert!(through(&[&rules]) > 0);
    for key in ["key0x", "key39x", "a"] {
        assert_eq!(check(&[&rules], &format!("GET {key}")), Ok(()));
    }
    assert_eq!(check(&[&rules], "GET key40x"), Err(Denied::Key(1)));
}

#[test]
fn usual_requests_under_usual_rules_take_the_short_way() {
    let table = Table::new();
    let short = |selectors: &[&str], request: &str| {
        let permit = Permit::new(&table, selectors.iter().map(|rules| selector(rules)).collect());
        let arguments = Arguments::new(request);
        permit.waves_through(table.resolve(&arguments.request()).unwrap(), &arguments.request())
    };
    for request in ["GET app:k", "SET app:k v", "SET app:k v EX 5", "MGET app:k app:l", "MSET app:k 1 app:l 2", "PING"]
    {
        assert!(short(&["+@all -@dangerous ~app:*"], request), "{request}");
        assert!(short(&["+@connection", "+@write ~app:*", "+@read ~*p:*"], request), "{request}");
        assert!(short(&["+@all ~application:one:* ~app:[kl]"], request), "{request}");
        assert!(short(&["+@all ~*no* ~*pp:*"], request), "{request}");
    }
    assert!(short(&["+@all %R~* %W~app:*"], "SET app:k v") && !short(&["+@all %R~* %W~app:*"], "SET k v"));
}

#[test]
fn only_what_forbids_nothing_is_boundless() {
    let boundless = |rules: &str| Permit::new(&Table::new(), vec![selector(rules)]).is_boundless();
    assert!(boundless("+@all ~* &*"));
    assert!(!boundless("+@all ~*") && !boundless("+@all &*") && !boundless("~* &*"));
    assert!(!boundless("+@all -get +get ~* &*"), "commands of the future may be another matter");
}
