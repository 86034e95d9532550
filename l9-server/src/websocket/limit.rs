//! How often a client may speak: a token bucket.

use std::time::Duration;

/// Refills at `rate` a second up to `burst`.
#[derive(Debug)]
pub(super) struct Bucket {
    rate: f64,
    burst: f64,
    tokens: f64,
    /// On the monotonic clock.
    filled: Duration,
}

impl Bucket {
    pub(super) fn new(rate: u32, burst: u32, now: Duration) -> Self {
        let burst = f64::from(burst);
        Self { rate: f64::from(rate), burst, tokens: burst, filled: now }
    }

    /// Takes a token; tells whether there was one.
    pub(super) fn take(&mut self, now: Duration) -> bool {
        let passed = now.saturating_sub(self.filled).as_secs_f64();
        self.filled = self.filled.max(now);
        self.tokens = (self.tokens + passed * self.rate).min(self.burst);
        if self.tokens < 1.0 {
            return false;
        }
        self.tokens -= 1.0;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_taken_and_then_the_rate() {
        let mut bucket = Bucket::new(10, 3, Duration::ZERO);
        let taken = (0..5).filter(|_| bucket.take(Duration::ZERO)).count();
        assert_eq!(taken, 3);
        assert!(bucket.take(Duration::from_millis(100)));
        assert!(!bucket.take(Duration::from_millis(150)));
        // A clock that seems to go back gives nothing.
        assert!(!bucket.take(Duration::ZERO));
        let later = (0..100).filter(|_| bucket.take(Duration::from_secs(60))).count();
        assert_eq!(later, 3);
    }
}
