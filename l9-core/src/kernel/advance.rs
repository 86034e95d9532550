//! The trait through which workers advance runs without knowing how.

use std::time::Duration;

use async_trait::async_trait;

use crate::Result;
use crate::queue::Task;

/// What came of advancing a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Advanced {
    /// It ended, or ended before.
    Closed,
    /// It waits for something that will make it due by itself.
    Parked,
    /// Somebody else has it; look again later.
    Busy(Duration),
}

/// Advances runs.
#[async_trait]
pub trait Advance: std::fmt::Debug + Send + Sync {
    /// Advances a run as far as it goes.
    ///
    /// # Errors
    /// A retryable one when it may go on later; any other when it never will by itself.
    async fn advance(&self, task: &Task) -> Result<Advanced>;

    /// Gives a run up, for a reason that is kept with it: it is not due before somebody
    /// redrives it. Tells whether it is given up; not if something new came for it.
    ///
    /// # Errors
    /// `NotFound` for an unknown run.
    async fn give_up(&self, task: &Task, reason: &str) -> Result<bool>;
}
