//! Which arguments of a request are keys.
//!
//! Source: "Key specifications" in the Redis documentation, and `getKeysUsingKeySpecs` of Redis 7.0 where
//! that is silent. Commands whose specs are unknown, incomplete or vague are read as Redis's own code
//! reads them.

use super::spec::is_word;
use super::{BeginSearch, CommandSpec, FindKeys, Flags, KeyFlags, KeySpec};
use crate::resp::Request;

/// Why the keys of a request cannot be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// It may touch keys that its arguments do not name; any one shard may be the wrong one.
    #[error("the request touches keys that it does not name; send it to an instance directly")]
    Unknown,
    /// Its arguments contradict each other, so no instance executes it: any instance answers with the error.
    #[error("the request's arguments do not fit together; any instance will say why")]
    Malformed,
}

/// The key of a request whose command has exactly one key, at a fixed place; else `None`.
pub fn first_key(spec: &CommandSpec, request: &Request<'_>) -> Option<u32> {
    let [KeySpec { begin: BeginSearch::Index(index), find: FindKeys::Range { last: 0, .. }, flags }] = &*spec.keys
    else {
        return None;
    };
    let index = u32::try_from(*index).ok()?;
    (!flags.contains(KeyFlags::NOT_KEY) && (index as usize) < request.len()).then_some(index)
}

/// Fills `out` with the indexes of the arguments that are keys, in the order of the specs.
///
/// `out` is empty if the request names no key, and after an error.
pub fn key_positions(spec: &CommandSpec, request: &Request<'_>, out: &mut Vec<u32>) -> Result<(), KeyError> {
    out.clear();
    let found = match &*spec.name {
        "sort" => sort_keys(request, true, out),
        "sort_ro" => sort_keys(request, false, out),
        "georadius" => georadius_keys(request, 6, out),
        "georadiusbymember" => georadius_keys(request, 5, out),
        "migrate" => migrate_keys(request, out),
        "xreadgroup" if group_streams(request, out) => Ok(()),
        _ => by_specs(spec, request, out),
    };
    if found.is_err() {
        out.clear();
    }
    found
}

/// Whether the arguments of a request's head that have arrived tell all of its keys; they are in `out` then.
pub fn keys_known(spec: &CommandSpec, head: &Request<'_>, out: &mut Vec<u32>) -> bool {
    let by_hand = ["sort", "sort_ro", "georadius", "georadiusbymember", "migrate"].contains(&&*spec.name);
    let may_follow = |keys: &KeySpec| matches!(keys.begin, BeginSearch::Keyword { .. });
    if by_hand || spec.keys.iter().any(may_follow) || key_positions(spec, head, out).is_err() {
        return false;
    }
    out.iter().all(|position| (*position as usize) < head.spans.len())
}

/// How closely the keys of a spec are looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reading {
    /// What belongs to each key must be there too, and no keys may be meant.
    Whole,
    /// As `getKeysUsingKeySpecs` of Redis does for access control.
    Access,
}

fn by_specs(spec: &CommandSpec, request: &Request<'_>, out: &mut Vec<u32>) -> Result<(), KeyError> {
    if spec.keys.is_empty() && spec.flags.contains(Flags::MOVABLEKEYS) {
        return Err(KeyError::Unknown);
    }
    let real = |keys: &&KeySpec| !keys.flags.contains(KeyFlags::NOT_KEY);
    spec.keys.iter().filter(real).try_for_each(|keys| by_spec(keys, request, Reading::Whole, out))
}

pub(super) fn by_spec(
    keys: &KeySpec,
    request: &Request<'_>,
    reading: Reading,
    out: &mut Vec<u32>,
) -> Result<(), KeyError> {
    let first = match &keys.begin {
        BeginSearch::Index(index) => i64::from(*index),
        BeginSearch::Keyword { word, start_from } => match after_keyword(request, word, *start_from) {
            Some(first) => first,
            None => return Ok(()),
        },
        BeginSearch::Unknown => return Err(KeyError::Unknown),
    };
    match keys.find {
        // PFMERGE without sources: nothing is left of the arguments, and that is allowed.
        FindKeys::Range { last: -1, limit: 0, .. } if first == request.len() as i64 => {}
        FindKeys::Range { last, step, limit } => {
            push_range(request, (first, range_end(request, first, last, limit)), step, reading, out)?;
        }
        FindKeys::KeyNum { key_num_index, first_key, step } => {
            let first_key = first + i64::from(first_key);
            match key_count(request, first + i64::from(key_num_index))? {
                0 if reading == Reading::Access => return Err(KeyError::Malformed),
                0 => {}
                count => {
                    let last = first_key + count * i64::from(step) - 1;
                    push_range(request, (first_key, last), step, reading, out)?;
                }
            }
        }
        FindKeys::Unknown => return Err(KeyError::Unknown),
    }
    if keys.flags.contains(KeyFlags::INCOMPLETE) { Err(KeyError::Unknown) } else { Ok(()) }
}

