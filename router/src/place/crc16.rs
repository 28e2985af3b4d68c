//! CRC-16/XMODEM: polynomial 0x1021, start value 0, nothing reflected.
//!
//! Source: the Redis Cluster specification, appendix "CRC16 reference implementation in ANSI C".

/// The CRC of every byte.
const TABLE: [u16; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let mut crc = (byte as u16) << 8;
        let mut bit = 0;
        while bit < 8 {
            crc = (crc << 1) ^ (0x1021 * (crc >> 15));
            bit += 1;
        }
        table[byte] = crc;
        byte += 1;
    }
    table
};

/// The register after `bytes`. Its low half is the CRC; twemproxy's hash `crc16` returns all 32 bits, in which older
/// bytes are still on their way out.
pub(super) fn register(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0u32, |crc, byte| (crc << 8) ^ u32::from(TABLE[usize::from((crc >> 8) as u8 ^ byte)]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_low_half_is_the_crc_of_the_catalogue() {
        assert_eq!(register(b"123456789") as u16, 0x31C3);
        assert_eq!(register(b""), 0);
    }
}
