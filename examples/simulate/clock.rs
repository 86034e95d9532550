//! The clocks: the database's, which is simulated time itself, and one for each life of a
//! node, whose wall clock is off and jumps, and whose every clock drifts.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use l9::time::{Clock, Timestamp};

use crate::gate::Gate;
use crate::timeline::Timeline;

/// 2026-01-01T00:00:00Z, when every simulated world begins.
pub(crate) const BEGINNING: Timestamp = Timestamp::from_millis(1_767_225_600_000);

const MILLION: i128 = 1_000_000;

/// The database's clock.
#[derive(Debug)]
pub(crate) struct DatabaseClock(pub(crate) Arc<Timeline>);

#[async_trait]
impl Clock for DatabaseClock {
    fn now(&self) -> Timestamp {
        BEGINNING.after(self.0.now())
    }

    fn monotonic(&self) -> Duration {
        self.0.now()
    }

    async fn sleep(&self, duration: Duration) {
        self.0.sleep(duration).await;
    }
}

/// A node's clock.
#[derive(Debug)]
pub(crate) struct NodeClock {
    gate: Arc<Gate>,
    born: Duration,
    /// What the monotonic clock said at birth.
    start: Duration,
    /// How much faster than real time it goes, in millionths.
    drift: i64,
    /// How far the wall clock is ahead, in milliseconds.
    ahead: AtomicI64,
}

impl NodeClock {
    pub(crate) fn new(gate: Arc<Gate>, start: Duration, drift: i64, ahead: i64) -> Self {
        let born = gate.timeline.now();
        Self { gate, born, start, drift, ahead: AtomicI64::new(ahead) }
    }

    /// Moves the wall clock.
    pub(crate) fn jump(&self, millis: i64) {
        self.ahead.fetch_add(millis, Ordering::Relaxed);
    }

    fn elapsed(&self) -> Duration {
        scale(self.gate.timeline.now() - self.born, MILLION + i128::from(self.drift), MILLION)
    }
}

#[async_trait]
impl Clock for NodeClock {
    fn now(&self) -> Timestamp {
        let millis = BEGINNING.after(self.born + self.elapsed()).as_millis();
        Timestamp::from_millis(millis + self.ahead.load(Ordering::Relaxed))
    }

    fn monotonic(&self) -> Duration {
        self.start + self.elapsed()
    }

    async fn sleep(&self, duration: Duration) {
        self.gate.sleep(scale(duration, MILLION, MILLION + i128::from(self.drift))).await;
    }
}

/// A duration times a fraction, rounded up, so that nobody wakes before their time.
fn scale(duration: Duration, by: i128, of: i128) -> Duration {
    let nanos = i128::try_from(duration.as_nanos()).unwrap_or(i128::MAX / MILLION / 2);
    let scaled = (nanos * by + of - 1) / of;
    Duration::from_nanos(u64::try_from(scaled).unwrap_or(u64::MAX))
}
