//! Reading what a server publishes: its replies to `COMMAND` and `COMMAND INFO`.
//!
//! Source: the documentation page of `COMMAND`, Redis 7.0. Older servers publish fewer elements: key
//! specs then follow from first, last and step.

use super::{BeginSearch, Categories, CommandSpec, FindKeys, Flags, Hints, KeyFlags, KeySpec};
use super::{Reason, RequestPolicy, ResponsePolicy, Treatment};

/// Nesting a `COMMAND` reply cannot exceed: command, subcommands, command, specs, spec, search, its fields.
const DEPTH_MAX: usize = 12;

/// What a server publishes about one command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommandInfo {
    /// The command itself, its treatment still undecided.
    pub spec: CommandSpec,
    /// Its subcommands, by their full names.
    pub subcommands: Vec<CommandSpec>,
}

/// Why a reply could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InfoError {
    /// Not whole, or not RESP.
    #[error("the upstream's COMMAND reply is not RESP; check that it is a Redis or Valkey instance")]
    NotResp,
    /// RESP, but no `COMMAND` reply.
    #[error("the upstream's COMMAND reply has an unknown form; use Redis 6.0 or later, or any Valkey")]
    UnknownForm,
}

/// Reads a whole reply to `COMMAND` or `COMMAND INFO`; `None` stands for a command the server lacks.
pub fn parse_commands(reply: &[u8]) -> Result<Vec<Option<CommandInfo>>, InfoError> {
    let (value, rest) = Value::parse(reply, 0).ok_or(InfoError::NotResp)?;
    if !rest.is_empty() {
        return Err(InfoError::NotResp);
    }
    value.array().ok_or(InfoError::UnknownForm)?.iter().map(element).collect()
}

fn element(value: &Value<'_>) -> Result<Option<CommandInfo>, InfoError> {
    match value.array() {
        None | Some([]) => Ok(None),
        Some(columns) => command(columns).map(Some).ok_or(InfoError::UnknownForm),
    }
}

