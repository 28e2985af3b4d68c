//! The contents of files, striped over instances.

use std::io;
use std::ops::Range;

use super::pool::Pool;
use super::ring::Ring;
use crate::address::Address;
use crate::reply::Value;

/// Cuts a string to its first ARGV[1] + 1 bytes; a missing one becomes empty.
///
/// Does what pdwfs's script does in words of our own, so its digest is another one.
pub const TRIM_SCRIPT: &str = "return redis.call('SET', KEYS[1], redis.call('GETRANGE', KEYS[1], 0, ARGV[1]))";

/// SHA-1 of [`TRIM_SCRIPT`], as EVALSHA takes it.
pub const TRIM_SHA: &str = "4f66a122f044d214ed8efb7969d544e779f11dd8";

/// Where and how a process keeps file contents.
#[derive(Debug)]
pub(super) struct Store {
    pools: Vec<Pool>,
    ring: Ring,
    stripe: u64,
}

/// The part of one stripe that an operation touches.
struct Piece {
    number: u64,
    /// Within the stripe.
    start: u64,
    /// Within the operation's data.
    data: Range<usize>,
}

impl Store {
    pub(super) fn new(addresses: &[Address], stripe: u64) -> Store {
        Store { pools: addresses.iter().map(Pool::new).collect(), ring: Ring::new(addresses.len()), stripe }
    }

    /// The connections to the instance that owns `key`.
    pub(super) fn pool(&self, key: &str) -> &Pool {
        &self.pools[self.ring.home(key.as_bytes())]
    }

    pub(super) fn peak(&self) -> usize {
        self.pools.iter().map(Pool::peak).max().unwrap_or(0)
    }

    pub(super) fn write(&self, file: &str, offset: u64, data: &[u8]) -> io::Result<()> {
        let pieces = self.pieces(offset, data.len());
        if let [pool] = self.pools.as_slice() {
            pool.expect(pieces.len());
        }
        together(pieces, |piece| self.write_stripe(file, piece.number, piece.start, &data[piece.data])).map(drop)
    }

    pub(super) fn read(&self, file: &str, offset: u64, length: usize) -> io::Result<Vec<u8>> {
        let parts = together(self.pieces(offset, length), |piece| self.read_stripe(file, &piece))?;
        Ok(parts.concat())
    }

    pub(super) fn size(&self, file: &str) -> io::Result<u64> {
        let Some(last) = self.last_stripe(file)? else { return Ok(0) };
        let key = stripe_key(file, last);
        let length = self.pool(&key).call(&[b"STRLEN", key.as_bytes()])?.integer().unwrap_or(0);
        Ok(last * self.stripe + length.unsigned_abs())
    }

    /// Drops all stripes: O_TRUNC, and part of unlink.
    pub(super) fn remove(&self, file: &str) -> io::Result<()> {
        let count = self.last_stripe(file)?.map_or(0, |last| last + 1);
        together(0..count, |number| self.remove_stripe(file, number)).map(drop)
    }

    /// `ftruncate` to fewer bytes. To zero bytes it trims stripe -1, as pdwfs does.
    pub(super) fn shrink(&self, file: &str, size: u64) -> io::Result<()> {
        let old = self.size(file)?.div_ceil(self.stripe);
        let kept = size.div_ceil(self.stripe);
        let (trimmed, last_length) = match kept.checked_sub(1) {
            Some(last) => (stripe_key(file, last), size - last * self.stripe),
            None => (format!("{file}:-1"), self.stripe),
        };
        let tasks = (kept..old).map(Some).chain([None]);
        together(tasks, |task| match task {
            Some(number) => self.remove_stripe(file, number),
            None => self.trim(&trimmed, last_length),
        })
        .map(drop)
    }

    /// `ftruncate` to more bytes, from a size that fills its last stripe.
    pub(super) fn grow(&self, file: &str, size: u64) -> io::Result<()> {
        let old = self.size(file)?.div_ceil(self.stripe);
        let last = size.div_ceil(self.stripe).saturating_sub(1);
        together(old..=last, |number| {
            let end = if number == last { size - last * self.stripe } else { self.stripe };
            self.write_stripe(file, number, end - 1, b"\0")
        })
        .map(drop)
    }

