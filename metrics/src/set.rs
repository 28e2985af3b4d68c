//! A worker's numbers.

use std::sync::Arc;

use crate::histogram::LogHistogram;
use crate::names::{Names, OTHER};
use crate::table::{Counter, Family, Gauge, Histogram, Join};

/// All numbers of one worker, or of several after [`WorkerSet::merge`].
///
/// Plain integers: counting takes no lock, no atomic operation and no allocation. Only the owner writes; others
/// get a clone.
#[derive(Clone, Debug, PartialEq)]
pub struct WorkerSet {
    names: Arc<Names>,
    counters: [u64; Counter::ALL.len()],
    gauges: [u64; Gauge::ALL.len()],
    families: [Cells; Family::ALL.len()],
    histograms: [LogHistogram; Histogram::ALL.len()],
}

/// The cells of a family, then one more for indices without a name.
#[derive(Clone, Debug, PartialEq)]
struct Cells(Vec<u64>);

impl Cells {
    fn new(family: Family, names: &Names) -> Cells {
        let cells: usize = family.row().labels.iter().map(|&label| names.count(label)).product();
        Cells(vec![0; cells + 1])
    }

    fn at(&mut self, index: usize) -> Option<&mut u64> {
        let last = self.0.len().saturating_sub(1);
        self.0.get_mut(index.min(last))
    }

    fn merge(&mut self, join: Join, other: &Cells) {
        for (mine, &theirs) in self.0.iter_mut().zip(&other.0) {
            *mine = join.of(*mine, theirs);
        }
    }
}

impl WorkerSet {
    /// A set of zeros whose labels have the values `names`.
    pub fn new(names: Arc<Names>) -> WorkerSet {
        WorkerSet {
            counters: [0; Counter::ALL.len()],
            gauges: [0; Gauge::ALL.len()],
            families: std::array::from_fn(|index| Cells::new(Family::ALL[index], &names)),
            histograms: std::array::from_fn(|_| LogHistogram::default()),
            names,
        }
    }

    /// The values of its labels.
    pub fn names(&self) -> &Names {
        &self.names
    }

    /// Adds `by` to a counter.
    #[inline]
    pub fn count(&mut self, counter: Counter, by: u64) {
        self.counters[counter as usize] += by;
    }

    /// Replaces a counter's value by one counted elsewhere.
    pub fn set_counter(&mut self, counter: Counter, value: u64) {
        self.counters[counter as usize] = value;
    }

    /// A counter's value.
    pub fn counter(&self, counter: Counter) -> u64 {
        self.counters[counter as usize]
    }

    /// Sets a gauge.
    #[inline]
    pub fn set(&mut self, gauge: Gauge, value: u64) {
        self.gauges[gauge as usize] = value;
    }

    /// A gauge's value.
    pub fn gauge(&self, gauge: Gauge) -> u64 {
        self.gauges[gauge as usize]
    }

    /// Adds `by` to cell `index` of a family. An index without a name is counted as `other`.
    #[inline]
    pub fn count_labelled(&mut self, family: Family, index: usize, by: u64) {
        if let Some(cell) = self.families[family as usize].at(index) {
            *cell += by;
        }
    }

    /// Replaces the value of cell `index` of a family. An index without a name is shown as `other`.
    pub fn set_labelled(&mut self, family: Family, index: usize, value: u64) {
        if let Some(cell) = self.families[family as usize].at(index) {
            *cell = value;
        }
    }

    /// Replaces all cells of a family by `values` in the order of their indices: missing ones are 0, those without
    /// a name are added up as `other`.
    pub fn set_family(&mut self, family: Family, values: &[u64]) {
        self.families[family as usize].0.fill(0);
        for (index, &value) in values.iter().enumerate() {
            self.count_labelled(family, index, value);
        }
    }

    /// The cells of a family in the order of their indices, the last one being `other`.
    pub fn family(&self, family: Family) -> &[u64] {
        &self.families[family as usize].0
    }

    /// Counts one value: microseconds where the histogram shows seconds.
    #[inline]
    pub fn observe(&mut self, histogram: Histogram, value: u64) {
        self.histograms[histogram as usize].observe(value);
    }

