use std::path::Path;
use std::time::Duration;

use clap::Parser;
use pdw_router::place::{KeyHash, PlacementKind};

use super::*;
use crate::cli::{Cli, Command};

/// The configuration of a file's text and of flags.
fn configure(text: &str, flags: &[&str]) -> Result<Config, Mistakes> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("c.toml");
    std::fs::write(&path, text).unwrap();
    let mut words = vec!["pdw-proxy", "serve", "--config", path.to_str().unwrap()];
    words.extend(flags);
    Config::from_args(&serve_args(&words))
}

/// The configuration of a file's text.
pub(crate) fn config(text: &str) -> Result<Config, Mistakes> {
    configure(text, &[])
}

fn serve_args(words: &[&str]) -> ServeArgs {
    match Cli::try_parse_from(words).unwrap().command {
        Command::Serve(args) => args,
        other => panic!("{other:?}"),
    }
}

fn told(text: &str, flags: &[&str]) -> String {
    match configure(text, flags) {
        Ok(_) => String::new(),
        Err(mistakes) => Mistakes { file: Some("c".into()), ..mistakes }.to_string(),
    }
}

fn addresses(list: &[ListenConfig]) -> Vec<String> {
    list.iter().map(|listener| listener.address.to_string()).collect()
}

/// The corpus as it is and as it should be, case by case.
fn corpus_cases(corpus: &str) -> impl Iterator<Item = (String, String)> {
    corpus.split("\n===").skip(1).map(|case| {
        let (input, _) = case.split_once("\n---").unwrap();
        let (_, text) = input.split_once('\n').unwrap();
        let told = format!("\n{}", told(text, &[])).replace("\nc:", "\n");
        (case.trim_end().to_owned(), format!("{input}\n---{told}"))
    })
}

#[test]
fn every_mistake_of_the_corpus_is_told_with_line_option_and_remedy() {
    let corpus = include_str!("corpus/bad.txt");
    if std::env::var_os("PDW_WRITE_CORPUS").is_some() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/src/config/corpus/bad.txt");
        let cases: String = corpus_cases(corpus).map(|(_, found)| format!("\n==={found}")).collect();
        std::fs::write(path, format!("{}{cases}\n", corpus.split("\n===").next().unwrap())).unwrap();
    }
    for (written, found) in corpus_cases(corpus) {
        assert_eq!(found, written, "PDW_WRITE_CORPUS=1 writes what is told now; read the difference");
    }
}

#[test]
fn with_nothing_said_pdwfs_is_served_from_instances_of_its_own() {
    let config = Config::from_args(&ServeArgs::default()).unwrap();
    assert_eq!((config.profile, config.placement.kind), (Profile::Pdwfs, PlacementKind::Pdwfs));
    assert_eq!(addresses(&config.listen), ["127.0.0.1:6380"]);
    assert!(config.embedded && config.upstreams.is_empty() && config.admin.is_none());
    assert_eq!((config.instances, config.workers, config.targets().len()), (3, 1, 3));
    assert_eq!(config.rules.iter().map(|rule| rule.name.as_str()).collect::<Vec<_>>(), ["stripe-set"]);
    assert_eq!((config.limits.key_max, config.limits.patience), (65_536, Duration::from_secs(60)));
    assert_eq!(config.warnings, []);
}

#[test]
fn profile_redis_places_by_ring_and_has_no_rules() {
    let config = configure("profile = 'redis'", &[]).unwrap();
    assert_eq!((config.placement.kind, config.rules.len()), (PlacementKind::Ring, 0));
    let config = configure("profile = 'redis'\nplacement = 'slots'", &[]).unwrap();
    assert_eq!(config.placement.kind, PlacementKind::Slots);
}

