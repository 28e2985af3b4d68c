//! What is known of one key: which versions may be in it.

use std::collections::BTreeSet;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use super::content::Content;
use crate::connection::encode;
use crate::reply::Value;

/// How a version is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    /// `SET`.
    Plain,
    /// As pdwfs writes a whole stripe: `MULTI`, `SADD`, `SET`, `EXEC`.
    Stripe,
    /// As pdwfs writes a part of one: `MULTI`, `SADD`, `SETRANGE`, `EXEC`.
    Range,
}

/// One key, which one writer owns.
#[derive(Debug)]
pub(super) struct Track {
    file: String,
    number: u32,
    size: usize,
    manner: Manner,
    /// The latest version that may have been sent.
    begun: AtomicU64,
    /// The latest version that was acknowledged.
    acknowledged: AtomicU64,
    /// The earliest version that may still be seen.
    floor: AtomicU64,
    /// Versions of which the proxy said that they were not sent.
    unsent: Mutex<BTreeSet<u64>>,
}

impl Track {
    pub(super) fn new(file: &str, number: u32, size: usize, manner: Manner) -> Track {
        let (file, [begun, acknowledged, floor]) = (file.to_owned(), [0, 0, 0].map(AtomicU64::new));
        Track { file, number, size, manner, begun, acknowledged, floor, unsent: Mutex::default() }
    }

    /// The key.
    pub(super) fn key(&self) -> String {
        format!("{}:{}", self.file, self.number)
    }

    /// Begins the next version: its number, its request, and how many replies that has.
    pub(super) fn begin(&self) -> (u64, Vec<u8>, usize) {
        let version = self.begun.fetch_add(1, Ordering::SeqCst) + 1;
        let value = Content { key: self.number, version, size: self.size }.bytes();
        let key = self.key();
        let set = match self.manner {
            Manner::Plain => return (version, encode(&[b"SET", key.as_bytes(), &value]), 1),
            Manner::Stripe => encode(&[b"SET", key.as_bytes(), &value]),
            Manner::Range => encode(&[b"SETRANGE", key.as_bytes(), b"0", &value]),
        };
        let add = encode(&["SADD", &format!("{}:stripes", self.file), &self.number.to_string()]);
        (version, [encode(&["MULTI"]), add, set, encode(&["EXEC"])].concat(), 4)
    }

    /// Notes what became of `version`; the error if it was not acknowledged.
    pub(super) fn settle(&self, version: u64, replies: &[Value]) -> Result<(), String> {
        let inner = replies.last().map(Value::elements).unwrap_or_default();
        if let Some(text) = replies.iter().chain(inner).find_map(Value::error) {
            if text.contains("was not sent") {
                self.denied().insert(version);
            }
            return Err(text);
        }
        if !self.is_right(replies.last()) {
            return Err(format!("the answer was {:?}", replies.last()));
        }
        self.acknowledged.store(version, Ordering::SeqCst);
        self.floor.fetch_max(version, Ordering::SeqCst);
        Ok(())
    }

    /// Whether this acknowledges a write; `SADD` may say 0 or 1.
    fn is_right(&self, last: Option<&Value>) -> bool {
        let fine = Value::Simple(b"OK".to_vec());
        match (self.manner, last.map(Value::elements)) {
            (Manner::Plain, _) => last == Some(&fine),
            (Manner::Stripe, Some([Value::Integer(0 | 1), set])) => *set == fine,
            (Manner::Range, Some([Value::Integer(0 | 1), set])) => set.integer() == Some(self.size as i64),
            _ => false,
        }
    }

    /// What a reader must know before it asks.
    pub(super) fn floor(&self) -> u64 {
        self.floor.load(Ordering::SeqCst)
    }

    /// Holds what a reader found against what it must find, having noted `floor` before it asked.
    pub(super) fn check(&self, floor: u64, value: &Value) -> Result<u64, String> {
        let latest = self.begun.load(Ordering::SeqCst);
        let found = match value {
            Value::Bulk(None) => 0,
            Value::Bulk(Some(bytes)) => self.meant(floor, Content::recognise(self.number, self.size, bytes, latest)?),
            other => return Err(format!("is no string: {other:?}")),
        };
        if found < floor {
            return Err(format!("went back from version {floor} to {found}"));
        }
        if self.denied().contains(&found) {
            return Err(format!("is version {found}, which was said not to have been sent"));
        }
        self.floor.fetch_max(found, Ordering::SeqCst);
        Ok(found)
    }

