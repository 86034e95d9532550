//! How a queue behaves, wherever it is.

use std::time::Duration;

use l9_core::{Error, Result};
use serde::{Deserialize, Serialize};

use crate::rate::Rate;

/// Where the queue is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Backend {
    /// In Redis if there is one, else in this process.
    #[default]
    Auto,
    /// In this process, whose own workers alone it serves.
    InProcess,
    /// In Redis, for all processes that share it.
    Redis,
}

/// How a queue behaves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Where it is.
    pub backend: Backend,
    /// The most tasks that wait or are claimed; what does not fit stays in the journal.
    pub capacity: usize,
    /// The first retry's delay in milliseconds; it doubles with every attempt.
    pub backoff_ms: u64,
    /// The longest retry's delay in milliseconds.
    pub backoff_max_ms: u64,
    /// The most tasks of one tenant that are claimed at a time.
    pub tenant_claims: usize,
    /// The most claims of all tenants in a period; 0 is no limit.
    pub rate_claims: u64,
    /// The most claims of one tenant in a period; 0 is no limit.
    pub tenant_rate_claims: u64,
    /// The period of both, in milliseconds.
    pub rate_ms: u64,
    /// How long a claim in Redis lasts without its worker's renewal, in milliseconds.
    pub claim_ms: u64,
    /// How often Redis is asked for tasks when nothing says that there are any, in milliseconds.
    pub poll_ms: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            backend: Backend::default(),
            capacity: 100_000,
            backoff_ms: 200,
            backoff_max_ms: 60_000,
            tenant_claims: 100_000,
            rate_claims: 0,
            tenant_rate_claims: 0,
            rate_ms: 60_000,
            claim_ms: 10_000,
            poll_ms: 1_000,
        }
    }
}

impl Settings {
    /// Whether they are sound.
    ///
    /// # Errors
    /// `Invalid` with the setting, its value and what may stand there.
    pub fn check(&self) -> Result<()> {
        let within = |name: &str, value: u64, least: u64, most: u64| match (least..=most).contains(&value) {
            true => Ok(()),
            false => Err(Error::invalid(format!("queue.{name} is {value}: use {least} to {most}"))),
        };
        within("capacity", self.capacity as u64, 1, 100_000_000)?;
        within("tenant_claims", self.tenant_claims as u64, 1, 100_000_000)?;
        within("rate_claims", self.rate_claims, 0, 100_000)?;
        within("tenant_rate_claims", self.tenant_rate_claims, 0, 100_000)?;
        within("rate_ms", self.rate_ms, 100, 86_400_000)?;
        within("claim_ms", self.claim_ms, 500, 600_000)?;
        within("poll_ms", self.poll_ms, 10, 60_000)
    }

    /// How many claims of all tenants may be made.
    pub(crate) fn rate(&self) -> Option<Rate> {
        Rate::of(self.rate_claims, Duration::from_millis(self.rate_ms))
    }

    /// How many claims of one tenant may be made.
    pub(crate) fn tenant_rate(&self) -> Option<Rate> {
        Rate::of(self.tenant_rate_claims, Duration::from_millis(self.rate_ms))
    }

    /// The delay before the attempt after `attempt`; `jitter` is in 0..1.
    pub(crate) fn backoff(&self, attempt: u32, jitter: f64) -> Duration {
        let factor = 1_u64.checked_shl(attempt.saturating_sub(1)).unwrap_or(u64::MAX);
        let whole = Duration::from_millis(self.backoff_ms.saturating_mul(factor).min(self.backoff_max_ms));
        whole.mul_f64(0.5 + jitter / 2.0)
    }
}