    /// Replaces a histogram by one counted elsewhere with the same buckets: `counts` of each bucket, and the `sum`
    /// of all values.
    pub fn set_histogram(&mut self, histogram: Histogram, counts: &[u64], sum: u64) {
        self.histograms[histogram as usize].replace(counts, sum);
    }

    /// A histogram.
    pub fn histogram(&self, histogram: Histogram) -> &LogHistogram {
        &self.histograms[histogram as usize]
    }

    /// Adds the numbers of `other`. Cells meet by the names of their labels, so workers may differ in these.
    pub fn merge(&mut self, other: &WorkerSet) {
        if Arc::ptr_eq(&self.names, &other.names) || self.names == other.names {
            return self.merge_same(other);
        }
        let names = Arc::new(self.names.union(&other.names));
        *self = self.renamed(&names);
        self.merge_same(&other.renamed(&names));
    }

    fn merge_same(&mut self, other: &WorkerSet) {
        add(&mut self.counters, &other.counters);
        add(&mut self.gauges, &other.gauges);
        for ((family, mine), theirs) in Family::ALL.iter().zip(&mut self.families).zip(&other.families) {
            mine.merge(family.row().join, theirs);
        }
        for (mine, theirs) in self.histograms.iter_mut().zip(&other.histograms) {
            mine.merge(theirs);
        }
    }

    /// The same numbers with every name once. Cells of one name, which would be two series with the same labels
    /// and so spoil the whole scrape, become one.
    pub(crate) fn with_distinct_names(&self) -> WorkerSet {
        self.renamed(&Arc::new(self.names.union(&Names::default())))
    }

    /// The same numbers under `names`, which must contain all names of this set.
    fn renamed(&self, names: &Arc<Names>) -> WorkerSet {
        let mut renamed = WorkerSet { families: WorkerSet::new(names.clone()).families, ..self.clone() };
        renamed.names = names.clone();
        for &family in Family::ALL {
            let join = family.row().join;
            for (index, &value) in self.family(family).iter().enumerate() {
                let index = self.new_index(family, index, names);
                if let Some(cell) = renamed.families[family as usize].at(index) {
                    *cell = join.of(*cell, value);
                }
            }
        }
        renamed
    }

    /// Where cell `index` of a family lies in a set with `names`; past the end for what has no name.
    fn new_index(&self, family: Family, index: usize, names: &Names) -> usize {
        let unnamed = index + 1 == self.family(family).len();
        match family.row().labels {
            [label] if label.fixed().is_none() => {
                let name = Some(self.names.value(*label, index)).filter(|name| !unnamed && !name.is_empty());
                let name = name.unwrap_or(OTHER);
                names.of(*label).iter().position(|other| other == name).unwrap_or(usize::MAX)
            }
            _ => index,
        }
    }
}

