//! What an instance holds: every key with its value, read past the proxy.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use crate::connection::Connection;
use crate::instance::Instance;
use crate::reply::printable;

/// A key's value, of the two types that pdwfs uses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entry {
    /// Bytes of a string.
    String(Vec<u8>),
    /// Members of a set.
    Set(BTreeSet<Vec<u8>>),
}

/// Everything an instance holds.
pub type Contents = BTreeMap<Vec<u8>, Entry>;

/// Reads all keys and values of `instance`.
///
/// # Errors
/// When a key is neither a string nor a set, or the instance does not answer.
pub fn read(instance: &Instance) -> io::Result<Contents> {
    let mut connection = instance.connect()?;
    let keys = connection.demand(&["KEYS", "*"])?;
    keys.elements().iter().map(|key| Ok((key.bytes().to_vec(), entry(&mut connection, key.bytes())?))).collect()
}

fn entry(connection: &mut Connection, key: &[u8]) -> io::Result<Entry> {
    match connection.demand(&[b"TYPE", key])?.bytes() {
        b"string" => Ok(Entry::String(connection.demand(&[b"GET", key])?.bytes().to_vec())),
        b"set" => {
            let members = connection.demand(&[b"SMEMBERS", key])?;
            Ok(Entry::Set(members.elements().iter().map(|member| member.bytes().to_vec()).collect()))
        }
        other => Err(io::Error::other(format!("key {} is a {}", printable(key), printable(other)))),
    }
}

/// Contents of each of `instances`, in order.
///
/// # Errors
/// As [`read`].
pub fn read_all(instances: &[Instance]) -> io::Result<Vec<Contents>> {
    instances.iter().map(read).collect()
}

/// What a client that sees all shards as one would find.
///
/// # Errors
/// When a string is on two shards, or a member of a set is.
pub fn union(shards: &[Contents]) -> io::Result<Contents> {
    let mut whole = Contents::new();
    for (key, value) in shards.iter().flatten() {
        match (whole.get_mut(key), value) {
            (None, value) => drop(whole.insert(key.clone(), value.clone())),
            (Some(Entry::Set(members)), Entry::Set(more)) if members.is_disjoint(more) => members.extend(more.clone()),
            _ => return Err(io::Error::other(format!("{} is on two shards at once", printable(key)))),
        }
    }
    Ok(whole)
}

/// The first few differences between what should be and what is, in words; none when they are equal.
pub fn differences(wanted: &Contents, found: &Contents) -> Vec<String> {
    let keys: BTreeSet<_> = wanted.keys().chain(found.keys()).collect();
    let unequal = keys.into_iter().filter(|key| wanted.get(*key) != found.get(*key));
    unequal.take(5).map(|key| describe(key, wanted.get(key), found.get(key))).collect()
}

fn describe(key: &[u8], wanted: Option<&Entry>, found: Option<&Entry>) -> String {
    let show = |entry: Option<&Entry>| match entry {
        None => "nothing".to_owned(),
        Some(Entry::String(bytes)) => format!("{} bytes", bytes.len()),
        Some(Entry::Set(members)) => format!("{:?}", members.iter().map(|m| printable(m)).collect::<Vec<_>>()),
    };
    format!("{}: wanted {}, found {}", printable(key), show(wanted), show(found))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(members: &[&str]) -> Entry {
        Entry::Set(members.iter().map(|member| member.as_bytes().to_vec()).collect())
    }

    #[test]
    fn parts_of_a_set_join_and_a_doubled_member_is_an_error() {
        let shard = |entry| Contents::from([(b"k".to_vec(), entry)]);
        assert_eq!(union(&[shard(set(&["1"])), shard(set(&["2"]))]).unwrap(), shard(set(&["1", "2"])));
        assert!(union(&[shard(set(&["1"])), shard(set(&["1", "2"]))]).is_err());
        assert!(union(&[shard(set(&["1"])), shard(Entry::String(vec![]))]).is_err());
    }

    #[test]
    fn differences_name_the_key() {
        let wanted = Contents::from([(b"a".to_vec(), set(&["1"]))]);
        assert!(differences(&wanted, &wanted).is_empty());
        assert!(differences(&wanted, &Contents::new())[0].starts_with("a: wanted"));
    }
}
