//! How many claims may be made in a period, by the generic cell rate algorithm: of the claims made
//! only one time is kept, by which what they take up is over. It must not read a clock.

use std::time::Duration;

/// A rate. After a quiet period all of its claims may be made at once; then each takes up its part
/// of the period, so that over a long time there are no more than so many in each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rate {
    /// What one claim takes up, in whole microseconds.
    pub(crate) every: Duration,
    /// The period.
    pub(crate) period: Duration,
}

impl Rate {
    /// So many claims in a period; `None` for 0, which is no limit.
    pub(crate) fn of(claims: u64, period: Duration) -> Option<Self> {
        let micros = u64::try_from(period.as_micros()).unwrap_or(u64::MAX);
        let every = Duration::from_micros(micros.checked_div(claims)?.max(1));
        Some(Self { every, period })
    }

    /// The time from which on one more claim may be made, where those before take up the time until
    /// `taken`.
    pub(crate) fn free(self, taken: Duration) -> Duration {
        (taken + self.every).saturating_sub(self.period)
    }

    /// Until when the time is taken up once one more claim is made now.
    pub(crate) fn take(self, taken: Duration, now: Duration) -> Duration {
        taken.max(now) + self.every
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quiet_period_allows_all_at_once_and_then_one_after_another() {
        let (rate, begun) = (Rate::of(3, Duration::from_secs(1)).unwrap(), Duration::from_secs(100));
        let mut taken = Duration::ZERO;
        for _ in 0..3 {
            assert!(rate.free(taken) <= begun);
            taken = rate.take(taken, begun);
        }
        assert_eq!(rate.free(taken), begun + Duration::from_micros(333_332));
        assert_eq!(rate.free(rate.take(taken, begun + rate.every)), begun + 2 * rate.every - Duration::from_micros(1));
        assert_eq!(Rate::of(0, Duration::from_secs(1)), None);
    }
}
