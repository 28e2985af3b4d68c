use super::*;

fn user(rules: &str) -> User {
    User::parse(&Table::new(), rules).unwrap()
}

fn errors(rules: &str) -> Vec<RuleError> {
    User::parse(&Table::new(), rules).unwrap_err()
}

fn users(file: &str) -> Users {
    let users = parse(&Table::new(), file).unwrap();
    Users::new(users.into_iter().map(|one| (one.name, one.user)).collect())
}

const HASH_OF_X: &str = "#2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881";

#[test]
fn rules_are_told_back_in_order_without_what_later_ones_made_void() {
    for (rules, told) in [
        ("", "off resetchannels -@all"),
        ("ON >x ~a* %R~b* &c", &format!("on {HASH_OF_X} ~a* %R~b* resetchannels &c -@all")),
        ("allkeys allchannels allcommands nopass", "off nopass ~* &* +@all"),
        ("+@Read -GET +set +config|get +select|0", "off resetchannels -@all +@read -get +set +config|get +select|0"),
        ("+get -get +get", "off resetchannels -@all +get"),
        ("+config|get +config -@read +@all -keys", "off resetchannels +@all -keys"),
        ("+config|get +config|set -config", "off resetchannels -@all -config"),
        ("%R~a %W~a %RW~b", "off ~a ~b resetchannels -@all"),
        ("~a resetkeys %W~b &x &x", "off %W~b resetchannels &x -@all"),
        (
            "(+get ~c*) ( -@all +set ~d )",
            "off resetchannels -@all (~c* resetchannels -@all +get) (~d resetchannels -@all +set)",
        ),
        ("on ~* (+get) >x reset", "off sanitize-payload resetchannels -@all"),
        (">x >x <x nopass", "off nopass resetchannels -@all"),
        ("+json.get -ft.search", "off resetchannels -@all +json.get -ft.search"),
    ] {
        assert_eq!(user(rules).describe(), told, "{rules}");
        assert_eq!(user(&user(rules).describe()), user(rules), "{rules}");
    }
}

#[test]
fn every_mistake_is_told_and_no_password() {
    assert_eq!(errors("+gett")[0], RuleError::Unknown("+gett".into()));
    assert_eq!(errors("-@reed +select|0|1 -select|0").len(), 3);
    assert_eq!(errors("+config|get|x"), [RuleError::ArgumentOfSubcommand("+config|get|x".into())]);
    assert_eq!(errors("+select|"), [RuleError::Syntax(1)]);
    assert_eq!(errors("+config|nope"), [RuleError::Unknown("+config|nope".into())]);
    assert_eq!(errors("~* ~a"), [RuleError::BehindAllKeys("~a".into())]);
    assert_eq!(errors("&* &a"), [RuleError::BehindAllChannels("&a".into())]);
    assert_eq!(errors("#abc <x"), [RuleError::BadHash(1), RuleError::NoSuchPassword(2)]);
    assert_eq!(errors("on (+get ~a"), [RuleError::Unclosed(2)]);
    assert_eq!(errors("(+gett hunter2)"), [RuleError::Unknown("+gett".into()), RuleError::Syntax(1)]);
    assert_eq!(errors("%X~a %~a %R"), [RuleError::Syntax(1), RuleError::Syntax(2), RuleError::Syntax(3)]);
    for rules in ["on hunter2", "#hunter2", "<hunter2", "!hunter2", "(hunter2)"] {
        let told = errors(rules)[0].to_string();
        assert!(!told.contains("hunter2"), "{told}");
    }
}

#[test]
fn a_file_tells_all_its_mistakes_with_their_lines() {
    let file = "user a on\n\n# comment\nusers b\nuser a off +gett ~* ~x\r\nuser\n  user c hunter2  \n";
    let wrong = parse(&Table::new(), file).unwrap_err();
    let lines: Vec<usize> = wrong.iter().map(|(line, _)| *line).collect();
    assert_eq!(lines, [4, 5, 5, 5, 6, 7]);
    assert!(wrong.iter().all(|(_, error)| !error.to_string().contains("hunter2")));
    let good = parse(&Table::new(), "user a on\n\tuser b\toff +get\r\n").unwrap();
    assert_eq!(good.iter().map(|one| one.name.as_str()).collect::<Vec<_>>(), ["a", "b"]);
}

