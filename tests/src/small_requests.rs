//! Many connections that send small requests of the kinds that pdwfs sends most.

use std::io;

use crate::address::Address;
use crate::connection::{Connection, encode};

/// Connections that all do the same.
#[derive(Debug)]
pub struct Crowd {
    connections: Vec<Connection>,
    requests: Vec<Vec<u8>>,
}

impl Crowd {
    /// Connects `count` times.
    ///
    /// # Errors
    /// What a socket reports.
    pub fn connect(address: &Address, count: usize) -> io::Result<Crowd> {
        let connections = (0..count).map(|_| Connection::open(address)).collect::<io::Result<_>>()?;
        Ok(Crowd { connections, requests: requests() })
    }

    /// Each connection sends `pipeline` requests in one write; then all replies are read.
    ///
    /// # Errors
    /// What a socket reports.
    pub fn round(&mut self, pipeline: usize) -> io::Result<()> {
        for (at, connection) in self.connections.iter_mut().enumerate() {
            let chosen = self.requests.iter().cycle().skip(at % self.requests.len());
            connection.send(&chosen.take(pipeline).flatten().copied().collect::<Vec<u8>>())?;
        }
        self.connections.iter_mut().try_for_each(|connection| connection.receive_many(pipeline).map(drop))
    }

    /// Rounds until at least `count` requests are answered.
    ///
    /// # Errors
    /// What a socket reports.
    pub fn requests(&mut self, count: usize, pipeline: usize) -> io::Result<()> {
        (0..count.div_ceil(pipeline * self.connections.len())).try_for_each(|_| self.round(pipeline))
    }
}

/// GET and SET of 64 bytes, SADD of one member, MGET of two keys on one shard.
pub fn requests() -> Vec<Vec<u8>> {
    let value = "v".repeat(64);
    let lines: [&[&str]; 6] = [
        &["SET", "{t}1", &value],
        &["GET", "{t}1"],
        &["SADD", "{/data}:children", "/data/f"],
        &["SADD", "/data/f:stripes", "3"],
        &["GET", "/data/f:3"],
        &["MGET", "{t}1", "{t}2"],
    ];
    lines.iter().map(|line| encode(line)).collect()
}
