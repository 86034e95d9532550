//! The in-process queue and the worker, through their public faces.

#![expect(clippy::unwrap_used, reason = "a test may fail")]

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use l9_core::Result;
use l9_core::entropy::{SeededEntropy, SystemEntropy};
use l9_core::id::{RunId, TenantId};
use l9_core::journal::{Lease, Leases};
use l9_core::kernel::{Advance, Advanced};
use l9_core::queue::{Claim, Finished, Task, TaskQueue};
use l9_core::stop::{Scope, StoredStop};
use l9_core::time::{Clock, SystemClock, Timestamp};
use l9_core::{Error, ErrorKind};
use l9_plan::in_process::{Queue, Settings};
use l9_plan::{Worker, worker};
use proptest::prelude::*;
use tokio_util::sync::CancellationToken;

fn task(n: u64, priority: i32) -> Task {
    let run = RunId::generate(Timestamp::EPOCH, &SeededEntropy::new(n), "task");
    Task { tenant: TenantId::default_tenant(), run, priority }
}

fn queue(settings: Settings) -> Arc<Queue> {
    Arc::new(Queue::new(settings, Arc::new(SystemClock::default()), Arc::new(SystemEntropy)))
}

async fn next(queue: &Queue) -> Claim {
    tokio::time::timeout(Duration::from_secs(5), queue.claim()).await.unwrap().unwrap()
}

#[tokio::test]
async fn greater_priority_goes_first_and_equals_in_order() {
    let queue = queue(Settings::default());
    for (n, priority) in [(1, 0), (2, 5), (3, 0), (4, 5)] {
        queue.enqueue(task(n, priority), Duration::ZERO).await.unwrap();
    }
    let mut order = Vec::new();
    for _ in 0..4 {
        order.push(next(&queue).await.task.run);
    }
    assert_eq!(order, [2, 4, 1, 3].map(|n| task(n, 0).run));
}

#[tokio::test]
async fn a_full_queue_refuses_and_a_known_run_does_not_count_twice() {
    let queue = queue(Settings { capacity: 1, ..Settings::default() });
    queue.enqueue(task(1, 0), Duration::ZERO).await.unwrap();
    queue.enqueue(task(1, 3), Duration::ZERO).await.unwrap();
    let refused = queue.enqueue(task(2, 0), Duration::ZERO).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Exhausted);
    assert_eq!(next(&queue).await.task.priority, 3);
}

#[tokio::test]
async fn a_delay_is_waited_for_and_can_be_brought_forward() {
    let queue = queue(Settings::default());
    queue.enqueue(task(1, 0), Duration::from_millis(80)).await.unwrap();
    queue.enqueue(task(2, 0), Duration::from_secs(3600)).await.unwrap();
    assert_eq!(queue.depth().await.delayed, 2);
    assert_eq!(next(&queue).await.task.run, task(1, 0).run);
    queue.enqueue(task(2, 0), Duration::ZERO).await.unwrap();
    assert_eq!(next(&queue).await.task.run, task(2, 0).run);
}

#[tokio::test]
async fn a_task_enqueued_while_claimed_runs_again_and_stale_fences_change_nothing() {
    let queue = queue(Settings::default());
    queue.enqueue(task(1, 0), Duration::ZERO).await.unwrap();
    let first = next(&queue).await;
    queue.enqueue(task(1, 0), Duration::ZERO).await.unwrap();
    assert!(queue.finish(first.clone(), Finished::Done).await);
    let second = next(&queue).await;
    assert!(second.fence > first.fence);
    assert!(!queue.finish(first, Finished::Done).await, "an old fence must not acknowledge");
    assert!(queue.finish(second, Finished::Done).await);
    assert_eq!(queue.depth().await, l9_core::queue::Depth::default());
}

#[tokio::test]
async fn retries_back_off_and_end_in_a_dead_letter_with_its_reason() {
    let queue = queue(Settings { attempts: 3, backoff_ms: 1, ..Settings::default() });
    queue.enqueue(task(1, 0), Duration::ZERO).await.unwrap();
    for attempt in 1..=3 {
        let claim = next(&queue).await;
        assert_eq!(claim.attempt, attempt);
        queue.finish(claim, Finished::Retry { after: None, reason: "no luck".into() }).await;
    }
    let dead = queue.dead();
    assert_eq!(dead.len(), 1);
    assert!(dead[0].reason.contains("after 3 attempts: no luck"), "{}", dead[0].reason);
}

