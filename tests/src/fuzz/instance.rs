//! A tiny model of an instance: it reads requests strictly and answers so that mix-ups show.

use std::collections::VecDeque;

use pdw_router::resp::write;

use super::setup::LARGE_MIN;

/// What a real server says of a command that the proxy's table lacks.
const KNOWN_TO_ONE: &[u8] = b"*1\r\n*10\r\n$10\r\nknowntoone\r\n:3\r\n*1\r\n+write\r\n:1\r\n:1\r\n:1\r\n*1\r\n+@write\r\n\
    *0\r\n*1\r\n*6\r\n$5\r\nflags\r\n*1\r\n+RW\r\n$12\r\nbegin_search\r\n*4\r\n$4\r\ntype\r\n$5\r\nindex\r\n$4\r\nspec\r\n\
    *2\r\n$5\r\nindex\r\n:1\r\n$9\r\nfind_keys\r\n*4\r\n$4\r\ntype\r\n$5\r\nrange\r\n$4\r\nspec\r\n*6\r\n$7\r\nlastkey\r\n\
    :0\r\n$7\r\nkeystep\r\n:1\r\n$5\r\nlimit\r\n:0\r\n*0\r\n";

/// Replies that a script can have in place of the next one.
const ODD: [&[u8]; 12] = [
    b"-LOADING Redis is loading the dataset in memory\r\n",
    b"-OOM command not allowed when used memory > 'maxmemory'.\r\n",
    b"-WRONGTYPE Operation against a key holding the wrong kind of value\r\n",
    b"-MOVED 3999 127.0.0.1:6381\r\n",
    b"-\r\n",
    b"$-1\r\n",
    b"*-1\r\n",
    b"+none\r\n",
    b":-9223372036854775808\r\n",
    b":9223372036854775807\r\n",
    b"*2\r\n$20\r\n18446744073709551615\r\n*1\r\n$1\r\nk\r\n",
    b"*3\r\n*1\r\n:1\r\n$0\r\n\r\n*-1\r\n",
];

/// How an instance behaves for now.
#[derive(Debug, Default)]
pub(super) struct Mood {
    forbids_multi: bool,
    odd: VecDeque<u8>,
}

impl Mood {
    /// Has the instance change as a script's byte says.
    pub(super) fn change(&mut self, choice: u8) {
        match choice {
            0 => *self = Self::default(),
            255 => self.forbids_multi = !self.forbids_multi,
            _ => self.odd.push_back(choice),
        }
    }

    /// How many replies it will give in place of answers.
    pub(super) fn odd_replies(&self) -> usize {
        self.odd.len()
    }

    /// What a connection that is made now may not do.
    pub(super) fn connection(&self) -> Connection {
        Connection { forbids_multi: self.forbids_multi, proven: false, queued: None }
    }
}

/// One connection's state at the instance.
#[derive(Debug)]
pub(super) struct Connection {
    forbids_multi: bool,
    /// The router knows by now what the connection may not do.
    pub(super) proven: bool,
    queued: Option<Vec<Vec<Vec<u8>>>>,
}

impl Connection {
    /// Appends the reply to a request; whether it is one that only a script would give.
    pub(super) fn answer(&mut self, mood: &mut Mood, args: &[Vec<u8>], out: &mut Vec<u8>) -> bool {
        let name = args[0].to_ascii_lowercase();
        match (name.as_slice(), &mut self.queued) {
            (b"multi", None) if self.forbids_multi => {
                assert!(!self.proven, "MULTI travels where it is forbidden: its commands are carried out one by one");
                write::error(out, b"NOPERM this user has no permissions");
            }
            (b"multi", None) => {
                self.queued = Some(Vec::new());
                write::simple(out, "OK");
            }
            (b"exec" | b"discard", None) => write::error(out, b"ERR EXEC without MULTI"),
            (b"multi", Some(_)) => write::error(out, b"ERR MULTI calls can not be nested"),
            (b"exec", Some(_)) => self.execute(out),
            (b"discard", Some(_)) => {
                self.queued = None;
                write::simple(out, "OK");
            }
            (_, Some(queued)) => {
                queued.push(args.to_vec());
                write::simple(out, "QUEUED");
            }
            (_, None) => return carry_out_or_not(mood, &name, args, out),
        }
        false
    }

