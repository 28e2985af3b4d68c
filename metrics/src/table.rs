//! The table of all metrics: names, kinds, units, labels and what they mean.
//!
//! Names follow the naming rules of the Prometheus documentation (base units, unit as suffix, `_total` on
//! counters). The `process_` rows are the ones that every Prometheus client library exports under these names.

use std::ops::RangeInclusive;

use crate::histogram::BOUNDS;

/// What kind of metric a row is, in the words of Prometheus.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only grows, from 0 at the start of the process.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Counts values by size.
    Histogram,
}

impl Kind {
    /// The kind's name, as in a `# TYPE` line.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        }
    }
}

/// What the numbers of a row are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// A number of things, named by the metric.
    Number,
    /// Seconds. Histograms take microseconds and show seconds.
    Seconds,
    /// Bytes.
    Bytes,
}

impl Unit {
    /// The unit's name in the reference.
    pub fn name(self) -> &'static str {
        match self {
            Unit::Number => "number",
            Unit::Seconds => "seconds",
            Unit::Bytes => "bytes",
        }
    }
}

/// How the numbers of several workers become one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Join {
    /// They are added.
    Sum,
    /// The largest holds.
    Max,
}

impl Join {
    /// What `one` and `two` become.
    pub(crate) fn of(self, one: u64, two: u64) -> u64 {
        match self {
            Join::Sum => one.saturating_add(two),
            Join::Max => one.max(two),
        }
    }
}

/// One metric.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// Its name in the Prometheus text.
    pub name: &'static str,
    /// Its kind.
    pub kind: Kind,
    /// Its unit.
    pub unit: Unit,
    /// Its labels, in the order in which a cell's index counts them: the last one varies fastest.
    pub labels: &'static [Label],
    /// How workers' numbers are joined.
    pub join: Join,
    /// What it says, in one sentence.
    pub help: &'static str,
}

/// Declares an enum of label values in the order of their indices.
macro_rules! values {
    ($(#[$meta:meta])* $list:ident { $($(#[$doc:meta])* $value:ident = $text:literal,)+ }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $list { $($(#[$doc])* $value,)+ }

        impl $list {
            /// The label's values; a variant's discriminant is its value's index.
            pub const VALUES: &'static [&'static str] = &[$($text,)+];
        }
    };
}

values! {
    /// The two sides of the proxy.
    Side {
        /// Sessions.
        Client = "client",
        /// Links.
        Upstream = "upstream",
    }
}

values! {
    /// What a link is used for.
    Lane {
        /// Small requests of many sessions.
        Shared = "shared",
        /// One large value at a time.
        Bulk = "bulk",
        /// One session owns the link.
        Pinned = "pinned",
        /// The proxy's own requests.
        Control = "control",
        /// It carries streams to another proxy.
        Framed = "framed",
    }
}

values! {
    /// Where a link is in its life.
    LinkState {
        /// Not connected, waits for its next attempt.
        Waiting = "waiting",
        /// The connection is being made.
        Connecting = "connecting",
        /// Connected; its first requests, which show what it may do, are not answered yet.
        Proving = "proving",
        /// Takes requests.
        Ready = "ready",
        /// Owes replies and says nothing; a fresh connection is tried beside it.
        Silent = "silent",
        /// Takes no new requests, waits for its last replies.
        Retiring = "retiring",
    }
}

values! {
    /// What buffered bytes wait for.
    Buffer {
        /// For the rest of a request; what is noted of requests counts here.
        Request = "request",
        /// For the EXEC of their transaction.
        Transaction = "transaction",
        /// For the next write of a link.
        Batch = "batch",
        /// For the reply after which a request need not be repeated any more.
        Retained = "retained",
        /// For a client that reads its replies.
        Reply = "reply",
    }
}

values! {
    /// Whether a repeated request's reply is the one it would have been.
    Repeat {
        /// It is.
        Same = "same",
        /// It tells how much was changed, which may be less the second time.
        MayDiffer = "may_differ",
    }
}