fn add(mine: &mut [u64], theirs: &[u64]) {
    for (mine, theirs) in mine.iter_mut().zip(theirs) {
        *mine = mine.saturating_add(*theirs);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::{Lane, LinkState};

    fn named(commands: &[&str], upstreams: &[&str]) -> WorkerSet {
        let owned = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
        WorkerSet::new(Arc::new(Names { commands: owned(commands), upstreams: owned(upstreams), ..Names::default() }))
    }

    #[test]
    fn merging_sums_every_sort_of_number() {
        let mut one = named(&["get", "set"], &[]);
        one.count(Counter::Turns, 2);
        one.set(Gauge::Sessions, 5);
        one.count_labelled(Family::Requests, 1, 7);
        one.set_labelled(Family::Links, Lane::Bulk.cell(LinkState::Ready), 3);
        one.observe(Histogram::LinkWriteRequests, 4);
        let mut sum = one.clone();
        sum.merge(&one);
        assert_eq!(sum.counter(Counter::Turns), 4);
        assert_eq!(sum.gauge(Gauge::Sessions), 10);
        assert_eq!(sum.family(Family::Requests), [0, 14, 0]);
        assert_eq!(sum.family(Family::Links)[Lane::Bulk.cell(LinkState::Ready)], 6);
        assert_eq!(sum.histogram(Histogram::LinkWriteRequests).sum(), 8);
    }

    #[test]
    fn an_upstream_that_two_workers_reach_is_up_once() {
        let mut one = named(&[], &["a", "b"]);
        one.set_labelled(Family::UpstreamUp, 0, 1);
        let mut both = one.clone();
        both.merge(&one);
        assert_eq!(both.family(Family::UpstreamUp), [1, 0, 0]);
    }

    #[test]
    fn workers_with_other_names_meet_by_name() {
        let mut one = named(&["get", "set"], &["a"]);
        one.set_family(Family::Requests, &[1, 2]);
        let mut two = named(&["set", "del"], &[]);
        two.set_family(Family::Requests, &[10, 20]);
        two.count(Counter::Turns, 1);
        one.merge(&two);
        assert_eq!(one.names().commands, ["get", "set", "del"]);
        assert_eq!(one.family(Family::Requests), [1, 12, 20, 0]);
        assert_eq!(one.family(Family::UpstreamUp).len(), 2);
        assert_eq!(one.counter(Counter::Turns), 1);
    }

    #[test]
    fn an_index_without_a_name_is_counted_as_other() {
        let mut one = named(&["get"], &[]);
        one.count_labelled(Family::Requests, 1, 1);
        one.count_labelled(Family::Requests, 500, 1);
        assert_eq!(one.family(Family::Requests), [0, 2]);
        let two = named(&["get", "set"], &[]);
        one.merge(&two);
        assert_eq!(one.family(Family::Requests), [0, 0, 2]);
    }

    #[test]
    fn cells_of_one_name_become_one() {
        let mut one = named(&["get", "other", "get"], &["a", "a"]);
        one.set_family(Family::Requests, &[1, 2, 4, 8]);
        one.set_family(Family::UpstreamUp, &[1, 1]);
        let distinct = one.with_distinct_names();
        assert_eq!(distinct.names().commands, ["get", "other"]);
        assert_eq!(distinct.family(Family::Requests), [5, 10, 0]);
        assert_eq!(distinct.family(Family::UpstreamUp), [1, 0]);
    }

    #[test]
    fn cells_without_a_name_become_one_whatever_others_are_called() {
        let mut one = named(&["", "get", "other"], &[""]);
        one.set_family(Family::Requests, &[1, 2, 4, 8]);
        one.set_family(Family::UpstreamUp, &[1]);
        let distinct = one.with_distinct_names();
        assert_eq!(distinct.names().commands, ["get", "other"]);
        assert_eq!(distinct.family(Family::Requests), [2, 13, 0]);
        assert_eq!((distinct.names().upstreams.len(), distinct.family(Family::UpstreamUp)), (0, &[1][..]));
    }

    #[test]
    fn setting_a_family_replaces_all_its_cells() {
        let mut one = named(&["get", "set"], &[]);
        one.set_family(Family::Requests, &[1, 2, 3, 4]);
        assert_eq!(one.family(Family::Requests), [1, 2, 7]);
        one.set_family(Family::Requests, &[9]);
        assert_eq!(one.family(Family::Requests), [9, 0, 0]);
    }

    #[test]
    fn numbers_counted_elsewhere_replace_older_ones() {
        let mut one = named(&[], &[]);
        for value in [5, 6] {
            one.set_counter(Counter::Replies, value);
            one.set_histogram(Histogram::RequestDuration, &[value, 1], value * 10);
        }
        assert_eq!(one.counter(Counter::Replies), 6);
        assert_eq!(one.histogram(Histogram::RequestDuration).count(), 7);
        assert_eq!(one.histogram(Histogram::RequestDuration).sum(), 60);
    }

    #[test]
    fn each_lane_and_state_has_a_cell_of_its_own() {
        let lanes = [Lane::Shared, Lane::Bulk, Lane::Pinned, Lane::Control, Lane::Framed];
        use LinkState::{Connecting, Proving, Ready, Retiring, Silent, Waiting};
        let states = [Waiting, Connecting, Proving, Ready, Silent, Retiring];
        let cells: Vec<usize> = lanes.iter().flat_map(|lane| states.map(|state| lane.cell(state))).collect();
        assert_eq!(cells, (0..30).collect::<Vec<_>>());
    }
}
