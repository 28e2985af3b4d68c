//! Sequences from a seed.

use fastrand::Rng;

use super::vocabulary::{FAMILIES, FILLERS, PROLOGUE, SECLUDED, TEMPLATES, fill};
use super::{Shape, Step};

/// What sequences are made for.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    /// Steps of a sequence, at most; blocks may add a few.
    pub steps: usize,
    /// Longest run of steps that are sent without waiting.
    pub chunk: usize,
}

impl Default for Setting {
    fn default() -> Setting {
        Setting { steps: 40, chunk: 12 }
    }
}

/// The sequence of `seed`.
pub fn sequence(seed: u64, setting: &Setting) -> Vec<Step> {
    let mut random = Rng::with_seed(seed);
    // Without tags most commands with several keys are refused where there are several shards.
    let tagged = random.bool();
    let focus = random.choose_multiple(FAMILIES, 2);
    let mut generator = Generator { random, tagged, focus, steps: Vec::new() };
    if generator.random.u8(..) < 20 {
        generator.one_key_world();
    }
    generator.prologue();
    while generator.steps.len() < setting.steps {
        generator.block();
    }
    let Generator { mut steps, mut random, .. } = generator;
    cut(&mut steps, setting.chunk, &mut random);
    steps
}

struct Generator {
    random: Rng,
    tagged: bool,
    /// The families of keys that this sequence is about: few, so that they meet.
    focus: Vec<&'static &'static str>,
    steps: Vec<Step>,
}

impl Generator {
    fn block(&mut self) {
        match self.random.u8(..100) {
            0..=7 => self.transaction(),
            8..=9 => self.scan(),
            10..=11 => self.silence(),
            12 => self.newer_arity(),
            _ => self.command(),
        }
    }

    /// RANDOMKEY has one answer where there is at most one key.
    fn one_key_world(&mut self) {
        let key = self.key("str");
        self.push(vec![b"RANDOMKEY".to_vec()], Shape::Array);
        self.push(vec![b"SET".to_vec(), key.clone(), b"v".to_vec()], Shape::Array);
        self.push(vec![b"RANDOMKEY".to_vec()], Shape::Array);
        self.push(vec![b"DEL".to_vec(), key], Shape::Array);
        self.push(vec![b"RANDOMKEY".to_vec()], Shape::Array);
    }

    fn prologue(&mut self) {
        for template in PROLOGUE {
            if self.random.bool() {
                self.command_of(template);
            }
        }
        for _ in 0..4 {
            let template = self.filler();
            self.command_of(template);
        }
    }

