//! The trait behind which runs wait to be advanced.
//!
//! The queue only dispatches: what it loses, the journal's database brings back.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::Result;
use crate::id::{RunId, TenantId};

/// A run that wants to be advanced.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Task {
    /// The run's tenant.
    pub tenant: TenantId,
    /// The run; a run waits at most once in a queue.
    pub run: RunId,
    /// Greater goes first; 0 is ordinary.
    pub priority: i32,
}

/// A task in a worker's hands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// The task.
    pub task: Task,
    /// Grows with every claim; an acknowledgement under an old fence changes nothing.
    pub fence: u64,
    /// How often the task has been claimed since it was last done, this one included.
    pub attempt: u32,
}

/// What became of a claimed task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finished {
    /// Nothing is left to do for now.
    Done,
    /// It should be tried again after a while.
    Retry {
        /// How long to wait; the queue's own backoff if absent.
        after: Option<Duration>,
        /// Why.
        reason: String,
    },
    /// It can never succeed.
    Dead {
        /// Why.
        reason: String,
    },
}

/// How many tasks a queue has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Depth {
    /// Ready to be claimed.
    pub ready: usize,
    /// Waiting for their time.
    pub delayed: usize,
    /// In workers' hands.
    pub claimed: usize,
    /// Given up, with a reason.
    pub dead: usize,
}

/// Dispatches runs to workers.
#[async_trait]
pub trait TaskQueue: fmt::Debug + Send + Sync {
    /// Adds a task, to be claimed after the delay. A run that waits already keeps the
    /// earlier time and the greater priority; one that is claimed is claimed again
    /// after it is finished.
    ///
    /// # Errors
    /// `Exhausted` when the queue is full; the run is safe in the journal.
    async fn enqueue(&self, task: Task, delay: Duration) -> Result<()>;

    /// Waits for the next task; `None` when the queue is closed and nothing is ready.
    async fn claim(&self) -> Option<Claim>;

    /// Gives a claim back; tells whether the fence was current.
    async fn finish(&self, claim: Claim, finished: Finished) -> bool;

    /// Takes a waiting task out; tells whether it was there. A claimed one is not
    /// touched: its run is cancelled through its journal.
    async fn remove(&self, run: RunId) -> bool;

    /// How many tasks there are.
    async fn depth(&self) -> Depth;

    /// Lets nobody claim any more; workers finish what they hold.
    fn close(&self);
}
