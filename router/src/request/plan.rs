//! Where a request goes: to one shard, to all, or split. By rule from the command table, never by command.

use crate::command::{self, CommandSpec, Gathered, KeyError, RequestPolicy, ResponsePolicy, Treatment};
use crate::mutant::Mutant;
use crate::place::{Located, Shard};
use crate::refusal::Refusal;
use crate::request::gather::{Join, inner_cursor};
use crate::request::split::Groups;
use crate::request::spread;
use crate::resp::Request;
use crate::router::Setup;

/// How a request is split.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Plan {
    /// As it is, to one shard.
    One(Shard),
    /// As it is, to every shard.
    All(Join),
    /// Every shard gets its own keys (or members): the arguments before `prefix`, then for each of
    /// its positions in the scratch `step` arguments.
    Split { join: Join, prefix: usize, step: usize },
    /// To one shard, with argument `at` replaced by the shard's own cursor.
    Cursor { at: usize, shard: Shard, inner: u64 },
}

/// Where one key of a split request lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    At(Shard),
    /// A spread set: on every shard.
    Everywhere,
}

/// Memory for planning, kept from request to request.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    /// Positions of the arguments by which the request is split.
    pub(crate) positions: Vec<u32>,
    /// Where each of them lives.
    pub(crate) places: Vec<Place>,
    /// The same, by shard.
    pub(crate) groups: Groups,
    /// For the gathering: what [`Gather::order`](crate::request::gather::Gather) holds.
    pub(crate) order: Vec<u16>,
}

/// Decides where a request goes. `any`: the shard that serves this session's requests without keys.
///
/// # Errors
/// What the client is told instead.
pub(crate) fn plan(
    setup: &Setup,
    spec: &CommandSpec,
    request: &Request<'_>,
    any: Shard,
    scratch: &mut Scratch,
) -> Result<Plan, Refusal> {
    if let Treatment::Gathered(gathered) = spec.treatment {
        return Ok(gathered_plan(setup, gathered, request, any));
    }
    if let Some(position) = command::first_key(spec, request) {
        let key = checked(setup, request.arg(position as usize))?;
        return match locate(setup, key) {
            Located::Home(shard) => Ok(Plan::One(shard)),
            Located::Spread(set) => spread::plan(setup, set, spec, request, any, scratch),
        };
    }
    match command::key_positions(spec, request, &mut scratch.positions) {
        Ok(()) if scratch.positions.is_empty() => Ok(keyless(setup, spec, any)),
        Ok(()) => by_keys(setup, spec, request, scratch),
        Err(KeyError::Unknown) if setup.homes.shards() > 1 => Err(unknown_keys(request)),
        // What is wrong with it, the server says best; it carries nothing out.
        Err(_) => Ok(Plan::One(any)),
    }
}

/// Where a key lives, unless a test wants it wrong.
pub(crate) fn locate<'s>(setup: &'s Setup, key: &[u8]) -> Located<'s> {
    let hash_alone = [Mutant::HashEachKey, Mutant::LastKeyHome, Mutant::EachQueuedHome];
    if hash_alone.iter().any(|mutant| setup.mutation.is(*mutant)) {
        return Located::Home(setup.homes.placement().home(key));
    }
    if setup.mutation.is(Mutant::WholeFile) && !key.starts_with(b"{") {
        let file = key.rsplitn(2, |byte| *byte == b':').last().unwrap_or(key);
        return Located::Home(setup.homes.placement().home(file));
    }
    setup.homes.locate(key)
}

/// The position of a request's first key, or of what stands for it.
pub(crate) fn first_position(spec: &CommandSpec, request: &Request<'_>, scratch: &mut Scratch) -> Option<usize> {
    let single = command::first_key(spec, request);
    let found = single.or_else(|| {
        command::key_positions(spec, request, &mut scratch.positions).ok()?;
        scratch.positions.first().copied()
    });
    found.map(|position| position as usize)
}

fn checked<'k>(setup: &Setup, key: &'k [u8]) -> Result<&'k [u8], Refusal> {
    let max = setup.limits.key_max;
    if key.len() <= max { Ok(key) } else { Err(Refusal::KeyTooLong(max)) }
}

fn unknown_keys(request: &Request<'_>) -> Refusal {
    let name = String::from_utf8_lossy(request.arg(0));
    Refusal::Unsupported(format!(
        "ERR '{name}' touches keys that its arguments do not name, so they may lie on another shard; use EVAL with the keys named and one hash tag"
    ))
}

fn keyless(setup: &Setup, spec: &CommandSpec, any: Shard) -> Plan {
    match spec.request {
        RequestPolicy::AllNodes | RequestPolicy::AllShards if setup.homes.shards() > 1 => Plan::All(keyless_join(spec)),
        _ => Plan::One(any),
    }
}

