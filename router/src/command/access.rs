//! What a request does to each of its keys, as access control asks.
//!
//! Source: `getKeysFromCommandWithSpecs` of Redis 7.0, and the functions it falls back to where the flags of a
//! published spec depend on the arguments (`setGetKeys`, `bitfieldGetKeys`, `sortGetKeys`).

use super::keys::{Reading, by_spec, georadius_keys, group_streams, migrate_keys, sort_destination};
use super::spec::is_word;
use super::{CommandSpec, Flags, KeyError, KeyFlags, KeySpec, first_key};
use crate::resp::Request;

/// One key of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyAccess {
    /// Which argument it is.
    pub position: u32,
    /// What is done to it.
    pub flags: KeyFlags,
}

/// The key of a request whose command has exactly one, at a fixed place, and what is done to it; else `None`.
pub fn first_access(spec: &CommandSpec, request: &Request<'_>) -> Option<KeyAccess> {
    let position = first_key(spec, request)?;
    Some(KeyAccess { position, flags: actual(spec, spec.keys[0].flags, request) })
}

/// Fills `out` with the keys of a request. `positions` is scratch memory.
///
/// # Errors
/// As [`key_positions`](super::key_positions); `out` is empty then. Patterns of `SORT` are no error here: what they
/// name is another question.
pub fn key_accesses(
    spec: &CommandSpec,
    request: &Request<'_>,
    positions: &mut Vec<u32>,
    out: &mut Vec<KeyAccess>,
) -> Result<(), KeyError> {
    out.clear();
    let found = match &*spec.name {
        "sort" => {
            sort_accesses(request, true, out);
            push_overlooked(sort_destination(request).as_slice(), STORED, out);
            Ok(())
        }
        "sort_ro" => {
            sort_accesses(request, false, out);
            Ok(())
        }
        "migrate" => {
            positions.clear();
            let found = migrate_keys(request, positions);
            push_all(positions, KeyFlags::RW | KeyFlags::ACCESS | KeyFlags::DELETE, out);
            found
        }
        name => by_specs(spec, request, positions, out).inspect(|()| {
            positions.clear();
            if let Some(flags) = by_execution(name, request, positions) {
                push_overlooked(positions, flags, out);
            }
        }),
    };
    if found.is_err() {
        out.clear();
    }
    found
}

fn by_specs(
    spec: &CommandSpec,
    request: &Request<'_>,
    positions: &mut Vec<u32>,
    out: &mut Vec<KeyAccess>,
) -> Result<(), KeyError> {
    if spec.keys.is_empty() && spec.flags.contains(Flags::MOVABLEKEYS) {
        return Err(KeyError::Unknown);
    }
    let real = |keys: &&KeySpec| !keys.flags.contains(KeyFlags::NOT_KEY);
    spec.keys.iter().filter(real).try_for_each(|keys| {
        positions.clear();
        by_spec(keys, request, Reading::Access, positions)?;
        push_all(positions, actual(spec, keys.flags, request), out);
        Ok(())
    })
}

/// What is done to a key that something is stored in.
const STORED: KeyFlags = KeyFlags::OW.union(KeyFlags::UPDATE);

/// What commands take for keys when they are carried out, where published specs are misled by arguments that are called as
/// an option or given twice; and what is done to these keys.
fn by_execution(name: &str, request: &Request<'_>, positions: &mut Vec<u32>) -> Option<KeyFlags> {
    match name {
        "georadius" => georadius_keys(request, 6, positions).ok()?,
        "georadiusbymember" => georadius_keys(request, 5, positions).ok()?,
        "xreadgroup" if group_streams(request, positions) => return Some(KeyFlags::RO | KeyFlags::ACCESS),
        _ => return None,
    }
    // The first one is what is searched.
    positions.remove(0);
    Some(STORED)
}

/// Adds keys that are not among those found. Redis 7.0 lets users reach them that may not: it stores in the last of two
/// `STORE` of `GEORADIUS` and holds the first one against the rules.
fn push_overlooked(positions: &[u32], flags: KeyFlags, out: &mut Vec<KeyAccess>) {
    for &position in positions {
        if !out.iter().any(|access| access.position == position && access.flags.contains(flags)) {
            out.push(KeyAccess { position, flags });
        }
    }
}

fn push_all(positions: &[u32], flags: KeyFlags, out: &mut Vec<KeyAccess>) {
    out.extend(positions.iter().map(|&position| KeyAccess { position, flags }));
}

/// What is done to a key where the published flags leave that to the arguments.
fn actual(spec: &CommandSpec, flags: KeyFlags, request: &Request<'_>) -> KeyFlags {
    if !flags.contains(KeyFlags::VARIABLE_FLAGS) {
        return flags;
    }
    match &*spec.name {
        // Only with GET does SET tell what was there; of a head it is not known.
        "set" if request.len() <= request.spans.len().max(3) && !request.args(3).any(|word| is_word(word, "GET")) => {
            KeyFlags::OW | KeyFlags::UPDATE
        }
        "bitfield" if only_reads(request) => KeyFlags::RO | KeyFlags::ACCESS,
        _ => flags,
    }
}

