//! How the replies of a split request are joined: pure functions over whole replies.

use std::collections::HashSet;

use crate::order::LinkKey;
use crate::refusal::Refusal;
use crate::resp::{self, ReplyScan, write};

/// How the replies of the parts become one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Join {
    /// The first error, else the first reply (`all_succeeded`).
    #[default]
    AllSucceeded,
    /// The first reply that is no error, else the first error (`one_succeeded`).
    OneSucceeded,
    /// Sum of integers (`agg_sum`).
    Sum,
    /// Smallest integer (`agg_min`).
    Min,
    /// Largest integer (`agg_max`).
    Max,
    /// Logical AND, of integers or element by element of arrays (`agg_logical_and`).
    And,
    /// Logical OR, likewise (`agg_logical_or`).
    Or,
    /// All elements, each once, in any order: no response policy, no keys.
    Union,
    /// One element for every key or member, in the request's order: no response policy, keys.
    Interleave,
    /// Integers: the parts of one spread key count as the largest of them, and these are added up.
    Count,
    /// The cursor and elements of one shard, with a cursor that names the shard.
    Cursor(u16),
    /// Some reply that is not null.
    NotNil,
    /// The first status that is not `none` (TYPE of a spread key).
    NotNone,
}

/// A request whose parts are being answered.
#[derive(Debug, Default)]
pub(crate) struct Gather {
    join: Join,
    shards: u64,
    missing: usize,
    bytes: Vec<u8>,
    replies: Vec<Reply>,
    /// Woven: so many elements are handed on.
    woven: usize,
    /// Woven: its head is handed on.
    begun: bool,
    /// `Interleave`: which part answers each key. `Count`: which spread key each part is about, 0 for none.
    pub(crate) order: Vec<u16>,
    /// `Interleave`: how many keys each part answers, once that was asked.
    counts: Vec<u32>,
    /// Keys that were looked at for that.
    #[cfg(test)]
    looks: usize,
}

/// The reply of one part.
#[derive(Clone, Copy, Debug, Default)]
struct Reply {
    /// Where in the gather's bytes it is, or what of it is not handed on.
    start: usize,
    end: usize,
    /// It is too long to be held: its elements are taken from this link when they are due.
    flow: Option<LinkKey>,
}

/// What comes next of a woven reply.
pub(crate) enum Due<'a> {
    /// This element.
    Element(&'a [u8]),
    /// The next element of this link's reply.
    From(LinkKey),
    /// Nothing: that was all.
    Nothing,
}

impl Gather {
    /// Whether a part whose reply is too long to be held may be handed on element by element: this one must have
    /// `count` of them.
    pub(crate) fn may_flow(&mut self, part: u16, count: usize) -> bool {
        self.join == Join::Interleave && self.keys_of(part) == count
    }

    /// How many keys a part answers. Hardly ever is this asked, and then of many parts.
    fn keys_of(&mut self, part: u16) -> usize {
        if self.counts.is_empty() {
            self.counts.resize(self.replies.len(), 0);
            for part in &self.order {
                self.counts[usize::from(*part)] += 1;
                #[cfg(test)]
                (self.looks += 1);
            }
        }
        self.counts[usize::from(part)] as usize
    }

    /// Takes note of a part whose elements are taken from its link when they are due; whether it was the last that
    /// was missing.
    pub(crate) fn flow(&mut self, part: u16, link: LinkKey) -> bool {
        self.replies[usize::from(part)].flow = Some(link);
        self.missing -= 1;
        self.missing == 0
    }

    /// A part's link is lost before any of its elements was due: the part is missing again.
    pub(crate) fn dry_up(&mut self, part: u16) {
        self.replies[usize::from(part)].flow = None;
        self.missing += 1;
    }

    /// A part has no more elements.
    pub(crate) fn end_flow(&mut self, part: u16) {
        self.replies[usize::from(part)].flow = None;
    }

