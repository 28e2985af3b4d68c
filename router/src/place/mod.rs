//! Where a key lives: placements (key to shard) and manifold rules (families of keys with a layout of their own).

/// Index of a shard in its group: the position of its upstream in the configured list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Shard(pub u16);

impl Shard {
    /// The shard's position in the configured list.
    pub fn index(self) -> usize {
        usize::from(self.0)
    }
}
