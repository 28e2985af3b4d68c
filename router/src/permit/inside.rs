//! Something that is looked for anywhere in a text, eight places at a time.
//!
//! Keys are short, and to set up a search of a library's costs more than to look at all of a short text. So one byte, the
//! anchor, is looked for in a word at once, as `strchr` of many C libraries does it without vector instructions; where it is,
//! the word that ends with what is looked for is compared. Ends and not beginnings: before a key there are always some bytes
//! in a request, behind it perhaps too few for a word. Source of the word trick: H. S. Warren, Hacker's Delight, 6-1.

use memchr::memmem::Finder;

use super::glob::{WORD, Word};

/// In a text of at most so many bytes something is looked for word by word.
pub(super) const SHORT: usize = 64;

/// Bytes before a text that may be looked at with it.
const LEAD: usize = 2 * WORD;

/// A word of ones.
const ONES: u64 = u64::from_le_bytes([1; WORD]);

/// Some bytes that are looked for.
#[derive(Clone, Debug)]
pub(super) struct Inside {
    /// The anchor, eight times.
    spread: u64,
    /// The last eight of them, at the end of the word.
    last: Word,
    /// How many they are.
    length: usize,
    /// How many are behind the anchor, at most seven.
    behind: usize,
    finder: Finder<'static>,
}

impl Inside {
    /// Of these bytes, at least one.
    pub(super) fn of(bytes: &[u8]) -> Self {
        let (behind, anchor) = anchor(bytes);
        let (last, length, finder) = (Word::ending(bytes), bytes.len(), Finder::new(bytes).into_owned());
        Self { spread: ONES * u64::from(anchor), last, length, behind, finder }
    }

    /// Whether they are in a text.
    pub(super) fn is_in(&self, text: &[u8]) -> bool {
        let mut led = [0; LEAD + SHORT];
        match led.get_mut(LEAD..LEAD + text.len()) {
            Some(copy) => copy.copy_from_slice(text),
            None => return self.finder.find(text).is_some(),
        }
        let goes_on = |place| text.get(..self.length + place).is_some_and(|text| text.ends_with(self.finder.needle()));
        self.is_among(&led, LEAD, LEAD + text.len(), |place| self.is_one_word() || goes_on(place))
    }

    /// Whether one comparison of a word tells that they are at some place.
    pub(super) fn is_one_word(&self) -> bool {
        self.length <= WORD
    }

    /// Whether they are in a text, by few instructions, for most texts; it is not seen of the others. The text is what lies from
    /// `start` to `end`, behind some other bytes, as each argument of a request is behind the array's head; and they [are
    /// one word](Self::is_one_word).
    #[inline]
    pub(super) fn is_surely_in(&self, bytes: &[u8], start: usize, end: usize) -> bool {
        end.wrapping_sub(start) <= SHORT && self.is_among(bytes, start, end, |_| true)
    }

    /// Whether they are somewhere from `start` to `end`. `goes_on`: whether at some place behind the start they are also what they
    /// should be before their last word.
    #[inline]
    fn is_among(&self, bytes: &[u8], start: usize, end: usize, goes_on: impl Fn(usize) -> bool) -> bool {
        // Words that may have them at their end, and, place by place, the anchors of these.
        let Some(begin) = (start + self.length).checked_sub(WORD) else { return false };
        let Some(words) = bytes.get(begin..end) else { return false };
        let anchors = bytes.get(begin.wrapping_sub(self.behind)..end.wrapping_sub(self.behind));
        let mut anchors = anchors.unwrap_or_default();
        while let Some((before, here)) = anchors.split_last_chunk() {
            let mut places = zeros(u64::from_le_bytes(*here) ^ self.spread);
            while places != 0 {
                let last = before.len() + places.trailing_zeros() as usize / 8;
                // Of an anchor too near the beginning there is no word.
                let place = (last + 1).wrapping_sub(WORD);
                let word = words.get(place..).and_then(<[u8]>::first_chunk).map(|word| u64::from_le_bytes(*word));
                if word.is_some_and(|word| self.last.fits(word)) && goes_on(place) {
                    return true;
                }
                places &= places - 1;
            }
            anchors = before;
        }
        false
    }
}

/// The byte among the last eight that other keys have least often, the last one of these, and how many are behind it: digits are
/// in nearly every key, what parts its words in most.
fn anchor(bytes: &[u8]) -> (usize, u8) {
    let usual = |byte: u8| match byte {
        b'0'..=b'9' => 2,
        byte if byte.is_ascii_alphabetic() => 0,
        _ => 1,
    };
    let all = bytes.iter().rev().copied().take(WORD).enumerate();
    all.min_by_key(|(_, byte)| usual(*byte)).unwrap_or_default()
}

/// The highest bits of the bytes that are 0; of those behind the first one some more.
#[inline]
fn zeros(word: u64) -> u64 {
    word.wrapping_sub(ONES) & !word & (ONES << 7)
}
