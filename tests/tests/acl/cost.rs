//! What holding a request against a permit costs: instructions of a whole proxy in user space, as callgrind counts them.
//!
//! | rules | pipeline 16, release build | before `permit/inside.rs` |
//! |---|---|---|
//! | usual, selectors | 1.8 % | 2.5 % |
//! | longer | 3.0 % | 2.9 % |
//! | globs | 3.1 % | 3.0 % |
//! | inside | 4.5 % | 7.8 % |
//!
//! At pipeline 1 a request costs three times as much, and the same check a third of that. A development build's request
//! costs more, so that the check is less of it.
//!
//! One session, closed loop: what the proxy does for a request is then always the same. `PDW_PROXY_BIN` names another
//! binary than the one beside the tests, a release build's for example.

use std::io;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use pdw_tests::connection::{Connection, encode, until};
use pdw_tests::instance::{Instance, on_path};
use pdw_tests::proxy::Launch;
use tempfile::TempDir;

use crate::{LIMIT, Stage, session};

/// Everything; and less, in rules as documentations recommend them, with a longer prefix, with patterns in the middle, as
/// selectors, and by what a key has inside.
const USERS: [(&str, &str); 6] = [
    ("free", "~* &* +@all"),
    ("usual", "~bench:* %R~shared:* +@all -@dangerous -@scripting"),
    ("longer", "~bench:0000* +@read +@write"),
    ("globs", "~*other* ~b?nch:[0-9]* +@read +@write"),
    ("selectors", "+@connection (~bench:* +@write) (%R~bench:* +@read)"),
    ("inside", "~*nch:00* +@read +@write"),
];

/// Fifty times slower than usual, it may take a while on a busy machine.
const START_LIMIT: Duration = Duration::from_secs(120);

/// Requests that are counted in one go.
const REQUESTS: usize = 3_200;

/// A proxy whose instructions are counted.
struct Counted {
    stage: Stage,
    folder: TempDir,
    /// So often the count was taken.
    taken: usize,
}

impl Counted {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = format!("--callgrind-out-file={}", folder.path().join("count").display());
        let user = |(name, rules)| format!("[[user]]\nname = \"{name}\"\nrules = \"on >pw {rules}\"\n");
        let instances = vec![Instance::start().unwrap()];
        let config: String = USERS.map(user).concat();
        let launch = Launch::new("redis", &[instances[0].address().clone()]).levels(1).config(&config);
        let proxy = launch.under(&["valgrind", "--tool=callgrind", &file]).spawn().unwrap();
        until("the proxy", START_LIMIT, || Connection::open(proxy.address())?.call(&["PING"]).map(drop)).unwrap();
        Self { stage: Stage { proxy, _instances: instances }, folder, taken: 0 }
    }

    /// Instructions since this was asked last.
    fn take(&mut self) -> u64 {
        self.taken += 1;
        let pid = format!("--pid={}", self.stage.proxy.guard().pid());
        let dumped =
            Command::new("vgdb").args([&pid, "dump", "0"]).stdout(Stdio::null()).stderr(Stdio::null()).status();
        assert!(dumped.unwrap().success(), "callgrind gives no numbers");
        let file = self.folder.path().join(format!("count.{}", self.taken));
        until("the numbers", LIMIT, || total(&file)).unwrap()
    }

    /// Instructions for one request, `pipeline` of them at a time.
    fn per_request(&mut self, session: &mut Connection, pipeline: usize) -> f64 {
        let value = "v".repeat(64);
        let pair = [encode(&["SET", "bench:0000042", &value]), encode(&["GET", "bench:0000042"])];
        let batches: Vec<Vec<u8>> = match pipeline {
            1 => pair.to_vec(),
            _ => vec![pair.iter().cycle().take(pipeline).flatten().copied().collect()],
        };
        self.take();
        for round in 0..REQUESTS / pipeline {
            session.send(&batches[round % batches.len()]).unwrap();
            session.receive_many(pipeline).unwrap().iter().for_each(|reply| assert_eq!(reply.value.error(), None));
        }
        self.take() as f64 / REQUESTS as f64
    }
}

/// What a file of callgrind's says of all instructions in it.
fn total(file: &Path) -> io::Result<u64> {
    let text = std::fs::read_to_string(file)?;
    let total = text.lines().find_map(|line| line.strip_prefix("totals: ")).and_then(|total| total.parse().ok());
    total.ok_or_else(|| io::Error::other("no total yet"))
}

fn least(figures: impl Iterator<Item = f64>) -> f64 {
    figures.fold(f64::INFINITY, f64::min)
}

/// What a user's requests cost more than those of one who may do everything, as a part of these: the least of three counts
/// each, since what the proxy does by the clock comes on top.
fn overheads(counted: &mut Counted, pipeline: usize) -> Vec<(&'static str, f64)> {
    let mut sessions = USERS.map(|(user, _)| session(counted.stage.proxy.address(), user));
    let mut rounds = || sessions.each_mut().map(|session| counted.per_request(session, pipeline));
    rounds();
    let counts = [rounds(), rounds(), rounds()];
    let costs: Vec<f64> = (0..USERS.len()).map(|at| least(counts.iter().map(|count| count[at]))).collect();
    let names = USERS.iter().map(|(name, _)| *name);
    let overheads = names.zip(costs.iter().map(|cost| cost / costs[0] - 1.0)).collect();
    println!("pipeline {pipeline}: {:.0} instructions a request, more: {overheads:.4?}", costs[0]);
    overheads
}

/// The most that a user's requests may cost more. To look for something inside of a key takes a walk along it.
fn bound(user: &str) -> f64 {
    match user {
        "inside" => 0.05,
        _ => 0.03,
    }
}

#[test]
fn a_permit_costs_at_most_three_per_cent_of_a_requests_instructions() {
    if on_path("vgdb").is_none() {
        return pdw_tests::skipped("valgrind is not on PATH");
    }
    let mut counted = Counted::start();
    for pipeline in [1, 16] {
        for (user, more) in overheads(&mut counted, pipeline) {
            assert!(more <= bound(user), "{user}, pipeline {pipeline}: {:.1} %", more * 100.0);
        }
    }
}