values! {
    /// What an instance says to a fence.
    Fence {
        /// It may not be told.
        Refused = "refused",
        /// Nothing of the lost link will be carried out any more.
        Confirmed = "confirmed",
    }
}

values! {
    /// How a connection is protected.
    Seal {
        /// TLS.
        Tls = "tls",
        /// As spiped does.
        Spiped = "spiped",
        /// Noise.
        Noise = "noise",
    }
}

values! {
    /// What became of a handshake.
    Handshake {
        /// The connection is sealed.
        Done = "done",
        /// The far end has another key.
        Key = "key",
        /// It speaks something else.
        Foreign = "foreign",
        /// It closed.
        Closed = "closed",
        /// It took too long.
        Late = "late",
        /// What arrived was tampered with.
        Forged = "forged",
        /// It broke the protocol.
        Protocol = "protocol",
        /// It does what is not allowed here.
        Refused = "refused",
        /// Its certificate is not what it should be.
        Certificate = "certificate",
        /// TLS does not come together.
        Tls = "tls",
        /// Something else.
        Broken = "broken",
    }
}

values! {
    /// What is limited, by the names of the options; see the configuration reference for what happens at each.
    Limit {
        /// Bytes of an unfinished request that one session holds.
        RequestBuffer = "request_buffer_max",
        /// Bytes of a transaction that one session holds.
        Multi = "multi_max",
        /// Unanswered requests of one session.
        SessionPending = "session_pending_max",
        /// Reply bytes that one session has not taken.
        SessionOutput = "session_output_max",
        /// Request bytes that one link has not taken.
        LinkOutput = "link_output_max",
        /// Bytes of the files in the spool.
        Spool = "spool_max",
        /// Bytes of requests that one worker holds because they are not answered.
        RetainTotal = "retain_total",
        /// Links for large values to one upstream.
        BulkLanes = "bulk_lanes",
        /// The same beyond these, while as many of them stand still.
        SpareLanes = "spare_lanes",
        /// Framed links of one worker to one peer.
        PeerLinks = "group.links",
        /// Bytes of one session that have come from another proxy and that nobody has taken.
        StreamWindow = "stream_window",
        /// The same of all sessions of one framed link.
        PeerWindow = "peer_window",
        /// Bytes that are kept of what was sent on a framed link, or held for one without a connection.
        Resume = "resume_max",
        /// Handshakes of clients that are under way at one worker.
        Handshakes = "handshakes_max",
        /// Bytes that one worker holds.
        Memory = "memory_max",
        /// Sessions that one framed link of one worker carries.
        Streams = "streams_max",
        /// Sessions of one worker.
        Sessions = "sessions_max",
    }
}

values! {
    /// What bounds a single request, by the names of the options.
    RequestLimit {
        /// Bytes of a key.
        Key = "key_max",
        /// Bytes of a request.
        Request = "request_max",
        /// Its arguments.
        Args = "args_max",
        /// Bytes from which on a value is large.
        Large = "large_min",
        /// Bytes below which a value is kept until it is answered.
        Retain = "retain_max",
    }
}

/// A label: its name, and where its values come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Label {
    /// [`Side`].
    Side,
    /// [`Lane`].
    Lane,
    /// [`LinkState`].
    LinkState,
    /// [`Buffer`].
    Buffer,
    /// [`Repeat`].
    Repeat,
    /// [`Fence`].
    Fence,
    /// [`Seal`].
    Seal,
    /// [`Handshake`].
    Handshake,
    /// [`Limit`].
    Limit,
    /// [`RequestLimit`].
    RequestLimit,
    /// Commands: [`Names::commands`](crate::Names::commands).
    Command,
    /// Configured upstreams: [`Names::upstreams`](crate::Names::upstreams).
    Upstream,
    /// Kinds of refusals: [`Names::refusals`](crate::Names::refusals).
    Refusal,
    /// Kinds of upstreams' error replies: [`Names::errors`](crate::Names::errors).
    Error,
    /// Reasons to close a session: [`Names::closes`](crate::Names::closes).
    Close,
    /// Other proxies: [`Names::peers`](crate::Names::peers).
    Peer,
    /// The program's version.
    Version,
}

