//! Requests that a script names in two bytes, so that a fuzzer need not spell them.

use pdw_router::resp::write;

/// Command lines; `k` and `j` stand for keys of the script's choice, `v` for a value, `w` for a large one.
const LINES: [&str; 64] = [
    "GET k",
    "SET k v",
    "SETRANGE k 2 v",
    "MGET k j k",
    "MSET k v j v",
    "DEL k",
    "UNLINK k j",
    "EXISTS k j k",
    "TOUCH j k",
    "SADD k v",
    "SADD k v 1 2 3",
    "SREM k v 1",
    "SISMEMBER k v",
    "SMISMEMBER k v 1 2",
    "SMEMBERS k",
    "SCARD k",
    "SSCAN k 0",
    "TYPE k",
    "EXPIRE k 10",
    "SINTER k j",
    "RENAME k j",
    "MULTI",
    "EXEC",
    "DISCARD",
    "WATCH k",
    "PING",
    "PING v",
    "ECHO v",
    "SELECT 0",
    "SELECT 1",
    "HELLO 2",
    "HELLO 3",
    "AUTH v",
    "CLIENT ID",
    "CLIENT SETNAME v",
    "CLIENT REPLY OFF",
    "CONFIG GET maxmemory",
    "INFO",
    "COMMAND COUNT",
    "DBSIZE",
    "FLUSHALL",
    "KEYS *",
    "SCAN 0",
    "SCAN 4",
    "RANDOMKEY",
    "SCRIPT LOAD v",
    "SCRIPT EXISTS v v",
    "EVAL v 2 k j v",
    "EVAL v 0",
    "FCALL v 1 k",
    "SUBSCRIBE v",
    "BLPOP k 0",
    "KNOWNTOONE k v",
    "NOSUCH k",
    "RESET",
    "QUIT",
    "GET",
    "SORT k BY j",
    "SET k w",
    "SET k w EX 10",
    "MSET k w j w",
    "SADD k w",
    "APPEND k w",
    "GETRANGE k 0 5000",
];

const KEYS: [&str; 16] = [
    "a",
    "b",
    "big:1",
    "",
    "{t}1",
    "{t}2",
    "/data/f:0",
    "/data/f:1",
    "/data/f:12",
    "/data/f:stripes",
    "{/data}:mode",
    "{/data}:children",
    "{/data/f}:size",
    "big:2",
    "/other/g:stripes",
    "a key that is longer than sixty-four bytes, which is the least key_max of all",
];

/// The request that two bytes name, in canonical form.
pub(super) fn named(command: u8, choice: u8) -> Vec<u8> {
    let line = LINES[usize::from(command) % LINES.len()];
    let args: Vec<&[u8]> = line.split(' ').map(|word| argument(word, choice)).collect();
    let mut request = Vec::new();
    write::request(&mut request, args.len(), args.into_iter());
    request
}

fn argument(word: &'static str, choice: u8) -> &'static [u8] {
    match word {
        "k" => KEYS[usize::from(choice & 15)].as_bytes(),
        "j" => KEYS[usize::from(choice >> 4)].as_bytes(),
        "v" if choice & 128 != 0 => &[b'v'; 200],
        "v" => b"value",
        "w" => &[b'w'; 3000],
        _ => word.as_bytes(),
    }
}