#[tokio::test]
async fn a_waiting_task_can_be_removed_and_a_claimed_one_not() {
    let queue = queue(Settings::default());
    queue.enqueue(task(1, 0), Duration::ZERO).await.unwrap();
    assert!(queue.remove(task(1, 0).run).await);
    queue.enqueue(task(1, 0), Duration::ZERO).await.unwrap();
    let claim = next(&queue).await;
    assert!(!queue.remove(task(1, 0).run).await);
    assert!(queue.finish(claim, Finished::Done).await);
    queue.close();
    assert!(queue.claim().await.is_none());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Every accepted task is claimed until it is done, none twice at once, none lost.
    #[test]
    fn accepted_tasks_are_neither_lost_nor_handed_out_twice(
        steps in prop::collection::vec((0_u8..4, 0_u64..12, -2_i32..3), 1..120)
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            let queue = queue(Settings::default());
            let (mut waiting, mut held): (BTreeSet<RunId>, Vec<Claim>) = (BTreeSet::new(), Vec::new());
            let mut again: BTreeSet<RunId> = BTreeSet::new();
            for (step, n, priority) in steps {
                let task = task(n, priority);
                match step {
                    0 | 1 => {
                        if held.iter().any(|claim| claim.task.run == task.run) {
                            again.insert(task.run);
                        } else {
                            waiting.insert(task.run);
                        }
                        queue.enqueue(task, Duration::ZERO).await.unwrap();
                    }
                    2 if !waiting.is_empty() => {
                        let claim = next(&queue).await;
                        assert!(waiting.remove(&claim.task.run), "handed out twice or unknown");
                        held.push(claim);
                    }
                    3 if !held.is_empty() => {
                        let claim = held.remove(usize::try_from(n).unwrap() % held.len());
                        if again.remove(&claim.task.run) {
                            waiting.insert(claim.task.run);
                        }
                        assert!(queue.finish(claim, Finished::Done).await);
                    }
                    _ => {}
                }
                let depth = queue.depth().await;
                assert_eq!((depth.ready, depth.claimed), (waiting.len(), held.len()));
            }
        });
    }
}

/// Nothing is leased; what is due is what the test says.
#[derive(Debug, Default)]
struct Due(Mutex<Vec<Task>>);

#[async_trait]
impl Leases for Due {
    async fn acquire(&self, _: &TenantId, _: RunId, _: &str, _: Duration) -> Result<Option<Lease>> {
        Ok(None)
    }
    async fn renew(&self, _: &str, _: Duration) -> Result<Vec<Lease>> {
        Ok(Vec::new())
    }
    async fn release(&self, _: &Lease, _: Option<Duration>) -> Result<()> {
        Ok(())
    }
    async fn due(&self, _: usize, _: Duration) -> Result<Vec<Task>> {
        Ok(std::mem::take(&mut *self.0.lock().unwrap()))
    }
    async fn stop(&self, stop: StoredStop) -> Result<StoredStop> {
        Ok(stop)
    }
    async fn unstop(&self, _: &Scope) -> Result<Option<StoredStop>> {
        Ok(None)
    }
    async fn stops(&self) -> Result<Vec<StoredStop>> {
        Ok(Vec::new())
    }
    async fn held(&self, _: &Scope) -> Result<u64> {
        Ok(0)
    }
}

#[derive(Debug, Default)]
struct Work {
    now: AtomicUsize,
    most: AtomicUsize,
    done: AtomicUsize,
}

#[async_trait]
impl Advance for Work {
    async fn advance(&self, task: &Task) -> Result<Advanced> {
        let now = self.now.fetch_add(1, Ordering::SeqCst) + 1;
        self.most.fetch_max(now, Ordering::SeqCst);
        SystemClock::default().sleep(Duration::from_millis(5)).await;
        self.now.fetch_sub(1, Ordering::SeqCst);
        if task.priority == -1 && self.done.load(Ordering::SeqCst) == 0 {
            self.done.fetch_add(1, Ordering::SeqCst);
            return Err(Error::unavailable("not yet"));
        }
        self.done.fetch_add(1, Ordering::SeqCst);
        Ok(Advanced::Closed)
    }
}

#[tokio::test]
async fn a_worker_is_bounded_finds_what_the_queue_never_had_and_drains() {
    let queue = queue(Settings { backoff_ms: 1, ..Settings::default() });
    let due = Arc::new(Due(Mutex::new((0..40).map(|n| task(n, 0)).collect())));
    let work = Arc::new(Work::default());
    let worker = Worker {
        settings: worker::Settings { concurrency: 4, reconcile_ms: 10, ..worker::Settings::default() },
        queue: Arc::<Queue>::clone(&queue),
        leases: Arc::<Due>::clone(&due),
        advance: Arc::<Work>::clone(&work),
        clock: Arc::new(SystemClock::default()),
    };
    let drain = CancellationToken::new();
    let running = tokio::spawn(worker.run(drain.clone()));
    while work.done.load(Ordering::SeqCst) < 40 {
        SystemClock::default().sleep(Duration::from_millis(2)).await;
    }
    assert_eq!(work.most.load(Ordering::SeqCst), 4);
    drain.cancel();
    tokio::time::timeout(Duration::from_secs(5), running).await.unwrap().unwrap();
    assert_eq!(work.now.load(Ordering::SeqCst), 0, "drained means nobody is at work");
}

#[tokio::test]
async fn a_passing_fault_is_tried_again() {
    let queue = queue(Settings { backoff_ms: 1, ..Settings::default() });
    let work = Arc::new(Work::default());
    let worker = Worker {
        settings: worker::Settings::default(),
        queue: Arc::<Queue>::clone(&queue),
        leases: Arc::new(Due::default()),
        advance: Arc::<Work>::clone(&work),
        clock: Arc::new(SystemClock::default()),
    };
    queue.enqueue(task(1, -1), Duration::ZERO).await.unwrap();
    let drain = CancellationToken::new();
    let running = tokio::spawn(worker.run(drain.clone()));
    while work.done.load(Ordering::SeqCst) < 2 {
        SystemClock::default().sleep(Duration::from_millis(2)).await;
    }
    drain.cancel();
    running.await.unwrap();
    assert_eq!(queue.depth().await, l9_core::queue::Depth::default());
}
