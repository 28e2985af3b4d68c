//! Bytes of large values that the core itself passes on, because one of the ends has no connection of its own.
//!
//! Between two connections the driver moves them (`large/relay.rs`). A stream or a carried session has none: what comes for
//! it comes out of frames. Either way nobody holds a value: the source is not read, or not granted credit, while much
//! of what it gave waits for the other end.

use crate::order::{End, Order, Output, Wait};
use crate::router::{Setup, Traffic};

/// Of a stream's window, for each of many.
const PART_OF_MANY: usize = 16;

impl Traffic {
    /// Whether an end has no connection of its own.
    pub(crate) fn is_inner(&self, end: End) -> bool {
        match end {
            End::Session(key) => self.sessions.get(key).is_some_and(|session| session.carried.is_some()),
            End::Link(key) => self.is_stream(key),
            End::Spool(_) => false,
        }
    }

    /// Passes on the beginning of what an end brought, as far as it belongs to a value that goes elsewhere; how much.
    pub(crate) fn pass_on(&mut self, setup: &Setup, from: End, bytes: &[u8]) -> usize {
        let Some(relay) = self.relays.inner_of(from) else { return 0 };
        let (to, count) = (relay.to, relay.part_of(bytes.len()));
        match to {
            End::Session(key) => self.hand_on(key, &bytes[..count]),
            End::Link(key) => self.extend_lane(key, &bytes[..count]),
            // What has no connection is not kept in files; see `spools`.
            End::Spool(_) => {}
        }
        let wait = if self.has_room(setup, to) { Wait::Source } else { Wait::Sink };
        self.relay_waits(from, wait);
        self.relayed(setup, from, count as u64);
        count
    }

    /// Whether more of an end's bytes may come: what it passes on is taken.
    pub(crate) fn may_pass(&self, setup: &Setup, from: End) -> bool {
        self.relays.inner_of(from).is_none_or(|relay| self.has_room(setup, relay.to))
    }

    fn has_room(&self, setup: &Setup, to: End) -> bool {
        self.waiting_for(to) < self.inner_window(setup, to)
    }

    /// How much may wait for an end: under pressure less, and where no lane is there yet, for there may be a thousand.
    fn inner_window(&self, setup: &Setup, to: End) -> usize {
        let many = matches!(to, End::Link(key) if self.awaits_lane(key));
        setup.limits.stream_window.div_ceil(if many { PART_OF_MANY } else { self.budget.share() })
    }

    fn waiting_for(&self, to: End) -> usize {
        match to {
            End::Session(key) => self.sessions.get(key).map_or(0, |session| session.reply_bytes()),
            End::Link(key) => self.links.get(key).map_or(0, |link| link.batch.unsent()),
            End::Spool(_) => 0,
        }
    }

    /// An end has taken some of what waited for it: whoever passes bytes on to it may be read again.
    pub(crate) fn wake_feeder(&mut self, setup: &Setup, to: End) {
        let Some(from) = self.relays.inner_to(to) else { return };
        if self.waiting_for(to) > self.inner_window(setup, to) / 2 {
            return;
        }
        self.relay_waits(from, Wait::Source);
        self.read_again(from);
    }

    /// An end may be read again.
    pub(crate) fn read_again(&mut self, end: End) {
        match end {
            End::Session(key) if self.is_inner(end) => self.revived.push(key),
            End::Link(key) if self.is_stream(key) => self.refreshed.push(key),
            _ => self.outputs.push_back(Output::Read(end)),
        }
    }

    /// Skips the next bytes of an end that has no connection.
    pub(crate) fn skip_inner(&mut self, end: End, order: Order) {
        let Order::Skip { bytes } = order else { return };
        match end {
            End::Session(key) => {
                let carried = self.sessions.get_mut(key).and_then(|session| session.carried.as_mut());
                carried.into_iter().for_each(|carried| carried.skip += bytes);
                // Some of them may wait in its inbox.
                self.revived.push(key);
            }
            End::Link(key) => {
                let strand = self.links.get_mut(key).and_then(|link| link.strand.as_mut());
                strand.into_iter().for_each(|strand| strand.end.skip += bytes);
            }
            End::Spool(_) => {}
        }
    }
}
