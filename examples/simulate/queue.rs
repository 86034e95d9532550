//! The product's queue, with acknowledgements that are delivered twice, the second while
//! the run is in somebody's hands again: it is stale and must change nothing.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use l9::in_process::Queue;
use l9::queue::{Claim, Depth, Finished, Task, TaskQueue};
use l9::{Result, RunId, TenantId};

use crate::judge::Invariant;
use crate::sim::Sim;

/// How many acknowledgements in a thousand are delivered twice.
const TWICE: u64 = 300;

/// One node's queue.
#[derive(Debug)]
pub(crate) struct SimQueue {
    sim: Arc<Sim>,
    queue: Queue,
    /// The last claim of each run that was given back.
    given_back: Mutex<BTreeMap<RunId, Claim>>,
}

impl SimQueue {
    pub(crate) fn new(sim: Arc<Sim>, queue: Queue) -> Self {
        Self { sim, queue, given_back: Mutex::default() }
    }
}

#[async_trait]
impl TaskQueue for SimQueue {
    async fn enqueue(&self, task: Task, delay: Duration) -> Result<()> {
        self.queue.enqueue(task, delay).await
    }

    async fn claim(&self) -> Option<Claim> {
        self.queue.claim().await
    }

    async fn finish(&self, claim: Claim, finished: Finished) -> bool {
        let run = claim.task.run;
        let stale = self.given_back.lock().unwrap_or_else(PoisonError::into_inner).insert(run, claim.clone());
        let again = self.sim.draw(|random| random.chance(TWICE));
        if let Some(stale) = stale.filter(|_| again) {
            let before = self.queue.depth(None).await;
            let taken = self.queue.finish(stale, Finished::Done).await;
            if taken || self.queue.depth(None).await.ok() != before.ok() {
                let what = "an acknowledgement under an old fence was taken";
                self.sim.judge(|judge, _| judge.found(Invariant::StaleChangesNothing, Some(run), what));
            }
        }
        self.queue.finish(claim, finished).await
    }

    async fn remove(&self, run: RunId) -> bool {
        self.queue.remove(run).await
    }

    async fn depth(&self, tenant: Option<&TenantId>) -> Result<Depth> {
        self.queue.depth(tenant).await
    }

    async fn pause(&self, paused: bool) -> Result<()> {
        self.queue.pause(paused).await
    }

    fn close(&self) {
        self.queue.close();
    }
}
