//! The worker: claims tasks and has their runs advanced, a bounded number at a time; and the
//! reconciler, which brings back what the queue lost, and past the queue while that is away.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use l9_core::ErrorKind;
use l9_core::journal::Leases;
use l9_core::kernel::{Advance, Advanced, MENDABLE};
use l9_core::queue::{Claim, Finished, Task, TaskQueue};
use l9_core::time::Clock;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// How many due runs one look at the journal brings back.
const BATCH: usize = 1_000;

/// How long a due run that was handed to this node is left to it.
const HOLD: Duration = Duration::from_secs(2);

/// How a worker behaves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Runs advanced at once.
    pub concurrency: usize,
    /// After this many failed attempts in a row a run is given up.
    pub attempts: u32,
    /// How often the journal is asked for due runs, in milliseconds.
    pub reconcile_ms: u64,
    /// How long runs are given to let go when the process goes away, in milliseconds.
    pub drain_ms: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self { concurrency: 256, attempts: 20, reconcile_ms: 1_000, drain_ms: 20_000 }
    }
}

/// Advances runs from a queue.
#[derive(Debug, Clone)]
pub struct Worker {
    /// How it behaves.
    pub settings: Settings,
    /// Where runs wait.
    pub queue: Arc<dyn TaskQueue>,
    /// What knows which runs are due.
    pub leases: Arc<dyn Leases>,
    /// What advances them.
    pub advance: Arc<dyn Advance>,
    /// Time.
    pub clock: Arc<dyn Clock>,
}

impl Worker {
    /// Works until `drain` fires, then waits for the runs under way to let go, at most
    /// the configured time. What is cut off then is resumed by whoever comes next.
    pub async fn run(self, drain: CancellationToken) {
        let (past, mut given) = mpsc::channel(self.settings.concurrency.max(1));
        let reconciler = tokio::spawn(self.clone().reconcile(drain.clone(), past));
        let mut busy = JoinSet::new();
        loop {
            while busy.try_join_next().is_some() {}
            if busy.len() >= self.settings.concurrency {
                tokio::select! {
                    biased;
                    () = drain.cancelled() => break,
                    _ = busy.join_next() => {}
                }
                continue;
            }
            tokio::select! {
                biased;
                () = drain.cancelled() => break,
                Some(task) = given.recv() => drop(busy.spawn(self.clone().advance_past_the_queue(task))),
                claim = self.queue.claim() => match claim {
                    Some(claim) => drop(busy.spawn(self.clone().advance(claim))),
                    None => break,
                },
            }
        }
        reconciler.abort();
        self.queue.close();
        let all = async { while busy.join_next().await.is_some() {} };
        tokio::select! {
            biased;
            () = all => {}
            () = self.clock.sleep(Duration::from_millis(self.settings.drain_ms)) => {
                tracing::warn!("some runs did not let go in time; they are resumed at the next start");
            }
        }
    }

    async fn advance(self, claim: Claim) {
        let finished = self.outcome(&claim).await;
        self.queue.finish(claim, finished).await;
    }

    /// Advances a run of which the queue knows nothing; when it is due again the journal says.
    async fn advance_past_the_queue(self, task: Task) {
        self.outcome(&Claim { task, fence: 0, attempt: 1 }).await;
    }

    /// Has a run advanced, and tells what becomes of its task.
    async fn outcome(&self, claim: &Claim) -> Finished {
        // Whoever panics must not keep its claim for ever.
        let advanced = AssertUnwindSafe(self.advance.advance(&claim.task)).catch_unwind().await;
        match advanced {
            Ok(Ok(Advanced::Closed | Advanced::Parked)) => Finished::Done,
            Ok(Ok(Advanced::Busy(after))) => Finished::Retry { after: Some(after) },
            Ok(Err(error))
                if error.is_retryable() || matches!(error.kind(), ErrorKind::Fenced | ErrorKind::Conflict) =>
            {
                tracing::warn!(run = %claim.task.run, %error, "a run will be advanced again");
                self.again(claim, &error.to_string()).await
            }
            Ok(Err(error)) if matches!(error.kind(), ErrorKind::Exhausted | ErrorKind::Denied | ErrorKind::Newer) => {
                tracing::error!(run = %claim.task.run, %error, "a run waits until this is mended");
                Finished::Retry { after: Some(MENDABLE) }
            }
            Ok(Err(error)) => {
                tracing::error!(run = %claim.task.run, %error, "a run cannot be advanced");
                self.give_up(&claim.task, &error.to_string()).await
            }
            Err(_) => {
                tracing::error!(run = %claim.task.run, "advancing a run panicked");
                self.again(claim, "advancing it panicked").await
            }
        }
    }

    /// Another attempt, unless there were enough.
    async fn again(&self, claim: &Claim, reason: &str) -> Finished {
        if claim.attempt < self.settings.attempts {
            return Finished::Retry { after: None };
        }
        self.give_up(&claim.task, &format!("given up after {} attempts: {reason}", claim.attempt)).await
    }

    /// Has the run rest among the dead. If that cannot be kept, it is tried again.
    async fn give_up(&self, task: &Task, reason: &str) -> Finished {
        match self.advance.give_up(task, reason).await {
            Ok(true) => Finished::Done,
            Ok(false) => Finished::Retry { after: None },
            Err(error) if error.kind() == ErrorKind::NotFound => Finished::Done,
            Err(error) => {
                tracing::warn!(run = %task.run, %error, "a run was not given up; it is tried again");
                Finished::Retry { after: None }
            }
        }
    }

    /// Puts what is due into the queue; while that is away, it goes `past` it to this worker.
    async fn reconcile(self, drain: CancellationToken, past: mpsc::Sender<Task>) {
        loop {
            match self.leases.due(BATCH, HOLD).await {
                Ok(tasks) => {
                    let mut away = false;
                    for task in tasks {
                        let queued = match away {
                            false => self.queue.enqueue(task.clone(), Duration::ZERO).await,
                            true => Ok(()),
                        };
                        match queued {
                            Ok(()) if !away => {}
                            Err(error) if !error.is_retryable() => break,
                            // Whoever has no more room leaves the rest to the next look.
                            _ if past.try_send(task).is_err() => break,
                            _ => away = true,
                        }
                    }
                }
                Err(error) => tracing::warn!(%error, "the journal was not asked for due runs"),
            }
            tokio::select! {
                biased;
                () = drain.cancelled() => return,
                () = self.clock.sleep(Duration::from_millis(self.settings.reconcile_ms)) => {}
            }
        }
    }
}
