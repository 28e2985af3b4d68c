//! An instance's data, and what its commands do: an exact model of Redis for those that the simulation uses.

use std::collections::{BTreeMap, BTreeSet};

use crate::resp::{array, bulk, encode};

/// What a command for another kind of value is told.
pub(crate) const WRONG_TYPE: &[u8] = b"-WRONGTYPE Operation against a key holding the wrong kind of value\r\n";

/// What a key holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Value {
    Text(Vec<u8>),
    Set(BTreeSet<Vec<u8>>),
}

/// The data of one instance.
#[derive(Debug, Default)]
pub(crate) struct Store(BTreeMap<Vec<u8>, Value>);

impl Store {
    pub(crate) fn get(&self, key: &[u8]) -> Option<&Value> {
        self.0.get(key)
    }

    /// Loses all texts and sets that are no numbers; their keys.
    pub(crate) fn forget(&mut self) -> Vec<Vec<u8>> {
        let counts = |value: &Value| matches!(value, Value::Text(text) if text.iter().all(u8::is_ascii_digit));
        let lost: Vec<Vec<u8>> =
            self.0.iter().filter(|(_, value)| !counts(value)).map(|(key, _)| key.clone()).collect();
        lost.iter().for_each(|key| drop(self.0.remove(key)));
        lost
    }

    /// Carries out one command, outside of transactions.
    pub(crate) fn execute(&mut self, args: &[Vec<u8>]) -> Vec<u8> {
        let name = args[0].to_ascii_uppercase();
        match (name.as_slice(), args.len()) {
            (b"GET", 2) => self.get_text(&args[1]),
            (b"SET" | b"MARK", 3) => self.set(&args[1], &args[2]),
            (b"SET", 4) if args[3] == b"GET" => self.swap(&args[1], &args[2]),
            (b"SETNX", 3) => self.set_new(&args[1], &args[2]),
            (b"APPEND", 3) => self.append(&args[1], &args[2]),
            (b"INCR", 2) => self.increment(&args[1]),
            (b"MGET", 2..) => self.get_many(&args[1..]),
            (b"MSET", 3..) => self.set_many(&args[1..]),
            (b"DEL" | b"UNLINK", 2..) => number(args[1..].iter().filter(|key| self.0.remove(*key).is_some()).count()),
            (b"EXISTS" | b"TOUCH", 2..) => number(args[1..].iter().filter(|key| self.0.contains_key(*key)).count()),
            (b"SADD", 3..) => self.change_set(&args[1], &args[2..], BTreeSet::insert),
            (b"SREM", 3..) => self.change_set(&args[1], &args[2..], |set, member| set.remove(&member)),
            (b"SMEMBERS", 2) => self.read_set(&args[1], |set| array(&set.iter().map(|m| bulk(m)).collect::<Vec<_>>())),
            (b"SCARD", 2) => self.read_set(&args[1], |set| number(set.len())),
            (b"DBSIZE", 1) => number(self.0.len()),
            (b"KEYS", 2) => array(&self.0.keys().map(|key| bulk(key)).collect::<Vec<_>>()),
            (b"PING", 1) => b"+PONG\r\n".to_vec(),
            (b"COMMAND", 3) => command_info(&args[2]),
            _ => format!("-ERR unexpected: {}\r\n", encode(args).escape_ascii()).into_bytes(),
        }
    }

    fn get_text(&self, key: &[u8]) -> Vec<u8> {
        match self.0.get(key) {
            Some(Value::Text(text)) => bulk(text),
            Some(Value::Set(_)) => WRONG_TYPE.to_vec(),
            None => b"$-1\r\n".to_vec(),
        }
    }

    fn set(&mut self, key: &[u8], value: &[u8]) -> Vec<u8> {
        self.0.insert(key.to_vec(), Value::Text(value.to_vec()));
        b"+OK\r\n".to_vec()
    }

    fn swap(&mut self, key: &[u8], value: &[u8]) -> Vec<u8> {
        let old = self.get_text(key);
        if old != WRONG_TYPE {
            self.set(key, value);
        }
        old
    }

    fn set_new(&mut self, key: &[u8], value: &[u8]) -> Vec<u8> {
        let new = !self.0.contains_key(key);
        if new {
            self.set(key, value);
        }
        number(usize::from(new))
    }

    fn append(&mut self, key: &[u8], value: &[u8]) -> Vec<u8> {
        match self.0.entry(key.to_vec()).or_insert_with(|| Value::Text(Vec::new())) {
            Value::Text(text) => {
                text.extend_from_slice(value);
                number(text.len())
            }
            Value::Set(_) => WRONG_TYPE.to_vec(),
        }
    }

