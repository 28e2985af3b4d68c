//! Sets of shards that may say "perhaps": a bit for each, shared by those 64 apart.

use super::Shard;

/// Some shards of a group. Of more than 64, two may be taken for one another: whoever waits for a shard then
/// waits for the other too, and nothing worse.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Shards(u64);

impl Shards {
    pub(crate) const NONE: Self = Self(0);

    /// This one.
    pub(crate) fn one(shard: Shard) -> Self {
        Self(1 << (shard.index() % 64))
    }

    /// The first `count`.
    pub(crate) fn all(count: usize) -> Self {
        Self(if count < 64 { (1 << count) - 1 } else { u64::MAX })
    }

    /// The first of them, or one 64 or 128 ... before it.
    pub(crate) fn first(self) -> Shard {
        if self.0 == 0 { Shard(0) } else { Shard(self.0.trailing_zeros() as u16) }
    }

    pub(crate) fn is_empty(self) -> bool {
        self.0 == 0
    }

    pub(crate) fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub(crate) fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Whether the two may have a shard in common.
    pub(crate) fn meets(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shard_is_found_again_and_shards_64_apart_are_one() {
        let some = Shards::one(Shard(3)).with(Shards::one(Shard(70)));
        assert!(some.meets(Shards::one(Shard(6))) && !some.meets(Shards::one(Shard(4))));
        assert_eq!(some.without(Shards::one(Shard(6))), Shards::one(Shard(3)));
        assert!((0..200).all(|shard| Shards::all(200).meets(Shards::one(Shard(shard)))));
        assert!(!Shards::all(3).meets(Shards::one(Shard(3))) && Shards::NONE.is_empty());
    }
}
