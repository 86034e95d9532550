//! The trait through which workers advance runs without knowing how, and how the engine does:
//! it takes the lease, drives the run, and lets it go.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;

use super::engine::{Engine, Inner};
use crate::failpoint::{self, Point};
use crate::id::RunId;
use crate::queue::Task;
use crate::run::{Parked, RunState};
use crate::{ErrorKind, Result};

/// How soon a run is looked at again that only a person or a newer node can help.
pub const MENDABLE: Duration = Duration::from_secs(30);

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

/// A run that a task of this process advances, until it is dropped.
struct Mine<'a> {
    all: &'a Mutex<HashSet<RunId>>,
    run: RunId,
}

impl<'a> Mine<'a> {
    fn take(all: &'a Mutex<HashSet<RunId>>, run: RunId) -> Option<Self> {
        let first = all.lock().unwrap_or_else(PoisonError::into_inner).insert(run);
        first.then_some(Self { all, run })
    }
}

impl Drop for Mine<'_> {
    fn drop(&mut self) {
        self.all.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.run);
    }
}

#[async_trait]
impl Advance for Engine {
    async fn advance(&self, task: &Task) -> Result<Advanced> {
        let Inner { parts, settings, driver, .. } = &*self.inner;
        // The lease is this process's, so it alone would not keep two tasks apart.
        let Some(_mine) = Mine::take(&self.inner.advancing, task.run) else {
            return Ok(Advanced::Busy(settings.lease / 4));
        };
        if parts.governor.stops().is_stopped(&task.tenant) {
            // It is due again once the stop is lifted.
            return Ok(Advanced::Parked);
        }
        let asked = parts.clock.monotonic();
        failpoint::pass(Point::LeaseAsked);
        let Some(lease) = parts.store.acquire(&task.tenant, task.run, &settings.owner, settings.lease).await? else {
            let row = parts.store.run(&task.tenant, task.run).await?;
            let closed = row.is_none_or(|row| row.status.is_closed());
            return Ok(if closed { Advanced::Closed } else { Advanced::Busy(settings.lease / 4) });
        };
        failpoint::pass(Point::LeaseTaken);
        let own = asked + settings.lease;
        let started = parts.clock.monotonic();
        let lease_ends = || own.max(self.inner.renewed());
        let parked = Box::pin(driver.drive(&lease, lease_ends, |state: &RunState| self.decider(state))).await;
        match parked {
            Ok(Parked::Closed) => {
                if let Some(row) = parts.store.run(&task.tenant, task.run).await?
                    && row.kind == "agent"
                {
                    let took = (parts.clock.monotonic() - started).as_secs_f64() * 1000.0;
                    metrics::histogram!("agent_execution_duration_ms", "agent" => row.name, "status" => row.status.as_str())
                        .record(took);
                }
                Ok(Advanced::Closed)
            }
            Ok(Parked::Waiting(wake)) => {
                parts.store.release(&lease, wake).await?;
                Ok(Advanced::Parked)
            }
            Ok(Parked::Drained) => {
                parts.store.release(&lease, Some(Duration::ZERO)).await?;
                Ok(Advanced::Parked)
            }
            Err(error) => {
                // Whatever may go on later is due by itself: this process may not live to try.
                let wake = match error.kind() {
                    ErrorKind::Unavailable | ErrorKind::Fenced | ErrorKind::Conflict => Some(Duration::from_secs(1)),
                    ErrorKind::Exhausted | ErrorKind::Denied | ErrorKind::Newer => Some(MENDABLE),
                    _ => None,
                };
                // The run stays as it was; releasing only saves its next owner the wait.
                if let Err(second) = parts.store.release(&lease, wake).await {
                    tracing::warn!(run = %task.run, error = %second, "a lease was not released");
                }
                Err(error.with("run", task.run))
            }
        }
    }

    async fn give_up(&self, task: &Task, reason: &str) -> Result<bool> {
        self.bury(task, reason).await
    }
}
