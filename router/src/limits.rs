//! Every limit of the core, in one place, with the relations between them.
//!
//! What happens at each limit is told in `docs/configuration.md`.

use std::time::Duration;

/// Bounds of one worker's core. Sizes are bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Longest key. A request with a longer one is refused.
    pub key_max: usize,
    /// Longest request that has to be whole: to be split over shards, or before it is known where it goes. A longer
    /// one is refused as soon as that shows, and its rest skipped. Of a gathered reply, too, so much is held.
    pub request_buffer_max: usize,
    /// Longest request at all. Of a longer one the rest is skipped and it is refused.
    pub request_max: usize,
    /// Most arguments of a request.
    pub args_max: usize,
    /// Bytes of a transaction that are held; a larger one begins at its instance before its EXEC.
    pub multi_max: usize,
    /// A value of at least this size is large: it passes through a Bulk lane and is never held.
    pub large_min: usize,
    /// Longest request that is kept to be sent again if its link is lost.
    pub retain_max: usize,
    /// Bytes of unsent and kept requests of all links past which sessions are not read.
    pub retain_total: usize,
    /// Bytes of requests that may be in files at once, where there is a spool.
    pub spool_max: usize,
    /// Bulk lanes of a worker to each upstream.
    pub bulk_lanes: usize,
    /// The same beyond these, while as many of them stand still.
    pub spare_lanes: usize,
    /// How long a large value may stand still while others wait for its link.
    pub stall_max: Duration,
    /// Unanswered requests of a session past which it is not read.
    pub session_pending_max: usize,
    /// Unwritten reply bytes of a session past which it is not read.
    pub session_output_max: usize,
    /// Unsent request bytes of a link past which sessions that address it are not read.
    pub link_output_max: usize,
    /// Bytes that a stream between proxies may be ahead of who takes them.
    pub stream_window: usize,
    /// The same of all streams of a framed link together.
    pub peer_window: usize,
    /// Bytes that each end of a framed link keeps of what it has sent, and holds while the link has no connection.
    pub resume_max: usize,
    /// Bytes of requests and replies that may be held at once; see `memory`.
    pub memory_max: usize,
    /// Sessions that one framed link carries past which new ones are refused.
    pub streams_max: usize,
    /// Sessions of a worker past which new ones are refused.
    pub sessions_max: usize,
    /// How long a request may be kept before its client is answered with a refusal.
    pub patience: Duration,
    /// First pause before a lost link is opened again; doubles up to `reconnect_max`.
    pub reconnect_min: Duration,
    /// Longest pause before a lost link is opened again.
    pub reconnect_max: Duration,
    /// How long a link may take to be connected and proven.
    pub connect_timeout: Duration,
    /// After this long without a request, a link is tried with a PING.
    pub ping_interval: Duration,
    /// With requests unanswered and nothing arriving for this long, a fresh connection is tried beside a link.
    pub probe_after: Duration,
    /// With requests unanswered and nothing arriving for this long, a link is given up.
    pub link_dead: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            key_max: 64 << 10,
            request_buffer_max: 1 << 20,
            request_max: 1 << 30,
            args_max: 1 << 20,
            multi_max: 1 << 20,
            large_min: 128 << 10,
            retain_max: 1 << 20,
            retain_total: 256 << 20,
            spool_max: 4 << 30,
            bulk_lanes: 2,
            spare_lanes: 30,
            stall_max: Duration::from_secs(10),
            session_pending_max: 192,
            session_output_max: 1 << 20,
            link_output_max: 8 << 20,
            stream_window: 256 << 10,
            peer_window: 32 << 20,
            resume_max: 4 << 20,
            memory_max: 1 << 30,
            streams_max: 25_000,
            sessions_max: 100_000,
            patience: Duration::from_secs(60),
            reconnect_min: Duration::from_millis(50),
            reconnect_max: Duration::from_millis(600),
            connect_timeout: Duration::from_secs(5),
            ping_interval: Duration::from_secs(30),
            probe_after: Duration::from_secs(1),
            link_dead: Duration::from_secs(120),
        }
    }
}

/// A limit, by the name of its option.
#[derive(Clone, Copy, Debug)]
pub struct Named<T> {
    /// As in a configuration file.
    pub option: &'static str,
    /// Where it is.
    pub of: fn(&Limits) -> T,
}

/// One limit has to be at most as much as another, or less.
#[derive(Clone, Copy, Debug)]
pub struct Relation<T> {
    /// The smaller one.
    pub low: Named<T>,
    /// Whether they may be equal.
    pub equal: bool,
    /// The larger one.
    pub high: Named<T>,
    /// Why, as the end of a sentence.
    pub why: &'static str,
}

