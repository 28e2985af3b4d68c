//! How rows of the generated table are written: one line each, constant.

use std::borrow::Cow;

use super::{BeginSearch, FindKeys};

pub(super) const fn at(index: i32) -> BeginSearch {
    BeginSearch::Index(index)
}

pub(super) const fn after(word: &'static str, start_from: i32) -> BeginSearch {
    BeginSearch::Keyword { word: Cow::Borrowed(word), start_from }
}

pub(super) const fn range(last: i32, step: i32, limit: i32) -> FindKeys {
    FindKeys::Range { last, step, limit }
}

pub(super) const fn keynum(key_num_index: i32, first_key: i32, step: i32) -> FindKeys {
    FindKeys::KeyNum { key_num_index, first_key, step }
}

macro_rules! row {
    ($name:literal, $arity:literal, [$($flag:ident)*], [$($category:ident)*], $request:ident, $response:ident,
     [$($hint:ident)*], $subcommands:literal, [$(($begin:expr, $find:expr, [$($key_flag:ident)*])),*]) => {
        CommandSpec {
            name: std::borrow::Cow::Borrowed($name),
            arity: $arity,
            flags: super::Flags::empty()$(.union(super::Flags::$flag))*,
            categories: super::Categories::empty()$(.union(super::Categories::$category))*,
            keys: std::borrow::Cow::Borrowed(&[$(KeySpec {
                begin: $begin,
                find: $find,
                flags: super::KeyFlags::empty()$(.union(super::KeyFlags::$key_flag))*,
            }),*]),
            request: super::RequestPolicy::$request,
            response: super::ResponsePolicy::$response,
            hints: super::Hints::empty()$(.union(super::Hints::$hint))*,
            has_subcommands: $subcommands,
            treatment: super::Treatment::Refused(super::Reason::Unlisted),
            refused_if: None,
        }
    };
}
pub(super) use row;