/// The argument after the keyword, searched from a place near the start, or backwards from one near the end.
fn after_keyword(request: &Request<'_>, word: &str, start_from: i32) -> Option<i64> {
    let is_keyword = |index: &usize| is_word(request.arg(*index), word);
    let distance = start_from.unsigned_abs() as usize;
    let found = if start_from >= 0 {
        (distance..request.len().saturating_sub(1)).find(is_keyword)
    } else {
        (2..=request.len().checked_sub(distance)?).rev().find(is_keyword)
    };
    i64::try_from(found? + 1).ok()
}

/// The last key of a range, counted from the request's start.
fn range_end(request: &Request<'_>, first: i64, last: i32, limit: i32) -> i64 {
    let (length, last) = (request.len() as i64, i64::from(last));
    if last >= 0 {
        first + last
    } else if limit <= 1 {
        length + last
    } else {
        first + (length - first) / i64::from(limit) + last
    }
}

/// Pushes a key every `step` arguments; what belongs to the last one must be there too, as the value in `MSET`.
fn push_range(
    request: &Request<'_>,
    (first, last): (i64, i64),
    step: i32,
    reading: Reading,
    out: &mut Vec<u32>,
) -> Result<(), KeyError> {
    let step = i64::from(step.max(1));
    let last_key = first + (last - first) / step * step;
    let belongs = if reading == Reading::Whole { step } else { 1 };
    if first < 1 || last < first || last_key + belongs > request.len() as i64 {
        return Err(KeyError::Malformed);
    }
    out.extend((first as u32..=last_key as u32).step_by(step as usize));
    Ok(())
}

/// The number of keys as an argument says it; more than there are arguments cannot be meant.
fn key_count(request: &Request<'_>, index: i64) -> Result<i64, KeyError> {
    let index = usize::try_from(index).map_err(|_| KeyError::Malformed)?;
    match strict_integer(request.arg(index)) {
        Some(count) if (0..request.len() as i64).contains(&count) => Ok(count),
        _ => Err(KeyError::Malformed),
    }
}

/// An integer as `string2ll` of Redis reads it: no sign but `-`, no leading zeros, no spaces.
fn strict_integer(text: &[u8]) -> Option<i64> {
    let digits = text.strip_prefix(b"-").unwrap_or(text);
    let canonical = match digits {
        [b'0'] => text.len() == 1,
        [b'1'..=b'9', rest @ ..] => rest.iter().all(u8::is_ascii_digit),
        _ => false,
    };
    if canonical { std::str::from_utf8(text).ok()?.parse().ok() } else { None }
}

/// `SORT`: patterns of BY and GET name keys by the data sorted; the last STORE counts, as in `sortGetKeys`.
fn sort_keys(request: &Request<'_>, may_store: bool, out: &mut Vec<u32>) -> Result<(), KeyError> {
    out.push(1);
    let (mut store, mut at) = (None, 2);
    while at < request.len() {
        let option = request.arg(at);
        if is_word(option, "LIMIT") {
            at += 2;
        } else if is_word(option, "BY") || is_word(option, "GET") {
            at += 1;
            if request.arg(at).contains(&b'*') {
                return Err(KeyError::Unknown);
            }
        } else if may_store && is_word(option, "STORE") && at + 1 < request.len() {
            at += 1;
            store = u32::try_from(at).ok();
        }
        at += 1;
    }
    out.extend(store);
    Ok(())
}

