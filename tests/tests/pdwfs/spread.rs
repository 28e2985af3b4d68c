//! Spread children: a hot directory is no longer one key on one instance, and nothing else changes.

use std::io;

use pdw_tests::contents::{Contents, Entry, differences, read_all, union};
use pdw_tests::instance::{Instance, addresses};
use pdw_tests::pdwfs::Process;
use pdw_tests::proxy::{Launch, Proxy};

use super::replay::{MOUNT, SMALL, direct_contents, replay, seed};

fn spreading(instances: &[Instance]) -> io::Result<Proxy> {
    Launch::new("pdwfs", &addresses(instances)).config("spread_children = true\n").start()
}

#[test]
fn all_shards_together_hold_what_a_direct_run_leaves() -> io::Result<()> {
    for count in [3, 11] {
        let instances = Instance::start_many(count)?;
        let wanted = union(&direct_contents(seed(), &instances)?)?;
        let proxy = spreading(&instances)?;
        replay(seed(), &|_| vec![proxy.address().clone()])?;
        let found = union(&read_all(&instances)?)?;
        assert_eq!(differences(&wanted, &found), Vec::<String>::new(), "{count} instances");
    }
    Ok(())
}

#[test]
fn the_children_of_one_directory_are_on_every_shard_and_their_anchor_beside_the_mode() -> io::Result<()> {
    let instances = Instance::start_many(3)?;
    let proxy = spreading(&instances)?;
    let mut process = Process::start(std::slice::from_ref(proxy.address()), MOUNT, SMALL)?;
    process.mkdir("/m/hot")?;
    for number in 0..60 {
        process.create(&format!("/m/hot/{number}"))?;
    }
    let shards = read_all(&instances)?;
    let parts: Vec<_> = shards.iter().map(|shard| members(shard, "{/m/hot}:children")).collect();
    assert!(parts.iter().all(|part| part.len() >= 5), "members on each shard: {parts:?}");
    let anchors: Vec<_> = parts.iter().map(|part| part.contains(&String::new())).collect();
    let modes: Vec<_> = shards.iter().map(|shard| shard.contains_key(&b"{/m/hot}:mode"[..])).collect();
    assert_eq!(anchors, modes, "the anchor shares transactions with the mode");
    empty_and_remove(&mut process, &instances)
}

fn empty_and_remove(process: &mut Process, instances: &[Instance]) -> io::Result<()> {
    assert!(!process.rmdir("/m/hot")?, "not empty");
    for number in 0..60 {
        process.unlink(&format!("/m/hot/{number}"))?;
    }
    assert!(process.rmdir("/m/hot")?, "empty");
    let left = union(&read_all(instances)?)?;
    assert!(!left.keys().any(|key| key.starts_with(b"{/m/hot")), "{left:?}");
    Ok(())
}

fn members(shard: &Contents, key: &str) -> Vec<String> {
    match shard.get(key.as_bytes()) {
        Some(Entry::Set(members)) => members.iter().map(|member| String::from_utf8_lossy(member).into()).collect(),
        _ => Vec::new(),
    }
}

#[test]
fn what_cannot_be_done_to_parts_is_refused_and_changes_nothing() -> io::Result<()> {
    let instances = Instance::start_many(3)?;
    let proxy = Launch::new("pdwfs", &addresses(&instances)).start()?;
    let mut session = proxy.connect()?;
    let members: Vec<String> = (0..20).map(|number| number.to_string()).collect();
    session.demand(&[&["SADD".to_owned(), "/m/f:stripes".to_owned()], &members[..]].concat())?;
    let before = read_all(&instances)?;
    assert!(before.iter().all(|shard| shard.contains_key(&b"/m/f:stripes"[..])), "spread over all shards");
    for line in REFUSED {
        let words: Vec<_> = line.split(' ').collect();
        let error = session.call(&words)?.error().unwrap_or_default();
        assert!(error.contains("spread set") || error.starts_with("CROSSSLOT"), "{line}: {error:?}");
        assert_eq!(read_all(&instances)?, before, "{line}");
    }
    Ok(())
}

/// Commands that one instance would carry out on the part it happens to hold.
const REFUSED: &[&str] = &[
    "SPOP /m/f:stripes",
    "SRANDMEMBER /m/f:stripes",
    "SMOVE /m/f:stripes other 1",
    "SMOVE other /m/f:stripes 1",
    "SINTER /m/f:stripes",
    "SUNION /m/f:stripes other",
    "SUNIONSTORE other /m/f:stripes",
    "SINTERSTORE /m/f:stripes other",
    "SINTERCARD 1 /m/f:stripes",
    "SORT /m/f:stripes",
    "RENAME /m/f:stripes other",
    "COPY /m/f:stripes other",
    "DUMP /m/f:stripes",
    "SET /m/f:stripes value",
    "GET /m/f:stripes",
    "APPEND /m/f:stripes value",
    "OBJECT ENCODING /m/f:stripes",
    "EVAL return{redis.call('SCARD',KEYS[1])} 1 /m/f:stripes",
];
