//! The in-process queue and the worker, through their public faces.

#![expect(clippy::unwrap_used, reason = "a test may fail")]

#[path = "support/mod.rs"]
mod support;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use l9_core::conformance::queue::{Bounds, task};
use l9_core::entropy::SystemEntropy;
use l9_core::id::{RunId, TenantId};
use l9_core::journal::{Lease, Leases};
use l9_core::kernel::{Advance, Advanced};
use l9_core::queue::{Depth, Task, TaskQueue};
use l9_core::stop::{Scope, StoredStop};
use l9_core::time::{Clock, SystemClock};
use l9_core::{Error, Result, conformance};
use l9_plan::in_process::{Queue, Settings};
use l9_plan::{Worker, worker};
use proptest::prelude::*;
use tokio_util::sync::CancellationToken;

fn queue(settings: Settings) -> Arc<Queue> {
    Arc::new(Queue::new(settings, Arc::new(SystemClock::default()), Arc::new(SystemEntropy)))
}

#[tokio::test]
async fn the_queue_of_one_process() {
    let made = |bounds: Bounds| -> Arc<dyn TaskQueue> { queue(support::settings(bounds)) };
    conformance::queue::all(&made).await;
}

#[tokio::test]
async fn a_crowd_of_ten_thousand_keeps_nobody_waiting() {
    support::a_crowd_keeps_nobody_waiting(&*queue(Settings::default()), 10_000).await;
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn accepted_tasks_are_neither_lost_nor_handed_out_twice(steps in support::steps()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async { support::none_is_lost_or_handed_out_twice(&*queue(Settings::default()), steps).await });
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

    async fn give_up(&self, _: &Task, reason: &str) -> Result<bool> {
        Err(Error::internal(reason.to_owned()))
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

/// Fails at every task; what is given up is kept.
#[derive(Debug, Default)]
struct Fails {
    tries: AtomicUsize,
    /// Whether it panics instead.
    panics: bool,
    /// How often giving up fails before it is kept.
    refuses: AtomicUsize,
    dead: Mutex<Vec<(RunId, String)>>,
}

#[async_trait]
impl Advance for Fails {
    async fn advance(&self, task: &Task) -> Result<Advanced> {
        self.tries.fetch_add(1, Ordering::SeqCst);
        assert!(!self.panics, "as it was told");
        match task.priority {
            0 => Err(Error::unavailable("no luck")),
            _ => Err(Error::corrupt("no sense")),
        }
    }

    async fn give_up(&self, task: &Task, reason: &str) -> Result<bool> {
        if self.refuses.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok() {
            return Err(Error::unavailable("the store is away"));
        }
        self.dead.lock().unwrap().push((task.run, reason.to_owned()));
        Ok(true)
    }
}

/// What became of one task by a worker that gives up after three attempts.
async fn given_up(task: Task, fails: Fails) -> Fails {
    let queue = queue(Settings { backoff_ms: 1, ..Settings::default() });
    let fails = Arc::new(fails);
    let worker = Worker {
        settings: worker::Settings { attempts: 3, ..worker::Settings::default() },
        queue: Arc::<Queue>::clone(&queue),
        leases: Arc::new(Due::default()),
        advance: Arc::<Fails>::clone(&fails),
        clock: Arc::new(SystemClock::default()),
    };
    queue.enqueue(task, Duration::ZERO).await.unwrap();
    let drain = CancellationToken::new();
    let running = tokio::spawn(worker.run(drain.clone()));
    while fails.dead.lock().unwrap().is_empty() || queue.depth(None).await.unwrap() != Depth::default() {
        SystemClock::default().sleep(Duration::from_millis(2)).await;
    }
    drain.cancel();
    running.await.unwrap();
    Arc::into_inner(fails).unwrap()
}

#[tokio::test]
async fn what_fails_too_often_is_given_up_with_the_reason() {
    let fails = given_up(task(1, 0), Fails::default()).await;
    assert_eq!(fails.tries.into_inner(), 3);
    let dead = fails.dead.into_inner().unwrap();
    assert_eq!(dead.len(), 1);
    assert!(dead[0].1.contains("after 3 attempts") && dead[0].1.contains("no luck"), "{dead:?}");
}

#[tokio::test]
async fn what_can_never_go_on_is_given_up_at_once_and_if_that_fails_again() {
    let fails = given_up(task(1, 1), Fails { refuses: AtomicUsize::new(1), ..Fails::default() }).await;
    assert_eq!(fails.tries.into_inner(), 2);
    assert!(fails.dead.into_inner().unwrap()[0].1.contains("no sense"));
}

#[tokio::test]
async fn who_panics_keeps_no_claim() {
    let fails = given_up(task(1, 0), Fails { panics: true, ..Fails::default() }).await;
    assert!(fails.dead.into_inner().unwrap()[0].1.contains("panicked"));
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
    assert_eq!(queue.depth(None).await.unwrap(), Depth::default());
}