#[test]
fn flags_override_the_file_lists_included() {
    let text = "listen = ['127.0.0.1:1', '127.0.0.1:2']\nupstreams = ['a:1', 'b:1']\nworkers = 4\nprofile = 'redis'\n\
                placement = 'slots'\nadmin = '127.0.0.1:3'\nlog = 'info'\n[limits]\nkey_max = 100";
    let kept = configure(text, &[]).unwrap();
    assert_eq!((kept.workers, kept.upstreams.len(), kept.log.as_str(), kept.limits.key_max), (4, 2, "info", 100));
    let flags = "--listen /run/x.sock --upstream c:1 --workers 2 --profile pdwfs --placement ring --admin 127.0.0.1:4 \
                 --log error";
    let config = configure(text, &flags.split(' ').collect::<Vec<_>>()).unwrap();
    assert_eq!(addresses(&config.listen), ["/run/x.sock"]);
    assert_eq!(config.upstreams, [UpstreamConfig::new("c:1".parse().unwrap())]);
    assert_eq!((config.workers, config.profile, config.placement.kind), (2, Profile::Pdwfs, PlacementKind::Ring));
    assert_eq!((config.admin.unwrap().to_string().as_str(), config.log.as_str()), ("127.0.0.1:4", "error"));
    assert_eq!(config.limits.key_max, 100);
}

#[test]
fn mistakes_of_flags_are_told_with_the_files() {
    let told = told("workers = 0", &["--workers", "300", "--upstream", "a", "--upstream", "b:1", "--listen", "b:1"]);
    let starts =
        ["c:1: workers: 0 is out", "--upstream: `a` is no", "--workers: 300 is out", "--upstream: the proxy would"];
    assert_eq!(told.lines().count(), starts.len(), "{told}");
    assert!(starts.iter().all(|start| told.lines().any(|line| line.starts_with(start))), "{told}");
}

#[test]
fn a_mistake_in_a_flag_with_a_name_is_told_by_the_flags_own_name() {
    let told = told("", &["--upstream", "x=b", "--upstream", "=c:1"]);
    assert_eq!(told.lines().filter(|line| line.starts_with("--upstream: ")).count(), 2, "{told}");
}

#[test]
fn a_file_that_cannot_be_read_is_one_mistake() {
    let mistakes = Config::from_file(Path::new("/nonexistent/pdw.toml")).unwrap_err();
    assert!(mistakes.to_string().starts_with("/nonexistent/pdw.toml: cannot be read (No such file"), "{mistakes}");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("latin1.toml");
    std::fs::write(&path, b"workers = 1\nlog = '\xe9'\n").unwrap();
    let told = Config::from_file(&path).unwrap_err().to_string();
    assert!(told.contains("latin1.toml:2: not TOML at column 8: not UTF-8;"), "{told}");
}

#[test]
fn an_open_listener_is_warned_of_and_a_local_one_is_not() {
    let text = "listen = ['0.0.0.0:6380', '127.0.0.1:6381', '[::1]:6382', '/run/a.sock', 'node1:6383']";
    let open: Vec<_> = configure(text, &[]).unwrap().warnings;
    let expected = ["0.0.0.0:6380", "node1:6383"].map(|text| Warning::OpenListener(text.parse().unwrap()));
    assert_eq!(open, expected);
}

#[test]
fn an_open_listener_is_warned_of_only_where_who_comes_may_do_everything() {
    let warned = |users: &str| {
        let text = format!("listen = [{{ address = '0.0.0.0:1'{users}");
        let warnings = configure(&text, &[]).unwrap().warnings;
        warnings.iter().any(|warning| matches!(warning, Warning::OpenListener(_)))
    };
    let fs = "[[user]]\nname = 'fs'\nrules = 'on ~* &* +@all'\n";
    let off = "[[user]]\nname = 'default'\nrules = 'off'\n";
    assert!(warned("}]\n") && warned(&format!("}}]\n{fs}")), "`default` is everybody");
    assert!(!warned(&format!("}}]\n{off}")));
    assert!(warned(&format!(", user = 'fs' }}]\n{off}{fs}")));
    assert!(!warned(&format!(", user = 'fs', from = '10.0.0.0/8' }}]\n{off}{fs}")));
    assert!(warned(&format!(", user = 'fs', from = '10.0.0.0/8' }}]\n{fs}")), "who comes from elsewhere");
    assert!(!warned(&format!(", user = 'fs' }}]\n{off}{}", fs.replace("&*", ""))));
}

#[test]
fn bounded_users_that_may_run_scripts_are_warned_of() {
    let warned = |rules: &str| {
        let warnings = configure(&format!("[[user]]\nname = 'bob'\nrules = '{rules}'\n"), &[]).unwrap().warnings;
        warnings.contains(&Warning::Scripts("bob".to_owned()))
    };
    assert!(warned("on ~a* +@all") && warned("on ~* &* +fcall"));
    assert!(!warned("on ~* &* +@all") && !warned("on ~a* +@all -@scripting") && !warned("off ~a* +@all"));
}

