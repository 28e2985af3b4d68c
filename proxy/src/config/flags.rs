//! Flags as values of options.

use std::fmt::Display;

use super::file::Given;
use super::mistakes::{Place, Sited};
use super::options;
use super::value::{Entry, Value};
use crate::cli::ServeArgs;

/// The options that were given as flags.
pub(super) fn given(args: &ServeArgs) -> Vec<Given> {
    let values = [
        ("profile", one(args.profile.as_ref())),
        ("listen", many(&args.listen)),
        ("upstreams", upstreams(&args.upstream)),
        ("group.kind", one(args.group.as_ref())),
        ("name", one(args.name.as_ref())),
        ("placement", one(args.placement.as_ref())),
        ("admin", one(args.admin.as_ref())),
        ("log", one(args.log.as_ref())),
        ("workers", number(args.workers)),
        ("instances", number(args.instances)),
    ];
    values
        .into_iter()
        .filter_map(|(name, value)| Some(Given { spec: options::find(name)?, value: sited(value?) }))
        .collect()
}

fn sited(value: Value) -> Sited<Value> {
    Sited { value, place: Place::Flag }
}

fn one<T: Display>(flag: Option<&T>) -> Option<Value> {
    flag.map(|text| Value::Text(text.to_string()))
}

fn number(flag: Option<i64>) -> Option<Value> {
    flag.map(|number| Value::Integer(number.into()))
}

/// Addresses, or `NAME=ADDR`.
fn upstreams(flags: &[String]) -> Option<Value> {
    let items = flags.iter().map(|text| sited(upstream(text)));
    (!flags.is_empty()).then(|| Value::List(items.collect()))
}

/// A path or a host before the `=` is no name.
fn upstream(text: &str) -> Value {
    let entry = |key: &str, text: &str| Entry {
        key: Sited { value: key.to_owned(), place: Place::Flag },
        value: sited(Value::Text(text.to_owned())),
    };
    match text.split_once('=') {
        Some((name, address)) if !name.contains(['/', ':']) => {
            Value::Table(vec![entry("address", address), entry("name", name)])
        }
        _ => Value::Text(text.to_owned()),
    }
}

fn many(flags: &[String]) -> Option<Value> {
    let items = flags.iter().map(|text| sited(Value::Text(text.clone())));
    (!flags.is_empty()).then(|| Value::List(items.collect()))
}