/// `XREADGROUP`: the streams, as `xreadCommand` finds them; false if there are none or it is no syntax. A group or a consumer
/// may be called `STREAMS`, too, which the published spec takes for the keyword.
pub(super) fn group_streams(request: &Request<'_>, out: &mut Vec<u32>) -> bool {
    let mut at = 1;
    while !is_word(request.arg(at), "STREAMS") {
        at += match request.arg(at).to_ascii_uppercase().as_slice() {
            b"GROUP" => 3,
            b"COUNT" | b"BLOCK" | b"CLAIM" => 2,
            b"NOACK" => 1,
            _ => return false,
        };
    }
    let named = request.len().saturating_sub(at + 1);
    let each_has_an_id = named > 0 && named.is_multiple_of(2);
    if each_has_an_id {
        out.extend((at as u32 + 1..).take(named / 2));
    }
    each_has_an_id
}

/// `SORT`: where it stores, as `sortCommand` reads it; nowhere if it is no syntax.
pub(super) fn sort_destination(request: &Request<'_>) -> Option<u32> {
    let (mut store, mut at) = (None, 2);
    while at < request.len() {
        let (option, left) = (request.arg(at), request.len() - at - 1);
        at += match option.to_ascii_uppercase().as_slice() {
            b"ASC" | b"DESC" | b"ALPHA" => 1,
            b"BY" | b"GET" if left >= 1 => 2,
            b"LIMIT" if left >= 2 => 3,
            b"STORE" if left >= 1 => {
                store = u32::try_from(at + 1).ok();
                2
            }
            _ => return None,
        };
    }
    store
}

/// `GEORADIUS` and `GEORADIUSBYMEMBER`: the last STORE or STOREDIST counts, as in `georadiusGetKeys`.
pub(super) fn georadius_keys(request: &Request<'_>, options: usize, out: &mut Vec<u32>) -> Result<(), KeyError> {
    out.push(1);
    let (mut store, mut at) = (None, options);
    while at + 1 < request.len() {
        if is_word(request.arg(at), "STORE") || is_word(request.arg(at), "STOREDIST") {
            at += 1;
            store = u32::try_from(at).ok();
        }
        at += 1;
    }
    out.extend(store);
    Ok(())
}

