//! Placement `slots`: CRC16 modulo 16,384, the ranges cut as `redis-cli --cluster create` cuts them.

use super::Shard;
use super::crc16;

/// Number of hash slots (Redis Cluster specification, "Key distribution model").
pub const SLOTS: u16 = 16_384;

/// The slot of a key's hashed part.
pub(super) fn slot(hashed_part: &[u8]) -> u16 {
    crc16::register(hashed_part) as u16 % SLOTS
}

/// Which shard owns each slot.
#[derive(Clone)]
pub(super) struct SlotTable(Box<[Shard]>);

impl SlotTable {
    /// Cuts the slots into consecutive ranges, one per shard in configured order.
    ///
    /// As `clusterManagerCommandCreate` of redis-cli 7.0: a float cursor moves by 16384/N, and a range ends at the
    /// rounded cursor; the rounding (half away from zero, in single precision) decides who gets the odd slots.
    pub(super) fn new(shards: u16) -> Self {
        let per_shard = f32::from(SLOTS) / f32::from(shards);
        let (mut owners, mut cursor) = (Vec::with_capacity(usize::from(SLOTS)), 0.0f32);
        for shard in 0..shards {
            let end = if shard + 1 == shards { SLOTS } else { (cursor + per_shard - 1.0).round() as u16 + 1 };
            // redis-cli gives every shard at least one slot.
            let end = usize::from(end).max(owners.len() + 1);
            owners.resize(end, Shard(shard));
            cursor += per_shard;
        }
        owners.truncate(usize::from(SLOTS));
        Self(owners.into())
    }

    pub(super) fn owner(&self, slot: u16) -> Shard {
        self.0.get(usize::from(slot)).copied().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn last_slots(shards: u16) -> Vec<u16> {
        let table = SlotTable::new(shards);
        (0..SLOTS).filter(|&slot| slot + 1 == SLOTS || table.owner(slot) != table.owner(slot + 1)).collect()
    }

    #[test]
    fn slots_of_the_specification() {
        assert_eq!(slot(b"123456789"), 0x31C3 % SLOTS);
        assert_eq!(slot(b"foo"), 12_182);
        assert_eq!(slot(b""), 0);
    }

    /// What `redis-cli --cluster create` 7.0 prints for three and for seven masters.
    #[test]
    fn ranges_end_where_redis_cli_ends_them() {
        assert_eq!(last_slots(1), [16_383]);
        assert_eq!(last_slots(3), [5_460, 10_922, 16_383]);
        assert_eq!(last_slots(7), [2_340, 4_680, 7_021, 9_361, 11_702, 14_042, 16_383]);
    }

    #[test]
    fn every_shard_has_an_equal_share_to_one_slot() {
        for shards in [2, 5, 11, 32, 100, 1_000, 16_384] {
            let ends = last_slots(shards);
            assert_eq!(ends.len(), usize::from(shards));
            let longest = ends.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap_or_default();
            assert!(longest <= SLOTS.div_ceil(shards) + 1, "{shards} shards: {longest} slots");
        }
    }
}
