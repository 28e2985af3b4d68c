//! A worker's numbers, copied out of its router when somebody asks.

use std::collections::BTreeSet;
use std::sync::Arc;

use pdw_metrics::{
    Buffer, Counter, Family, Gauge, Histogram, Lane, Limit, LinkState, Names, RequestLimit, Side, WorkerSet,
};
use pdw_router::REFUSAL_KINDS;
use pdw_router::command::Table;
use pdw_router::stats::{CLOSE_REASONS, ERROR_WORDS, Holding, Stats};

use super::Worker;

/// Other proxies that are counted apart. What they call themselves is their affair, so there may be any number of names.
const PEERS_SHOWN: usize = 256;

/// Names for the numbers of all workers.
pub(crate) fn names(table: &Table, upstreams: impl Iterator<Item = String>) -> Names {
    let owned = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
    Names {
        commands: table.iter().map(|spec| spec.name.to_string()).collect(),
        upstreams: upstreams.collect(),
        refusals: owned(&REFUSAL_KINDS),
        errors: owned(&ERROR_WORDS),
        closes: owned(&CLOSE_REASONS),
        peers: Vec::new(),
    }
}

impl Worker {
    /// A copy of this worker's numbers.
    pub(super) fn numbers(&self) -> WorkerSet {
        let (below, above) = (self.router.below(), self.router.above());
        let mut set = WorkerSet::new(self.names_with(below.iter().chain(&above)));
        count_links(&mut set, Family::PeerLinks, &below);
        count_links(&mut set, Family::UpstreamPeerLinks, &above);
        set.set(Gauge::Workers, 1);
        set.set_counter(Counter::Turns, self.turns);
        counted(&mut set, self.router.stats());
        let holding = self.router.holding();
        held(&mut set, &holding);
        self.upstream_numbers(&mut set);
        self.limit_numbers(&mut set, &holding);
        self.copy_seal_numbers(&mut set);
        set
    }

    /// The names, those of other proxies included.
    fn names_with<'a>(&self, peers: impl Iterator<Item = &'a (String, usize)>) -> Arc<Names> {
        let peers: BTreeSet<&String> = peers.map(|(node, _)| node).collect();
        if peers.is_empty() {
            return Arc::clone(&self.names);
        }
        Arc::new(Names { peers: peers.into_iter().take(PEERS_SHOWN).cloned().collect(), ..(*self.names).clone() })
    }

    fn upstream_numbers(&self, set: &mut WorkerSet) {
        let ready: Vec<u64> = self.router.readiness().map(u64::from).collect();
        set.set_family(Family::UpstreamUp, &ready);
        let reconnects: Vec<u64> = self.router.reconnects().collect();
        set.set_family(Family::LinkReconnects, &reconnects);
    }

    fn limit_numbers(&self, set: &mut WorkerSet, holding: &Holding) {
        let limits = self.router.limits();
        set.set(Gauge::SessionsLimit, limits.sessions_max as u64);
        for (limit, most) in [
            (RequestLimit::Key, limits.key_max),
            (RequestLimit::Request, limits.request_max),
            (RequestLimit::Args, limits.args_max),
            (RequestLimit::Large, limits.large_min),
            (RequestLimit::Retain, limits.retain_max),
        ] {
            set.set_labelled(Family::RequestLimit, limit as usize, most as u64);
        }
        let peaks = self.router.peaks();
        let (handshakes, handshakes_max) = self.guests.begun();
        for (limit, most, used) in [
            (Limit::RequestBuffer, limits.request_buffer_max, peaks.request_bytes),
            (Limit::Multi, limits.multi_max, peaks.transaction_bytes),
            (Limit::SessionPending, limits.session_pending_max, peaks.session_pending),
            (Limit::SessionOutput, limits.session_output_max, peaks.session_output),
            (Limit::LinkOutput, limits.link_output_max, peaks.link_output),
            (Limit::Spool, limits.spool_max, holding.spooled_bytes as usize),
            (Limit::RetainTotal, limits.retain_total, holding.kept_bytes),
            (Limit::BulkLanes, limits.bulk_lanes, peaks.bulk_lanes.min(limits.bulk_lanes)),
            (Limit::SpareLanes, limits.spare_lanes, peaks.bulk_lanes.saturating_sub(limits.bulk_lanes)),
            (Limit::PeerLinks, self.router.peer_links_max(), peaks.peer_links),
            (Limit::StreamWindow, limits.stream_window, peaks.stream_window),
            (Limit::PeerWindow, limits.peer_window, peaks.peer_window),
            (Limit::Resume, limits.resume_max, peaks.resume),
            (Limit::Handshakes, handshakes_max, handshakes),
            (Limit::Memory, limits.memory_max, holding.bytes()),
            (Limit::Streams, limits.streams_max, peaks.streams),
            (Limit::Sessions, limits.sessions_max, holding.sessions),
        ] {
            set.set_labelled(Family::Limit, limit as usize, most as u64);
            set.set_labelled(Family::LimitUsed, limit as usize, used as u64);
        }
    }
}

