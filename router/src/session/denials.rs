//! What was denied of late: `ACL LOG`.

use std::collections::VecDeque;
use std::time::Duration;

use crate::resp::write;
use crate::time::Time;

/// Entries that are kept, as Redis does unless told otherwise.
const ENTRIES_MAX: usize = 128;
/// Entries among which a similar one is looked for, and for how long it is similar.
const LOOK_BACK: usize = 10;
const GROUPING: Duration = Duration::from_secs(60);
/// Bytes of a key or name that are kept.
const TEXT_MAX: usize = 1024;

/// Something that was denied.
#[derive(Debug)]
pub(crate) struct Denial {
    /// `command`, `key`, `channel` or `auth`.
    pub(crate) reason: &'static str,
    /// `toplevel` or `multi`.
    pub(crate) context: &'static str,
    /// The command, key or channel.
    pub(crate) object: Vec<u8>,
    pub(crate) user: Vec<u8>,
    /// The session, as `CLIENT INFO` shows it.
    pub(crate) client: String,
    pub(crate) when: Time,
    pub(crate) count: i64,
}

impl Denial {
    fn is_like(&self, other: &Self) -> bool {
        (self.reason, self.context, &self.object, &self.user)
            == (other.reason, other.context, &other.object, &other.user)
            && other.when.since(self.when) <= GROUPING
    }
}

/// What was denied of late, the newest first.
#[derive(Debug, Default)]
pub(crate) struct Denials(VecDeque<Denial>);

impl Denials {
    /// Adds one, to a similar one if there is one.
    pub(crate) fn add(&mut self, mut denial: Denial) {
        for text in [&mut denial.object, &mut denial.user] {
            text.truncate(TEXT_MAX);
            text.shrink_to_fit();
        }
        let similar = self.0.iter().take(LOOK_BACK).position(|old| old.is_like(&denial));
        if let Some(old) = similar.and_then(|at| self.0.remove(at)) {
            denial.count += old.count;
        }
        self.0.push_front(denial);
        self.0.truncate(ENTRIES_MAX);
    }

    /// `ACL LOG RESET`
    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }

    /// `ACL LOG count`
    pub(crate) fn write(&self, count: usize, now: Time, out: &mut Vec<u8>) {
        write::array(out, count.min(self.0.len()));
        self.0.iter().take(count).for_each(|denial| denial.write(now, out));
    }
}

impl Denial {
    fn write(&self, now: Time, out: &mut Vec<u8>) {
        let age = now.since(self.when).as_millis() as f64 / 1000.0;
        write::array(out, 14);
        write::bulk(out, b"count");
        write::integer(out, self.count);
        for (name, value) in [
            ("reason", self.reason.as_bytes()),
            ("context", self.context.as_bytes()),
            ("object", &self.object),
            ("username", &self.user),
            ("age-seconds", age.to_string().as_bytes()),
            ("client-info", self.client.as_bytes()),
        ] {
            write::bulk(out, name.as_bytes());
            write::bulk(out, value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn denial(object: &str, seconds: u64) -> Denial {
        Denial {
            reason: "key",
            context: "toplevel",
            object: object.into(),
            user: b"bob".to_vec(),
            client: String::new(),
            when: Time::default().after(Duration::from_secs(seconds)),
            count: 1,
        }
    }

    #[test]
    fn similar_ones_are_counted_together_and_the_newest_comes_first() {
        let mut denials = Denials::default();
        for (object, seconds) in [("a", 0), ("b", 1), ("a", 2), ("a", 100)] {
            denials.add(denial(object, seconds));
        }
        let counts: Vec<_> = denials.0.iter().map(|one| (one.object.as_slice(), one.count)).collect();
        assert_eq!(counts, [(b"a".as_slice(), 1), (b"a", 2), (b"b", 1)]);
    }

    #[test]
    fn no_flood_fills_the_memory() {
        let mut denials = Denials::default();
        (0..1000).for_each(|n| denials.add(denial(&n.to_string().repeat(1000), 0)));
        assert_eq!(denials.0.len(), ENTRIES_MAX);
        assert!(denials.0.iter().all(|one| one.object.capacity() <= 2 * TEXT_MAX));
    }
}
