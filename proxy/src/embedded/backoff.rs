//! How long to wait before something that died is started again.

use std::time::Duration;

/// The first pause.
const FIRST: Duration = Duration::from_millis(50);
/// The longest pause.
const LONGEST: Duration = Duration::from_secs(5);
/// Whoever lived this long has earned the first pause again.
const LONG_LIFE: Duration = Duration::from_secs(30);

/// Pauses that double with every short life.
#[derive(Debug)]
pub(super) struct Backoff(Duration);

impl Backoff {
    /// Nothing has died yet.
    pub(super) fn new() -> Self {
        Self(FIRST)
    }

    /// The pause after a death, given how long the dead one had `lived`.
    pub(super) fn pause_after(&mut self, lived: Duration) -> Duration {
        if lived >= LONG_LIFE {
            self.0 = FIRST;
        }
        let pause = self.0;
        self.0 = LONGEST.min(pause * 2);
        pause
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_lives_double_the_pause_up_to_the_longest() {
        let mut backoff = Backoff::new();
        assert_eq!(backoff.pause_after(Duration::ZERO), FIRST);
        assert_eq!(backoff.pause_after(Duration::ZERO), FIRST * 2);
        let last = (0..20).map(|_| backoff.pause_after(Duration::ZERO)).last();
        assert_eq!(last, Some(LONGEST));
    }

    #[test]
    fn a_long_life_starts_over() {
        let mut backoff = Backoff::new();
        backoff.pause_after(Duration::ZERO);
        assert_eq!(backoff.pause_after(LONG_LIFE), FIRST);
    }
}
