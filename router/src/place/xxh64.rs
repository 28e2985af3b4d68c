//! XXH64 with seed 0: the hash behind placement `ring` and the offset of layout `stripe-modulo`.
//!
//! Source: "xxHash fast digest algorithm", version 0.1.1, chapter XXH64. It is published, frozen, defined on bytes
//! (so the same on every platform), fast on short keys, and available in every language an operator may want
//! to check a home with.

const PRIME_1: u64 = 0x9E37_79B1_85EB_CA87;
const PRIME_2: u64 = 0xC2B2_AE3D_27D4_EB4F;
const PRIME_3: u64 = 0x1656_67B1_9E37_79F9;
const PRIME_4: u64 = 0x85EB_CA77_C2B2_AE63;
const PRIME_5: u64 = 0x27D4_EB2F_1656_67C5;

/// The XXH64 digest of `input`, seed 0.
pub(super) fn xxh64(input: &[u8]) -> u64 {
    let (stripes, tail) = input.as_chunks::<32>();
    let start = if stripes.is_empty() { PRIME_5 } else { accumulate(stripes) };
    avalanche(absorb_tail(start.wrapping_add(input.len() as u64), tail))
}

fn round(accumulator: u64, lane: u64) -> u64 {
    accumulator.wrapping_add(lane.wrapping_mul(PRIME_2)).rotate_left(31).wrapping_mul(PRIME_1)
}

/// Step 2 and 3 of the specification: four lanes over the 32-byte stripes, then their convergence.
fn accumulate(stripes: &[[u8; 32]]) -> u64 {
    let mut lanes = [PRIME_1.wrapping_add(PRIME_2), PRIME_2, 0, PRIME_1.wrapping_neg()];
    for stripe in stripes {
        let (words, _) = stripe.as_chunks::<8>();
        for (lane, word) in lanes.iter_mut().zip(words) {
            *lane = round(*lane, u64::from_le_bytes(*word));
        }
    }
    let joined =
        lanes.iter().zip([1, 7, 12, 18]).fold(0u64, |sum, (lane, bits)| sum.wrapping_add(lane.rotate_left(bits)));
    lanes.iter().fold(joined, |hash, lane| (hash ^ round(0, *lane)).wrapping_mul(PRIME_1).wrapping_add(PRIME_4))
}

/// Step 5: the last 0 to 31 bytes, by words of 8, then 4, then single bytes.
fn absorb_tail(mut hash: u64, tail: &[u8]) -> u64 {
    let (words, tail) = tail.as_chunks::<8>();
    for word in words {
        hash ^= round(0, u64::from_le_bytes(*word));
        hash = hash.rotate_left(27).wrapping_mul(PRIME_1).wrapping_add(PRIME_4);
    }
    let (halves, bytes) = tail.as_chunks::<4>();
    for half in halves {
        hash ^= u64::from(u32::from_le_bytes(*half)).wrapping_mul(PRIME_1);
        hash = hash.rotate_left(23).wrapping_mul(PRIME_2).wrapping_add(PRIME_3);
    }
    for byte in bytes {
        hash ^= u64::from(*byte).wrapping_mul(PRIME_5);
        hash = hash.rotate_left(11).wrapping_mul(PRIME_1);
    }
    hash
}

fn avalanche(mut hash: u64) -> u64 {
    hash = (hash ^ (hash >> 33)).wrapping_mul(PRIME_2);
    hash = (hash ^ (hash >> 29)).wrapping_mul(PRIME_3);
    hash ^ (hash >> 32)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Digests printed by the reference implementation (`xxhsum -H64`); the last two run through the 32-byte lanes.
    #[test]
    fn digests_equal_the_reference_implementation() {
        for (input, digest) in [
            ("", 0xEF46_DB37_51D8_E999u64),
            ("a", 0xD24E_C4F1_A98C_6E5B),
            ("abc", 0x44BC_2CF5_AD77_0999),
            ("Nobody inspects the spammish repetition", 0xFBCE_A83C_8A37_8BF1),
            ("/m/checkpoint/rank.00017:stripes;/m/checkpoint/rank.00018:stripes;.", 0x9203_477E_7B7D_8CE9),
        ] {
            assert_eq!(xxh64(input.as_bytes()), digest, "{input}");
        }
    }
}
