//! How soon something that does not last is begun again.

use std::time::Duration;

/// The wait before what ended is begun again; it doubles while it does not last.
const FIRST: Duration = Duration::from_secs(1);
/// The longest of those waits, and how long something goes on that lasts.
const LONGEST: Duration = Duration::from_secs(60);

/// When it was begun last, on the monotonic clock, and how long the next time waits.
#[derive(Debug, Default)]
pub(super) struct Pace {
    begun: Option<Duration>,
    wait: Duration,
}

impl Pace {
    /// The wait before the next time: none before the first, and longer with each that did not
    /// last.
    pub(super) fn next(&mut self, now: Duration) -> Duration {
        let Some(begun) = self.begun else {
            self.begun = Some(now);
            return Duration::ZERO;
        };
        let lasted = now.saturating_sub(begun) > LONGEST;
        self.wait = if lasted { FIRST } else { (self.wait * 2).clamp(FIRST, LONGEST) };
        self.begun = Some(now + self.wait);
        self.wait
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_last_is_begun_again_less_and_less_often() {
        let (mut pace, mut now, mut waits) = (Pace::default(), Duration::ZERO, Vec::new());
        for _ in 0..9 {
            let wait = pace.next(now);
            waits.push(wait.as_secs());
            now += wait;
        }
        assert_eq!(waits, [0, 1, 2, 4, 8, 16, 32, 60, 60]);
        assert_eq!(pace.next(now + LONGEST * 2).as_secs(), 1, "one that lasted is begun again soon");
    }
}