    fn increment(&mut self, key: &[u8]) -> Vec<u8> {
        let old = match self.0.get(key) {
            None => Some(0),
            Some(Value::Text(text)) => std::str::from_utf8(text).ok().and_then(|text| text.parse::<i64>().ok()),
            Some(Value::Set(_)) => return WRONG_TYPE.to_vec(),
        };
        let Some(old) = old else { return b"-ERR value is not an integer or out of range\r\n".to_vec() };
        self.set(key, (old + 1).to_string().as_bytes());
        format!(":{}\r\n", old + 1).into_bytes()
    }

    fn get_many(&self, keys: &[Vec<u8>]) -> Vec<u8> {
        let texts = keys.iter().map(|key| match self.0.get(key) {
            Some(Value::Text(text)) => bulk(text),
            _ => b"$-1\r\n".to_vec(),
        });
        array(&texts.collect::<Vec<_>>())
    }

    fn set_many(&mut self, pairs: &[Vec<u8>]) -> Vec<u8> {
        pairs.chunks(2).for_each(|pair| drop(self.set(&pair[0], &pair[1])));
        b"+OK\r\n".to_vec()
    }

    fn change_set(
        &mut self,
        key: &[u8],
        members: &[Vec<u8>],
        change: impl Fn(&mut BTreeSet<Vec<u8>>, Vec<u8>) -> bool,
    ) -> Vec<u8> {
        let entry = self.0.entry(key.to_vec()).or_insert_with(|| Value::Set(BTreeSet::new()));
        let Value::Set(set) = entry else { return WRONG_TYPE.to_vec() };
        let changed = members.iter().filter(|member| change(set, (*member).clone())).count();
        if set.is_empty() {
            self.0.remove(key);
        }
        number(changed)
    }

    fn read_set(&self, key: &[u8], read: impl Fn(&BTreeSet<Vec<u8>>) -> Vec<u8>) -> Vec<u8> {
        match self.0.get(key) {
            Some(Value::Set(set)) => read(set),
            Some(Value::Text(_)) => WRONG_TYPE.to_vec(),
            None => read(&BTreeSet::new()),
        }
    }
}

/// Keys that a command is about.
pub(crate) fn keys(args: &[Vec<u8>]) -> Vec<&[u8]> {
    let step = match args[0].to_ascii_uppercase().as_slice() {
        b"DBSIZE" | b"KEYS" | b"PING" | b"CLIENT" | b"COMMAND" | b"MULTI" | b"EXEC" => return Vec::new(),
        b"MSET" => 2,
        b"MGET" | b"DEL" | b"UNLINK" | b"EXISTS" | b"TOUCH" => 1,
        _ => args.len(),
    };
    args.get(1..).unwrap_or_default().iter().step_by(step).map(Vec::as_slice).collect()
}

fn number(value: usize) -> Vec<u8> {
    format!(":{value}\r\n").into_bytes()
}

/// `MARK key value` is a command that the router's table lacks and every instance knows.
fn command_info(name: &[u8]) -> Vec<u8> {
    if !name.eq_ignore_ascii_case(b"mark") {
        return b"*1\r\n*-1\r\n".to_vec();
    }
    b"*1\r\n*7\r\n$4\r\nmark\r\n:3\r\n*1\r\n+write\r\n:1\r\n:1\r\n:1\r\n*0\r\n".to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(store: &mut Store, text: &str) -> String {
        let args: Vec<Vec<u8>> = text.split(' ').map(|word| word.as_bytes().to_vec()).collect();
        store.execute(&args).escape_ascii().to_string()
    }

    /// Compared with a Redis 7.0 by hand.
    #[test]
    fn replies_are_those_of_redis() {
        let mut store = Store::default();
        for (command, reply) in [
            ("GET a", r"$-1\r\n"),
            ("SET a 1", r"+OK\r\n"),
            ("SET a 2 GET", r"$1\r\n1\r\n"),
            ("SETNX a 3", r":0\r\n"),
            ("INCR a", r":3\r\n"),
            ("APPEND a 00", r":3\r\n"),
            ("MGET a b", r"*2\r\n$3\r\n300\r\n$-1\r\n"),
            ("SADD s x y", r":2\r\n"),
            ("SREM s x x z", r":1\r\n"),
            ("SMEMBERS s", r"*1\r\n$1\r\ny\r\n"),
            ("SREM s y", r":1\r\n"),
            ("EXISTS s a a", r":2\r\n"),
            ("DEL a s", r":1\r\n"),
            ("DBSIZE", r":0\r\n"),
        ] {
            assert_eq!(run(&mut store, command), reply, "{command}");
        }
    }
}