/// `MIGRATE`: one key, or none there and several after KEYS, as in `migrateGetKeys`.
pub(super) fn migrate_keys(request: &Request<'_>, out: &mut Vec<u32>) -> Result<(), KeyError> {
    let mut at = 6;
    while at < request.len() && !is_word(request.arg(at), "KEYS") {
        at += match request.arg(at).to_ascii_uppercase().as_slice() {
            b"AUTH" => 2,
            b"AUTH2" => 3,
            _ => 1,
        };
    }
    if at >= request.len() {
        push_range(request, (3, 3), 1, Reading::Whole, out)
    } else if request.arg(3).is_empty() {
        push_range(request, (at as i64 + 1, request.len() as i64 - 1), 1, Reading::Whole, out)
    } else {
        Err(KeyError::Malformed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::Table;
    use crate::command::testing::Arguments;

    /// The keys of a request written with spaces between its arguments.
    fn keys(text: &str) -> Result<Vec<String>, KeyError> {
        let (table, arguments) = (Table::new(), Arguments::new(text));
        let request = arguments.request();
        let spec = table.spec(table.resolve(&request).unwrap());
        let mut positions = vec![7];
        let found = key_positions(spec, &request, &mut positions);
        assert!(found.is_ok() || positions.is_empty());
        found.map(|()| positions.iter().map(|&at| text.split(' ').nth(at as usize).unwrap().to_owned()).collect())
    }

    fn named(names: &[&str]) -> Result<Vec<String>, KeyError> {
        Ok(names.iter().map(|&name| name.to_owned()).collect())
    }

    #[test]
    fn ranges_counts_and_keywords_find_keys() {
        assert_eq!(keys("GET a"), named(&["a"]));
        assert_eq!(keys("MSET a 1 b 2"), named(&["a", "b"]));
        assert_eq!(keys("BLPOP a b 0"), named(&["a", "b"]));
        assert_eq!(keys("EVAL s 2 a b c"), named(&["a", "b"]));
        assert_eq!(keys("ZUNIONSTORE d 2 a b WEIGHTS 1 2"), named(&["d", "a", "b"]));
        assert_eq!(keys("XREAD COUNT 1 streams a b 0 0"), named(&["a", "b"]));
        assert_eq!(keys("MSETEX 2 a 1 b 2 NX"), named(&["a", "b"]));
        assert_eq!(keys("MEMORY USAGE a"), named(&["a"]));
    }

    #[test]
    fn requests_may_name_no_key() {
        for text in ["PING", "EVAL s 0", "EVAL s 0 argument", "SPUBLISH channel message"] {
            assert_eq!(keys(text), named(&[]), "{text}");
        }
        assert_eq!(keys("PFMERGE d"), named(&["d"]));
    }

    #[test]
    fn arguments_that_do_not_fit_together_are_malformed() {
        for text in
            ["EVAL s 3 a b", "EVAL s -1 a", "EVAL s +1 a", "EVAL s 01 a", "EVAL s x a", "EVAL s 99999999999999999999"]
        {
            assert_eq!(keys(text), Err(KeyError::Malformed), "{text}");
        }
        // Split between two homes, the first part would be executed.
        assert_eq!(keys("MSET a 1 b"), Err(KeyError::Malformed));
        assert_eq!(keys("MSETEX 2 a 1 b"), Err(KeyError::Malformed));
        assert_eq!(keys("XREAD COUNT 1 STREAMS a"), Err(KeyError::Malformed));
    }

    #[test]
    fn sort_names_its_keys_unless_patterns_do() {
        assert_eq!(keys("SORT l BY nosort GET # LIMIT 0 1 STORE d"), named(&["l", "d"]));
        assert_eq!(keys("SORT l STORE store DESC"), named(&["l", "store"]));
        assert_eq!(keys("SORT l BY weight_*"), Err(KeyError::Unknown));
        assert_eq!(keys("SORT_RO l GET data_*->field"), Err(KeyError::Unknown));
    }

    #[test]
    fn the_last_store_of_georadius_counts() {
        assert_eq!(keys("GEORADIUS g 0 0 1 km STORE a STOREDIST b"), named(&["g", "b"]));
        assert_eq!(keys("GEORADIUSBYMEMBER g STORE 1 km"), named(&["g"]));
    }

    #[test]
    fn what_is_called_as_an_option_is_none() {
        assert_eq!(keys("XREADGROUP GROUP g c COUNT 1 STREAMS a b > >"), named(&["a", "b"]));
        assert_eq!(keys("XREADGROUP COUNT 1 GROUP g streams streams a >"), named(&["a"]));
        assert_eq!(keys("XREADGROUP GROUP streams c NOACK STREAMS streams >"), named(&["streams"]));
        assert_eq!(keys("SORT a STORE get STORE b"), named(&["a", "b"]));
        let destination = |text: &str| sort_destination(&Arguments::new(text).request());
        assert_eq!(destination("SORT a STORE get STORE b LIMIT 0 1 ALPHA"), Some(5));
        assert_eq!((destination("SORT a STORE b c"), destination("SORT a LIMIT 0 STORE")), (None, None));
    }

    #[test]
    fn migrate_names_its_keys_in_two_forms() {
        assert_eq!(keys("MIGRATE h 1 k 0 5"), named(&["k"]));
        assert_eq!(keys("MIGRATE h 1  0 5 AUTH keys KEYS a b"), named(&["a", "b"]));
        assert_eq!(keys("MIGRATE h 1 k 0 5 KEYS a"), Err(KeyError::Malformed));
    }

    #[test]
    fn a_command_with_movable_keys_and_no_spec_cannot_be_placed() {
        let mut spec = Table::new().iter().find(|spec| spec.name == "eval").cloned().unwrap();
        spec.keys = Vec::new().into();
        let arguments = Arguments::new("EVAL s 0");
        assert_eq!(key_positions(&spec, &arguments.request(), &mut Vec::new()), Err(KeyError::Unknown));
    }

    #[test]
    fn the_fast_path_is_for_exactly_one_key() {
        let first = |text: &str| {
            let (table, arguments) = (Table::new(), Arguments::new(text));
            let id = table.find(arguments.request().arg(0)).unwrap();
            first_key(table.spec(id), &arguments.request())
        };
        assert_eq!(first("GET a"), Some(1));
        assert_eq!(first("SET a b"), Some(1));
        assert_eq!(first("GET"), None);
        assert_eq!(first("DEL a"), None);
        assert_eq!(first("RENAME a b"), None);
        assert_eq!(first("SPUBLISH c m"), None);
        assert_eq!(first("EVAL s 1 a"), None);
    }
}
