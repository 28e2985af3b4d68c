//! Credit: how much the other end of a link or of a stream may send before more of it has been taken.
//!
//! ```text
//!   size ─┬─ granted: may still come
//!         ├─ owed: has come, and nobody has taken it yet
//!         └─ the rest: granted anew once it is half of what is not owed, or as much as is worth a word
//! ```

use crate::peer::frame::FrameError;

/// What an end has granted, and what became of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Window {
    size: u64,
    granted: u64,
    owed: u64,
    /// So much is granted anew in any case.
    worth: u64,
}

impl Window {
    /// All of it is granted.
    pub(crate) fn new(size: u64) -> Self {
        Self { size, granted: size, owed: 0, worth: size }
    }

    /// The same, and whatever reaches `worth` is granted anew.
    pub(crate) fn with_worth(size: u64, worth: u64) -> Self {
        Self { worth: worth.max(1), ..Self::new(size) }
    }

    /// So many bytes have come.
    ///
    /// # Errors
    /// They were not granted.
    pub(crate) fn received(&mut self, bytes: usize) -> Result<(), FrameError> {
        self.granted = self.granted.checked_sub(bytes as u64).ok_or(FrameError::Overrun)?;
        self.owed += bytes as u64;
        Ok(())
    }

    /// So many of them are taken.
    pub(crate) fn taken(&mut self, bytes: u64) {
        self.owed = self.owed.saturating_sub(bytes);
    }

    /// Bytes that have come and are not taken.
    pub(crate) fn owed(&self) -> u64 {
        self.owed
    }

    /// What is to be granted anew now, if it is worth saying.
    pub(crate) fn grant(&mut self) -> Option<u64> {
        let free = self.size.saturating_sub(self.granted + self.owed);
        let worth = free > 0 && free >= (self.size.saturating_sub(self.owed) / 2).min(self.worth);
        self.granted += if worth { free } else { 0 };
        worth.then_some(free)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_taken_is_granted_anew_and_more_than_that_is_refused() {
        let mut window = Window::new(100);
        window.received(60).unwrap();
        assert_eq!(window.grant(), None, "nothing is taken");
        window.taken(30);
        assert_eq!(window.grant(), None, "too little to say");
        window.taken(30);
        assert_eq!(window.grant(), Some(60));
        window.received(100).unwrap();
        assert_eq!(window.received(1), Err(FrameError::Overrun));
        assert_eq!(window.owed(), 100);
    }

    #[test]
    fn what_nobody_takes_does_not_keep_the_rest_from_being_granted() {
        let mut window = Window::new(100);
        window.received(90).unwrap();
        window.taken(10);
        assert_eq!(window.grant(), Some(10));
        window.received(20).unwrap();
        window.taken(20);
        assert_eq!(window.grant(), Some(20), "80 bytes are owed");
    }

    #[test]
    fn what_is_worth_a_word_is_granted_though_it_is_less_than_half() {
        let mut window = Window::with_worth(100, 10);
        window.received(50).unwrap();
        window.taken(9);
        assert_eq!(window.grant(), None);
        window.taken(1);
        assert_eq!(window.grant(), Some(10));
    }
}
