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
    /// Bytes of requests and replies that may be held at once; see `memory`.
    pub memory_max: usize,
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
            stall_max: Duration::from_secs(10),
            session_pending_max: 256,
            session_output_max: 1 << 20,
            link_output_max: 8 << 20,
            stream_window: 256 << 10,
            peer_window: 32 << 20,
            memory_max: 1 << 30,
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

impl Limits {
    /// The relations between limits that do not hold, each as a sentence that names the remedy.
    pub fn contradictions(&self) -> Vec<&'static str> {
        let rules = [
            (self.key_max <= self.request_buffer_max, "limits.key_max must be at most limits.request_buffer_max"),
            (
                self.request_buffer_max <= self.request_max,
                "limits.request_buffer_max must be at most limits.request_max",
            ),
            (self.bulk_lanes >= 1, "limits.bulk_lanes must be at least 1"),
            // Positions in a request are kept as 32-bit numbers.
            (self.request_max <= 1 << 31, "limits.request_max must be at most 2GiB"),
            (self.session_pending_max >= 1, "limits.session_pending_max must be at least 1"),
            (self.reconnect_min <= self.reconnect_max, "reconnect_min must be at most reconnect_max"),
            (self.retain_max <= self.retain_total, "limits.retain_max must be at most limits.retain_total"),
            (
                1 <= self.stream_window && self.stream_window <= self.peer_window,
                "limits.stream_window must be at most limits.peer_window",
            ),
            (self.probe_after <= self.link_dead, "probe_after must be at most link_dead"),
            (self.ping_interval < self.link_dead, "ping_interval must be below link_dead"),
        ];
        rules.iter().filter(|(holds, _)| !holds).map(|(_, sentence)| *sentence).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::Limits;

    #[test]
    fn the_defaults_do_not_contradict_each_other() {
        assert_eq!(Limits::default().contradictions(), Vec::<&str>::new());
    }

    #[test]
    fn a_contradiction_is_named() {
        let limits = Limits { key_max: 2 << 20, ..Limits::default() };
        assert_eq!(limits.contradictions(), ["limits.key_max must be at most limits.request_buffer_max"]);
    }
}