#[test]
fn no_secret_is_in_the_configurations_debug() {
    let text =
        "upstreams = [{ address = 'a:1', password_file = 'FILE' }]\n[[user]]\nname = 'bob'\nrules = 'on >horse'\n";
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "horse\n").unwrap();
    let config = configure(&text.replace("FILE", &file.path().display().to_string()), &[]).unwrap();
    let shown = format!("{config:?} {:?}", config.gate());
    assert!(!shown.contains("horse") && !shown.contains("fd62862b"), "{shown}");
    assert!(shown.contains("bob"));
}

#[test]
fn to_accept_upstreams_where_nothing_is_remembered_is_warned_of() {
    let warned = |text: &str| {
        let warnings = configure(text, &["--accept-upstreams"]).unwrap().warnings;
        warnings.contains(&Warning::NothingToAccept)
    };
    assert!(warned("upstreams = ['a:1']") && warned("state_dir = '/x'"));
    assert!(warned("upstreams = ['a:1', 'b:1']\ngroup.kind = 'peers'\nstate_dir = '/x'"));
    assert!(!warned("upstreams = ['a:1']\nstate_dir = '/x'"));
    assert_eq!(configure("upstreams = ['a:1']", &[]).unwrap().warnings, []);
}

#[test]
fn values_without_effect_are_warned_of() {
    let config = configure("instances = 2\nupstreams = ['a:1', 'b:1']\nplacement = 'ketama'", &[]).unwrap();
    assert_eq!(config.warnings, [Warning::UnusedInstances, Warning::ForeignPlacement("ketama")]);
}

#[test]
fn ketama_hashes_as_twemproxy_unless_told() {
    let plain = configure("placement = 'ketama'", &[]).unwrap().placement;
    assert_eq!((plain.hash, plain.hash_tag), (KeyHash::Fnv1a64, None));
    let told = configure("placement = 'ketama'\nhash = 'md5'\nhash_tag = '<>'", &[]).unwrap().placement;
    assert_eq!((told.hash, told.hash_tag), (KeyHash::Md5, Some(*b"<>")));
    let ring = configure("placement = 'ring'\nhash_tag = ''", &[]).unwrap().placement;
    assert_eq!(ring.hash_tag, None);
}

#[test]
fn upstreams_have_names_and_weights() {
    let text = "placement = 'ketama'\nupstreams = ['a:11211', {address = 'b:1', name = 'big', weight = 2}]";
    let targets = configure(text, &[]).unwrap().targets();
    // twemproxy leaves its default port out of a server's label.
    assert_eq!(
        targets.iter().map(|target| (target.name.as_str(), target.weight)).collect::<Vec<_>>(),
        [("a", 1), ("big", 2)]
    );
    let text = "placement = 'ring'\n[[upstreams]]\naddress = 'a:1'\n[[upstreams]]\naddress = '/run/b.sock'";
    assert_eq!(configure(text, &[]).unwrap().upstreams.len(), 2);
}

#[test]
fn a_rule_of_the_file_comes_first_and_replaces_the_profiles_of_its_name() {
    let stripes = "[[rule]]\nname = 'stripes'\nkeys = '*:#'\nlayout = 'stripe-modulo'\n";
    let names =
        |text: &str| configure(text, &[]).unwrap().rules.iter().map(|rule| rule.name.clone()).collect::<Vec<_>>();
    assert_eq!(names(stripes), ["stripes", "stripe-set"]);
    assert_eq!(names(&format!("spread_children = true\n{stripes}")), ["stripes", "stripe-set", "children"]);
    let own =
        "[[rule]]\nname = 'stripe-set'\nkeys = '*:parts'\nlayout = 'partial-set'\nmember = '$1:$member'\nanchor = ''\n";
    let config = configure(own, &[]).unwrap();
    assert_eq!(config.rules.len(), 1);
    assert_eq!((config.rules[0].keys.as_str(), config.rules[0].anchor.as_deref()), ("*:parts", Some("")));
}

