//! Histograms whose buckets grow with their values: finding the bucket takes a few instructions.

/// Number of buckets: two per octave, the last one open.
pub const BUCKETS: usize = 64;

/// Where each bucket but the last ends, exclusive: the smallest value that lies above it.
///
/// Octave `k` is cut in half: bucket `2k` ends at `1.5 * 2^k`, bucket `2k + 1` at `2^(k + 1)`. Values 0 and 1 share
/// bucket 0, and bucket 1 is always empty. The last bound is `1.5 * 2^31`: 54 minutes in microseconds.
pub const BOUNDS: [u64; BUCKETS - 1] = {
    let mut bounds = [2; BUCKETS - 1];
    let mut bucket = 2;
    while bucket < bounds.len() {
        let octave = 1 << (bucket / 2);
        bounds[bucket] = if bucket % 2 == 0 { octave + octave / 2 } else { 2 * octave };
        bucket += 1;
    }
    bounds
};

/// Bucket that holds `value`: the two leading bits of the value tell it.
///
/// The router, which knows nothing of this crate, counts in the same buckets, so that its counts can be copied.
///
/// ```
/// let bucket = pdw_metrics::bucket_of(47);
/// assert_eq!((pdw_metrics::BOUNDS[bucket - 1], pdw_metrics::BOUNDS[bucket]), (32, 48));
/// ```
#[inline]
pub const fn bucket_of(value: u64) -> usize {
    if value < 2 {
        return 0;
    }
    let octave = value.ilog2();
    let half = (value >> (octave - 1)) as usize & 1;
    let bucket = 2 * octave as usize + half;
    if bucket < BUCKETS { bucket } else { BUCKETS - 1 }
}

/// Counts of integers by bucket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogHistogram {
    counts: [u64; BUCKETS],
    sum: u64,
}

impl Default for LogHistogram {
    fn default() -> LogHistogram {
        LogHistogram { counts: [0; BUCKETS], sum: 0 }
    }
}

impl LogHistogram {
    /// Counts one `value`.
    #[inline]
    pub fn observe(&mut self, value: u64) {
        self.counts[bucket_of(value)] += 1;
        self.sum = self.sum.saturating_add(value);
    }

    /// Replaces the content by `counts` of each bucket (missing ones are 0, further ones are added to the last) and
    /// the `sum` of all values.
    pub fn replace(&mut self, counts: &[u64], sum: u64) {
        self.counts = [0; BUCKETS];
        for (index, count) in counts.iter().enumerate() {
            self.counts[index.min(BUCKETS - 1)] += count;
        }
        self.sum = sum;
    }

    /// Adds what `other` has counted.
    pub fn merge(&mut self, other: &LogHistogram) {
        for (mine, theirs) in self.counts.iter_mut().zip(&other.counts) {
            *mine = mine.saturating_add(*theirs);
        }
        self.sum = self.sum.saturating_add(other.sum);
    }

    /// How many values each bucket holds.
    pub fn counts(&self) -> &[u64; BUCKETS] {
        &self.counts
    }

    /// Number of values.
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// Sum of all values, in their own unit.
    pub fn sum(&self) -> u64 {
        self.sum
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_falls_into_the_first_bucket_whose_bound_is_above_it() {
        let edges = BOUNDS.iter().flat_map(|bound| [bound - 1, *bound, bound + 1]);
        for value in edges.chain(0..5000).chain([u64::MAX - 1, u64::MAX]) {
            let expected = BOUNDS.iter().position(|&bound| value < bound).unwrap_or(BUCKETS - 1);
            assert_eq!(bucket_of(value), expected, "{value}");
        }
    }

    #[test]
    fn there_are_two_bounds_in_each_octave() {
        assert_eq!(BOUNDS[..10], [2, 2, 3, 4, 6, 8, 12, 16, 24, 32]);
        assert_eq!(BOUNDS[BUCKETS - 2], 3 << 30);
    }

    #[test]
    fn merging_adds_every_bucket_and_the_sum() {
        let mut one = LogHistogram::default();
        let mut two = LogHistogram::default();
        one.observe(1);
        one.observe(2);
        two.observe(2);
        two.observe(u64::from(u32::MAX));
        one.merge(&two);
        assert_eq!(one.counts()[..4], [1, 0, 2, 0]);
        assert_eq!(one.counts()[BUCKETS - 1], 1);
        assert_eq!((one.count(), one.sum()), (4, 5 + u64::from(u32::MAX)));
    }

    #[test]
    fn replacing_keeps_no_older_value_and_loses_no_newer_one() {
        let mut histogram = LogHistogram::default();
        histogram.observe(1);
        histogram.replace(&[1; BUCKETS + 5], 99);
        assert_eq!(histogram.count(), BUCKETS as u64 + 5);
        assert_eq!(histogram.counts()[BUCKETS - 1], 6);
        assert_eq!(histogram.sum(), 99);
    }
}