fn keyless_join(spec: &CommandSpec) -> Join {
    match spec.response {
        ResponsePolicy::Default => Join::Union,
        _ => policy_join(spec.response),
    }
}

fn policy_join(policy: ResponsePolicy) -> Join {
    match policy {
        ResponsePolicy::Default => Join::Interleave,
        ResponsePolicy::OneSucceeded => Join::OneSucceeded,
        ResponsePolicy::AllSucceeded | ResponsePolicy::Special => Join::AllSucceeded,
        ResponsePolicy::AggLogicalAnd => Join::And,
        ResponsePolicy::AggLogicalOr => Join::Or,
        ResponsePolicy::AggMin => Join::Min,
        ResponsePolicy::AggMax => Join::Max,
        ResponsePolicy::AggSum => Join::Sum,
    }
}

fn gathered_plan(setup: &Setup, gathered: Gathered, request: &Request<'_>, any: Shard) -> Plan {
    match gathered {
        _ if setup.homes.shards() == 1 => Plan::One(any),
        Gathered::Scan => cursor_plan(setup, request, 1, any),
        Gathered::RandomKey => Plan::All(Join::NotNil),
        Gathered::Keys => Plan::All(Join::Union),
    }
}

/// To the shard that the cursor in argument `at` names. A cursor that is no number: let a server say so.
pub(crate) fn cursor_plan(setup: &Setup, request: &Request<'_>, at: usize, any: Shard) -> Plan {
    let cursor = std::str::from_utf8(request.arg(at)).ok().and_then(|text| text.parse::<u64>().ok());
    cursor.map_or(Plan::One(any), |cursor| {
        let (shard, inner) = inner_cursor(cursor, setup.homes.shards());
        Plan::Cursor { at, shard: Shard(shard), inner }
    })
}

fn by_keys(setup: &Setup, spec: &CommandSpec, request: &Request<'_>, scratch: &mut Scratch) -> Result<Plan, Refusal> {
    scratch.places.clear();
    for position in &scratch.positions {
        let key = checked(setup, request.arg(*position as usize))?;
        scratch.places.push(match locate(setup, key) {
            Located::Home(shard) => Place::At(shard),
            Located::Spread(set) => spread::place_of_whole(setup, set, spec, key)?,
        });
    }
    let first = scratch.places[0];
    let apart = scratch.places.iter().position(|place| *place != first || *place == Place::Everywhere);
    match (apart, first) {
        (None, Place::At(shard)) => Ok(Plan::One(shard)),
        (Some(apart), _) if !may_split(setup, spec, request, scratch) => Err(cross_shard(request, scratch, apart)),
        _ if request.bytes.len() > setup.limits.request_buffer_max => {
            Err(Refusal::SplitTooLong(setup.limits.request_buffer_max))
        }
        _ if parts(setup, scratch) > usize::from(u16::MAX) => Err(too_many_parts(setup, request)),
        _ => Ok(split(spec, scratch)),
    }
}

/// At most so many parts does a split request have. They are numbered with 16 bits.
fn parts(setup: &Setup, scratch: &Scratch) -> usize {
    let spread = scratch.places.iter().filter(|place| **place == Place::Everywhere).count();
    (spread + 1) * setup.homes.shards()
}

fn too_many_parts(setup: &Setup, request: &Request<'_>) -> Refusal {
    let name = String::from_utf8_lossy(request.arg(0));
    let most = usize::from(u16::MAX) / setup.homes.shards() - 1;
    Refusal::Unsupported(format!("ERR '{name}' names too many spread sets; name at most {most} in one request"))
}

fn split(spec: &CommandSpec, scratch: &Scratch) -> Plan {
    let spread = scratch.places.contains(&Place::Everywhere);
    let join = if spread { Join::Count } else { policy_join(spec.response) };
    let step = spec.keys.first().map_or(1, command::KeySpec::step);
    Plan::Split { join, prefix: 1, step }
}

/// Whether each shard can be given its own keys: published as `multi_shard`, and nothing but keys
/// (and what belongs to each) in the arguments.
fn may_split(setup: &Setup, spec: &CommandSpec, request: &Request<'_>, scratch: &Scratch) -> bool {
    let step = spec.keys.first().map_or(1, command::KeySpec::step);
    setup.homes.shards() > 1
        && spec.request == RequestPolicy::MultiShard
        && scratch.positions.first() == Some(&1)
        && request.len() == 1 + scratch.positions.len() * step
}

fn cross_shard(request: &Request<'_>, scratch: &Scratch, apart: usize) -> Refusal {
    let key = |index: usize| request.arg(scratch.positions[index] as usize).to_vec();
    Refusal::CrossShard(key(0), key(apart))
}