    /// A command that fills a key of a family in focus, so that others find something there.
    fn filler(&mut self) -> &'static str {
        let family = self.focus[self.random.usize(..self.focus.len())];
        let place = FAMILIES.iter().position(|name| name == family).unwrap_or(0);
        FILLERS[place]
    }

    fn transaction(&mut self) {
        // One in three meets in one home, whatever the rest of the sequence does.
        let outer = self.tagged;
        self.tagged |= self.random.u8(..3) == 0;
        self.push(vec![b"MULTI".to_vec()], Shape::Array);
        for _ in 0..self.random.usize(..6) {
            self.command();
        }
        if self.random.u8(..20) == 0 {
            self.push(vec![b"MULTI".to_vec()], Shape::Array);
        }
        let end: &[u8] = if self.random.u8(..5) == 0 { b"DISCARD" } else { b"EXEC" };
        self.push(vec![end.to_vec()], Shape::Array);
        self.tagged = outer;
    }

    /// A command that a newer Redis takes with an argument more, where the table of the newest one is asked.
    fn newer_arity(&mut self) {
        let key = self.key("zset");
        self.push(vec![b"MULTI".to_vec()], Shape::Array);
        self.push(vec![b"ZRANK".to_vec(), key, b"a".to_vec(), b"WITHSCORE".to_vec()], Shape::Array);
        self.push(vec![b"EXEC".to_vec()], Shape::Array);
    }

    fn scan(&mut self) {
        let options = ["", " COUNT 1", " MATCH *1", " TYPE string"][self.random.usize(..4)];
        let words = format!("SCAN 0{options}");
        self.push(words.split(' ').map(|word| word.as_bytes().to_vec()).collect(), Shape::Scan);
    }

    fn silence(&mut self) {
        let nothing: [&[u8]; 4] = [b"\r\n", b"*0\r\n", b"*-1\r\n", b"\n"];
        let bytes = nothing[self.random.usize(..nothing.len())].to_vec();
        self.push(vec![bytes], Shape::Silent);
    }

    fn command(&mut self) {
        let template = if self.random.u8(..5) == 0 { self.filler() } else { self.template() };
        self.command_of(template);
    }

    fn command_of(&mut self, template: &str) {
        let whole: Vec<Vec<u8>> = template.split(' ').flat_map(|word| self.expand(word)).collect();
        let mut words = whole.clone();
        self.damage(&mut words);
        // Whether a damaged BY still names keys is more than the masks want to know.
        if is_left_to_chance(&words) || template.contains(" BY ") || template.contains(SECLUDED) {
            words = whole;
        }
        let plain = |word: &Vec<u8>| {
            !word.is_empty() && word.iter().all(|byte| byte.is_ascii_graphic() && !b"'\"".contains(byte))
        };
        let inline = self.random.u8(..20) == 0 && words.iter().all(plain) && words[0][0] != b'*';
        self.push(words, if inline { Shape::Inline } else { Shape::Array });
    }

    fn template(&mut self) -> &'static str {
        loop {
            let template = TEMPLATES[self.random.usize(..TEMPLATES.len())];
            let names = template.split([' ', '|', ',', '?', ':', '+']).filter_map(|word| word.strip_prefix('$'));
            let mut families = names.filter(|name| FAMILIES.contains(name)).peekable();
            // What is about no family would be most of a sequence, and FLUSHALL undoes it.
            let odds = if template.starts_with("FLUSH") { 12 } else { 3 };
            let rare = families.peek().is_none() && self.random.u8(..odds) > 0;
            if !rare && families.all(|name| self.focus.contains(&&name)) {
                return template;
            }
        }
    }

    /// Now and then a command is not as it should be.
    fn damage(&mut self, words: &mut Vec<Vec<u8>>) {
        let last = words.len() - 1;
        let at = self.random.usize(..words.len());
        match self.random.u8(..80) {
            0 if last > 0 => words.truncate(last),
            1 => words.push(b"extra".to_vec()),
            2 if at > 0 => words[at] = b"x".to_vec(),
            3 if at > 0 => words.swap(at, last),
            4 => words[0].make_ascii_lowercase(),
            5 if at > 0 => drop(words.remove(at)),
            _ => {}
        }
    }

    /// The words of one word of a template.
    fn expand(&mut self, word: &str) -> Vec<Vec<u8>> {
        if let Some(optional) = word.strip_prefix('?') {
            let choices: Vec<_> = optional.split('|').collect();
            let chosen = choices[self.random.usize(..choices.len())];
            let present = self.random.bool();
            return chosen.split(',').filter(|_| present).map(|part| self.one(part)).collect();
        }
        if let Some(repeated) = word.strip_suffix('+').filter(|word| word.starts_with('$')) {
            let count = self.random.usize(1..=4);
            return (0..count).flat_map(|_| repeated.split(':')).map(|part| self.one(part)).collect();
        }
        // A choice; its words are joined by commas.
        let choices: Vec<_> = word.split('|').collect();
        let chosen = choices[self.random.usize(..choices.len())];
        chosen.split(',').map(|part| self.one(part)).collect()
    }

    fn one(&mut self, part: &str) -> Vec<u8> {
        match part.strip_prefix('$') {
            None => part.as_bytes().to_vec(),
            Some(name) if name == "key" || FAMILIES.contains(&name) => self.key(name),
            Some(name) => fill(name, &mut self.random).unwrap_or_default(),
        }
    }

    /// A key, mostly of its family, so that types meet and sometimes clash.
    fn key(&mut self, family: &str) -> Vec<u8> {
        let stray = family == "key" || (family != SECLUDED && self.random.u8(..12) == 0);
        let others: Vec<&str> = self.focus.iter().map(|family| **family).filter(|family| *family != SECLUDED).collect();
        let family = if stray { self.random.choice(others).unwrap_or("str") } else { family };
        let tag = if self.tagged || self.random.u8(..3) == 0 { "{t}" } else { "" };
        match self.random.u8(..50) {
            0 if !self.tagged && family != SECLUDED => Vec::new(),
            1 if family != SECLUDED => [tag.as_bytes(), b"\x00\xff key"].concat(),
            _ => format!("{tag}{family}{}", self.random.u8(1..=2)).into_bytes(),
        }
    }

    fn push(&mut self, arguments: Vec<Vec<u8>>, shape: Shape) {
        self.steps.push(Step { arguments, shape, cut: false });
    }
}

/// Has the client wait after every run of at most `chunk` steps.
pub(super) fn cut(steps: &mut [Step], chunk: usize, random: &mut Rng) {
    let mut left = random.usize(1..=chunk);
    for step in steps {
        left -= 1;
        step.cut = left == 0;
        if step.cut {
            left = random.usize(1..=chunk);
        }
    }
}

/// Whether two servers may answer differently: a random pick of several, or an expiry within milliseconds.
fn is_left_to_chance(words: &[Vec<u8>]) -> bool {
    let name = words[0].to_ascii_uppercase();
    let picks = name == b"SPOP" || name.ends_with(b"RANDMEMBER") || name.ends_with(b"RANDFIELD");
    let whole = words.get(2).is_some_and(|count| count == b"1000");
    let short = |pair: &[Vec<u8>]| pair[0] == b"PX" && pair[1].len() < 4;
    let expires = name == b"PSETEX" && words.get(2).is_some_and(|time| time.len() < 4);
    (picks && !whole) || expires || words.windows(2).any(short)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_one_sequence_and_another_gives_another() {
        let setting = Setting::default();
        assert_eq!(sequence(5, &setting), sequence(5, &setting));
        assert_ne!(sequence(5, &setting), sequence(6, &setting));
    }
}
