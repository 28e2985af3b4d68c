//! pdwfs's client-side ring, restated from its description and apart from the proxy's own.

/// Points of each instance on the ring.
const REPLICAS: usize = 100;

/// Which of N instances owns a key.
#[derive(Clone, Debug)]
pub struct Ring {
    /// Points in ascending order, one owner each.
    points: Vec<(u32, usize)>,
}

impl Ring {
    /// The ring of instances 0 to `count` - 1, in the order of the address list.
    pub fn new(count: usize) -> Ring {
        let place = |instance: usize, replica: usize| crc32fast::hash(format!("{replica}{instance}").as_bytes());
        let all = (0..count).flat_map(|instance| (0..REPLICAS).map(move |replica| (instance, replica)));
        let mut points: Vec<_> = all.map(|(instance, replica)| (place(instance, replica), instance)).collect();
        points.sort_unstable();
        // Of equal points the higher instance, which was added later, owns the place.
        points.reverse();
        points.dedup_by_key(|(point, _)| *point);
        points.reverse();
        Ring { points }
    }

    /// The instance that owns `key`.
    pub fn home(&self, key: &[u8]) -> usize {
        let hash = crc32fast::hash(hashed_part(key));
        let at = self.points.partition_point(|(point, _)| *point < hash);
        self.points[at % self.points.len()].1
    }
}

/// The text between the first `{` and the first `}` after it when there is any, else the whole key.
fn hashed_part(key: &[u8]) -> &[u8] {
    let Some(open) = key.iter().position(|&byte| byte == b'{') else { return key };
    let tail = &key[open + 1..];
    match tail.iter().position(|&byte| byte == b'}') {
        Some(length) if length > 0 => &tail[..length],
        _ => key,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// From the real client's `RedisRing.GetClient`.
    const VECTORS: [(usize, &str, usize); 12] = [
        (2, "/m/f:0", 1),
        (3, "/m/f:0", 1),
        (3, "/m/f:1", 0),
        (3, "/m/f:-1", 0),
        (3, "/m/f:316", 2),
        (3, "{/m/d/f}:children", 0),
        (3, "/m/{a}/f:7", 2),
        (3, "/m/{}/f:7", 1),
        (3, "{/m/x}y}:mode", 2),
        (8, "/m/f:0", 6),
        (11, "/m/f:171", 10),
        (32, "/m/f:46", 28),
    ];

    #[test]
    fn every_vector_of_the_real_client_agrees() {
        for (count, key, home) in VECTORS {
            assert_eq!(Ring::new(count).home(key.as_bytes()), home, "{key} of {count}");
        }
    }
}
