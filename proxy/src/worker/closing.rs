//! Connections of sessions that are gone, closed a few at a time.
//!
//! To close a connection costs about 12 us where bytes are unread: that is a few milliseconds when the clients of a job
//! leave all at once, and small requests of others would wait so long.

use std::collections::VecDeque;

use super::socket::Socket;

/// Connections closed in one turn: some 50 us' worth.
const CLOSE_BURST: usize = 4;

/// Connections of which the router knows nothing any more.
#[derive(Debug, Default)]
pub(super) struct Closing(VecDeque<Socket>);

impl Closing {
    /// Closes a connection in this turn, or one soon after.
    pub(super) fn add(&mut self, socket: Socket) {
        self.0.push_back(socket);
    }

    /// Closes those whose turn it is.
    pub(super) fn close_some(&mut self) {
        let some = self.0.len().min(CLOSE_BURST);
        drop(self.0.drain(..some));
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mio::net::UnixStream;
    use std::io::{ErrorKind, Read};

    #[test]
    fn very_many_are_closed_a_few_in_each_turn() {
        let mut closing = Closing::default();
        let mut clients: Vec<UnixStream> = (0..3 * CLOSE_BURST)
            .map(|_| {
                let (client, socket) = UnixStream::pair().unwrap();
                closing.add(socket.into());
                client
            })
            .collect();
        for turn in 1..=3 {
            closing.close_some();
            let ended = clients.iter_mut().filter_map(|client| match client.read(&mut [0]) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => None,
                ended => Some(ended.unwrap()),
            });
            assert_eq!(ended.count(), turn * CLOSE_BURST);
        }
        assert!(closing.is_empty());
    }
}
