//! Key positions against the server's own `COMMAND GETKEYS`.

use pdw_router::command::{BeginSearch, CommandSpec, KeyError, Table, first_key, key_positions};
use redis_protocol::resp2::types::OwnedFrame;

use crate::server::{Arguments, Client, Kind, Server, servers, words};

/// Seed of the generated requests.
const SEED: u64 = 0x6E75;
/// Requests per command and number of arguments.
const PER_LENGTH: usize = 12;
/// Arguments beyond what the command needs at least.
const EXTRA_MAX: usize = 7;

/// The keys a server names; empty where it says that there are none, or that the arguments are wrong.
fn theirs(client: &mut Client) -> Vec<Vec<u8>> {
    let key = |frame| match frame {
        OwnedFrame::BulkString(key) => key,
        other => panic!("{other:?}"),
    };
    match client.reply() {
        OwnedFrame::Array(keys) => keys.into_iter().map(key).collect(),
        OwnedFrame::Error(_) => Vec::new(),
        other => panic!("{other:?}"),
    }
}

fn ours(spec: &CommandSpec, arguments: &[Vec<u8>]) -> Result<Vec<Vec<u8>>, KeyError> {
    let request = Arguments::new(arguments);
    let mut positions = Vec::new();
    key_positions(spec, &request.request(), &mut positions)?;
    if let Some(first) = first_key(spec, &request.request()) {
        assert_eq!(positions, [first], "{}", spec.name);
    }
    Ok(positions.iter().map(|&at| arguments[at as usize].clone()).collect())
}

/// Words that mean something to a key spec, numbers of keys, and words that mean nothing.
fn vocabulary(spec: &CommandSpec) -> Vec<String> {
    let mut vocabulary: Vec<String> =
        ["0", "1", "2", "3", "01", "-1", "+1", "k", "", "LIMIT", "by", "Get", "store"].map(str::to_owned).into();
    for keys in spec.keys.iter() {
        if let BeginSearch::Keyword { word, .. } = &keys.begin {
            vocabulary.extend([word.to_string(), word.to_lowercase()]);
        }
    }
    vocabulary
}

fn requests(spec: &CommandSpec, random: &mut fastrand::Rng) -> Vec<Vec<Vec<u8>>> {
    let vocabulary = vocabulary(spec);
    let typed: Vec<&str> = spec.name.split('|').collect();
    let least = usize::from(spec.arity.unsigned_abs());
    let most = if spec.arity < 0 { least + EXTRA_MAX } else { least };
    let mut requests = Vec::new();
    for length in (least..=most).flat_map(|length| std::iter::repeat_n(length, PER_LENGTH)) {
        let mut request = words(&typed);
        while request.len() < length {
            let word = &vocabulary[random.usize(..vocabulary.len())];
            let key = if word == "k" { format!("key:{}", request.len()) } else { word.clone() };
            request.push(key.into_bytes());
        }
        requests.push(request);
    }
    requests
}

/// Requests of which a server's GETKEYS says something else than what the server would execute.
fn is_excused(kind: Kind, spec: &CommandSpec, request: &[Vec<u8>]) -> bool {
    const OPTIONS: &[&str] = &["STORE", "GET", "BY", "LIMIT"];
    let is = |argument: &Vec<u8>, word: &str| argument.eq_ignore_ascii_case(word.as_bytes());
    let stores = request.iter().filter(|argument| is(argument, "STORE") || is(argument, "STOREDIST")).count();
    match &*spec.name {
        // Redis 7.0 names the first STORE and the first STOREDIST, and stores to the last of all.
        "georadius" | "georadiusbymember" => kind == Kind::Redis70 && stores > 1,
        // A destination that is called as an option is taken for that option.
        "sort" => request.windows(2).any(|pair| is(&pair[0], "STORE") && OPTIONS.iter().any(|word| is(&pair[1], word))),
        // The server searches KEYS before the last argument only; nothing would be migrated.
        "migrate" => request.last().is_some_and(|argument| is(argument, "KEYS")),
        // No sources is an empty range, which the server executes but calls invalid here.
        "pfmerge" => request.len() == 2,
        _ => false,
    }
}