fn command(columns: &[Value<'_>]) -> Option<CommandInfo> {
    let subcommands = columns.get(9).and_then(Value::array).unwrap_or_default();
    let mut spec = command_spec(columns)?;
    spec.has_subcommands = !subcommands.is_empty();
    let subcommands = subcommands.iter().map(|sub| command_spec(sub.array()?)).collect::<Option<_>>()?;
    Some(CommandInfo { spec, subcommands })
}

fn command_spec(columns: &[Value<'_>]) -> Option<CommandSpec> {
    let flags = words(columns.get(2)?, Flags::from_name);
    let mut spec = CommandSpec {
        name: columns.first()?.text()?.to_ascii_lowercase().into(),
        arity: i16::try_from(columns.get(1)?.int()?).ok()?,
        flags: flags.into_iter().collect(),
        categories: columns
            .get(6)
            .map(|value| words(value, Categories::from_name))
            .unwrap_or_default()
            .into_iter()
            .collect(),
        keys: Default::default(),
        request: RequestPolicy::Default,
        response: ResponsePolicy::Default,
        hints: Hints::empty(),
        has_subcommands: false,
        treatment: Treatment::Refused(Reason::Unlisted),
        refused_if: None,
    };
    let keys = match columns.get(8).and_then(Value::array) {
        Some(specs) => specs.iter().map(key_spec).collect::<Option<Vec<_>>>()?,
        None => legacy_keys(columns, spec.flags)?,
    };
    spec.keys = keys.into();
    for tip in columns.get(7).and_then(Value::array).unwrap_or_default() {
        apply_tip(&mut spec, tip.text()?);
    }
    Some(spec)
}

/// The flags among a list of words; what this proxy does not know is passed over.
fn words<T>(value: &Value<'_>, from_name: impl Fn(&str) -> Option<T>) -> Vec<T> {
    let name = |word: &Value<'_>| Some(word.text()?.trim_start_matches('@').to_ascii_uppercase());
    value.array().unwrap_or_default().iter().filter_map(|word| from_name(&name(word)?)).collect()
}

fn apply_tip(spec: &mut CommandSpec, tip: &str) {
    match tip.split_once(':') {
        Some(("request_policy", policy)) => spec.request = request_policy(policy),
        Some(("response_policy", policy)) => spec.response = response_policy(policy),
        _ => spec.hints |= Hints::from_name(&tip.to_ascii_uppercase()).unwrap_or_default(),
    }
}

fn request_policy(name: &str) -> RequestPolicy {
    match name {
        "all_nodes" => RequestPolicy::AllNodes,
        "all_shards" => RequestPolicy::AllShards,
        "multi_shard" => RequestPolicy::MultiShard,
        _ => RequestPolicy::Special,
    }
}

fn response_policy(name: &str) -> ResponsePolicy {
    match name {
        "one_succeeded" => ResponsePolicy::OneSucceeded,
        "all_succeeded" => ResponsePolicy::AllSucceeded,
        "agg_logical_and" => ResponsePolicy::AggLogicalAnd,
        "agg_logical_or" => ResponsePolicy::AggLogicalOr,
        "agg_min" => ResponsePolicy::AggMin,
        "agg_max" => ResponsePolicy::AggMax,
        "agg_sum" => ResponsePolicy::AggSum,
        _ => ResponsePolicy::Special,
    }
}

/// Key specs of a server before Redis 7, which publishes first, last and step only.
fn legacy_keys(columns: &[Value<'_>], flags: Flags) -> Option<Vec<KeySpec>> {
    let number = |index: usize| i32::try_from(columns.get(index)?.int()?).ok();
    let (first, last, step) = (number(3)?, number(4)?, number(5)?);
    let access = if flags.contains(Flags::READONLY) { KeyFlags::RO } else { KeyFlags::RW };
    if flags.contains(Flags::MOVABLEKEYS) {
        return Some(vec![KeySpec { begin: BeginSearch::Unknown, find: FindKeys::Unknown, flags: access }]);
    }
    let last = if last < 0 { last } else { last - first };
    let range =
        KeySpec { begin: BeginSearch::Index(first), find: FindKeys::Range { last, step, limit: 0 }, flags: access };
    Some(if first == 0 { Vec::new() } else { vec![range] })
}

fn key_spec(value: &Value<'_>) -> Option<KeySpec> {
    Some(KeySpec {
        begin: begin_search(value.field("begin_search")?)?,
        find: find_keys(value.field("find_keys")?)?,
        flags: words(value.field("flags")?, KeyFlags::from_name).into_iter().collect(),
    })
}

fn begin_search(value: &Value<'_>) -> Option<BeginSearch> {
    let fields = value.field("spec")?;
    Some(match value.field("type")?.text()? {
        "index" => BeginSearch::Index(fields.number("index")?),
        "keyword" => BeginSearch::Keyword {
            word: fields.field("keyword")?.text()?.to_owned().into(),
            start_from: fields.number("startfrom")?,
        },
        _ => BeginSearch::Unknown,
    })
}

fn find_keys(value: &Value<'_>) -> Option<FindKeys> {
    let fields = value.field("spec")?;
    Some(match value.field("type")?.text()? {
        "range" => FindKeys::Range {
            last: fields.number("lastkey")?,
            step: fields.number("keystep")?,
            limit: fields.number("limit")?,
        },
        "keynum" => FindKeys::KeyNum {
            key_num_index: fields.number("keynumidx")?,
            first_key: fields.number("firstkey")?,
            step: fields.number("keystep")?,
        },
        _ => FindKeys::Unknown,
    })
}

/// As much of RESP as `COMMAND` needs; maps and sets of RESP3 are read as the arrays they stand for.
#[derive(Debug)]
enum Value<'a> {
    Text(&'a str),
    Int(i64),
    Array(Vec<Value<'a>>),
    Nil,
}

impl<'a> Value<'a> {
    fn parse(bytes: &'a [u8], depth: usize) -> Option<(Value<'a>, &'a [u8])> {
        let end = memchr::memchr(b'\r', bytes)?;
        let line = std::str::from_utf8(bytes.get(1..end)?).ok()?;
        let rest = bytes.get(end..)?.strip_prefix(b"\r\n")?;
        match *bytes.first()? {
            b'+' => Some((Value::Text(line), rest)),
            b':' => Some((Value::Int(line.parse().ok()?), rest)),
            b'_' => Some((Value::Nil, rest)),
            b'$' => Self::bulk(line.parse().ok()?, rest),
            b'*' | b'~' => Self::elements(line.parse().ok()?, rest, depth),
            b'%' => Self::elements(line.parse::<i64>().ok()?.checked_mul(2)?, rest, depth),
            _ => None,
        }
    }

    fn bulk(length: i64, rest: &'a [u8]) -> Option<(Value<'a>, &'a [u8])> {
        let Ok(length) = usize::try_from(length) else { return Some((Value::Nil, rest)) };
        let text = std::str::from_utf8(rest.get(..length)?).ok()?;
        Some((Value::Text(text), rest.get(length..)?.strip_prefix(b"\r\n")?))
    }

    fn elements(count: i64, mut rest: &'a [u8], depth: usize) -> Option<(Value<'a>, &'a [u8])> {
        if count < 0 {
            return Some((Value::Nil, rest));
        }
        let mut elements = Vec::new();
        for _ in 0..count {
            let (element, after) = if depth < DEPTH_MAX { Self::parse(rest, depth + 1)? } else { return None };
            elements.push(element);
            rest = after;
        }
        Some((Value::Array(elements), rest))
    }

    fn text(&self) -> Option<&'a str> {
        if let Value::Text(text) = self { Some(text) } else { None }
    }

    fn int(&self) -> Option<i64> {
        if let Value::Int(number) = self { Some(*number) } else { None }
    }

    fn array(&self) -> Option<&[Value<'a>]> {
        if let Value::Array(elements) = self { Some(elements) } else { None }
    }

    /// The value after this name in an array of names and values.
    fn field(&self, name: &str) -> Option<&Value<'a>> {
        self.array()?.chunks_exact(2).find(|pair| pair[0].text() == Some(name)).map(|pair| &pair[1])
    }

    fn number(&self, name: &str) -> Option<i32> {
        i32::try_from(self.field(name)?.int()?).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::Table;

    /// What Redis 7.0 answers to `COMMAND INFO xread`, spaces for line ends.
    const XREAD: &str = "*1 *10 $5 xread :-4 *3 +readonly +blocking +movablekeys :0 :0 :0 \
        *4 +@read +@stream +@slow +@blocking *0 *1 *6 $5 flags *2 +RO +access $12 begin_search *4 $4 type $7 keyword \
        $4 spec *4 $7 keyword $7 STREAMS $9 startfrom :1 $9 find_keys *4 $4 type $5 range $4 spec *6 $7 lastkey :-1 \
        $7 keystep :1 $5 limit :2 *0";

    fn lines(text: &str) -> String {
        format!("{}\r\n", text.split_whitespace().collect::<Vec<_>>().join("\r\n"))
    }

    fn parse(text: &str) -> Result<Vec<Option<CommandInfo>>, InfoError> {
        parse_commands(lines(text).as_bytes())
    }

    #[test]
    fn a_servers_reply_becomes_the_row_of_the_table() {
        let mut info = parse(XREAD).unwrap().remove(0).unwrap();
        super::super::state::decide(&mut info.spec);
        let table = Table::new();
        assert_eq!(&info.spec, table.spec(table.find(b"xread").unwrap()));
    }

    #[test]
    fn a_command_the_server_lacks_is_none() {
        assert_eq!(parse("*2 *-1 *0"), Ok(vec![None, None]));
        assert_eq!(parse("*1 $-1"), Ok(vec![None]));
    }

    #[test]
    fn tips_become_policies_and_unknown_words_are_passed_over() {
        let text = "*1 *10 $1 x :2 *2 +write +sparkling :0 :0 :0 *1 +@odd \
                    *4 $26 request_policy:multi_shard $23 response_policy:agg_sum $23 nondeterministic_output $3 new *0 *0";
        let spec = parse(text).unwrap().remove(0).unwrap().spec;
        assert_eq!((spec.request, spec.response), (RequestPolicy::MultiShard, ResponsePolicy::AggSum));
        assert_eq!((spec.hints, spec.flags), (Hints::NONDETERMINISTIC_OUTPUT, Flags::WRITE));
        let newer = text.replace("$23 response_policy:agg_sum", "$23 response_policy:agg_xor");
        assert_eq!(parse(&newer).unwrap().remove(0).unwrap().spec.response, ResponsePolicy::Special);
    }

    #[test]
    fn an_older_servers_first_last_and_step_become_a_key_spec() {
        let keys = |text| parse(text).unwrap().remove(0).unwrap().spec.keys.into_owned();
        let range = |last, step| FindKeys::Range { last, step, limit: 0 };
        let mset = keys("*1 *7 $4 mset :-3 *1 +write :1 :-1 :2 *0");
        assert_eq!((&mset[0].begin, mset[0].find), (&BeginSearch::Index(1), range(-1, 2)));
        let rename = keys("*1 *7 $6 rename :3 *1 +write :1 :2 :1 *0");
        assert_eq!(rename[0].find, range(1, 1));
        assert_eq!(keys("*1 *7 $4 time :1 *0 :0 :0 :0 *0"), []);
        assert_eq!(keys("*1 *7 $4 eval :-3 *1 +movablekeys :0 :0 :0 *0")[0].begin, BeginSearch::Unknown);
    }

    #[test]
    fn what_is_no_command_reply_is_an_error_and_no_panic() {
        assert_eq!(parse("+OK"), Err(InfoError::UnknownForm));
        assert_eq!(parse("*1 *2 $1 x :2"), Err(InfoError::UnknownForm));
        assert_eq!(parse_commands(b""), Err(InfoError::NotResp));
        assert_eq!(parse_commands("*1\r\n".repeat(10_000).as_bytes()), Err(InfoError::NotResp));
        assert_eq!(parse("*9223372036854775807"), Err(InfoError::NotResp));
        assert_eq!(parse("%9223372036854775807"), Err(InfoError::NotResp));
        let whole = lines(XREAD);
        for length in 0..whole.len() {
            assert_eq!(parse_commands(&whole.as_bytes()[..length]), Err(InfoError::NotResp), "{length}");
        }
    }
}
