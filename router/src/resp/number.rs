//! Decimal integers as Redis reads them.

/// Reads a decimal integer exactly as Redis's `string2ll` does: an optional `-`, no `+`, no
/// leading zero, no blanks, and nothing outside the range of an `i64`.
pub fn parse_integer(text: &[u8]) -> Option<i64> {
    match text {
        [digit @ b'0'..=b'9'] => Some(i64::from(digit - b'0')),
        [b'-', digits @ ..] => magnitude(digits).and_then(|value| 0i64.checked_sub_unsigned(value)),
        digits => magnitude(digits).and_then(|value| i64::try_from(value).ok()),
    }
}

fn magnitude(digits: &[u8]) -> Option<u64> {
    let [b'1'..=b'9', rest @ ..] = digits else { return None };
    let first = u64::from(digits[0] - b'0');
    rest.iter().try_fold(first, |value, digit| {
        let digit = digit.checked_sub(b'0').filter(|digit| *digit <= 9)?;
        value.checked_mul(10)?.checked_add(u64::from(digit))
    })
}

#[cfg(test)]
mod tests {
    use super::parse_integer;

    #[test]
    fn reads_what_redis_reads() {
        let cases: [(&[u8], Option<i64>); 14] = [
            (b"0", Some(0)),
            (b"7", Some(7)),
            (b"-1", Some(-1)),
            (b"52428800", Some(52_428_800)),
            (b"9223372036854775807", Some(i64::MAX)),
            (b"-9223372036854775808", Some(i64::MIN)),
            (b"9223372036854775808", None),
            (b"", None),
            (b"-", None),
            (b"-0", None),
            (b"01", None),
            (b"+1", None),
            (b" 1", None),
            (b"1x", None),
        ];
        for (text, value) in cases {
            assert_eq!(parse_integer(text), value, "{:?}", String::from_utf8_lossy(text));
        }
    }
}
