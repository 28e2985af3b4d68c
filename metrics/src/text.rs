//! The Prometheus text of a merged set.

use prometheus::TextEncoder;
use prometheus::proto::{self, LabelPair, Metric, MetricFamily, MetricType};

use crate::histogram::LogHistogram;
use crate::names::OTHER;
use crate::process::Process;
use crate::set::WorkerSet;
use crate::table::{Counter, Family, Gauge, Histogram, Kind, Label, ProcessNumber, Row, Unit};

/// Content type of [`text`]: the Prometheus text format, version 0.0.4.
pub const CONTENT_TYPE: &str = prometheus::TEXT_FORMAT;

/// Why there is no text.
#[derive(Debug, thiserror::Error)]
pub enum TextError {
    /// The encoder refused a metric.
    #[error("the metrics cannot be written as text ({0}); this is a mistake in pdw-proxy, please report it")]
    Encoder(#[from] prometheus::Error),
}

/// All metrics in the Prometheus text format, in the order of the table.
///
/// Series of commands that were never used are left out; every other series is always there, so that a first
/// increase is seen as one.
///
/// # Errors
/// [`TextError`] if the encoder refuses a metric, which only a mistake in the table can cause.
pub fn text(set: &WorkerSet, process: &Process) -> Result<String, TextError> {
    let set = &set.with_distinct_names();
    let counters = Counter::ALL.iter().map(|&counter| plain(counter.row(), set.counter(counter) as f64));
    let gauges = Gauge::ALL.iter().map(|&gauge| plain(gauge.row(), set.gauge(gauge) as f64));
    let families = Family::ALL.iter().map(|&family| labelled(family, set));
    let histograms = Histogram::ALL.iter().map(|&histogram| buckets(histogram, set.histogram(histogram)));
    let numbers = ProcessNumber::ALL.iter().map(|&number| process_number(number, process));
    let all = counters.chain(gauges).chain(families).chain(histograms).chain(numbers);
    // The encoder takes a family without a series for a mistake.
    let shown: Vec<MetricFamily> = all.filter(|family| !family.get_metric().is_empty()).collect();
    Ok(TextEncoder::new().encode_to_string(&shown)?)
}

fn family_of(row: &Row, series: Vec<Metric>) -> MetricFamily {
    let mut family = MetricFamily::default();
    family.set_name(row.name.to_owned());
    family.set_help(row.help.to_owned());
    family.set_field_type(match row.kind {
        Kind::Counter => MetricType::COUNTER,
        Kind::Gauge => MetricType::GAUGE,
        Kind::Histogram => MetricType::HISTOGRAM,
    });
    family.set_metric(series);
    family
}

fn plain(row: &Row, value: f64) -> MetricFamily {
    family_of(row, vec![series(row.kind, Vec::new(), value)])
}

fn series(kind: Kind, labels: Vec<LabelPair>, value: f64) -> Metric {
    let mut metric = Metric::from_label(labels);
    if kind == Kind::Counter {
        let mut counter = proto::Counter::default();
        counter.set_value(value);
        metric.set_counter(counter);
    } else {
        let mut gauge = proto::Gauge::default();
        gauge.set_value(value);
        metric.set_gauge(gauge);
    }
    metric
}

fn labelled(family: Family, set: &WorkerSet) -> MetricFamily {
    let row = family.row();
    let cells = set.family(family);
    let hide_zeros = row.labels.contains(&Label::Command);
    let shown = cells.iter().enumerate().filter(|&(index, &value)| {
        let other = index + 1 == cells.len();
        value > 0 || !(hide_zeros || other)
    });
    let series = shown.map(|(index, &value)| series(row.kind, labels_of(row, set, index), value as f64));
    family_of(row, series.collect())
}

/// The labels of cell `index`. Past the last combination of values: the cell for what has no name.
fn labels_of(row: &Row, set: &WorkerSet, index: usize) -> Vec<LabelPair> {
    let mut rest = index;
    let mut labels: Vec<LabelPair> = Vec::with_capacity(row.labels.len());
    for &label in row.labels.iter().rev() {
        let values = set.names().count(label).max(1);
        labels.push(pair(label, set.names().value(label, rest % values)));
        rest /= values;
    }
    if rest > 0 || labels.iter().any(|label| label.value().is_empty()) {
        return row.labels.iter().map(|&label| pair(label, OTHER)).collect();
    }
    labels.reverse();
    labels
}

fn pair(label: Label, value: &str) -> LabelPair {
    let mut pair = LabelPair::default();
    pair.set_name(label.name().to_owned());
    pair.set_value(value.to_owned());
    pair
}

fn buckets(which: Histogram, counted: &LogHistogram) -> MetricFamily {
    let bucket = |index: usize| {
        let mut bucket = proto::Bucket::default();
        bucket.set_upper_bound(which.upper_bound(index));
        bucket.set_cumulative_count(counted.counts()[..=index].iter().sum());
        bucket
    };
    let in_microseconds = which.row().unit == Unit::Seconds;
    let mut histogram = proto::Histogram::default();
    histogram.set_bucket(which.shown().map(bucket).collect());
    histogram.set_sample_count(counted.count());
    histogram.set_sample_sum(counted.sum() as f64 / if in_microseconds { 1e6 } else { 1.0 });
    let mut metric = Metric::default();
    metric.set_histogram(histogram);
    family_of(which.row(), vec![metric])
}

fn process_number(number: ProcessNumber, process: &Process) -> MetricFamily {
    let row = number.row();
    let labels = || row.labels.iter().map(|&label| pair(label, process.version())).collect();
    let series = process.get(number).map(|value| series(row.kind, labels(), value));
    family_of(row, series.into_iter().collect())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::names::Names;
    use crate::table::{Lane, LinkState, Side};

    fn set() -> WorkerSet {
        let names = Names {
            commands: vec!["get".into(), "set".into()],
            upstreams: vec!["10.0.0.1:6379".into(), "/run/a \"b\".sock".into()],
            refusals: vec!["crossslot".into()],
            ..Names::default()
        };
        WorkerSet::new(Arc::new(names))
    }

    fn lines(set: &WorkerSet) -> Vec<String> {
        text(set, &Process::new("1.2.3")).unwrap().lines().map(str::to_owned).collect()
    }

    fn has(set: &WorkerSet, line: &str) -> bool {
        lines(set).iter().any(|other| other == line)
    }

    #[test]
    fn a_command_appears_with_its_first_request() {
        let mut set = set();
        assert!(!lines(&set).iter().any(|line| line.contains("pdw_requests_total")));
        set.count_labelled(Family::Requests, 1, 3);
        assert!(has(&set, "pdw_requests_total{command=\"set\"} 3"));
        assert!(!lines(&set).iter().any(|line| line.contains("command=\"get\"")));
    }

    #[test]
    fn series_other_than_commands_are_there_from_the_start() {
        let set = set();
        assert!(has(&set, "pdw_refusals_total{kind=\"crossslot\"} 0"));
        assert!(has(&set, "pdw_links{lane=\"bulk\",state=\"ready\"} 0"));
        assert!(has(&set, "pdw_sent_bytes_total{side=\"client\"} 0"));
        assert!(!lines(&set).iter().any(|line| line.contains(OTHER)));
    }

    #[test]
    fn each_cell_carries_the_labels_of_its_index() {
        let mut set = set();
        set.set_labelled(Family::Links, Lane::Pinned.cell(LinkState::Proving), 4);
        set.set_labelled(Family::SentBytes, Side::Upstream as usize, 9);
        assert!(has(&set, "pdw_links{lane=\"pinned\",state=\"proving\"} 4"));
        assert!(has(&set, "pdw_sent_bytes_total{side=\"upstream\"} 9"));
    }

    #[test]
    fn what_has_no_name_is_shown_as_other() {
        let mut set = set();
        set.count_labelled(Family::Requests, 2, 5);
        set.set_labelled(Family::Links, 99, 6);
        set.count_labelled(Family::SessionsClosed, 0, 7);
        assert!(has(&set, "pdw_requests_total{command=\"other\"} 5"));
        assert!(has(&set, "pdw_links{lane=\"other\",state=\"other\"} 6"));
        assert!(has(&set, "pdw_sessions_closed_total{reason=\"other\"} 7"));
    }

    #[test]
    fn label_values_are_escaped() {
        assert!(has(&set(), "pdw_upstream_up{upstream=\"/run/a \\\"b\\\".sock\"} 0"));
    }

    #[test]
    fn histograms_of_durations_take_microseconds_and_show_seconds() {
        let mut set = set();
        for micros in [31, 47, 48, 1_000_000, 100_000_000] {
            set.observe(Histogram::RequestDuration, micros);
        }
        assert!(has(&set, "pdw_request_duration_seconds_bucket{le=\"0.000032\"} 1"));
        assert!(has(&set, "pdw_request_duration_seconds_bucket{le=\"0.000048\"} 2"));
        assert!(has(&set, "pdw_request_duration_seconds_bucket{le=\"67.108864\"} 4"));
        assert!(has(&set, "pdw_request_duration_seconds_bucket{le=\"+Inf\"} 5"));
        assert!(has(&set, "pdw_request_duration_seconds_sum 101.000126"));
        assert!(has(&set, "pdw_request_duration_seconds_count 5"));
    }

    #[test]
    fn a_number_is_counted_under_its_own_bound() {
        let mut set = set();
        for requests in [1, 2, 3] {
            set.observe(Histogram::LinkWriteRequests, requests);
        }
        for (bound, below) in [("1", 1), ("2", 2), ("3", 3), ("5", 3)] {
            assert!(has(&set, &format!("pdw_link_write_requests_bucket{{le=\"{bound}\"}} {below}")), "{bound}");
        }
    }

    #[test]
    fn only_known_numbers_of_the_process_are_shown() {
        let mut process = Process::new("1.2.3");
        process.set(ProcessNumber::OpenFds, 12.0);
        let text = text(&set(), &process).unwrap();
        assert!(text.contains("\npdw_build_info{version=\"1.2.3\"} 1\n"));
        assert!(text.contains("\nprocess_open_fds 12\n"));
        assert!(!text.contains("process_max_fds"));
    }

    #[test]
    fn every_row_of_the_table_can_be_seen() {
        let mut set = set();
        set.count_labelled(Family::Requests, 0, 1);
        set.count_labelled(Family::SessionsClosed, 0, 1);
        set.count_labelled(Family::Errors, 0, 1);
        set.count_labelled(Family::Retries, 0, 1);
        set.set_labelled(Family::PeerLinks, 0, 1);
        set.set_labelled(Family::UpstreamPeerLinks, 0, 1);
        let mut process = Process::new("1");
        for &number in ProcessNumber::ALL {
            process.set(number, 1.0);
        }
        let text = text(&set, &process).unwrap();
        for row in crate::table::rows() {
            assert!(text.contains(&format!("# TYPE {} {}\n", row.name, row.kind.name())), "{}", row.name);
        }
    }
}