    fn execute(&mut self, out: &mut Vec<u8>) {
        let queued = self.queued.take().unwrap_or_default();
        write::array(out, queued.len());
        for args in &queued {
            carry_out(&args[0].to_ascii_lowercase(), args, out);
        }
    }
}

fn carry_out_or_not(mood: &mut Mood, name: &[u8], args: &[Vec<u8>], out: &mut Vec<u8>) -> bool {
    let odd = mood.odd.pop_front().map(|choice| ODD[usize::from(choice) % ODD.len()]);
    match odd {
        Some(odd) => out.extend_from_slice(odd),
        None => carry_out(name, args, out),
    }
    odd.is_some_and(|odd| odd[0] != b'-')
}

/// What a key holds: itself, and many times so if it is called big.
pub(super) fn value_of(key: &[u8]) -> Vec<u8> {
    key.repeat(if key.starts_with(b"big") { 400 } else { 1 })
}

/// GET answers its key, MGET its keys: so a reply tells what it is a reply to.
fn carry_out(name: &[u8], args: &[Vec<u8>], out: &mut Vec<u8>) {
    let (key, len) = (args.get(1).map_or(&b""[..], Vec::as_slice), args.len());
    match name {
        b"get" | b"getrange" => write::bulk(out, &value_of(key)),
        b"mget" => {
            write::array(out, len - 1);
            args[1..].iter().for_each(|key| write::bulk(out, &value_of(key)));
        }
        b"smismember" | b"script" if len > 2 => {
            write::array(out, len - 2);
            args[2..].iter().for_each(|_| write::integer(out, 1));
        }
        b"client" if len == 2 => write::bulk(out, b"id=1 addr=10.0.0.1:1"),
        b"client" if args[1] == b"KILL" => write::integer(out, 0),
        b"ping" if len == 1 => write::simple(out, "PONG"),
        b"ping" | b"echo" => write::bulk(out, key),
        b"command" if args.get(2).is_some_and(|name| name == b"knowntoone") => out.extend_from_slice(KNOWN_TO_ONE),
        b"command" => out.extend_from_slice(b"*1\r\n*-1\r\n"),
        b"scan" => out.extend_from_slice(b"*2\r\n$2\r\n17\r\n*1\r\n$1\r\nk\r\n"),
        b"sscan" => out.extend_from_slice(b"*2\r\n$1\r\n0\r\n*1\r\n$1\r\nm\r\n"),
        b"keys" | b"smembers" => out.extend_from_slice(b"*2\r\n$1\r\nk\r\n$1\r\nj\r\n"),
        b"type" => write::simple(out, "set"),
        b"randomkey" => write::nil(out),
        b"set" | b"mset" | b"client" | b"flushall" => write::simple(out, "OK"),
        _ => write::integer(out, len as i64),
    }
}

/// The request at the start of `bytes` and its length; `None` if it is not whole. Nothing but the
/// canonical form may travel.
pub(super) fn canonical_request(bytes: &[u8]) -> Option<(Vec<Vec<u8>>, usize)> {
    let mut at = 0;
    let count = number(bytes, &mut at, b'*')?;
    assert!(count > 0, "an empty request travels");
    let (mut args, mut crooked) = (Vec::new(), false);
    for _ in 0..count {
        let size = number(bytes, &mut at, b'$')?;
        let arg = bytes.get(at..at + size)?;
        crooked |= bytes.get(at + size..at + size + 2)? != b"\r\n";
        args.push(arg.to_vec());
        at += size + 2;
    }
    // How arguments end nobody looks at, a server neither; what came with a large value passes as it came.
    let is_large = args.iter().any(|arg: &Vec<u8>| arg.len() >= LARGE_MIN);
    assert!(!crooked || is_large, "an argument does not end where it announced");
    Some((args, at))
}

fn number(bytes: &[u8], at: &mut usize, kind: u8) -> Option<usize> {
    let rest = &bytes[*at..];
    assert_eq!(*rest.first()?, kind, "{:?}", String::from_utf8_lossy(rest));
    let end = rest.windows(2).position(|two| two == b"\r\n")?;
    let value: usize = std::str::from_utf8(&rest[1..end]).ok()?.parse().ok()?;
    assert_eq!(value.to_string().as_bytes(), &rest[1..end], "not in canonical form");
    *at += end + 2;
    Some(value)
}
