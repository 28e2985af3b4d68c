//! Each of the four wrong routing rules that pdwfs's own tests do not notice is noticed here.

use std::io;

use super::{mixed, placement};

type Check = fn(usize, Option<&str>) -> io::Result<io::Result<()>>;

fn is_noticed(mutant: &str) -> io::Result<()> {
    let checks: [(&str, Check); 2] = [("placement", placement::check), ("mixed", mixed::check)];
    let mut noticed = false;
    for (name, check) in checks {
        let found = check(3, Some(mutant))?;
        println!("{mutant}: {name} finds {found:?}");
        noticed |= found.is_err();
    }
    assert!(noticed, "no check notices {mutant}: is this pdw-proxy built with feature `mutants`?");
    Ok(())
}

#[test]
fn hashing_each_key_on_its_own_is_noticed() -> io::Result<()> {
    is_noticed("hash-each-key")
}

#[test]
fn sending_a_transaction_to_its_last_keys_home_is_noticed() -> io::Result<()> {
    is_noticed("last-key-home")
}

#[test]
fn keeping_a_whole_file_on_one_shard_is_noticed() -> io::Result<()> {
    is_noticed("whole-file")
}

#[test]
fn sending_each_queued_command_to_its_own_home_is_noticed() -> io::Result<()> {
    is_noticed("each-queued-home")
}
