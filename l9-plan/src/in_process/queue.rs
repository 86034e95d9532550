//! The queue itself: the state behind a lock, and waiting for it to change.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use l9_core::Result;
use l9_core::entropy::Entropy;
use l9_core::id::{RunId, TenantId};
use l9_core::queue::{Claim, Depth, Finished, Task, TaskQueue};
use l9_core::time::Clock;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::state::State;
use crate::jitter;
use crate::settings::Settings;

/// A bounded queue with turns of tenants, priorities, delays and retries, in memory.
/// What it loses with the process, the reconciler brings back from the journal.
#[derive(Debug)]
pub struct Queue {
    settings: Settings,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    state: Mutex<State>,
    changed: Notify,
    closed: CancellationToken,
}

impl Queue {
    /// An empty queue.
    #[must_use]
    pub fn new(settings: Settings, clock: Arc<dyn Clock>, entropy: Arc<dyn Entropy>) -> Self {
        let (state, changed, closed) = (Mutex::default(), Notify::new(), CancellationToken::new());
        Self { settings, clock, entropy, state, changed, closed }
    }

    fn with<T>(&self, change: impl FnOnce(&mut State, Duration) -> T) -> T {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut state, self.clock.monotonic())
    }
}

#[async_trait]
impl TaskQueue for Queue {
    async fn enqueue(&self, task: Task, delay: Duration) -> Result<()> {
        // Nobody claims here any more: whoever works elsewhere finds it in the journal.
        if self.closed.is_cancelled() {
            return Ok(());
        }
        self.with(|state, now| state.enqueue(&self.settings, task, now + delay, now))?;
        self.changed.notify_one();
        Ok(())
    }

    async fn claim(&self) -> Option<Claim> {
        loop {
            if self.closed.is_cancelled() {
                return None;
            }
            let (claim, due) = self.with(|state, now| {
                (state.claim(&self.settings, now), state.next_due(&self.settings, now).map(|at| at.saturating_sub(now)))
            });
            if let Some(claim) = claim {
                // Another worker may find more.
                self.changed.notify_one();
                return Some(claim);
            }
            let idle = Duration::from_secs(3600);
            tokio::select! {
                biased;
                () = self.closed.cancelled() => {}
                () = self.changed.notified() => {}
                () = self.clock.sleep(due.filter(|due| !due.is_zero()).unwrap_or(idle)) => {}
            }
        }
    }

    async fn finish(&self, claim: Claim, finished: Finished) -> bool {
        let jitter = jitter(&*self.entropy);
        let current = self.with(|state, now| state.finish(&self.settings, &claim, finished, now, jitter));
        self.changed.notify_one();
        current
    }

    async fn remove(&self, run: RunId) -> bool {
        self.with(|state, _| state.remove(&self.settings, run))
    }

    async fn depth(&self, tenant: Option<&TenantId>) -> Result<Depth> {
        Ok(self.with(|state, now| state.depth(tenant, now)))
    }

    async fn pause(&self, paused: bool) -> Result<()> {
        self.with(|state, _| state.paused = paused);
        self.changed.notify_one();
        Ok(())
    }

    fn close(&self) {
        self.closed.cancel();
    }
}