impl Label {
    /// The label's name in the Prometheus text.
    pub fn name(self) -> &'static str {
        match self {
            Label::Side => "side",
            Label::Lane => "lane",
            Label::LinkState => "state",
            Label::Buffer => "buffer",
            Label::Repeat => "reply",
            Label::Fence => "outcome",
            Label::Seal => "seal",
            Label::Handshake => "result",
            Label::Limit | Label::RequestLimit => "limit",
            Label::Command => "command",
            Label::Upstream => "upstream",
            Label::Refusal | Label::Error => "kind",
            Label::Close => "reason",
            Label::Peer => "peer",
            Label::Version => "version",
        }
    }

    /// The label's values, where they are the same in every process.
    pub fn fixed(self) -> Option<&'static [&'static str]> {
        match self {
            Label::Side => Some(Side::VALUES),
            Label::Lane => Some(Lane::VALUES),
            Label::LinkState => Some(LinkState::VALUES),
            Label::Buffer => Some(Buffer::VALUES),
            Label::Repeat => Some(Repeat::VALUES),
            Label::Fence => Some(Fence::VALUES),
            Label::Seal => Some(Seal::VALUES),
            Label::Handshake => Some(Handshake::VALUES),
            Label::Limit => Some(Limit::VALUES),
            Label::RequestLimit => Some(RequestLimit::VALUES),
            _ => None,
        }
    }
}

/// Declares an enum of metrics and their rows together, so that neither can be without the other.
macro_rules! metrics {
    ($(#[$meta:meta])* $list:ident {
        $($metric:ident: $name:literal, $kind:ident, $unit:ident, [$($label:ident),*], $join:ident, $help:literal;)+
    }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $list { $(#[doc = $help] $metric,)+ }

        impl $list {
            /// All of them, in the order of their discriminants.
            pub const ALL: &'static [$list] = &[$($list::$metric,)+];

            /// Their rows, in the same order.
            pub const ROWS: &'static [Row] = &[$(Row {
                name: $name,
                kind: Kind::$kind,
                unit: Unit::$unit,
                labels: &[$(Label::$label,)*],
                join: Join::$join,
                help: $help,
            },)+];

            /// The metric's row.
            pub fn row(self) -> &'static Row {
                &Self::ROWS[self as usize]
            }
        }
    };
}

metrics! {
    /// Counters without labels.
    Counter {
        SessionsOpened: "pdw_sessions_opened_total", Counter, Number, [], Sum,
            "Client connections accepted.";
        SessionsTurnedAway: "pdw_sessions_turned_away_total", Counter, Number, [], Sum,
            "Client connections closed at once because a limit was reached.";
        ProtocolErrors: "pdw_protocol_errors_total", Counter, Number, [], Sum,
            "Sessions closed because what they sent is not the Redis protocol.";
        LoginsFailed: "pdw_logins_failed_total", Counter, Number, [], Sum,
            "Wrong passwords, and names that no user has, in `AUTH` and `HELLO`.";
        LoginsPostponed: "pdw_logins_postponed_total", Counter, Number, [], Sum,
            "Passwords that were not looked at because too many wrong ones had come from the same address.";
        Replies: "pdw_replies_total", Counter, Number, [], Sum,
            "Replies given to clients, refusals included.";
        RepliesDiscarded: "pdw_replies_discarded_total", Counter, Number, [], Sum,
            "Upstream replies that nobody waited for any more: their session was closed, or their deadline had passed.";
        LinksLost: "pdw_links_lost_total", Counter, Number, [], Sum,
            "Links that broke or were given up.";
        LinksResumed: "pdw_links_resumed_total", Counter, Number, [], Sum,
            "Links between proxies that broke and went on on a fresh connection, with all that was on them.";
        LinksRetired: "pdw_links_retired_total", Counter, Number, [], Sum,
            "Shared links closed to new requests because a large reply turned up on them or their upstream moved.";
        Sheds: "pdw_sheds_total", Counter, Number, [], Sum,
            "Sessions closed because the ceiling on memory was reached.";
        Silences: "pdw_link_silences_total", Counter, Number, [], Sum,
            "Times a link with unanswered requests was silent for so long that a fresh connection was tried beside it.";
        Stalls: "pdw_stalls_total", Counter, Number, [], Sum,
            "Sessions closed because a large value of theirs stood still while its link was wanted.";
        SpooledBytes: "pdw_spooled_bytes_total", Counter, Bytes, [], Sum,
            "Bytes of large requests that were kept in files of the spool.";
        SpoolFailures: "pdw_spool_failures_total", Counter, Number, [], Sum,
            "Files of the spool that could not be made, made larger, written or read.";
        LinkWrites: "pdw_link_writes_total", Counter, Number, [], Sum,
            "Writes to links.";
        Turns: "pdw_turns_total", Counter, Number, [], Sum,
            "Passes of the workers' event loops.";
        ScrapesIncomplete: "pdw_scrape_incomplete_total", Counter, Number, [], Sum,
            "Scrapes answered with older numbers of a worker that did not answer in time, or without any of it.";
    }
}