impl<T: PartialOrd> Relation<T> {
    /// Whether these limits are so.
    pub fn holds(&self, limits: &Limits) -> bool {
        let (low, high) = ((self.low.of)(limits), (self.high.of)(limits));
        low < high || self.equal && low == high
    }

    /// "is" of the one to the other.
    pub fn word(&self) -> &'static str {
        if self.equal { "at most" } else { "less than" }
    }

    fn broken(&self, limits: &Limits) -> Option<String> {
        let Self { low, high, why, .. } = self;
        (!self.holds(limits)).then(|| format!("{} must be {} {}: {why}", low.option, self.word(), high.option))
    }
}

/// A limit and its option.
macro_rules! named {
    ($group:literal, $field:ident) => {
        Named { option: concat!($group, ".", stringify!($field)), of: |limits| limits.$field }
    };
}

/// How sizes relate.
pub const SIZES: [Relation<usize>; 4] = [
    Relation {
        low: named!("limits", key_max),
        equal: true,
        high: named!("limits", request_buffer_max),
        why: "a request that is split must hold at least one key",
    },
    Relation {
        low: named!("limits", request_buffer_max),
        equal: true,
        high: named!("limits", request_max),
        why: "a request that is split is a request",
    },
    Relation {
        low: named!("limits", retain_max),
        equal: true,
        high: named!("limits", retain_total),
        why: "what may be kept of one request must fit in what is kept of all",
    },
    Relation {
        low: named!("limits", stream_window),
        equal: true,
        high: named!("limits", peer_window),
        why: "a stream's bytes are on a link",
    },
];

/// How times relate.
pub const DURATIONS: [Relation<Duration>; 4] = [
    Relation {
        low: named!("times", reconnect_min),
        equal: true,
        high: named!("times", reconnect_max),
        why: "the pause grows from the one to the other",
    },
    Relation {
        low: named!("times", probe_after),
        equal: true,
        high: named!("times", link_dead),
        why: "another connection is tried before a link is given up",
    },
    // Both are counted from when a link was last heard.
    Relation {
        low: named!("times", ping_interval),
        equal: false,
        high: named!("times", link_dead),
        why: "a link must be asked before it is given up",
    },
    Relation {
        low: named!("times", connect_timeout),
        equal: true,
        high: named!("times", patience),
        why: "a request must outlast one attempt to connect",
    },
];

impl Limits {
    /// What of these limits the core cannot work with: relations that do not hold and bounds that are passed, each as a
    /// sentence that names the remedy.
    pub fn contradictions(&self) -> Vec<String> {
        let sizes = SIZES.iter().filter_map(|relation| relation.broken(self));
        let durations = DURATIONS.iter().filter_map(|relation| relation.broken(self));
        sizes.chain(durations).chain(self.out_of_bounds().map(str::to_owned)).collect()
    }

    /// The bounds that are passed, whatever the other limits are.
    pub fn out_of_bounds(&self) -> impl Iterator<Item = &'static str> {
        let bounds = [
            (self.bulk_lanes >= 1, "limits.bulk_lanes must be at least 1"),
            // Positions in a request are kept as 32-bit numbers.
            (self.request_max <= 1 << 31, "limits.request_max must be at most 2GiB"),
            (self.session_pending_max >= 1, "limits.session_pending_max must be at least 1"),
            (self.streams_max >= 1, "limits.streams_max must be at least 1"),
            (self.stream_window >= 1, "limits.stream_window must be at least 1"),
        ];
        bounds.into_iter().filter(|(holds, _)| !holds).map(|(_, sentence)| sentence)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_do_not_contradict_each_other() {
        assert_eq!(Limits::default().contradictions(), Vec::<String>::new());
    }

    #[test]
    fn a_contradiction_is_named() {
        let limits = Limits { key_max: 2 << 20, bulk_lanes: 0, ..Limits::default() };
        let relation = "limits.key_max must be at most limits.request_buffer_max: a request that is split must hold at least one key";
        assert_eq!(limits.contradictions(), [relation, "limits.bulk_lanes must be at least 1"]);
    }

    #[test]
    fn a_link_is_asked_before_it_is_given_up() {
        let asked_after = |ping_interval| Limits { ping_interval, ..Limits::default() }.contradictions().len();
        let dead = Limits::default().link_dead;
        assert_eq!((asked_after(dead), asked_after(dead - Duration::from_millis(1))), (1, 0));
    }
}
