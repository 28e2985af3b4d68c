//! Requests the table does not know, and the words Redis 7.0 has for them.

use super::{CommandId, CommandSpec, Table, Transaction, Treatment};
use crate::resp::Request;

/// Bytes of a name or argument that Redis repeats in its error.
const QUOTED_MAX: usize = 128;

/// The request is none the table knows. [`write`](Unknown::write) says so as Redis 7.0 does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unknown {
    /// No command of that name.
    #[error("unknown command; ask the upstream's COMMAND INFO about it")]
    Command,
    /// A container command, but no subcommand of that name.
    #[error("unknown subcommand; ask the upstream's COMMAND INFO about it")]
    Subcommand,
    /// Known, but the number of arguments is wrong. With `EXEC` this ends its transaction.
    #[error("wrong number of arguments; send as many as the command takes")]
    Arity(CommandId),
}

impl Unknown {
    /// Appends the error reply, CRLF included, byte for byte as Redis 7.0 words it.
    pub fn write(self, table: &Table, request: &Request<'_>, out: &mut Vec<u8>) {
        let start = out.len();
        match self {
            Unknown::Command => write_unknown_command(request, out),
            Unknown::Subcommand => write_unknown_subcommand(request, out),
            Unknown::Arity(id) => write_wrong_arity(table.spec(id), out),
        }
        for byte in &mut out[start..] {
            if matches!(byte, b'\r' | b'\n') {
                *byte = b' ';
            }
        }
        out.extend_from_slice(b"\r\n");
    }
}

/// `commandCheckExistence` of Redis 7.0: arguments are quoted until 128 bytes are full.
fn write_unknown_command(request: &Request<'_>, out: &mut Vec<u8>) {
    out.extend_from_slice(b"-ERR unknown command '");
    out.extend_from_slice(quoted(request.arg(0), QUOTED_MAX));
    out.extend_from_slice(b"', with args beginning with: ");
    let start = out.len();
    for argument in request.args(1) {
        let written = out.len() - start;
        if written >= QUOTED_MAX {
            break;
        }
        out.push(b'\'');
        out.extend_from_slice(quoted(argument, QUOTED_MAX - written));
        out.extend_from_slice(b"' ");
    }
}

fn write_unknown_subcommand(request: &Request<'_>, out: &mut Vec<u8>) {
    out.extend_from_slice(b"-ERR unknown subcommand '");
    out.extend_from_slice(quoted(request.arg(1), QUOTED_MAX));
    out.extend_from_slice(b"'. Try ");
    out.extend(quoted(request.arg(0), QUOTED_MAX).iter().map(u8::to_ascii_uppercase));
    out.extend_from_slice(b" HELP.");
}

/// `commandCheckArity`, and `execCommandAbort` for a wrong `EXEC`.
fn write_wrong_arity(spec: &CommandSpec, out: &mut Vec<u8>) {
    out.extend_from_slice(match spec.treatment {
        Treatment::Transaction(Transaction::Exec) => b"-EXECABORT Transaction discarded because of: ",
        _ => &b"-ERR "[..],
    });
    out.extend_from_slice(b"wrong number of arguments for '");
    out.extend_from_slice(spec.name.as_bytes());
    out.extend_from_slice(b"' command");
}

/// As `%.*s` prints it: up to the first NUL.
fn quoted(argument: &[u8], max: usize) -> &[u8] {
    let argument = &argument[..argument.len().min(max)];
    &argument[..memchr::memchr(0, argument).unwrap_or(argument.len())]
}

/// Whether a browser was tricked into sending this: Redis closes the connection without a word.
///
/// Only to be asked about unknown commands. Source: `securityWarningCommand` of Redis.
pub fn looks_like_http(request: &Request<'_>) -> bool {
    [&b"post"[..], b"host:"].iter().any(|word| request.arg(0).eq_ignore_ascii_case(word))
}

#[cfg(test)]
mod tests {
    use crate::command::Table;
    use crate::command::testing::Arguments;

    fn refusal(parts: &[&[u8]]) -> String {
        let (table, arguments) = (Table::new(), Arguments::from_parts(parts));
        let mut out = Vec::new();
        table.resolve(&arguments.request()).unwrap_err().write(&table, &arguments.request(), &mut out);
        String::from_utf8_lossy(&out).into_owned()
    }

    #[test]
    fn refusals_are_worded_as_redis_words_them() {
        assert_eq!(refusal(&[b"GET"]), "-ERR wrong number of arguments for 'get' command\r\n");
        assert_eq!(refusal(&[b"SCRIPT", b"LOAD"]), "-ERR wrong number of arguments for 'script|load' command\r\n");
        assert_eq!(refusal(&[b"SCRIPT"]), "-ERR wrong number of arguments for 'script' command\r\n");
        assert_eq!(refusal(&[b"script", b"X"]), "-ERR unknown subcommand 'X'. Try SCRIPT HELP.\r\n");
        let text = "-ERR unknown command 'foo', with args beginning with: 'a' 'b' \r\n";
        assert_eq!(refusal(&[b"foo", b"a", b"b"]), text);
        let text = "-ERR unknown command 'script|load', with args beginning with: \r\n";
        assert_eq!(refusal(&[b"script|load"]), text);
    }

    #[test]
    fn what_a_client_sends_cannot_break_the_line_or_fill_the_reply() {
        assert_eq!(refusal(&[b"a\r\nb", b"c\0d"]), "-ERR unknown command 'a  b', with args beginning with: 'c' \r\n");
        assert!(refusal(&[&[b'x'; 9000], &[b'y'; 9000], b"z"]).len() < 400);
    }
}
