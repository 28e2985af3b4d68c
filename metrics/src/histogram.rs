//! Histograms whose buckets grow by powers of two: finding the bucket takes a few instructions.

/// Where the buckets of a histogram end: the first bound is `2^first_log2`, and every octave from there on is cut
/// into `2^steps_log2` equal parts.
///
/// A bucket holds the values up to and including its bound, as the label `le` of Prometheus means it. The bucket
/// after the last bound holds everything above.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scale {
    /// Binary logarithm of the first bound; at least `steps_log2`, so that every bound is an integer.
    pub first_log2: u32,
    /// Binary logarithm of the number of buckets in an octave.
    pub steps_log2: u32,
    /// Number of bounds: one less than the number of buckets.
    pub bounds: usize,
}

impl Scale {
    /// Microseconds from 32 us to 67 s, two buckets an octave: 32, 48, 64, 96, 128 ...
    pub const LATENCY: Scale = Scale { first_log2: 5, steps_log2: 1, bounds: 43 };

    /// Numbers from 1 to 4096, one bucket an octave: 1, 2, 4, 8 ...
    pub const NUMBER: Scale = Scale { first_log2: 0, steps_log2: 0, bounds: 13 };

    /// Number of buckets, the one without bound included.
    pub const fn buckets(self) -> usize {
        self.bounds + 1
    }

    /// Index of the bucket that holds `value`.
    pub const fn bucket_of(self, value: u64) -> usize {
        if value <= 1 << self.first_log2 {
            return 0;
        }
        // A bound belongs to the bucket below it, hence the one less.
        let below = value - 1;
        let octave = below.ilog2();
        let step = (below >> (octave - self.steps_log2)) as usize & ((1 << self.steps_log2) - 1);
        let bucket = (((octave - self.first_log2) as usize) << self.steps_log2) + step + 1;
        if bucket < self.bounds { bucket } else { self.bounds }
    }

    /// Upper bound of bucket `index`, which must be below [`Scale::bounds`].
    pub const fn bound(self, index: usize) -> u64 {
        let octave = self.first_log2 + (index >> self.steps_log2) as u32;
        let step = (index & ((1 << self.steps_log2) - 1)) as u64;
        (1 << octave) + (step << (octave - self.steps_log2))
    }
}

/// Bucket of the latency histogram that holds a duration of `micros` microseconds.
///
/// ```
/// assert_eq!(pdw_metrics::bucket_of(48), 1);
/// assert_eq!(pdw_metrics::BOUNDS[1], 48);
/// ```
pub const fn bucket_of(micros: u64) -> usize {
    Scale::LATENCY.bucket_of(micros)
}

/// Upper bounds of the latency histogram in microseconds.
pub const BOUNDS: [u64; Scale::LATENCY.bounds] = {
    let mut bounds = [0; Scale::LATENCY.bounds];
    let mut index = 0;
    while index < bounds.len() {
        bounds[index] = Scale::LATENCY.bound(index);
        index += 1;
    }
    bounds
};

/// Room for the buckets of the largest scale.
const ROOM: usize = Scale::LATENCY.buckets();

/// A histogram of integers over the buckets of a [`Scale`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogHistogram {
    scale: Scale,
    counts: [u64; ROOM],
    sum: u64,
}

impl LogHistogram {
    /// An empty histogram. Buckets of `scale` beyond those of [`Scale::LATENCY`] fall together into the last.
    pub const fn new(scale: Scale) -> LogHistogram {
        LogHistogram { scale, counts: [0; ROOM], sum: 0 }
    }

    /// Where its buckets end.
    pub fn scale(&self) -> Scale {
        self.scale
    }

    /// Counts one `value`.
    #[inline]
    pub fn observe(&mut self, value: u64) {
        self.counts[self.scale.bucket_of(value).min(ROOM - 1)] += 1;
        self.sum = self.sum.saturating_add(value);
    }

    /// Replaces the content by `counts` of each bucket (missing ones are 0, those beyond the last bucket are
    /// added to it) and the `sum` of all values.
    pub fn replace(&mut self, counts: &[u64], sum: u64) {
        self.counts = [0; ROOM];
        let last = self.scale.buckets() - 1;
        for (index, count) in counts.iter().enumerate() {
            self.counts[index.min(last)] += count;
        }
        self.sum = sum;
    }

    /// Adds what `other`, of the same scale, has counted.
    pub fn merge(&mut self, other: &LogHistogram) {
        debug_assert_eq!(self.scale, other.scale, "histograms of different scales cannot be added");
        for (mine, theirs) in self.counts.iter_mut().zip(&other.counts) {
            *mine += theirs;
        }
        self.sum = self.sum.saturating_add(other.sum);
    }

    /// How many values each bucket holds.
    pub fn counts(&self) -> &[u64] {
        &self.counts[..self.scale.buckets()]
    }

    /// Number of values.
    pub fn count(&self) -> u64 {
        self.counts().iter().sum()
    }

    /// Sum of all values, in their own unit.
    pub fn sum(&self) -> u64 {
        self.sum
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The bucket by the definition: the first whose bound is not below the value.
    fn bucket_by_search(scale: Scale, value: u64) -> usize {
        (0..scale.bounds).find(|&index| value <= scale.bound(index)).unwrap_or(scale.bounds)
    }

    #[test]
    fn a_value_falls_into_the_first_bucket_whose_bound_is_not_below_it() {
        for scale in [Scale::LATENCY, Scale::NUMBER] {
            let edges = (0..scale.bounds).flat_map(|index| {
                let bound = scale.bound(index);
                [bound - 1, bound, bound + 1]
            });
            for value in edges.chain(0..5000).chain([u64::MAX, u64::MAX - 1]) {
                assert_eq!(scale.bucket_of(value), bucket_by_search(scale, value), "{value} on {scale:?}");
            }
        }
    }

    #[test]
    fn latency_bounds_reach_from_32_microseconds_past_60_seconds() {
        assert_eq!(BOUNDS[..6], [32, 48, 64, 96, 128, 192]);
        assert_eq!(BOUNDS[BOUNDS.len() - 1], 67_108_864);
        assert!(BOUNDS.is_sorted_by(|left, right| left < right));
    }

    #[test]
    fn number_bounds_tell_a_single_one_from_two() {
        let bounds: Vec<u64> = (0..Scale::NUMBER.bounds).map(|index| Scale::NUMBER.bound(index)).collect();
        assert_eq!(bounds[..4], [1, 2, 4, 8]);
        assert_eq!(bounds.last(), Some(&4096));
    }

    #[test]
    fn merging_adds_every_bucket_and_the_sum() {
        let mut one = LogHistogram::new(Scale::NUMBER);
        let mut two = LogHistogram::new(Scale::NUMBER);
        one.observe(1);
        one.observe(3);
        two.observe(4);
        two.observe(1_000_000);
        one.merge(&two);
        assert_eq!(one.counts()[..4], [1, 0, 2, 0]);
        assert_eq!(one.counts().last(), Some(&1));
        assert_eq!((one.count(), one.sum()), (4, 1_000_008));
    }

    #[test]
    fn replacing_keeps_no_older_value_and_loses_no_newer_one() {
        let mut histogram = LogHistogram::new(Scale::NUMBER);
        histogram.observe(1);
        let longer = [1; Scale::NUMBER.bounds + 6];
        histogram.replace(&longer, 99);
        assert_eq!(histogram.count(), longer.len() as u64);
        assert_eq!(histogram.counts().last(), Some(&6));
        assert_eq!(histogram.sum(), 99);
    }
}
