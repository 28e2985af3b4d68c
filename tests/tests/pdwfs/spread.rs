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
