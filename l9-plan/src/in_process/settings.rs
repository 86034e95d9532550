//! How the in-process queue behaves.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// How the in-process queue behaves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// The most tasks that wait or are claimed; what does not fit stays in the journal.
    pub capacity: usize,
    /// The first retry's delay in milliseconds; it doubles with every attempt.
    pub backoff_ms: u64,
    /// The longest retry's delay in milliseconds.
    pub backoff_max_ms: u64,
    /// After this many attempts in a row a task is given up.
    pub attempts: u32,
    /// The most dead tasks that are remembered with their reasons.
    pub dead: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self { capacity: 100_000, backoff_ms: 200, backoff_max_ms: 60_000, attempts: 20, dead: 1_000 }
    }
}

impl Settings {
    /// The delay before the attempt after `attempt`, without jitter.
    pub(super) fn backoff(&self, attempt: u32) -> Duration {
        let factor = 1_u64.checked_shl(attempt.saturating_sub(1)).unwrap_or(u64::MAX);
        Duration::from_millis(self.backoff_ms.saturating_mul(factor).min(self.backoff_max_ms))
    }
}