/// Links to other proxies, by their names; of those that have none here, under `other`.
fn count_links(set: &mut WorkerSet, family: Family, peers: &[(String, usize)]) {
    for (node, links) in peers {
        let known = set.names().peers.binary_search(node).unwrap_or(usize::MAX);
        set.count_labelled(family, known, *links as u64);
    }
}

fn counted(set: &mut WorkerSet, stats: &Stats) {
    set.set_counter(Counter::SessionsOpened, stats.sessions_opened);
    set.set_counter(Counter::SessionsTurnedAway, stats.refused("too_many_sessions"));
    set.set_counter(Counter::ProtocolErrors, stats.protocol_errors);
    set.set_counter(Counter::LoginsFailed, stats.logins_failed);
    set.set_counter(Counter::LoginsPostponed, stats.logins_postponed);
    set.set_counter(Counter::Replies, stats.replies);
    set.set_counter(Counter::RepliesDiscarded, stats.discarded_replies);
    set.set_counter(Counter::LinksLost, stats.links_lost);
    set.set_counter(Counter::LinksResumed, stats.links_resumed);
    set.set_counter(Counter::LinksRetired, stats.links_retired);
    set.set_counter(Counter::Sheds, stats.sheds);
    set.set_counter(Counter::Silences, stats.silences);
    set.set_counter(Counter::SpooledBytes, stats.spooled_bytes);
    set.set_counter(Counter::SpoolFailures, stats.spool_failures);
    set.set_counter(Counter::Stalls, stats.stalls);
    set.set_counter(Counter::LinkWrites, stats.batch.counts.iter().sum());
    set.set_family(Family::Requests, &stats.requests);
    set.set_labelled(Family::Requests, usize::MAX, stats.unknown_requests);
    set.set_family(Family::Refusals, &stats.refusals);
    set.set_family(Family::SessionsClosed, &stats.sessions_closed);
    set.set_family(Family::Errors, &stats.upstream_errors);
    set.set_family(Family::Repeats, &stats.repeats);
    set.set_family(Family::Retries, &stats.retries);
    set.set_family(Family::Fences, &stats.fences);
    let bytes = &stats.bytes;
    set.set_labelled(Family::ReceivedBytes, Side::Client as usize, bytes.from_clients);
    set.set_labelled(Family::ReceivedBytes, Side::Upstream as usize, bytes.from_upstreams);
    set.set_labelled(Family::SentBytes, Side::Client as usize, bytes.to_clients);
    set.set_labelled(Family::SentBytes, Side::Upstream as usize, bytes.to_upstreams);
    set.set_histogram(Histogram::RequestDuration, &stats.latency.counts, stats.latency.sum);
    set.set_histogram(Histogram::LinkWriteRequests, &stats.batch.counts, stats.batch.sum);
}

fn held(set: &mut WorkerSet, holding: &Holding) {
    set.set(Gauge::Sessions, holding.sessions as u64);
    set.set(Gauge::RequestsInFlight, holding.pending as u64);
    set.set(Gauge::SealBufferBytes, holding.buffered_bytes as u64);
    set.set(Gauge::SpoolFiles, holding.spools as u64);
    set.set(Gauge::LinkRequestsInFlight, holding.in_flight as u64);
    use LinkState::{Connecting, Proving, Ready, Silent, Waiting};
    let states = [Waiting, Connecting, Proving, Ready, Silent];
    for (side, count) in [Side::Upstream, Side::Client].into_iter().zip(holding.streams) {
        set.set_labelled(Family::Streams, side as usize, count as u64);
    }
    for (lane, row) in [Lane::Shared, Lane::Bulk, Lane::Control, Lane::Framed].into_iter().zip(holding.links) {
        for (state, count) in states.into_iter().zip(row) {
            set.set_labelled(Family::Links, lane.cell(state), count as u64);
        }
    }
    for (buffer, bytes) in [
        (Buffer::Request, holding.request_bytes + holding.record_bytes),
        (Buffer::Transaction, holding.transaction_bytes),
        (Buffer::Batch, holding.batch_bytes - holding.retained_bytes),
        (Buffer::Retained, holding.retained_bytes),
        (Buffer::Reply, holding.reply_bytes),
    ] {
        set.set_labelled(Family::BufferBytes, buffer as usize, bytes as u64);
    }
}

#[cfg(test)]
mod tests {
    use pdw_metrics::{Limit, RequestLimit};

    use crate::config::options;

    #[test]
    fn every_limit_of_the_configuration_is_shown_with_its_maximum() {
        let shown = Limit::VALUES.iter().chain(RequestLimit::VALUES);
        let shown: Vec<String> = shown.map(|name| name.replace("group.", "")).collect();
        let limits = options::OPTIONS.iter().filter_map(|option| option.name.strip_prefix("limits."));
        let missing: Vec<&str> = limits.filter(|name| !shown.iter().any(|limit| limit == name)).collect();
        assert_eq!(missing, Vec::<&str>::new());
    }

    #[test]
    fn the_router_and_the_metrics_have_the_same_buckets() {
        for value in (0..100_000).chain([1 << 20, 1 << 26, u64::from(u32::MAX)]) {
            assert_eq!(pdw_router::stats::Histogram::bucket(value), pdw_metrics::bucket_of(value), "{value}");
        }
    }
}