    /// The latest version that a value can be, and may.
    fn meant(&self, floor: u64, found: Content) -> u64 {
        let denied = self.denied();
        let possible = std::iter::successors(Some(found), |later| later.earlier()).map(|content| content.version);
        possible
            .take_while(|version| *version >= floor)
            .find(|version| !denied.contains(version))
            .unwrap_or(found.version)
    }

    /// Whether the file's set of stripes must have this one in it, and asks with which request.
    pub(super) fn membership(&self) -> Option<(Vec<u8>, String)> {
        let written = self.acknowledged.load(Ordering::SeqCst) > 0 && self.manner != Manner::Plain;
        let set = format!("{}:stripes", self.file);
        written.then(|| (encode(&["SISMEMBER", &set, &self.number.to_string()]), set))
    }

    fn denied(&self) -> std::sync::MutexGuard<'_, BTreeSet<u64>> {
        self.unsent.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether a connection was closed, rather than merely silent.
pub(super) fn is_closed(error: &io::Error) -> bool {
    error.kind() != io::ErrorKind::TimedOut && error.kind() != io::ErrorKind::WouldBlock
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ok() -> Value {
        Value::Simple(b"OK".to_vec())
    }

    fn value(version: u64) -> Value {
        Value::Bulk(Some(Content { key: 0, version, size: 20 }.bytes()))
    }

    fn refusal(text: &str) -> Value {
        Value::Error(text.as_bytes().to_vec())
    }

    /// Three versions: acknowledged, unknown, begun.
    fn track() -> Track {
        let track = Track::new("/f", 0, 20, Manner::Plain);
        let first = track.begin().0;
        track.settle(first, &[ok()]).unwrap();
        let second = track.begin().0;
        track.settle(second, &[refusal("ERR ... may or may not have been carried out")]).unwrap_err();
        track.begin();
        track
    }

    #[test]
    fn what_is_unknown_may_be_there_or_not_until_it_was_seen() {
        let track = track();
        assert_eq!(track.check(track.floor(), &value(1)), Ok(1));
        assert_eq!(track.check(track.floor(), &value(2)), Ok(2));
        assert!(track.check(track.floor(), &value(1)).unwrap_err().contains("went back"));
    }

    #[test]
    fn what_was_acknowledged_must_not_be_missing() {
        let track = track();
        assert!(track.check(track.floor(), &Value::Bulk(None)).unwrap_err().contains("went back"));
        track.settle(3, &[ok()]).unwrap();
        assert!(track.check(track.floor(), &value(2)).unwrap_err().contains("went back"));
        assert_eq!(track.check(track.floor(), &value(3)), Ok(3));
    }

    #[test]
    fn what_was_not_sent_must_not_be_there() {
        let track = track();
        track.settle(3, &[refusal("ERR upstream is not available; the request was not sent")]).unwrap_err();
        assert!(track.check(track.floor(), &value(3)).unwrap_err().contains("not to have been sent"));
    }

    #[test]
    fn a_short_value_is_given_the_benefit_of_the_doubt() {
        let track = Track::new("/f", 0, 1, Manner::Plain);
        track.settle(track.begin().0, &[ok()]).unwrap();
        for _ in 0..256 {
            track.settle(track.begin().0, &[refusal("ERR the request was not sent")]).unwrap_err();
        }
        let first = Value::Bulk(Some(vec![1]));
        assert_eq!(track.check(track.floor(), &first), Ok(1));
    }

    #[test]
    fn an_error_inside_exec_is_no_acknowledgement() {
        let track = Track::new("/f", 0, 20, Manner::Stripe);
        let version = track.begin().0;
        let executed = Value::Array(Some(vec![refusal("WRONGTYPE x"), ok()]));
        track.settle(version, &[ok(), ok(), ok(), executed]).unwrap_err();
        track.settle(version, &[ok(), ok(), ok(), Value::Array(None)]).unwrap_err();
        let executed = |length| Value::Array(Some(vec![Value::Integer(0), Value::Integer(length)]));
        let range = Track::new("/f", 0, 20, Manner::Range);
        let version = range.begin().0;
        range.settle(version, &[ok(), ok(), ok(), executed(21)]).unwrap_err();
        assert_eq!((track.floor(), range.floor()), (0, 0));
        range.settle(version, &[ok(), ok(), ok(), executed(20)]).unwrap();
    }
}