metrics! {
    /// Gauges without labels.
    Gauge {
        Workers: "pdw_workers", Gauge, Number, [], Sum,
            "Workers whose numbers this scrape contains.";
        Sessions: "pdw_sessions", Gauge, Number, [], Sum,
            "Sessions open now.";
        SessionsLimit: "pdw_sessions_limit", Gauge, Number, [], Sum,
            "Sessions that may be open at once.";
        RequestsInFlight: "pdw_requests_in_flight", Gauge, Number, [], Sum,
            "Client requests read and not answered yet.";
        SpoolFiles: "pdw_spool_files", Gauge, Number, [], Sum,
            "Files of the spool open now, one for each large request that is not answered.";
        LinkRequestsInFlight: "pdw_link_requests_in_flight", Gauge, Number, [], Sum,
            "Requests sent to upstreams and not answered yet, the proxy's own included.";
        HandshakesInProgress: "pdw_handshakes_in_progress", Gauge, Number, [], Sum,
            "Connections that are not sealed yet: clients' and links'.";
        SealBufferBytes: "pdw_seal_buffer_bytes", Gauge, Bytes, [], Sum,
            "Bytes that sealed connections hold of records that are not whole, or that the kernel has not taken.";
    }
}

metrics! {
    /// Counters and gauges with labels: every combination of the labels' values is a cell.
    Family {
        SessionsClosed: "pdw_sessions_closed_total", Counter, Number, [Close], Sum,
            "Sessions closed, by reason.";
        Requests: "pdw_requests_total", Counter, Number, [Command], Sum,
            "Requests read from clients, by command; a command appears with its first request.";
        Refusals: "pdw_refusals_total", Counter, Number, [Refusal], Sum,
            "Error replies that the proxy itself gave, by kind.";
        Errors: "pdw_upstream_errors_total", Counter, Number, [Error], Sum,
            "Error replies received from upstreams, by their first word.";
        Repeats: "pdw_repeats_total", Counter, Number, [Repeat], Sum,
            "Requests sent again because their link was lost, by whether the reply is the one it would have been: an integer may differ.";
        Retries: "pdw_retries_total", Counter, Number, [Error], Sum,
            "Error replies of upstreams that were not handed on because the request is tried again, by their first word.";
        Fences: "pdw_fences_total", Counter, Number, [Fence], Sum,
            "Lost links that an instance was told to forget before anything else was sent to it, by whether it did.";
        ReceivedBytes: "pdw_received_bytes_total", Counter, Bytes, [Side], Sum,
            "Bytes read from sockets: from clients (requests) and from upstreams (replies).";
        SentBytes: "pdw_sent_bytes_total", Counter, Bytes, [Side], Sum,
            "Bytes written to sockets: to clients (replies) and to upstreams (requests).";
        Links: "pdw_links", Gauge, Number, [Lane, LinkState], Sum,
            "Links, by lane and state.";
        PeerLinks: "pdw_peer_links", Gauge, Number, [Peer], Sum,
            "Framed links that other proxies have made to this one, by the name that they give themselves.";
        UpstreamPeerLinks: "pdw_upstream_peer_links", Gauge, Number, [Peer], Sum,
            "Framed links that this proxy has to others, by the name that they give themselves.";
        Streams: "pdw_streams", Gauge, Number, [Side], Sum,
            "Streams on framed links: of sessions of proxies below (client), and to proxies above (upstream).";
        LinkReconnects: "pdw_link_reconnects_total", Counter, Number, [Upstream], Sum,
            "Attempts to replace a lost link, by upstream.";
        UpstreamUp: "pdw_upstream_up", Gauge, Number, [Upstream], Max,
            "Whether a worker has a link that takes requests for this upstream: 1 or 0.";
        SealedConnections: "pdw_sealed_connections", Gauge, Number, [Seal, Side], Sum,
            "Sealed connections: of clients, and to upstreams.";
        Handshakes: "pdw_handshakes_total", Counter, Number, [Seal, Handshake], Sum,
            "Handshakes of sealed connections that have come to an end, by what became of them.";
        BufferBytes: "pdw_buffer_bytes", Gauge, Bytes, [Buffer], Sum,
            "Bytes held in buffers, by what they wait for.";
        Limit: "pdw_limit", Gauge, Number, [Limit], Max,
            "Limits of one worker, by the names of their options; `memory_max` is its share.";
        LimitUsed: "pdw_limit_used", Gauge, Number, [Limit], Max,
            "How much of each limit is used now: by the session, the link, the upstream or the worker that uses most.";
        RequestLimit: "pdw_request_limit", Gauge, Number, [RequestLimit], Max,
            "Limits of a single request, by the names of their options.";
    }
}

