//! What can be done with a set whose members are spread over the shards (layout `partial-set`).

use crate::command::{CommandSpec, RequestPolicy};
use crate::place::{Shard, Spread};
use crate::refusal::Refusal;
use crate::request::gather::Join;
use crate::request::plan::{Place, Plan, Scratch, cursor_plan};
use crate::resp::Request;
use crate::router::Setup;

/// What a command does with a spread set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Use {
    /// Arguments from 2 on are members; each goes to its home, and the replies are joined.
    Members(Join),
    /// Every shard answers for its members.
    Everywhere(Join),
    /// One shard after another.
    Scan,
}

const USES: [(&str, Use); 13] = [
    ("sadd", Use::Members(Join::Sum)),
    ("srem", Use::Members(Join::Sum)),
    ("sismember", Use::Members(Join::Sum)),
    ("smismember", Use::Members(Join::Interleave)),
    ("smembers", Use::Everywhere(Join::Union)),
    ("scard", Use::Everywhere(Join::Sum)),
    ("sscan", Use::Scan),
    ("type", Use::Everywhere(Join::NotNone)),
    ("expire", Use::Everywhere(Join::Max)),
    ("pexpire", Use::Everywhere(Join::Max)),
    ("expireat", Use::Everywhere(Join::Max)),
    ("pexpireat", Use::Everywhere(Join::Max)),
    ("persist", Use::Everywhere(Join::Max)),
];

/// Where a command on one spread set goes.
pub(crate) fn plan(
    setup: &Setup,
    set: &Spread,
    spec: &CommandSpec,
    request: &Request<'_>,
    any: Shard,
    scratch: &mut Scratch,
) -> Result<Plan, Refusal> {
    let found = USES.iter().find(|(name, _)| *name == spec.name);
    match found.map(|(_, use_)| *use_).ok_or_else(|| refusal(spec, request.arg(1)))? {
        Use::Members(join) => by_members(setup, set, request, join, scratch),
        Use::Everywhere(join) => Ok(Plan::All(join)),
        Use::Scan => Ok(cursor_plan(setup, request, 2, any)),
    }
}

/// Where a spread set lives for a command that is about sets as a whole, such as UNLINK.
pub(crate) fn place_of_whole(setup: &Setup, set: &Spread, spec: &CommandSpec, key: &[u8]) -> Result<Place, Refusal> {
    match (&*spec.name, set.anchor()) {
        // The anchor is there as long as the set is.
        ("exists", Some(_)) => Ok(Place::At(set.own_home(&setup.homes, key))),
        _ if spec.request == RequestPolicy::MultiShard && spec.name != "mget" && spec.name != "mset" => {
            Ok(Place::Everywhere)
        }
        _ => Err(refusal(spec, key)),
    }
}

fn refusal(spec: &CommandSpec, key: &[u8]) -> Refusal {
    Refusal::SpreadSet(spec.name.to_uppercase(), key.to_vec())
}

fn by_members(
    setup: &Setup,
    set: &Spread,
    request: &Request<'_>,
    join: Join,
    scratch: &mut Scratch,
) -> Result<Plan, Refusal> {
    let key = request.arg(1);
    scratch.positions.clear();
    scratch.positions.extend(2..request.len() as u32);
    scratch.places.clear();
    scratch.places.extend(request.args(2).map(|member| Place::At(set.member_home(&setup.homes, key, member))));
    let first = scratch.places.first().copied();
    match first {
        Some(Place::At(shard)) if scratch.places.iter().all(|place| Some(*place) == first) => Ok(Plan::One(shard)),
        _ if request.bytes.len() > setup.limits.request_buffer_max => {
            Err(Refusal::SplitTooLong(setup.limits.request_buffer_max))
        }
        _ => Ok(Plan::Split { join, prefix: 2, step: 1 }),
    }
}
