//! What two proxies say of themselves when they meet, in words: each an array of bulk strings, `name=value` most of them.

use std::fmt;

use crate::peer::carrier::Grant;
use crate::resp::{self, write};

/// Another proxy.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Peer {
    /// Different in every run of every proxy.
    pub(crate) incarnation: String,
    /// What its operator calls it.
    pub(crate) node: String,
}

/// What a proxy says of itself when it is met.
#[derive(Debug, Default)]
pub(crate) struct Greeting {
    pub(crate) peer: Peer,
    pub(crate) grant: Option<Grant>,
    /// Its clock, in microseconds.
    pub(crate) clock: u64,
    /// Until then, on the reader's clock, what was asked for may be sent.
    pub(crate) lease: u64,
    pub(crate) above: Vec<Peer>,
    pub(crate) homes: Vec<String>,
    /// What it calls the link, if that can be resumed.
    pub(crate) name: Option<LinkName>,
    /// The link is to be another one, whose connection was lost.
    pub(crate) claim: Option<Claim>,
    /// The link is that one again, on which so many bytes of frames have come.
    pub(crate) resumed: Option<u64>,
}

/// What an accepting proxy calls a framed link: the worker that has it, and its number there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct LinkName {
    pub(crate) worker: usize,
    pub(crate) number: u64,
}

impl fmt::Display for LinkName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.worker, self.number)
    }
}

impl LinkName {
    fn read(text: &str) -> Option<Self> {
        let (worker, number) = text.split_once('.')?;
        Some(Self { worker: worker.parse().ok()?, number: number.parse().ok()? })
    }
}

/// A framed link whose connection was lost, and that is to be resumed: what its opener says of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Claim {
    /// The accepting proxy.
    pub(crate) incarnation: String,
    pub(crate) name: LinkName,
    /// So many bytes of frames have come.
    pub(crate) received: u64,
    /// Of its own, those before this one cannot be sent again.
    pub(crate) kept: u64,
}

impl Claim {
    pub(crate) fn word(&self) -> String {
        format!("resume={} {} {} {}", self.incarnation, self.name, self.received, self.kept)
    }

    fn read(text: &str) -> Option<Self> {
        let mut words = text.split(' ');
        let incarnation = printable(words.next()?);
        let name = LinkName::read(words.next()?)?;
        let mut number = || words.next()?.parse().ok();
        Some(Self { incarnation, name, received: number()?, kept: number()? })
    }
}

/// Appends words as a request.
pub(crate) fn write_words(out: &mut Vec<u8>, words: &[String]) {
    write::request(out, words.len(), words.iter().map(String::as_bytes));
}

/// The words of an array of bulk strings.
pub(crate) fn read_words(array: &[u8]) -> Vec<String> {
    let word = |element: &[u8]| {
        let text = element.get(resp::line(element).len() + 3..element.len().saturating_sub(2)).unwrap_or_default();
        String::from_utf8_lossy(text).into_owned()
    };
    resp::elements(array).map(word).collect()
}

impl Greeting {
    /// Reads what is said; words that are not known are passed over.
    pub(crate) fn read(words: impl Iterator<Item = String>) -> Self {
        let mut greeting = Self::default();
        let (mut stream, mut link) = (None, None);
        for word in words {
            let Some((name, value)) = word.split_once('=') else { continue };
            match name {
                _ if !greeting.homes.is_empty() || name == "placement" => greeting.homes.push(word.clone()),
                "node" => greeting.peer.node = printable(value),
                "incarnation" => greeting.peer.incarnation = printable(value),
                "stream" => stream = value.parse().ok(),
                "link" => link = value.parse().ok(),
                "clock" => greeting.clock = value.parse().unwrap_or_default(),
                "lease" => greeting.lease = value.parse().unwrap_or_default(),
                "name" => greeting.name = LinkName::read(value),
                "resume" => greeting.claim = Claim::read(value),
                "resumed" => greeting.resumed = value.parse().ok(),
                "above" => greeting.above.extend(read_peer(value)),
                _ => {}
            }
        }
        greeting.grant = stream.zip(link).map(|(stream, link)| Grant { stream, link });
        greeting
    }
}

/// What may stand in a line of the log.
fn printable(text: &str) -> String {
    text.chars().filter(char::is_ascii_graphic).take(128).collect()
}

fn read_peer(text: &str) -> Option<Peer> {
    let (incarnation, node) = text.split_once(' ')?;
    Some(Peer { incarnation: printable(incarnation), node: printable(node) })
}

/// Who stands above.
pub(crate) fn above_words(above: &[Peer]) -> impl Iterator<Item = String> + '_ {
    above.iter().map(|peer| format!("above={} {}", peer.incarnation, peer.node))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claim_survives_its_word() {
        let name = LinkName { worker: 3, number: 1 << 40 };
        let claim = Claim { incarnation: "pdw/spine-7".into(), name, received: 12, kept: 5 };
        let words = [claim.word(), "name=3.9".into(), "resume=pdw/x 1".into()];
        let greeting = Greeting::read(words[..2].iter().cloned());
        assert_eq!(greeting.claim, Some(claim));
        assert_eq!(greeting.name, Some(LinkName { worker: 3, number: 9 }));
        assert_eq!(Greeting::read(words[2..].iter().cloned()).claim, None, "half a claim is none");
    }
}
