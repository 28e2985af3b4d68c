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
        "sort" | "sort_ro" => sort_keys(request, out),
        "georadius" => georadius_keys(request, 6, out),
        "georadiusbymember" => georadius_keys(request, 5, out),
        "migrate" => migrate_keys(request, out),
        _ => by_specs(spec, request, out),
    };
    if found.is_err() {
        out.clear();
    }
    found
}

fn by_specs(spec: &CommandSpec, request: &Request<'_>, out: &mut Vec<u32>) -> Result<(), KeyError> {
    if spec.keys.is_empty() && spec.flags.contains(Flags::MOVABLEKEYS) {
        return Err(KeyError::Unknown);
    }
    let real = |keys: &&KeySpec| !keys.flags.contains(KeyFlags::NOT_KEY);
    spec.keys.iter().filter(real).try_for_each(|keys| by_spec(keys, request, out))
}

fn by_spec(keys: &KeySpec, request: &Request<'_>, out: &mut Vec<u32>) -> Result<(), KeyError> {
    let first = match &keys.begin {
        BeginSearch::Index(index) => i64::from(*index),
        BeginSearch::Keyword { word, start_from } => match after_keyword(request, word, *start_from) {
            Some(first) => first,
            None => return Ok(()),
        },
        BeginSearch::Unknown => return Err(KeyError::Unknown),
    };
    match keys.find {
        FindKeys::Range { last, step, limit } => {
            push_range(request, first, range_end(request, first, last, limit), step, out)
        }
        FindKeys::KeyNum { key_num_index, first_key, step } => {
            let count = key_count(request, first + i64::from(key_num_index))?;
            let first = first + i64::from(first_key);
            let last = first + (count - 1) * i64::from(step);
            if count == 0 { Ok(()) } else { push_range(request, first, last, step, out) }
        }
        FindKeys::Unknown => return Err(KeyError::Unknown),
    }?;
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

fn push_range(request: &Request<'_>, first: i64, last: i64, step: i32, out: &mut Vec<u32>) -> Result<(), KeyError> {
    if first < 1 || last < first || last >= request.len() as i64 {
        return Err(KeyError::Malformed);
    }
    let (first, last) = (first as u32, last as u32);
    out.extend((first..=last).step_by(usize::try_from(step).unwrap_or(1).max(1)));
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
fn sort_keys(request: &Request<'_>, out: &mut Vec<u32>) -> Result<(), KeyError> {
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
        } else if is_word(option, "STORE") && at + 1 < request.len() {
            at += 1;
            store = u32::try_from(at).ok();
        }
        at += 1;
    }
    out.extend(store);
    Ok(())
}

/// `GEORADIUS` and `GEORADIUSBYMEMBER`: the last STORE or STOREDIST counts, as in `georadiusGetKeys`.
fn georadius_keys(request: &Request<'_>, options: usize, out: &mut Vec<u32>) -> Result<(), KeyError> {
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
fn migrate_keys(request: &Request<'_>, out: &mut Vec<u32>) -> Result<(), KeyError> {
    let keyword = (6..request.len()).find(|&at| is_word(request.arg(at), "KEYS"));
    match keyword {
        Some(at) if request.arg(3).is_empty() => push_range(request, at as i64 + 1, request.len() as i64 - 1, 1, out),
        _ => push_range(request, 3, 3, 1, out),
    }
}