/// Whether `BITFIELD` changes nothing. What is no syntax counts as change.
fn only_reads(request: &Request<'_>) -> bool {
    let mut at = 2;
    while at < request.len() {
        let (option, left) = (request.arg(at), request.len() - at - 1);
        at += match () {
            () if is_word(option, "GET") && left >= 2 => 3,
            () if is_word(option, "OVERFLOW") && left >= 1 => 2,
            () => return false,
        };
    }
    true
}

/// `SORT`: its key, and the last STORE.
fn sort_accesses(request: &Request<'_>, may_store: bool, out: &mut Vec<KeyAccess>) {
    out.push(KeyAccess { position: 1, flags: KeyFlags::RO | KeyFlags::ACCESS });
    let (mut store, mut at) = (None, 2);
    while at < request.len() {
        let option = request.arg(at);
        at += match () {
            () if is_word(option, "LIMIT") => 3,
            () if is_word(option, "BY") || is_word(option, "GET") => 2,
            () => 1,
        };
        if may_store && is_word(option, "STORE") && at < request.len() {
            store = u32::try_from(at).ok();
        }
    }
    out.extend(store.map(|position| KeyAccess { position, flags: STORED }));
}

/// The first option of `SORT` by which it reads keys that its arguments do not name: `BY` or `GET`.
///
/// A `BY` without `*` asks for no order, and reads nothing.
pub fn sort_reads_by(spec: &CommandSpec, request: &Request<'_>) -> Option<&'static str> {
    if !matches!(&*spec.name, "sort" | "sort_ro") {
        return None;
    }
    let mut at = 2;
    while at + 1 < request.len() {
        let option = request.arg(at);
        at += match () {
            () if is_word(option, "GET") => return Some("GET"),
            () if is_word(option, "BY") && request.arg(at + 1).contains(&b'*') => return Some("BY"),
            () if is_word(option, "LIMIT") => 3,
            () if is_word(option, "BY") || is_word(option, "STORE") => 2,
            () => 1,
        };
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::Table;
    use crate::command::testing::Arguments;

    fn accesses(text: &str) -> Vec<(u32, KeyFlags)> {
        let (table, arguments) = (Table::new(), Arguments::new(text));
        let request = arguments.request();
        let spec = table.spec(table.resolve(&request).unwrap());
        let mut out = Vec::new();
        key_accesses(spec, &request, &mut Vec::new(), &mut out).unwrap();
        out.iter().map(|access| (access.position, access.flags)).collect()
    }

    #[test]
    fn flags_that_depend_on_the_arguments_are_read_from_them() {
        assert_eq!(accesses("SET a b"), [(1, KeyFlags::OW | KeyFlags::UPDATE)]);
        assert!(accesses("SET a b EX 5 get")[0].1.contains(KeyFlags::ACCESS));
        assert_eq!(accesses("BITFIELD a GET u8 0 OVERFLOW SAT"), [(1, KeyFlags::RO | KeyFlags::ACCESS)]);
        assert!(accesses("BITFIELD a GET u8 0 SET u8 0 1")[0].1.contains(KeyFlags::UPDATE));
        assert!(accesses("BITFIELD a GET u8")[0].1.contains(KeyFlags::UPDATE));
    }

    #[test]
    fn every_spec_has_its_own_flags() {
        let copy = accesses("COPY a b");
        assert!(copy[0].1.contains(KeyFlags::ACCESS) && !copy[0].1.contains(KeyFlags::UPDATE));
        assert!(copy[1].1.contains(KeyFlags::UPDATE) && copy[1].0 == 2);
        assert_eq!(accesses("SORT l BY w_* STORE x store d LIMIT 0 1").last().unwrap().0, 7);
        assert_eq!(accesses("SORT l LIMIT STORE x").len(), 1);
    }

    #[test]
    fn keys_that_a_command_takes_though_its_specs_miss_them_count() {
        let positions = |text: &str| accesses(text).iter().map(|(position, _)| *position).collect::<Vec<_>>();
        assert_eq!(positions("GEORADIUS g 0 0 1 km STORE a"), [1, 7]);
        assert_eq!(positions("GEORADIUS g 0 0 1 km STORE a STORE b"), [1, 7, 9]);
        assert_eq!(positions("GEORADIUSBYMEMBER g m 1 km STOREDIST a STORE b STOREDIST c"), [1, 8, 6, 10]);
        assert!(accesses("GEORADIUS g 0 0 1 km STORE a STORE b")[2].1.contains(KeyFlags::UPDATE));
        assert_eq!(positions("SORT l STORE get STORE d"), [1, 3, 5]);
        assert_eq!(positions("SORT l STORE get ALPHA"), [1, 3]);
        assert_eq!(positions("XREADGROUP GROUP g c STREAMS a b > >"), [5, 6]);
        assert_eq!(positions("XREADGROUP COUNT 1 GROUP g streams streams a >"), [6, 7]);
    }

    #[test]
    fn sort_says_by_what_it_reads_other_keys() {
        let by = |text: &str| {
            let (table, arguments) = (Table::new(), Arguments::new(text));
            sort_reads_by(table.spec(table.resolve(&arguments.request()).unwrap()), &arguments.request())
        };
        assert_eq!(by("SORT l BY nosort"), None);
        assert_eq!(by("SORT l BY w_* GET #"), Some("BY"));
        assert_eq!(by("SORT_RO l LIMIT 0 1 GET #"), Some("GET"));
        assert_eq!(by("SORT l STORE get"), None);
        assert_eq!(by("GET k"), None);
    }
}
