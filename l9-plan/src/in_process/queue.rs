//! The queue itself: the state behind a lock, and waiting for it to change.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use l9_core::Result;
use l9_core::entropy::Entropy;
use l9_core::id::RunId;
use l9_core::queue::{Claim, Depth, Finished, Task, TaskQueue};
use l9_core::time::Clock;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::settings::Settings;
use super::state::{Dead, State};

/// A bounded queue with priorities, delays, retries and dead letters, in memory.
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

    /// The tasks that were given up, oldest first.
    #[must_use]
    pub fn dead(&self) -> Vec<Dead> {
        self.with(|state, _| state.dead())
    }

    fn with<T>(&self, change: impl FnOnce(&mut State, Duration) -> T) -> T {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let result = change(&mut state, self.clock.monotonic());
        let depth = state.depth();
        drop(state);
        for (state, count) in
            [("ready", depth.ready), ("delayed", depth.delayed), ("claimed", depth.claimed), ("dead", depth.dead)]
        {
            metrics::gauge!("task_queue_depth", "state" => state).set(count as f64);
        }
        result
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
            let (claim, due) =
                self.with(|state, now| (state.claim(now), state.next_due().map(|at| at.saturating_sub(now))));
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
                () = self.clock.sleep(due.unwrap_or(idle)) => {}
            }
        }
    }

    async fn finish(&self, claim: Claim, finished: Finished) -> bool {
        let mut random = [0; 4];
        self.entropy.fill("queue/jitter", &mut random);
        let jitter = f64::from(u32::from_be_bytes(random)) / f64::from(u32::MAX);
        let current = self.with(|state, now| state.finish(&self.settings, &claim, finished, now, jitter));
        self.changed.notify_one();
        current
    }

    async fn remove(&self, run: RunId) -> bool {
        self.with(|state, _| state.remove(run))
    }

    async fn depth(&self) -> Depth {
        self.with(|state, _| state.depth())
    }

    fn close(&self) {
        self.closed.cancel();
    }
}
