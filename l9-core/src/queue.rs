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

/// What became of a claimed task. Whether it is given up is not the queue's to say: dead
/// letters are in the journal's database, see [`DeadLetters`](crate::journal::DeadLetters).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finished {
    /// Nothing is left to do for now.
    Done,
    /// It should be tried again after a while.
    Retry {
        /// How long to wait, which is no failed attempt; the queue's own backoff if absent.
        after: Option<Duration>,
    },
}

/// How many tasks a queue has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Depth {
    /// Ready to be claimed.
    pub ready: usize,
    /// Waiting for their time.
    pub delayed: usize,
    /// In workers' hands.
    pub claimed: usize,
    /// How long the oldest ready task has waited, of all tenants; `None` if none waits or one
    /// tenant was asked about.
    pub oldest: Option<Duration>,
    /// Whether nobody may claim.
    pub paused: bool,
}

/// Dispatches runs to workers. Tenants with ready tasks take turns; within a tenant greater
/// priority goes first, then who waits longest.
#[async_trait]
pub trait TaskQueue: fmt::Debug + Send + Sync {
    /// Adds a task, to be claimed after the delay. A run that waits already keeps its place,
    /// the earlier time and the greater priority; one that is claimed is claimed again
    /// after it is finished.
    ///
    /// # Errors
    /// `Exhausted` when the queue is full, `Unavailable` when it is away; the run is safe in
    /// the journal.
    async fn enqueue(&self, task: Task, delay: Duration) -> Result<()>;

    /// Waits for the next task, and for the queue if it is away; `None` when it is closed.
    async fn claim(&self) -> Option<Claim>;

    /// Gives a claim back; tells whether the fence was current.
    async fn finish(&self, claim: Claim, finished: Finished) -> bool;

    /// Takes a waiting task out; tells whether it was there. A claimed one is not
    /// touched: its run is cancelled through its journal.
    async fn remove(&self, run: RunId) -> bool;

    /// How many tasks there are, of one tenant or of all.
    ///
    /// # Errors
    /// `Unavailable` when the queue is away.
    async fn depth(&self, tenant: Option<&TenantId>) -> Result<Depth>;

    /// Lets nobody claim until it is called with `false`; tasks are still taken in, and what
    /// is claimed is finished. It does not outlive a queue that is lost: what must hold is a
    /// [`stop`](crate::stop).
    ///
    /// # Errors
    /// `Unavailable` when the queue is away.
    async fn pause(&self, paused: bool) -> Result<()>;

    /// Lets this process claim no more; workers finish what they hold.
    fn close(&self);
}