#[test]
fn passwords_open_their_users_and_no_others() {
    let users = users("user default off\nuser a on >x >y\nuser b off >x\nuser c on nopass\nuser d on");
    assert!(users.log_in(b"a", b"x").is_some() && users.log_in(b"a", b"y").is_some());
    for (name, password) in [("a", "z"), ("b", "x"), ("d", ""), ("default", ""), ("nobody", "x"), ("a", "")] {
        assert!(users.log_in(name.as_bytes(), password.as_bytes()).is_none(), "{name} {password}");
    }
    assert!(users.log_in(b"c", b"anything").is_some());
    assert!(users.enter(&Entrance::default()).is_none() && !users.is_open());
    assert!(Users::default().enter(&Entrance::default()).is_some() && Users::default().is_open());
}

#[test]
fn who_is_not_known_is_as_much_work_as_who_is() {
    let users = users("user a on >x\nuser b off >x");
    for name in ["a", "b", "nobody", "", "\u{e9}"].map(str::as_bytes).into_iter().chain([&b"\xff"[..]]) {
        let mut hashes = 0;
        let login = users.identify(name, || {
            hashes += 1;
            password::hash(b"wrong")
        });
        assert!(login.is_none() && hashes == 1, "{hashes} hashes for {}", name.escape_ascii());
    }
    assert!(users.log_in(b"", b"").is_none());
    assert!(users.identify(b"nobody", || users.nobody.logins[0].password.unwrap()).is_none());
}

#[test]
fn a_session_goes_on_while_its_user_and_its_password_are_good() {
    let login = users("user a on >x >y +get").log_in(b"a", b"x").unwrap();
    let renewed = |file: &str| users(file).renew(&login);
    assert_eq!(&*renewed("user a on >x +set").unwrap().rules, "resetchannels -@all +set");
    assert!(renewed("user a on >z >x").is_some() && renewed("user a on nopass").is_some());
    assert!(renewed("user a on >y").is_none() && renewed("user a off >x").is_none() && renewed("").is_none());
    let open = users("user a on nopass").log_in(b"a", b"").unwrap();
    assert!(users("user a on >x").renew(&open).is_none());
}

#[test]
fn a_door_makes_somebody_of_who_comes_from_its_networks() {
    let from = vec!["10.0.0.0/8".parse().unwrap()];
    let doors = vec![
        Door::default(),
        Door { user: Some("pdwfs".into()), from },
        Door { user: Some("pdwfs".into()), from: Vec::new() },
    ];
    let users = users("user default off\nuser pdwfs on ~* +@all").with_doors(doors);
    let enter = |listener, peer: Option<&str>| {
        let entrance = Entrance { listener, peer: peer.map(|peer| peer.parse().unwrap()), names: None };
        users.enter(&entrance).map(|login| login.user.to_string())
    };
    assert_eq!(enter(0, Some("10.1.1.1")), None);
    assert_eq!(enter(1, Some("10.1.1.1")).as_deref(), Some("pdwfs"));
    assert_eq!(enter(1, Some("11.1.1.1")), None);
    assert_eq!(enter(1, None), None);
    assert_eq!(enter(2, None).as_deref(), Some("pdwfs"));
}

#[test]
fn a_certificate_makes_a_user_of_who_shows_it_and_never_another_one_than_it_names() {
    let doors = vec![Door { user: Some("pdwfs".into()), from: Vec::new() }];
    let users = users("user default on nopass\nuser pdwfs on\nuser job-17 on >secret\nuser gone off").with_doors(doors);
    let enter = |names: &[&str]| {
        let names = names.iter().map(|name| (*name).to_owned()).collect();
        let entrance = Entrance { names: Some(Arc::new(names)), ..Entrance::default() };
        users.enter(&entrance).map(|login| login.user.to_string())
    };
    assert_eq!(enter(&["job-17"]).as_deref(), Some("job-17"));
    assert_eq!(enter(&["unknown.example", "job-17", "pdwfs"]).as_deref(), Some("job-17"));
    assert_eq!(enter(&["gone", "job-17"]), None, "who is off is not let in as somebody else");
    assert_eq!(enter(&["unknown.example"]).as_deref(), Some("pdwfs"));
    assert_eq!(enter(&["default"]).as_deref(), Some("pdwfs"), "`default` is nobody's name");
}
