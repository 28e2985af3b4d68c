//! How commands become `write()` calls: Go's `bufio.Writer` of 4,096 bytes under the redigo client.

use crate::connection::encode;

/// Size of the client's write buffer, in bytes.
pub const BUFFER: usize = 4096;

/// The commands of one transaction between MULTI and EXEC.
pub fn transaction(commands: &[Vec<&[u8]>]) -> Vec<Vec<u8>> {
    let mut writer = Writer::default();
    writer.command(&[b"MULTI"]);
    for command in commands {
        writer.command(command);
    }
    writer.command(&[b"EXEC"]);
    writer.finish()
}

/// One command outside a transaction.
pub fn command(arguments: &[&[u8]]) -> Vec<Vec<u8>> {
    let mut writer = Writer::default();
    writer.command(arguments);
    writer.finish()
}

#[derive(Default)]
struct Writer {
    buffered: Vec<u8>,
    writes: Vec<Vec<u8>>,
}

impl Writer {
    /// A RESP array; each argument's bytes are handed to the buffer in one piece, as redigo does.
    fn command(&mut self, arguments: &[&[u8]]) {
        self.put(format!("*{}\r\n", arguments.len()).as_bytes());
        for argument in arguments {
            self.put(format!("${}\r\n", argument.len()).as_bytes());
            self.put(argument);
            self.put(b"\r\n");
        }
    }

    /// `bufio.Writer.Write`: fills the buffer and flushes; what exceeds an empty buffer is written past it.
    fn put(&mut self, mut piece: &[u8]) {
        while piece.len() > BUFFER - self.buffered.len() {
            if self.buffered.is_empty() {
                self.writes.push(piece.to_vec());
                return;
            }
            let (head, rest) = piece.split_at(BUFFER - self.buffered.len());
            self.buffered.extend_from_slice(head);
            self.writes.push(std::mem::take(&mut self.buffered));
            piece = rest;
        }
        self.buffered.extend_from_slice(piece);
    }

    fn finish(mut self) -> Vec<Vec<u8>> {
        if !self.buffered.is_empty() {
            self.writes.push(self.buffered);
        }
        self.writes
    }
}

/// The bytes of a whole transaction, as one.
pub fn transaction_bytes(commands: &[Vec<&[u8]>]) -> Vec<u8> {
    let middle: Vec<u8> = commands.iter().flat_map(|command| encode(command)).collect();
    [encode(&["MULTI"]), middle, encode(&["EXEC"])].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stripe(value: &[u8]) -> Vec<Vec<u8>> {
        transaction(&[vec![b"SADD", b"/m/f:stripes", b"0"], vec![b"SET", b"/m/f:0", value]])
    }

    #[test]
    fn a_small_transaction_is_one_write() {
        let writes = stripe(&[7; 3000]);
        assert_eq!(writes.len(), 1);
        assert!(writes[0].starts_with(b"*1\r\n$5\r\nMULTI\r\n*3\r\n$4\r\nSADD\r\n"));
    }

    #[test]
    fn a_large_one_is_a_full_buffer_the_rest_of_the_value_and_the_exec() {
        let writes = stripe(&[7; 100_000]);
        assert_eq!(writes.len(), 3);
        assert_eq!(writes[0].len(), BUFFER);
        assert!(writes[1].iter().all(|&byte| byte == 7));
        assert_eq!(writes[2], b"\r\n*1\r\n$4\r\nEXEC\r\n");
    }

    #[test]
    fn framing_changes_no_byte() {
        for size in [0, 1, 3900, 4000, 4096, 4097, 8200, 9000] {
            let value = vec![7; size];
            let commands = [vec![&b"SETRANGE"[..], b"/m/f:0", b"0", &value]];
            assert_eq!(transaction(&commands).concat(), transaction_bytes(&commands), "{size}");
        }
    }
}
