//! What a fault proxy can be told, in types and as text.

use std::str::FromStr;
use std::time::Duration;

/// A direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// From clients to the target.
    Forth,
    /// From the target to clients.
    Back,
}

/// How bytes pass in one way, on all connections there are and will be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// At once.
    Free,
    /// Each byte so much later.
    Delayed(Duration),
    /// So many bytes a second, over all connections.
    Throttled(u64),
    /// Not at all: what is sent waits.
    Stalled,
    /// Not at all: what is sent is taken and lost. A connection that has lost bytes never passes any again.
    Swallowed,
}

/// What becomes of new connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Door {
    /// They are accepted and connected to the target.
    Open,
    /// They are accepted, and nothing ever comes of them.
    Ignoring,
    /// The port is closed.
    Refusing,
    /// Their SYNs are not answered.
    Unanswered,
}

/// How a connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Both sides get FIN.
    Fin,
    /// Both sides get RST.
    Reset,
    /// Half-open: the target's side is closed, and the client is not told.
    TargetGone,
    /// Half-open: the client's side is closed, and the target is not told.
    ClientGone,
}

/// One thing to do.
///
/// As text: `free WAY`, `delay WAY MILLISECONDS`, `throttle WAY BYTES_PER_SECOND`, `stall WAY`, `swallow WAY`,
/// `door open|ignoring|refusing|unanswered`, `end HOW`, `end-after WAY BYTES HOW`, `hold WAY`, `release`,
/// `inject WAY WORD` (and a line end); WAY is `forth` or `back`, HOW is
/// `fin`, `reset`, `target-gone` or `client-gone`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cue {
    /// Changes how bytes pass.
    Flow(Way, Flow),
    /// Changes what becomes of new connections.
    Door(Door),
    /// Ends all connections that are open.
    End(End),
    /// Ends the connection that passes the last of so many further bytes of one way.
    EndAfter(Way, u64, End),
    /// Nothing passes this way of the connections that are open now, until the release; others are not concerned.
    Hold(Way),
    /// What was held passes again, however late.
    Release,
    /// Says something that the peer did not say, on all connections that are open.
    Inject(Way, Vec<u8>),
}

impl FromStr for Cue {
    type Err = String;

    fn from_str(line: &str) -> Result<Cue, String> {
        let words: Vec<&str> = line.split_whitespace().collect();
        cue(&words).ok_or_else(|| format!("no cue: {line}"))
    }
}

fn cue(words: &[&str]) -> Option<Cue> {
    let cue = match words {
        ["free", way] => Cue::Flow(self::way(way)?, Flow::Free),
        ["delay", way, time] => Cue::Flow(self::way(way)?, Flow::Delayed(Duration::from_millis(time.parse().ok()?))),
        ["throttle", way, rate] => Cue::Flow(self::way(way)?, Flow::Throttled(rate.parse().ok()?)),
        ["stall", way] => Cue::Flow(self::way(way)?, Flow::Stalled),
        ["swallow", way] => Cue::Flow(self::way(way)?, Flow::Swallowed),
        ["door", door] => Cue::Door(self::door(door)?),
        ["end", end] => Cue::End(self::end(end)?),
        ["end-after", way, bytes, end] => Cue::EndAfter(self::way(way)?, bytes.parse().ok()?, self::end(end)?),
        ["hold", way] => Cue::Hold(self::way(way)?),
        ["release"] => Cue::Release,
        ["inject", way, word] => Cue::Inject(self::way(way)?, format!("{word}\r\n").into_bytes()),
        _ => return None,
    };
    Some(cue)
}

fn way(word: &str) -> Option<Way> {
    match word {
        "forth" => Some(Way::Forth),
        "back" => Some(Way::Back),
        _ => None,
    }
}

fn door(word: &str) -> Option<Door> {
    match word {
        "open" => Some(Door::Open),
        "ignoring" => Some(Door::Ignoring),
        "refusing" => Some(Door::Refusing),
        "unanswered" => Some(Door::Unanswered),
        _ => None,
    }
}

fn end(word: &str) -> Option<End> {
    match word {
        "fin" => Some(End::Fin),
        "reset" => Some(End::Reset),
        "target-gone" => Some(End::TargetGone),
        "client-gone" => Some(End::ClientGone),
        _ => None,
    }
}
