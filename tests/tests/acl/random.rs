//! Random rules and random requests.

use fastrand::Rng;
use pdw_router::command::{CommandSpec, Table};

/// Texts of which patterns and keys are made, so that they meet.
const STEMS: [&str; 5] = ["a", "b", "ab", "a1", "key"];
const PATTERNS: [&str; 12] = ["a", "a*", "*", "b?", "[ab]*", "ab", "*1", "a[^1]", "k*y", "key", "\\a", "b*"];
const CHANNELS: [&str; 5] = ["news", "n*", "*s", "other", "n?ws"];
const WORDS: [&str; 24] = [
    "0",
    "1",
    "2",
    "3",
    "STORE",
    "STREAMS",
    "KEYS",
    "GET",
    "BY",
    "LIMIT",
    "COUNT",
    "WEIGHTS",
    "AGGREGATE",
    "news",
    "x*",
    "STOREDIST",
    "SET",
    "INCRBY",
    "u8",
    "EX",
    "NX",
    "n*",
    "-1",
    "",
];

/// Commands that a server has too, by name.
pub(crate) struct Vocabulary {
    specs: Vec<CommandSpec>,
    categories: Vec<String>,
}

impl Vocabulary {
    /// The table's commands among those of a server.
    pub(crate) fn of(known: impl Fn(&str) -> bool) -> Vocabulary {
        let specs: Vec<_> = Table::new().iter().filter(|spec| known(&spec.name)).cloned().collect();
        let flags = pdw_router::command::Categories::all();
        let categories = flags.iter_names().map(|(name, _)| name.to_lowercase()).collect();
        Vocabulary { specs, categories }
    }

    /// Rules of one user, `on` and the password `pw` among them.
    pub(crate) fn rules(&self, rng: &mut Rng) -> String {
        let mut rules = vec!["on".to_owned(), ">pw".to_owned()];
        rules.extend(self.selector(rng));
        for _ in 0..rng.usize(0..3) {
            rules.push(format!("({})", self.selector(rng).join(" ")));
        }
        rules.join(" ")
    }

    fn selector(&self, rng: &mut Rng) -> Vec<String> {
        let mut rules = vec![["+@all", "-@all", "+@read", "+@all"][rng.usize(0..4)].to_owned()];
        rules.extend((0..rng.usize(0..6)).map(|_| self.command_rule(rng)));
        rules.extend((0..rng.usize(0..4)).map(|_| key_rule(rng)));
        rules.extend((0..rng.usize(0..3)).map(|_| format!("&{}", CHANNELS[rng.usize(0..CHANNELS.len())])));
        if rng.u8(0..8) == 0 {
            rules.push(["allkeys", "resetkeys", "allchannels", "resetchannels", "~*"][rng.usize(0..5)].to_owned());
        }
        rules
    }

    fn command_rule(&self, rng: &mut Rng) -> String {
        let sign = ["+", "-"][rng.usize(0..2)];
        match rng.u8(0..10) {
            0..4 => format!("{sign}@{}", self.categories[rng.usize(0..self.categories.len())]),
            4..8 => format!("{sign}{}", self.specs[rng.usize(0..self.specs.len())].name),
            8 => {
                format!("+{}|{}", ["get", "select", "object", "set"][rng.usize(0..4)], STEMS[rng.usize(0..STEMS.len())])
            }
            _ => format!("{sign}{}", ["config", "client", "acl", "nosuch", "config|nosuch"][rng.usize(0..5)]),
        }
    }

    /// A request with a possible number of arguments, which may or may not fit together.
    pub(crate) fn request(&self, rng: &mut Rng) -> Vec<String> {
        if rng.u8(0..16) == 0 {
            return misleading(rng);
        }
        let spec = &self.specs[rng.usize(0..self.specs.len())];
        let least = usize::from(spec.arity.unsigned_abs());
        let count = if spec.arity < 0 { least + rng.usize(0..5) } else { least };
        let mut words: Vec<String> = spec.name.split('|').map(str::to_owned).collect();
        while words.len() < count {
            let key = rng.bool();
            let list: &[&str] = if key { &STEMS } else { &WORDS };
            words.push(list[rng.usize(0..list.len())].to_owned());
        }
        words
    }
}

/// Requests with options that are given twice, and with names that are those of options. `K`: a key.
const MISLEADING: [&str; 8] = [
    "georadius K 0 0 1 km STORE K STORE K",
    "georadiusbymember K m 1 km STOREDIST K STORE K",
    "georadiusbymember K m 1 km STORE STORE STOREDIST K",
    "sort K STORE get STORE K",
    "sort K LIMIT 0 1 STORE limit BY x STORE K",
    "xreadgroup COUNT 1 GROUP g streams streams K 0",
    "xreadgroup GROUP g c COUNT 1 NOACK STREAMS K K > >",
    "zunionstore K 2 K K WEIGHTS 2 1",
];

fn misleading(rng: &mut Rng) -> Vec<String> {
    let words = MISLEADING[rng.usize(0..MISLEADING.len())].split(' ');
    words.map(|word| if word == "K" { STEMS[rng.usize(0..STEMS.len())] } else { word }.to_owned()).collect()
}

fn key_rule(rng: &mut Rng) -> String {
    let pattern = PATTERNS[rng.usize(0..PATTERNS.len())];
    // Reading and writing `*` by two rules is told as `~*`, which is another rule.
    let signs: &[&str] = if pattern == "*" { &["~", "%R~"] } else { &["~", "%R~", "%W~", "%RW~"] };
    format!("{}{pattern}", signs[rng.usize(0..signs.len())])
}