metrics! {
    /// Histograms.
    Histogram {
        RequestDuration: "pdw_request_duration_seconds", Histogram, Seconds, [], Sum,
            "Time from the read that completed a request to the reply's being handed to the client's socket.";
        LinkWriteRequests: "pdw_link_write_requests", Histogram, Number, [], Sum,
            "Requests that one write to a link carries.";
        HandshakeDuration: "pdw_handshake_duration_seconds", Histogram, Seconds, [], Sum,
            "Time from a connection to its seal.";
    }
}

metrics! {
    /// Numbers of the process as a whole.
    ProcessNumber {
        BuildInfo: "pdw_build_info", Gauge, Number, [Version], Max,
            "Always 1; the label is the program's version.";
        MemoryLimitBytes: "pdw_memory_limit_bytes", Gauge, Bytes, [], Max,
            "Resident memory under which the process keeps itself.";
        Draining: "pdw_draining", Gauge, Number, [], Max,
            "Whether the process takes no new sessions and ends when the last one is gone: 1 or 0.";
        ReloadSuccessful: "pdw_reload_successful", Gauge, Number, [], Max,
            "Whether the configuration was taken when it was read again last: 1, also if it never was, or 0.";
        ConfigTime: "pdw_config_timestamp_seconds", Gauge, Seconds, [], Max,
            "When the configuration in force was read, in seconds since 1970-01-01 UTC.";
        StartTimeSeconds: "process_start_time_seconds", Gauge, Seconds, [], Max,
            "Start of the process, in seconds since 1970-01-01 UTC.";
        CpuSeconds: "process_cpu_seconds_total", Counter, Seconds, [], Max,
            "User and system time that the process has used.";
        ResidentMemoryBytes: "process_resident_memory_bytes", Gauge, Bytes, [], Max,
            "Resident memory.";
        OpenFds: "process_open_fds", Gauge, Number, [], Max,
            "Open file descriptors.";
        MaxFds: "process_max_fds", Gauge, Number, [], Max,
            "File descriptors that the process may have open.";
    }
}

impl Histogram {
    /// Which of the [`BOUNDS`](crate::BOUNDS) are shown; values below the first are counted there.
    pub const fn shown(self) -> RangeInclusive<usize> {
        match self {
            // 32 us to 67 s: from below a round trip on one machine to past the longest patience by default.
            Histogram::RequestDuration | Histogram::HandshakeDuration => 9..=51,
            // 1 to 4095 requests.
            Histogram::LinkWriteRequests => 1..=23,
        }
    }

