//! What the watchdog tells: one event a line.

use std::fmt;

/// A change in a member's life.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// The member has been started.
    Started {
        /// Its position.
        index: usize,
        /// Its process.
        pid: u32,
    },
    /// The member has answered PING for the first time since its start.
    Ready {
        /// Its position.
        index: usize,
    },
    /// The member is gone; the watchdog will start it again, unless it was killed by an order.
    Exited {
        /// Its position.
        index: usize,
        /// Exit status and last log lines, on one line.
        how: String,
    },
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Started { index, pid } => write!(f, "started {index} {pid}"),
            Self::Ready { index } => write!(f, "ready {index}"),
            Self::Exited { index, how } => write!(f, "exited {index} {}", how.replace(['\n', '\r'], " ")),
        }
    }
}

impl Event {
    /// Reads one line without its end; `None` if it is not an event.
    pub(super) fn parse(line: &str) -> Option<Self> {
        let (word, rest) = line.split_once(' ')?;
        match word {
            "ready" => Some(Self::Ready { index: rest.parse().ok()? }),
            "started" => {
                let (index, pid) = rest.split_once(' ')?;
                Some(Self::Started { index: index.parse().ok()?, pid: pid.parse().ok()? })
            }
            "exited" => {
                let (index, how) = rest.split_once(' ')?;
                Some(Self::Exited { index: index.parse().ok()?, how: how.to_owned() })
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_survive_the_pipe() {
        for event in [
            Event::Started { index: 3, pid: 4711 },
            Event::Ready { index: 7 },
            Event::Exited { index: 0, how: "signal: 9 | last words".into() },
        ] {
            assert_eq!(Event::parse(&event.to_string()), Some(event));
        }
    }

    #[test]
    fn an_event_is_one_line() {
        let event = Event::Exited { index: 1, how: "a\nb".into() };
        assert_eq!(event.to_string(), "exited 1 a b");
    }

    #[test]
    fn other_lines_are_no_events() {
        for line in ["", "ready", "ready x", "exited 1", "started 1", "left 1 2"] {
            assert_eq!(Event::parse(line), None, "{line:?}");
        }
    }
}
