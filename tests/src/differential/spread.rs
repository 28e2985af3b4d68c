//! Sequences about sets whose members lie on several shards, and the keys beside them.

use fastrand::Rng;

use super::generator::cut;
use super::{Shape, Step};

/// Which family of sets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// `<path>:stripes`, whose members name the stripes beside it.
    Stripes,
    /// `{path}:children`, whose empty member lies beside `{path}:mode`.
    Children,
}

/// `$s` is a set, `$m` a member, `$k` a key beside the sets.
const TEMPLATES: &[&str] = &[
    "SADD $s $m",
    "SADD $s $m $m $m",
    "SADD $s $m $m $m $m $m $m",
    "SREM $s $m",
    "SREM $s $m $m $m",
    "SISMEMBER $s $m",
    "SMISMEMBER $s $m $m $m",
    "SMEMBERS $s",
    "SCARD $s",
    "SSCAN $s 0",
    "SSCAN $s 0 COUNT 1",
    "SSCAN $s 0 MATCH *1*",
    "EXISTS $s",
    "EXISTS $s $s $k",
    "DEL $s",
    "UNLINK $s $k",
    "TYPE $s",
    "TYPE $k",
    "EXPIRE $s 10000",
    "EXPIRE $s -1",
    // Not with NX or GT: a part that comes to be after EXPIRE has no expiry, which a condition would show.
    "GET $k",
    "SETRANGE $k 3 x",
    "STRLEN $k",
    "UNLINK $k",
    "KEYS *",
    "SCAN 0 COUNT 2",
    "SADD $s",
    "SMISMEMBER $s",
    "SCARD $s $m",
    "SSCAN $s x",
    "SADD $k $m",
];

/// A sequence of about thirty steps from a seed, for a proxy of profile `pdwfs`.
pub fn spread_sequence(seed: u64, family: Family) -> Vec<Step> {
    let mut random = Rng::with_seed(seed);
    let mut steps = Vec::new();
    while steps.len() < 30 {
        if random.u8(..5) == 0 {
            steps.extend(transaction(&mut random, family));
        } else {
            let template = TEMPLATES[random.usize(..TEMPLATES.len())];
            // EXISTS looks for the empty member only, which a directory always has and these sets have not.
            if family == Family::Stripes || !template.starts_with("EXISTS") {
                steps.push(fill(template, &mut random, family));
            }
        }
    }
    cut(&mut steps, 10, &mut random);
    steps
}

/// What pdwfs itself does in one.
fn transaction(random: &mut Rng, family: Family) -> Vec<Step> {
    let path = path(random);
    let member = member(random, family);
    let lines = match (family, random.bool()) {
        (Family::Stripes, true) => [format!("SADD {path}:stripes {member}"), format!("SETRANGE {path}:{member} 2 ab")],
        (Family::Stripes, false) => [format!("SREM {path}:stripes {member}"), format!("UNLINK {path}:{member}")],
        (Family::Children, true) => [format!("SADD {{{path}}}:children "), format!("SETNX {{{path}}}:mode 384")],
        (Family::Children, false) => [format!("SREM {{{path}}}:children "), format!("UNLINK {{{path}}}:mode")],
    };
    let [first, second] = lines.map(|line| step(line.split(' ').map(str::to_owned)));
    vec![step(["MULTI".to_owned()]), first, second, step(["EXEC".to_owned()])]
}

fn fill(template: &str, random: &mut Rng, family: Family) -> Step {
    let words = template.split(' ').map(|word| match word {
        "$s" => set(random, family),
        "$m" => member(random, family),
        "$k" => neighbour(random, family),
        other => other.to_owned(),
    });
    step(words.collect::<Vec<_>>())
}

fn step(words: impl IntoIterator<Item = String>) -> Step {
    let arguments: Vec<Vec<u8>> = words.into_iter().map(String::into_bytes).collect();
    let scans = [&b"SCAN"[..], b"SSCAN"].contains(&arguments[0].as_slice());
    Step { arguments, shape: if scans { Shape::Scan } else { Shape::Array }, cut: false }
}

fn path(random: &mut Rng) -> &'static str {
    ["/m/a", "/m/b"][random.usize(..2)]
}

fn set(random: &mut Rng, family: Family) -> String {
    let path = path(random);
    match family {
        Family::Stripes => format!("{path}:stripes"),
        Family::Children => format!("{{{path}}}:children"),
    }
}

fn member(random: &mut Rng, family: Family) -> String {
    let number = random.u8(..14);
    match (family, number) {
        (_, 0) => "odd".to_owned(),
        (Family::Stripes, _) => number.to_string(),
        (Family::Children, 1) => String::new(),
        (Family::Children, _) => format!("/m/a/{number}"),
    }
}

/// A key that is not spread.
fn neighbour(random: &mut Rng, family: Family) -> String {
    let path = path(random);
    match family {
        Family::Stripes => format!("{path}:{}", random.u8(..14)),
        Family::Children => format!("{{{path}}}:mode"),
    }
}
