//! Errors of lookup, word for word as Redis 7.0 gives them.

use pdw_router::command::{Table, looks_like_http};

use crate::server::{Arguments, Client, redis, words};

/// Seed of the generated requests.
const SEED: u64 = 0x5EED;

fn ours(table: &Table, arguments: &[Vec<u8>]) -> Option<Vec<u8>> {
    let arguments = Arguments::new(arguments);
    let request = arguments.request();
    let unknown = table.resolve(&request).err()?;
    let mut out = Vec::new();
    unknown.write(table, &request, &mut out);
    Some(out)
}

/// A word of bytes that tempt a printer: quotes, percent signs, NUL, line ends, bytes above 127.
fn odd_word(random: &mut fastrand::Rng) -> Vec<u8> {
    const BYTES: &[u8] = b"abcXYZ012'\"%s \r\n\0\t|\xff\xc3\xa9";
    let longest = if random.u8(..4) == 0 { 300 } else { 12 };
    (0..random.usize(..longest)).map(|_| BYTES[random.usize(..BYTES.len())]).collect()
}

fn odd_request(random: &mut fastrand::Rng) -> Vec<Vec<u8>> {
    const CONTAINERS: &[&str] = &["script", "Client", "CONFIG", "object", "cluster", "acl", "xinfo"];
    let mut request = match random.u8(..3) {
        0 => words(&[CONTAINERS[random.usize(..CONTAINERS.len())]]),
        _ => vec![odd_word(random)],
    };
    request.extend((0..random.usize(..6)).map(|_| odd_word(random)));
    request
}

#[test]
fn unknown_commands_are_reported_byte_for_byte() {
    let (server, table) = (redis(), Table::new());
    let mut client = Client::new(&server);
    let mut random = fastrand::Rng::with_seed(SEED);
    for _ in 0..5000 {
        let request = odd_request(&mut random);
        let expected = ours(&table, &request).expect("odd words are no commands");
        client.send(&request);
        assert_eq!(lossy(&client.line()), lossy(&expected), "{request:?}");
    }
}

#[test]
fn wrong_numbers_of_arguments_are_reported_byte_for_byte() {
    let (server, table) = (redis(), Table::new());
    let mut client = Client::new(&server);
    let mut compared = 0;
    for spec in table.iter() {
        let typed: Vec<&str> = spec.name.split('|').collect();
        let wanted = usize::from(spec.arity.unsigned_abs());
        let lengths = [typed.len(), wanted - 1, if spec.arity < 0 { wanted - 1 } else { wanted + 1 }];
        for length in lengths.into_iter().filter(|&length| length >= typed.len()) {
            let mut request = words(&typed);
            request.resize(length, b"x".to_vec());
            let Some(expected) = ours(&table, &request) else { continue };
            client.send(&request);
            let theirs = client.line();
            // What only Valkey has is unknown here, and not ours to report.
            if !theirs.starts_with(b"-ERR unknown") {
                assert_eq!(lossy(&theirs), lossy(&expected), "{request:?}");
                compared += 1;
            }
        }
    }
    assert!(compared > 300, "{compared}");
}

#[test]
fn what_looks_like_http_closes_the_connection() {
    let server = redis();
    for first in ["POST", "post", "Host:", "GET", "hostile"] {
        let request = words(&[first, "/"]);
        let mut client = Client::new(&server);
        client.send(&request);
        let closed = client.line().is_empty();
        assert_eq!(looks_like_http(&Arguments::new(&request).request()), closed, "{first}");
    }
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