#[test]
fn the_example_passes_and_its_commented_defaults_are_the_defaults() {
    let example = include_str!("../../../docs/pdw-proxy.example.toml");
    let config = configure(example, &[]).unwrap();
    assert_eq!((config.workers, config.upstreams.len(), config.limits.sessions_max), (2, 3, 20_000));
    let all: String = example.lines().map(uncommented).collect();
    let config = configure(&all, &[]).unwrap();
    let plain = Config::from_args(&ServeArgs::default()).unwrap();
    assert_eq!(config.rules.len(), 2, "the commented rule is read");
    assert_eq!((config.profile, config.placement, config.log), (plain.profile, plain.placement, plain.log));
    assert_eq!((Limits { sessions_max: 100_000, ..config.limits }, config.times), (plain.limits, plain.times));
}

#[test]
fn the_example_of_a_leaf_passes() {
    let config = configure(include_str!("../../../docs/leaf.example.toml"), &[]).unwrap();
    assert_eq!((config.peer_links, config.upstreams.len(), config.listen.len()), (Some(1), 2, 3));
    let keys = config.upstreams.iter().filter_map(|upstream| match &upstream.seal {
        SealConfig::Noise(noise) => noise.keys.first(),
        _ => None,
    });
    assert_eq!(keys.collect::<std::collections::BTreeSet<_>>().len(), 2, "each link has a key of its own");
    let anybody = |warning: &&Warning| !matches!(warning, Warning::Scripts(_));
    assert_eq!(config.warnings.iter().find(anybody), None);
}

/// A line of the example with what is commented out put in force.
fn uncommented(line: &str) -> String {
    let option = line.strip_prefix("# ").filter(|rest| rest.contains(" = ") || rest.starts_with("[["));
    format!("{}\n", option.unwrap_or(line))
}

#[test]
fn defaults_lie_in_their_own_range_and_fit_each_other() {
    for option in options::OPTIONS {
        let default = option.kind.default_text();
        let text = match (option.name.split_once('.'), option.kind.type_name()) {
            (_, "addresses or tables" | "tables" | "address" | "path") => continue,
            (_, "choice") if default.contains(' ') => continue,
            (Some(("group", _)), "text") => continue,
            (None, "number" | "boolean") => format!("{} = {default}", option.name),
            (None, _) => format!("{} = '{default}'", option.name),
            (Some((group, name)), "number") => format!("[{group}]\n{name} = {default}"),
            (Some((group, name)), _) => format!("[{group}]\n{name} = '{default}'"),
        };
        let text = if option.name == "hash" { format!("placement = 'ketama'\n{text}") } else { text };
        assert_eq!(told(&text, &[]), "", "{text}");
    }
}

#[test]
fn a_file_cut_anywhere_or_without_any_of_its_bytes_is_checked_to_the_end() {
    let example = include_bytes!("../../../docs/pdw-proxy.example.toml");
    let uncommented: String = str::from_utf8(example).unwrap().lines().map(uncommented).collect();
    let bytes = uncommented.as_bytes();
    for at in 0..bytes.len() {
        for text in [bytes[..at].to_vec(), [&bytes[..at], &bytes[at + 1..]].concat()] {
            let (mut draft, mut findings) = (Draft::defaults(), Findings::default());
            draft.take(&file::parse(&text, &mut findings), &mut findings);
            let outcome = check::settle(draft, findings, Some("c".into()));
            assert!(outcome.is_ok() || outcome.is_err_and(|mistakes| !mistakes.to_string().is_empty()));
        }
    }
}

#[test]
fn an_upstream_on_the_command_line_may_have_a_name() {
    let config =
        configure("", &["--upstream", "one=/run/a.sock", "--upstream", "/run/b=c.sock", "--upstream", "n:1"]).unwrap();
    let named: Vec<_> =
        config.upstreams.iter().map(|upstream| (upstream.name.as_str(), upstream.address.to_string())).collect();
    let expected = [("one", "/run/a.sock"), ("/run/b=c.sock", "/run/b=c.sock"), ("n:1", "n:1")];
    assert_eq!(named, expected.map(|(name, address)| (name, address.to_owned())));
    assert!(told("", &["--upstream", "=n:1"]).contains("empty"));
}
