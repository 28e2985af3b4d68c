//! What the watchdog is told to do to one of its members: one order a line.

use std::fmt;

/// Something done on purpose to a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    /// SIGKILL; it stays down until it is started.
    Kill,
    /// SIGSTOP.
    Stop,
    /// SIGCONT.
    Continue,
    /// Start it if it is down.
    Start,
}

/// All orders and their words.
const WORDS: [(Order, &str); 4] =
    [(Order::Kill, "kill"), (Order::Stop, "stop"), (Order::Continue, "continue"), (Order::Start, "start")];

impl fmt::Display for Order {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(WORDS.iter().find(|(order, _)| order == self).map_or("", |(_, word)| word))
    }
}

impl Order {
    /// Reads one line, as `kill 2`: the order and the member's position; `None` if it is none.
    pub(crate) fn parse(line: &str) -> Option<(Self, usize)> {
        let (word, index) = line.trim().split_once(' ')?;
        let (order, _) = WORDS.iter().find(|(_, known)| *known == word)?;
        Some((*order, index.trim().parse().ok()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_survive_the_pipe_and_other_lines_are_none() {
        for (order, _) in WORDS {
            assert_eq!(Order::parse(&format!("{order} 7\n")), Some((order, 7)));
        }
        for line in ["", "kill", "kill x", "maim 1", "kill -1"] {
            assert_eq!(Order::parse(line), None, "{line}");
        }
    }
}