fn compare(server: &Server, spec: &CommandSpec, client: &mut Client, requests: &[Vec<Vec<u8>>]) -> usize {
    for request in requests {
        let mut asked = words(&["COMMAND", "GETKEYS"]);
        asked.extend_from_slice(request);
        client.send(&asked);
    }
    let theirs: Vec<_> = requests.iter().map(|_| theirs(client)).collect();
    let mut found = 0;
    for (request, theirs) in requests.iter().zip(theirs) {
        let shown: Vec<_> = request.iter().map(|argument| String::from_utf8_lossy(argument)).collect();
        let shown = format!("{:?}: {}", server.kind, shown.join(" "));
        let ours = ours(spec, request);
        assert_ne!(ours, Err(KeyError::Unknown), "{shown}");
        if is_excused(server.kind, spec, request) {
            continue;
        }
        if ours.as_ref() == Ok(&theirs) {
            found += usize::from(!theirs.is_empty());
            continue;
        }
        // GETKEYS guesses at arguments that do not fit together: then it must be true that they do not.
        client.send(request);
        let reply = client.reply();
        let refused = matches!(reply, OwnedFrame::Error(_));
        assert!(refused, "{shown}: {ours:?}, the server says {theirs:?} and executes it: {reply:?}");
    }
    found
}

#[test]
fn keys_are_found_where_the_server_finds_them() {
    for server in servers() {
        let (table, mut random) = (Table::new(), fastrand::Rng::with_seed(SEED));
        let mut client = Client::new(&server);
        let mut found = 0;
        for spec in table.iter().filter(|spec| !spec.keys.is_empty()) {
            client.send(&words(&["COMMAND", "INFO", &spec.name]));
            if client.reply() == OwnedFrame::Array(vec![OwnedFrame::Null]) {
                continue;
            }
            found += compare(&server, spec, &mut client, &requests(spec, &mut random));
        }
        assert!(found > 5000, "only {found} requests had keys");
    }
}

#[test]
fn known_requests_have_the_keys_the_server_says() {
    const REQUESTS: &[&str] = &[
        "MSET a 1 b 2 c 3",
        "BITOP AND d a b c",
        "EVAL s 2 a b c d",
        "EVAL s 0",
        "EVAL s 3 a",
        "ZUNIONSTORE d 2 a b WEIGHTS 1 2",
        "ZUNIONSTORE d 3 a b",
        "XREAD COUNT 2 BLOCK 0 STREAMS a b 0 0",
        "XREADGROUP GROUP streams streams STREAMS a b > >",
        "SORT l LIMIT 0 5 GET # STORE d DESC",
        "SORT l BY nosort STORE a STORE b",
        "GEORADIUS g 0 0 1 km STORE d",
        "GEORADIUSBYMEMBER g store 1 km STOREDIST d",
        "MIGRATE h 1 k 0 5",
        "MIGRATE h 1 \"\" 0 5 KEYS a b c",
        "LMPOP 2 a b LEFT",
        "BLMPOP 0 2 a b LEFT",
        "BLPOP a b 0",
        "OBJECT ENCODING a",
        "MEMORY USAGE a SAMPLES 5",
        "SINTERCARD 2 a b LIMIT 1",
        "COPY a b DB 0",
        "XGROUP CREATE s g 0",
        "SPUBLISH c m",
        "RENAME a b",
        "LCS a b",
        "PFCOUNT a b",
    ];
    for server in servers() {
        let (table, mut client) = (Table::new(), Client::new(&server));
        for text in REQUESTS {
            let request: Vec<Vec<u8>> =
                text.split(' ').map(|word| word.trim_matches('"').as_bytes().to_vec()).collect();
            let id = table.resolve(&Arguments::new(&request).request()).unwrap();
            compare(&server, table.spec(id), &mut client, &[request]);
        }
    }
}