    /// The bound number `index` as the label `le` says it.
    ///
    /// Durations are counted in whole microseconds, rounded down, so those below a bound are exactly those of lower
    /// buckets. Of numbers, the largest below the bound is the largest in the bucket.
    pub fn upper_bound(self, index: usize) -> f64 {
        match self.row().unit {
            Unit::Seconds => BOUNDS[index] as f64 / 1e6,
            Unit::Number | Unit::Bytes => (BOUNDS[index] - 1) as f64,
        }
    }
}

impl Seal {
    /// Index of the cell of [`Family::SealedConnections`] for connections on this side.
    pub const fn cell(seal: usize, side: Side) -> usize {
        seal * Side::VALUES.len() + side as usize
    }
}

impl Lane {
    /// Index of the cell of [`Family::Links`] for links of this lane in `state`.
    pub const fn cell(self, state: LinkState) -> usize {
        self as usize * LinkState::VALUES.len() + state as usize
    }
}

/// All rows, in the order of the reference and of a scrape.
pub fn rows() -> impl Iterator<Item = &'static Row> {
    [Counter::ROWS, Gauge::ROWS, Family::ROWS, Histogram::ROWS, ProcessNumber::ROWS].into_iter().flatten()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn names_are_unique() {
        let mut seen = HashSet::new();
        for row in rows() {
            assert!(seen.insert(row.name), "{} is there twice", row.name);
        }
    }

    #[test]
    fn names_are_lower_case_words_with_a_known_prefix() {
        for row in rows() {
            let words: Vec<&str> = row.name.split('_').collect();
            assert!(["pdw", "process"].contains(&words[0]), "{}", row.name);
            let well_formed = |word: &&str| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_lowercase());
            assert!(words.iter().all(well_formed), "{}", row.name);
        }
    }

    #[test]
    fn only_counters_end_in_total() {
        for row in rows() {
            assert_eq!(row.name.ends_with("_total"), row.kind == Kind::Counter, "{}", row.name);
        }
    }

    #[test]
    fn a_name_ends_with_its_unit() {
        for row in rows() {
            let name = row.name.trim_end_matches("_total");
            assert_eq!(name.ends_with("_bytes"), row.unit == Unit::Bytes, "{}", row.name);
            assert_eq!(name.ends_with("_seconds"), row.unit == Unit::Seconds, "{}", row.name);
        }
    }

    #[test]
    fn each_list_holds_its_kinds_only() {
        assert!(Counter::ROWS.iter().all(|row| row.kind == Kind::Counter && row.labels.is_empty()));
        assert!(Gauge::ROWS.iter().all(|row| row.kind == Kind::Gauge && row.labels.is_empty()));
        assert!(Histogram::ROWS.iter().all(|row| row.kind == Kind::Histogram && row.labels.is_empty()));
        assert!(Family::ROWS.iter().all(|row| row.kind != Kind::Histogram && !row.labels.is_empty()));
    }

    #[test]
    fn histograms_show_bounds_between_their_ends() {
        let ends = |histogram: Histogram| {
            let shown = histogram.shown();
            (histogram.upper_bound(*shown.start()), histogram.upper_bound(*shown.end()))
        };
        assert_eq!(ends(Histogram::RequestDuration), (0.000032, 67.108864));
        assert_eq!(ends(Histogram::LinkWriteRequests), (1.0, 4095.0));
    }

    #[test]
    fn help_is_a_sentence() {
        for row in rows() {
            assert!(row.help.ends_with('.') && row.help.starts_with(char::is_uppercase), "{}", row.name);
        }
    }

    /// Re-indexing a set for other names relies on it.
    #[test]
    fn a_label_whose_values_vary_is_its_familys_only_one() {
        for row in Family::ROWS {
            let varies = row.labels.iter().any(|label| label.fixed().is_none());
            assert!(!varies || row.labels.len() == 1, "{}", row.name);
        }
    }
}