    /// The links that hold parts.
    pub(crate) fn flows(&self) -> impl Iterator<Item = LinkKey> + '_ {
        self.replies.iter().filter_map(|reply| reply.flow)
    }

    /// Begins to hand on element by element, unless a part that is here spoils it.
    pub(crate) fn begin_weaving(&mut self) -> bool {
        for part in 0..self.replies.len() {
            let whole = self.replies[part].flow.is_none();
            let count = if whole { resp::elements(self.reply(part)).count() } else { 0 };
            if whole && !self.may_flow(part as u16, count) {
                return false;
            }
        }
        (self.woven, self.begun) = (0, false);
        true
    }

    /// How many elements there are, the first time. Until then the parts that are held are whole: a link may be lost,
    /// and all of it gathered again.
    pub(crate) fn take_head(&mut self) -> Option<usize> {
        if std::mem::replace(&mut self.begun, true) {
            return None;
        }
        let bytes = &self.bytes;
        for reply in self.replies.iter_mut().filter(|reply| reply.flow.is_none()) {
            reply.start += resp::line(&bytes[reply.start..]).len() + 3;
        }
        Some(self.order.len())
    }

    /// Whether anything of it is handed on.
    pub(crate) fn has_begun(&self) -> bool {
        self.begun
    }

    /// What comes next.
    pub(crate) fn due(&self) -> Due<'_> {
        let Some(part) = self.order.get(self.woven) else { return Due::Nothing };
        let reply = self.replies[usize::from(*part)];
        if let Some(link) = reply.flow {
            return Due::From(link);
        }
        let rest = &self.bytes[reply.start..reply.end];
        let len = ReplyScan::default().scan(rest).ok().flatten();
        Due::Element(&rest[..len.unwrap_or(rest.len())])
    }

    /// The next element is handed on; it had so many bytes of those that are held.
    pub(crate) fn advance(&mut self, held: usize) {
        let reply = &mut self.replies[usize::from(self.order[self.woven])];
        reply.start = (reply.start + held).min(reply.end);
        self.woven += 1;
    }

    /// Begins to wait for `parts` replies.
    pub(crate) fn start(&mut self, join: Join, parts: usize, shards: usize) {
        self.join = join;
        self.shards = shards as u64;
        self.missing = parts;
        self.bytes.clear();
        self.replies.clear();
        self.replies.resize(parts, Reply::default());
        self.counts.clear();
        self.woven = 0;
    }

    /// Bytes of replies that it holds.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes.capacity()
    }

    /// Memory of what is noted of its parts, and of which part each key is in.
    pub(crate) fn record_bytes(&self) -> usize {
        size_of_val(&*self.replies) + size_of_val(&*self.order) + size_of_val(&*self.counts)
    }

    /// Takes the reply of one part; whether it was the last that was missing.
    pub(crate) fn accept(&mut self, part: u16, reply: &[u8]) -> bool {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(reply);
        self.replies[usize::from(part)] = Reply { start, end: self.bytes.len(), flow: None };
        self.missing -= 1;
        self.missing == 0
    }

    fn reply(&self, part: usize) -> &[u8] {
        let Reply { start, end, .. } = self.replies[part];
        &self.bytes[start..end]
    }

    fn all(&self) -> impl Iterator<Item = &[u8]> {
        (0..self.replies.len()).map(|part| self.reply(part))
    }

    /// Writes the joined reply.
    ///
    /// # Errors
    /// The replies do not fit together.
    pub(crate) fn finish(&self, out: &mut Vec<u8>) -> Result<(), Refusal> {
        let error = self.all().find(|reply| resp::is_error(reply));
        if let (Some(error), false) = (error, self.join == Join::OneSucceeded) {
            out.extend_from_slice(error);
            return Ok(());
        }
        let start = out.len();
        self.join(out).ok_or_else(|| {
            out.truncate(start);
            Refusal::Disagreement
        })
    }

    fn join(&self, out: &mut Vec<u8>) -> Option<()> {
        match self.join {
            Join::AllSucceeded => out.extend_from_slice(self.all().next()?),
            Join::OneSucceeded => {
                let good = self.all().find(|reply| !resp::is_error(reply));
                out.extend_from_slice(good.or_else(|| self.all().next())?);
            }
            Join::NotNil => self.pick(out, |reply| !resp::is_nil(reply))?,
            Join::NotNone => self.pick(out, |reply| reply != b"+none\r\n")?,
            Join::Sum => write::integer(out, self.sum()?),
            Join::Min => self.fold(out, i64::min)?,
            Join::Max => self.fold(out, i64::max)?,
            Join::And => self.fold_each(out, |a, b| i64::from(a != 0 && b != 0))?,
            Join::Or => self.fold_each(out, |a, b| i64::from(a != 0 || b != 0))?,
            Join::Union => self.union(out),
            Join::Interleave => self.interleave(out)?,
            Join::Count => write::integer(out, self.count()?),
            Join::Cursor(shard) => self.cursor(out, u64::from(shard))?,
        }
        Some(())
    }

    fn pick(&self, out: &mut Vec<u8>, wanted: impl Fn(&[u8]) -> bool) -> Option<()> {
        let found = self.all().find(|reply| wanted(reply));
        out.extend_from_slice(found.or_else(|| self.all().next())?);
        Some(())
    }

    /// Sums that no integer reply can hold do not occur between sound servers.
    fn sum(&self) -> Option<i64> {
        self.all().try_fold(0i64, |sum, reply| sum.checked_add(resp::integer(reply)?))
    }

    fn fold(&self, out: &mut Vec<u8>, both: impl Fn(i64, i64) -> i64) -> Option<()> {
        let mut value = None;
        for reply in self.all() {
            let next = resp::integer(reply)?;
            value = Some(value.map_or(next, |value| both(value, next)));
        }
        write::integer(out, value?);
        Some(())
    }

    /// `SCRIPT EXISTS` returns an array, so "logical AND" has to be taken element by element.
    fn fold_each(&self, out: &mut Vec<u8>, both: impl Fn(i64, i64) -> i64) -> Option<()> {
        if self.reply(0).first() != Some(&b'*') {
            return self.fold(out, both);
        }
        let mut values: Vec<i64> = resp::elements(self.reply(0)).map(resp::integer).collect::<Option<_>>()?;
        for reply in self.all().skip(1) {
            for (value, element) in values.iter_mut().zip(resp::elements(reply)) {
                *value = both(*value, resp::integer(element)?);
            }
        }
        write::array(out, values.len());
        values.iter().for_each(|value| write::integer(out, *value));
        Some(())
    }

    fn union(&self, out: &mut Vec<u8>) {
        let mut seen = HashSet::new();
        let distinct: Vec<&[u8]> =
            self.all().flat_map(resp::elements).filter(|element| seen.insert(*element)).collect();
        write::array(out, distinct.len());
        distinct.iter().for_each(|element| out.extend_from_slice(element));
    }

    fn interleave(&self, out: &mut Vec<u8>) -> Option<()> {
        let mut parts: Vec<_> = self.all().map(resp::elements).collect();
        write::array(out, self.order.len());
        for part in &self.order {
            out.extend_from_slice(parts[usize::from(*part)].next()?);
        }
        Some(())
    }

    fn count(&self) -> Option<i64> {
        let mut spread: Vec<i64> = Vec::new();
        let mut sum = 0i64;
        for (reply, key) in self.all().zip(&self.order) {
            let value = resp::integer(reply)?;
            let key = usize::from(*key);
            spread.resize(spread.len().max(key), 0);
            match key {
                0 => sum = sum.checked_add(value)?,
                _ => spread[key - 1] = spread[key - 1].max(value),
            }
        }
        spread.iter().try_fold(sum, |sum, value| sum.checked_add(*value))
    }

    fn cursor(&self, out: &mut Vec<u8>, shard: u64) -> Option<()> {
        let mut parts = resp::elements(self.reply(0));
        let (cursor, found) = (parts.next()?, parts.next()?);
        let inner: u64 = std::str::from_utf8(bulk_text(cursor)?).ok()?.parse().ok()?;
        write::array(out, 2);
        write::bulk(out, outer_cursor(inner, shard, self.shards)?.to_string().as_bytes());
        out.extend_from_slice(found);
        Some(())
    }
}

/// The text of a bulk string reply.
pub(crate) fn bulk_text(reply: &[u8]) -> Option<&[u8]> {
    let start = resp::line(reply).len() + 3;
    (reply.first() == Some(&b'$')).then(|| reply.get(start..reply.len() - 2)).flatten()
}

/// A cursor over all shards: the shard's own cursor and the shard in one number. A shard that is
/// through hands over to the next; after the last one the cursor is 0, as at the start.
///
/// `None`: the shard's cursor is too large to carry the shard's number.
fn outer_cursor(inner: u64, shard: u64, shards: u64) -> Option<u64> {
    match (inner, shard + 1 == shards) {
        (0, true) => Some(0),
        (0, false) => Some(shard + 1),
        _ => inner.checked_mul(shards)?.checked_add(shard),
    }
}

/// The shard and the shard's own cursor of a cursor over all shards.
pub(crate) fn inner_cursor(outer: u64, shards: usize) -> (u16, u64) {
    ((outer % shards as u64) as u16, outer / shards as u64)
}

#[cfg(test)]
mod tests;
