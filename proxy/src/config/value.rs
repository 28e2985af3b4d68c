//! Values as given, before any option looks at them, and how sizes and durations are written.

use std::time::Duration;

use super::address::Address;
use super::mistakes::{Problem, Sited};
use super::suggest::nearest;

/// A value of the file or of a flag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Value {
    Text(String),
    Integer(i128),
    Boolean(bool),
    List(Vec<Sited<Value>>),
    Table(Vec<Entry>),
    /// A type that no option takes, by its name.
    Other(&'static str),
}

/// One `key = value` of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) key: Sited<String>,
    pub(crate) value: Sited<Value>,
}

impl Value {
    /// The type's name with its article, for a mistake.
    pub(crate) fn type_name(&self) -> &'static str {
        match self {
            Self::Text(_) => "a text",
            Self::Integer(_) => "a number",
            Self::Boolean(_) => "a boolean",
            Self::List(_) => "a list",
            Self::Table(_) => "a table",
            Self::Other(name) => name,
        }
    }

    /// The mistake of giving this value where another type is expected.
    pub(crate) fn wrong_type(&self, expected: &'static str, example: &'static str) -> Problem {
        Problem::WrongType { found: self.type_name(), expected, example }
    }

    pub(crate) fn as_text(&self, expected: &'static str) -> Result<&str, Problem> {
        match self {
            Self::Text(text) => Ok(text),
            _ => Err(self.wrong_type(expected, "it in quotes")),
        }
    }

    pub(crate) fn as_address(&self) -> Result<Address, Problem> {
        let text = self.as_text("an address")?;
        text.parse().map_err(|error| Problem::Address { text: text.to_owned(), error })
    }

    /// One of `choices`, by name.
    pub(crate) fn as_choice(&self, choices: &'static [&'static str]) -> Result<&'static str, Problem> {
        let text = self.as_text("a name")?;
        choices.iter().copied().find(|choice| *choice == text).ok_or_else(|| Problem::NotAChoice {
            value: text.to_owned(),
            choices: choices.join(", "),
            nearest: nearest(text, choices.iter().copied()),
        })
    }

    /// The items of a list; a single value is a list of one.
    pub(crate) fn items(item: &Sited<Value>) -> &[Sited<Value>] {
        match &item.value {
            Self::List(items) => items,
            _ => std::slice::from_ref(item),
        }
    }

    pub(crate) fn as_flag(&self) -> Result<bool, Problem> {
        match self {
            Self::Boolean(flag) => Ok(*flag),
            _ => Err(self.wrong_type("a boolean", "true or false")),
        }
    }

    pub(crate) fn as_count(&self, range: (u64, u64)) -> Result<usize, Problem> {
        match self {
            Self::Integer(number) => in_range(*number, range, |number| number.to_string()).map(to_usize),
            _ => Err(self.wrong_type("a number", "it without quotes")),
        }
    }

    pub(crate) fn as_bytes(&self, range: (u64, u64)) -> Result<usize, Problem> {
        match self {
            Self::Integer(number) => in_range(*number, range, format_bytes).map(to_usize),
            Self::Text(text) => {
                let bytes = parse_scaled(text, &BYTE_UNITS).ok_or_else(|| Problem::BadSize(text.clone()))?;
                in_range(bytes, range, format_bytes).map(to_usize)
            }
            _ => Err(self.wrong_type("a size", "a number of bytes, or a text as in \"64KiB\"")),
        }
    }

    pub(crate) fn as_duration(&self, range_ms: (u64, u64)) -> Result<Duration, Problem> {
        match self {
            Self::Text(text) => {
                let ms = parse_scaled(text, &TIME_UNITS).ok_or_else(|| Problem::BadDuration(text.clone()))?;
                in_range(ms, range_ms, format_ms).map(Duration::from_millis)
            }
            _ => Err(self.wrong_type("a duration", "a text with its unit, as in \"250ms\"")),
        }
    }
}

/// Sizes past a machine's address space are limits that never bind.
pub(crate) fn to_usize(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

fn in_range<N: TryInto<u64> + Copy + ToString>(
    number: N,
    (low, high): (u64, u64),
    format: impl Fn(u64) -> String,
) -> Result<u64, Problem> {
    let unsigned = number.try_into().ok();
    match unsigned {
        Some(value) if (low..=high).contains(&value) => Ok(value),
        _ => Err(Problem::OutOfRange {
            value: unsigned.map_or_else(|| number.to_string(), &format),
            low: format(low),
            high: format(high),
        }),
    }
}

/// A unit and how many of the base unit it is, the largest first.
type Units = [(&'static str, u64)];

const BYTE_UNITS: [(&str, u64); 4] = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1)];
const TIME_UNITS: [(&str, u64); 4] = [("h", 3_600_000), ("min", 60_000), ("s", 1_000), ("ms", 1)];

/// A whole number with a unit, `"64KiB"` or `"64 KiB"`; for sizes a number alone is bytes.
fn parse_scaled(text: &str, units: &Units) -> Option<u64> {
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().ok()?;
    let (_, scale) = units.iter().find(|(name, _)| *name == unit.trim_start())?;
    number.checked_mul(*scale)
}

/// A size with the largest unit that divides it: `64KiB`.
pub(crate) fn format_bytes(bytes: u64) -> String {
    format_scaled(bytes, &BYTE_UNITS)
}

/// A duration of whole milliseconds with the largest unit that divides it: `250ms`.
pub(crate) fn format_duration(time: Duration) -> String {
    format_ms(u64::try_from(time.as_millis()).unwrap_or(u64::MAX))
}

/// Milliseconds likewise.
pub(crate) fn format_ms(ms: u64) -> String {
    format_scaled(ms, &TIME_UNITS)
}

fn format_scaled(value: u64, units: &Units) -> String {
    let fits = |(_, scale): &&(&str, u64)| value >= *scale && value.is_multiple_of(*scale);
    match units.iter().find(fits).or(units.last()) {
        Some((unit, scale)) => format!("{}{unit}", value / scale),
        None => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_durations_are_read_and_printed_alike() {
        for (text, bytes) in [("0B", 0), ("1B", 1), ("64KiB", 65536), ("1025B", 1025), ("512MiB", 512 << 20)] {
            assert_eq!(parse_scaled(text, &BYTE_UNITS), Some(bytes));
            assert_eq!(format_bytes(bytes), text);
        }
        for (text, ms) in [("250ms", 250), ("60s", 60_000), ("90s", 90_000), ("2h", 7_200_000)] {
            assert_eq!(parse_scaled(text, &TIME_UNITS), Some(ms));
        }
        assert_eq!(format_ms(60_000), "1min");
    }

    #[test]
    fn what_is_no_size_is_refused() {
        for text in ["", "KiB", "64kb", "64KB", "-1B", "1.5MiB", "1e3B", "18446744073709551615GiB", "64"] {
            assert_eq!(parse_scaled(text, &BYTE_UNITS), None, "{text}");
        }
    }
}
