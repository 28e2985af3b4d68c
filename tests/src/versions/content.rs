//! Values of which every byte follows from key and version, so that a torn or foreign one is seen.

/// Bytes at the start that hold the version's lowest ones.
const MARK: usize = 8;

/// One version of one key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Content {
    /// Number of the key.
    pub key: u32,
    /// Version, from 1.
    pub version: u64,
    /// Bytes, at least 1.
    pub size: usize,
}

impl Content {
    /// The value.
    pub fn bytes(self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.size + MARK);
        bytes.extend_from_slice(&self.version.to_le_bytes());
        let mut word = self.seed();
        while bytes.len() < self.size {
            word = next(word);
            bytes.extend_from_slice(&word.to_le_bytes());
        }
        bytes.truncate(self.size);
        bytes
    }

    /// The same value's other meaning: an earlier version, if it is so short that it has one.
    pub fn earlier(self) -> Option<Content> {
        let round = (self.size < MARK).then(|| 1 << (8 * self.size))?;
        self.version.checked_sub(round).map(|version| Content { version, ..self })
    }

    fn seed(self) -> u64 {
        // Odd constants keep neighbours apart; xorshift must not begin at nought.
        (self.version.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ u64::from(self.key).wrapping_mul(0xd6e8_feb8_6659_fd93)) | 1
    }

    /// Which version of `key` these bytes are, if no later one than `latest` was ever written.
    ///
    /// A value of fewer than 8 bytes holds that many of the version's lowest: the latest version that fits is meant.
    ///
    /// # Errors
    /// With what is wrong: the size, a version from nowhere, or the first byte that belongs to another value.
    pub fn recognise(key: u32, size: usize, bytes: &[u8], latest: u64) -> Result<Content, String> {
        if bytes.len() != size {
            return Err(format!("has {} bytes instead of {size}", bytes.len()));
        }
        let version = version(&bytes[..size.min(MARK)], latest)
            .ok_or_else(|| format!("holds a version later than {latest}, the latest that was written"))?;
        let found = Content { key, version, size };
        match found.bytes().iter().zip(bytes).position(|(wanted, byte)| wanted != byte) {
            None => Ok(found),
            Some(at) => Err(format!("is torn: byte {at} is not that of version {version}")),
        }
    }
}

fn version(mark: &[u8], latest: u64) -> Option<u64> {
    let mut low = [0; MARK];
    low[..mark.len()].copy_from_slice(mark);
    let low = u64::from_le_bytes(low);
    if mark.len() == MARK {
        return (low <= latest).then_some(low);
    }
    let round = 1 << (8 * mark.len());
    Some(low + latest.checked_sub(low)? / round * round)
}

fn next(mut word: u64) -> u64 {
    word ^= word << 13;
    word ^= word >> 7;
    word ^ word << 17
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_size_is_recognised_and_every_changed_byte_seen() {
        for size in [1, 2, 7, 8, 9, 100, 70_001] {
            let content = Content { key: 3, version: 200, size };
            let bytes = content.bytes();
            assert_eq!(bytes.len(), size);
            assert_eq!(Content::recognise(3, size, &bytes, 203), Ok(content), "{size}");
            assert!(Content::recognise(3, size + 1, &bytes, 203).is_err());
            let mut torn = bytes.clone();
            torn[size - 1] ^= 1;
            assert_ne!(Content::recognise(3, size, &torn, 203), Ok(content), "{size}");
        }
        let long = Content { key: 3, version: 200, size: 100 }.bytes();
        assert!(Content::recognise(4, 100, &long, 203).is_err(), "another key's");
        assert!(Content::recognise(3, 100, &long, 199).is_err(), "from the future");
    }

    #[test]
    fn two_versions_mixed_are_torn() {
        let [old, new] = [1, 2].map(|version| Content { key: 1, version, size: 1000 }.bytes());
        let mixed = [&new[..500], &old[500..]].concat();
        assert!(Content::recognise(1, 1000, &mixed, 2).unwrap_err().contains("torn"));
    }

    #[test]
    fn a_short_value_is_the_latest_version_that_fits() {
        let bytes = Content { key: 1, version: 300, size: 1 }.bytes();
        assert_eq!(Content::recognise(1, 1, &bytes, 301).unwrap().version, 300);
        let older = Content::recognise(1, 1, &bytes, 299).unwrap();
        assert_eq!(older.version, 44);
        assert_eq!(Content::recognise(1, 1, &bytes, 301).unwrap().earlier(), Some(older));
        assert_eq!(older.earlier(), None);
    }
}
