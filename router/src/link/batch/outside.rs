//! A unit whose bytes are in a file: the batch has its parts, and counts its bytes as they pass.

use super::Batch;
use crate::link::part::Unit;

impl Batch {
    /// Adds a unit to an empty batch. Its commands end at `ends`, counted from its first byte.
    pub(crate) fn adopt_spooled(&mut self, unit: Unit, ends: &[u64]) {
        let first = self.end();
        self.bytes.clear();
        (self.base, self.written) = (first, first);
        self.said.extend(unit.parts.iter().map(|(part, _)| part.id).zip(unit.said));
        let starts = std::iter::once(0).chain(ends.iter().copied());
        for ((mut part, _), start) in unit.parts.into_iter().zip(starts) {
            (part.start, part.unit) = (first + start, first);
            self.earliest = self.earliest.min(part.deadline);
            self.parts.push_back(part);
        }
        self.outside = ends.last().copied().unwrap_or(0);
    }

    /// So many bytes of it have passed.
    pub(crate) fn passed(&mut self, bytes: u64) {
        self.written += bytes;
        self.base = self.written;
        self.outside = self.outside.saturating_sub(bytes);
    }
}
