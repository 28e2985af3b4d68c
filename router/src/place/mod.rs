//! Where a key lives: placements (key to shard) and manifold rules (families of keys with a layout of their own).
//!
//! A [`Placement`] knows nothing of a key's meaning. [`Homes`] puts [`Rule`]s before it: a rule recognises
//! a family of keys by a pattern and gives it a layout. The rules of pdwfs are data too: [`pdwfs_rules`].

mod continuum;
mod crc16;
mod description;
mod hash_tag;
mod homes;
mod ketama;
mod key_hash;
mod pattern;
mod pdwfs;
mod placement;
mod ring;
mod rule;
mod shards;
mod slots;
mod xxh64;

pub use description::DescriptionError;
pub use homes::{Explanation, Homes, Located, Spread};
pub use key_hash::{KeyHash, UnknownKeyHash};
pub use pattern::{PatternError, TemplateError};
pub use placement::{MAX_SHARDS, Placement, PlacementError, PlacementKind, PlacementOptions, Target, UnknownPlacement};
pub use rule::{LayoutKind, Rule, RuleError, UnknownLayout, override_rules, pdwfs_rules};
pub(crate) use shards::Shards;
pub use slots::SLOTS;

/// Index of a shard in its group: the position of its upstream in the configured list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Shard(pub u16);

impl Shard {
    /// The shard's position in the configured list.
    pub fn index(self) -> usize {
        usize::from(self.0)
    }
}
