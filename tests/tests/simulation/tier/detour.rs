//! What a driver does with an end's next bytes before its router sees any more of them: skip, relay.

use pdw_router::{End, Order, Wait};

/// Bytes that a relay may hold on their way.
const CARRIED_MAX: usize = 1024;

/// The orders for one end that are not carried out yet.
#[derive(Debug, Default)]
pub(super) struct Detour {
    /// Bytes to read and forget; they come before those of the relay.
    skip: u64,
    relay: Option<Relay>,
}

/// Bytes on their way from one end to another.
#[derive(Debug)]
struct Relay {
    to: End,
    /// Bytes that were not taken from the source.
    left: u64,
    /// What was taken and has not reached the other end.
    carried: Vec<u8>,
    /// For which end it stood still last, as the router knows it.
    waits: Option<Wait>,
}

impl Detour {
    /// Takes an order. `Inject` is about the other direction and is none for these bytes.
    pub(super) fn order(&mut self, order: Order) {
        match order {
            Order::Inject => {}
            Order::Relay { to, bytes } => {
                self.relay = Some(Relay { to, left: bytes, carried: Vec::new(), waits: None })
            }
            Order::Skip { bytes } => {
                // A relay lost its other end: what it carries is gone already.
                let lost = self.relay.take().map_or(0, |relay| relay.carried.len() as u64);
                self.skip += bytes - lost.min(bytes);
            }
        }
    }

    /// Most bytes that may be read now; `None` while a relay is full, or taken whole and not through.
    pub(super) fn appetite(&self) -> Option<usize> {
        match &self.relay {
            Some(relay) if self.skip == 0 => {
                let room = CARRIED_MAX.saturating_sub(relay.carried.len());
                Some(room.min(usize::try_from(relay.left).unwrap_or(usize::MAX))).filter(|most| *most > 0)
            }
            _ if self.skip > 0 => Some(usize::try_from(self.skip).unwrap_or(usize::MAX)),
            _ => Some(usize::MAX),
        }
    }

    /// Takes what is not for the router off what was read; the rest is.
    pub(super) fn sort(&mut self, bytes: Vec<u8>) -> Vec<u8> {
        if self.skip > 0 {
            self.skip -= bytes.len() as u64;
            return Vec::new();
        }
        let Some(relay) = &mut self.relay else { return bytes };
        relay.left -= bytes.len() as u64;
        relay.carried.extend(bytes);
        Vec::new()
    }

    /// Where carried bytes go, and they.
    pub(super) fn carried(&self) -> Option<(End, &[u8])> {
        self.relay.as_ref().map(|relay| (relay.to, &*relay.carried)).filter(|(_, carried)| !carried.is_empty())
    }

    /// For which end the relay stands still, if the router does not know.
    pub(super) fn news(&mut self) -> Option<Wait> {
        let relay = self.relay.as_mut()?;
        let wait = if relay.carried.is_empty() { Wait::Source } else { Wait::Sink };
        (relay.waits.replace(wait) != Some(wait)).then_some(wait)
    }

    /// So many carried bytes have reached the other end.
    pub(super) fn delivered(&mut self, bytes: usize) {
        let Some(relay) = &mut self.relay else { return };
        relay.carried.drain(..bytes);
        if relay.left == 0 && relay.carried.is_empty() {
            self.relay = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use fastrand::Rng;
    use pdw_router::LinkKey;

    use super::*;

    /// Reads `text` in random pieces: what was relayed, and what the router was given.
    fn read(detour: &mut Detour, text: &[u8], rng: &mut Rng) -> (Vec<u8>, Vec<u8>) {
        let (mut relayed, mut rest, mut at) = (Vec::new(), Vec::new(), 0);
        while at < text.len() {
            if let Some(most) = detour.appetite() {
                let len = rng.usize(1..=most.min(text.len() - at));
                rest.extend(detour.sort(text[at..at + len].to_vec()));
                at += len;
            }
            let len = detour.carried().map_or(0, |(_, carried)| rng.usize(..=carried.len()));
            relayed.extend(detour.carried().map_or(Vec::new(), |(_, carried)| carried[..len].to_vec()));
            detour.delivered(len);
        }
        (relayed, rest)
    }

    #[test]
    fn bytes_go_where_they_were_ordered_wherever_reads_cut_them() {
        for seed in 0..100 {
            let mut detour = Detour::default();
            detour.order(Order::Skip { bytes: 3 });
            detour.order(Order::Inject);
            detour.order(Order::Relay { to: End::Link(LinkKey::default()), bytes: 5 });
            let (relayed, rest) = read(&mut detour, b"xxxaaaaaGET", &mut Rng::with_seed(seed));
            assert_eq!((&*relayed, &*rest), (&b"aaaaa"[..], &b"GET"[..]), "seed {seed}");
        }
    }

    #[test]
    fn what_a_relay_carries_when_it_is_cancelled_need_not_be_skipped() {
        let mut detour = Detour::default();
        detour.order(Order::Relay { to: End::Link(LinkKey::default()), bytes: 8 });
        detour.sort(b"aaaaa".to_vec());
        detour.delivered(2);
        // The router knows of two bytes that arrived, so six are missing; three of them were taken.
        detour.order(Order::Skip { bytes: 6 });
        assert_eq!(read(&mut detour, b"aaaGET", &mut Rng::with_seed(1)).1, b"GET");
    }
}