    fn pieces(&self, offset: u64, length: usize) -> Vec<Piece> {
        let (mut at, mut pieces) = (0, Vec::new());
        while at < length {
            let place = offset + at as u64;
            let start = place % self.stripe;
            let size = (length - at).min((self.stripe - start) as usize);
            pieces.push(Piece { number: place / self.stripe, start, data: at..at + size });
            at += size;
        }
        pieces
    }

    fn write_stripe(&self, file: &str, number: u64, start: u64, data: &[u8]) -> io::Result<()> {
        let (key, stripes, member) = (stripe_key(file, number), format!("{file}:stripes"), number.to_string());
        let start_text = start.to_string();
        let change = if start == 0 && data.len() as u64 == self.stripe {
            vec![&b"SET"[..], key.as_bytes(), data]
        } else {
            vec![&b"SETRANGE"[..], key.as_bytes(), start_text.as_bytes(), data]
        };
        self.pool(&key).transaction(&[vec![b"SADD", stripes.as_bytes(), member.as_bytes()], change])
    }

    fn read_stripe(&self, file: &str, piece: &Piece) -> io::Result<Vec<u8>> {
        let key = stripe_key(file, piece.number);
        if piece.start == 0 && piece.data.len() as u64 == self.stripe {
            return Ok(self.pool(&key).call(&[b"GET", key.as_bytes()])?.bytes().to_vec());
        }
        let (start, end) = (piece.start.to_string(), (piece.start + piece.data.len() as u64 - 1).to_string());
        let found = self.pool(&key).call(&[b"GETRANGE", key.as_bytes(), start.as_bytes(), end.as_bytes()])?;
        Ok(found.bytes().to_vec())
    }

    fn remove_stripe(&self, file: &str, number: u64) -> io::Result<()> {
        let (key, stripes, member) = (stripe_key(file, number), format!("{file}:stripes"), number.to_string());
        let commands = [vec![&b"SREM"[..], stripes.as_bytes(), member.as_bytes()], vec![b"UNLINK", key.as_bytes()]];
        self.pool(&key).transaction(&commands)
    }

    fn trim(&self, key: &str, length: u64) -> io::Result<()> {
        let (pool, last) = (self.pool(key), (length - 1).to_string());
        let script = |verb: &'static [u8], script: &str| {
            pool.call_raw(&[verb, script.as_bytes(), b"1", key.as_bytes(), last.as_bytes()])
        };
        let first = script(b"EVALSHA", TRIM_SHA)?.error();
        let outcome = match first {
            Some(text) if text.starts_with("NOSCRIPT ") => script(b"EVAL", TRIM_SCRIPT)?.error(),
            other => other,
        };
        outcome.map_or(Ok(()), |text| Err(io::Error::other(format!("trim of {key}: {text}"))))
    }

    /// The highest stripe number that any instance knows of.
    fn last_stripe(&self, file: &str) -> io::Result<Option<u64>> {
        let key = format!("{file}:stripes");
        let sets = together(&self.pools, |pool| pool.call(&[b"SMEMBERS", key.as_bytes()]))?;
        let numbers = sets.iter().flat_map(Value::elements).map(|member| member.text().parse::<u64>());
        numbers.collect::<Result<Vec<_>, _>>().map_err(io::Error::other).map(|all| all.into_iter().max())
    }
}

fn stripe_key(file: &str, number: u64) -> String {
    format!("{file}:{number}")
}

/// Does `work` for every item at once, one thread each as pdwfs takes one goroutine each.
fn together<I, T: Send>(
    items: impl IntoIterator<Item = I>,
    work: impl Fn(I) -> io::Result<T> + Sync,
) -> io::Result<Vec<T>>
where
    I: Send,
{
    let work = &work;
    std::thread::scope(|scope| {
        let threads: Vec<_> = items.into_iter().map(|item| scope.spawn(move || work(item))).collect();
        let join = |thread: std::thread::ScopedJoinHandle<'_, io::Result<T>>| thread.join();
        threads.into_iter().map(|t| join(t).unwrap_or_else(|_| Err(io::Error::other("a thread panicked")))).collect()
    })
}
